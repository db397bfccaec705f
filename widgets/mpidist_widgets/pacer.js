// Takes pictures of a run, gives each model its part, and says when one was painted.

function initialize({ model }) {
  hear(model).then((missed) => { if (missed) model.send({ missed }); });
  let asked = false, gone = false, applied = Promise.resolve();
  const shown = new Map();  // elements of the view, and whether one can see something of them
  // Behind another tab of JupyterLab, or scrolled out of the page. Asking an element itself would lay out the page once more.
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting, rootBounds } of entries) {
      // Without rootBounds (a frame of another origin) bqplot's figures have seen that it is false for what is there.
      shown.set(target, isIntersecting || (!rootBounds && target.checkVisibility()));
    }
    look();
  });
  const seen = () => {
    const view = model.get("view");
    if (!view) return true;
    for (const node of shown.keys()) {
      if (!node.isConnected) {  // for good, or until its cell is scrolled back
        shown.delete(node);
        observer.unobserve(node);
      }
    }
    for (const node of document.getElementsByClassName(view)) {
      if (!shown.has(node)) {
        shown.set(node, false);
        observer.observe(node);
      }
    }
    return [...shown.values()].includes(true);
  };
  const painted = new MessageChannel();  // its messages come after a frame was painted, if they are sent from within it
  painted.port1.onmessage = ({ data }) => { if (!gone) model.send({ painted: data }); };
  let timer = null, frame = null;
  const look = () => {
    clearTimeout(timer);
    if (gone || !asked || frame) return;
    if (!seen()) {
      timer = setTimeout(look, 250);  // an element may come that is not observed yet
      return;
    }
    frame = requestAnimationFrame(() => {
      frame = null;
      asked = false;
      painted.port2.postMessage(model.get("picture"));
    });
  };
  const acknowledge = () => {
    asked = true;
    look();
  };
  const give = async ({ id, data }, buffers) => {
    let target;
    try { target = await model.widget_manager.get_model(id); } catch { return; }  // closed meanwhile
    await target._handle_comm_msg({ content: { data }, buffers });
    hasten(target);
  };
  const take = (message, buffers) => {
    if (!message.changes) return;
    applied = applied.then(() => {
      let from = 0;
      return Promise.all(message.changes.map((change) => give(change, buffers.slice(from, from += change.buffers))));
    }).catch((error) => model.send({ refused: true, why: String(error) }));
  };
  model.on("msg:custom", take);
  model.on("change:picture", acknowledge);
  acknowledge();  // a page that was opened or reloaded late
  return () => {
    gone = true;
    clearTimeout(timer);
    observer.disconnect();
    painted.port1.close();
    model.off("change:picture", acknowledge);
    model.off("msg:custom", take);
  };
}
export default { initialize };
