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
