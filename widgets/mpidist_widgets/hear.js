// See scripted.py. Whether messages may have been missed.
const hear = async (model) => {
  let own;
  try { own = await model.widget_manager.get_model(model.get("key")); } catch { return false; }  // closed meanwhile
  try {
    await own._handle_comm_msg({ content: { data: {} } });  // waits for this script, unless anywidget has given up on it
    return false;
  } catch {
    if (!own.comm) return false;
    const direct = Object.getPrototypeOf(Object.getPrototypeOf(own))._handle_comm_msg.bind(own);
    own._handle_comm_msg = direct;
    own.comm.on_msg(direct);
    own.comm.send({ method: "request_state" }, own.callbacks());
    return true;
  }
};
