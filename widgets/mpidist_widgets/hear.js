// See scripted.py.
const hear = async (model) => {
  let own;
  try { own = await model.widget_manager.get_model(model.get("key")); } catch { return; }  // closed meanwhile
  try {
    await own._handle_comm_msg({ content: { data: {} } });  // waits for this script, unless anywidget has given up on it
  } catch {
    if (!own.comm) return;
    const direct = Object.getPrototypeOf(Object.getPrototypeOf(own))._handle_comm_msg.bind(own);
    own._handle_comm_msg = direct;
    own.comm.on_msg(direct);
    own.comm.send({ method: "request_state" }, own.callbacks());
  }
};
