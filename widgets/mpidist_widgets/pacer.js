// Takes pictures of a run, gives each model its part, and says when one was painted.

// bqplot (0.13) lets d3 animate each change, also if that is to take no time: then it comes a frame later, and d3 interpolates between long
// texts for it; and it sets all styles again with each change of numbers. With twenty plots that is more than all the rest. These do the same
// at once, and only what has changed, for marks that have nothing but lines; all others are drawn as bqplot does. What bqplot's selectors of points
// look up (`xPixels`, ...) is left as it was.
const AT_ONCE = {
  Lines(view) {
    const { update_line_xy, draw } = view;
    if (!update_line_xy || !draw) return;
    const plain = () => view.line && view.scales?.x && view.scales.y && ["inside", "none"].includes(view.model.get("fill"))
      && view.model.get("labels_visibility") === "none" && !view.model.get("marker");
    view.update_line_xy = function (animate) {
      if (!plain()) return update_line_xy.call(this, animate);
      const { x, y } = this.scales;
      this.line.x((point) => x.scale(point.x) + x.offset).y((point) => y.scale(point.y) + y.offset);
      this.d3el.selectAll(".curve").select(".line").attr("d", (curve) => this.line(curve.values) + this.path_closure());
    };
    view.draw = function (animate) {
      const curves = this.d3el.selectAll(".curve");
      if (!plain() || curves.size() !== this.model.mark_data.length) return draw.call(this, animate);
      curves.data(this.model.mark_data);
      this.update_line_xy(animate);
    };
    if (!plain()) return;
    view.d3el.selectAll(".curve").selectAll("path").interrupt("update_line_xy");  // of the change that has just come
    view.update_line_xy();
  },
  Axis(view) {
    const { set_tick_values } = view;
    if (!set_tick_values) return;
    view.set_tick_values = function (animate) {
      const drawn = this.g_axisline;
      this.g_axisline = null;  // it draws only what is there
      try { set_tick_values.call(this, animate); } finally { this.g_axisline = drawn; }
      if (!drawn) return;
      drawn.interrupt("set_tick_values").selectAll("*").interrupt("set_tick_values");
      drawn.call(this.axis);
      this.apply_tick_styling();
    };
    view.stopListening(view.model, "change:tick_values");  // which calls the method that was there
    view.listenTo(view.model, "change:tick_values", () => view.set_tick_values());
    view.set_tick_values();
  },
};
const DONE = Symbol.for("mpidist.at_once");  // for all pacers of a page, each of which has a script of its own
const hasten = (model) => {
  const change = model.get("_view_module") === "bqplot" && AT_ONCE[model.get("_view_name")];
  if (!change) return;
  for (const made of Object.values(model.views ?? {})) {
    Promise.resolve(made).then((view) => {
      if (view[DONE]) return;
      view[DONE] = true;
      change(view);
    }).catch((error) => console.debug("mpidist: a view is drawn as bqplot does", error));
  }
};

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
