// A transparent sheet over a plot: reads the bin under the pointer, drags out a range, zooms and pans.
// It knows fractions of the plot's area only; what they mean is the kernel's matter.
function render({ model, el }) {
  const make = (name, parent) => {
    const node = document.createElement("div");
    node.className = `mpidist-${name}`;
    parent.append(node);
    return node;
  };
  el.classList.add("mpidist-surface");
  const area = make("area", el);
  area.tabIndex = 0;
  area.setAttribute("role", "application");
  const shade = make("shade", area), bin = make("bin", area), brush = make("brush", area), tip = make("tip", area);
  const readout = make("readout", area);
  const said = make("said", readout);
  const cut = document.createElement("button");
  cut.textContent = "as cut";
  cut.title = "the line of code that selects this range";
  const code = document.createElement("input");
  code.readOnly = true;
  code.setAttribute("aria-label", "code of this cut");
  code.hidden = true;
  readout.append(cut, code);
  tip.setAttribute("aria-live", "polite");

  const inside = (value) => Math.min(1, Math.max(0, value));
  const at = (event) => {
    const box = area.getBoundingClientRect();
    return [inside((event.clientX - box.left) / box.width), inside(1 - (event.clientY - box.top) / box.height)];
  };
  const place = (node, range) => {
    node.style.display = range && range.length ? "block" : "none";
    if (range && range.length) {
      node.style.left = `${100 * inside(range[0])}%`;
      node.style.width = `${100 * Math.max(0, inside(range[1]) - inside(range[0]))}%`;
    }
  };
  const both = () => model.get("axes") === "xy";
  const send = (kind, more = {}) => model.send({ kind, ...more });

  const told = ([colour, text]) => {
    const line = document.createElement("div");
    if (colour) {
      const mark = document.createElement("span");
      mark.style.background = colour;
      line.append(mark);
    }
    line.append(text);
    return line;
  };

  let waiting = null;  // at most one message a frame
  const later = (message) => {
    const idle = waiting === null;
    waiting = waiting && waiting.kind === "pan" && message.kind === "pan"
      ? { kind: "pan", x: waiting.x + message.x, y: waiting.y + message.y } : message;
    if (idle) requestAnimationFrame(() => { model.send(waiting); waiting = null; });
  };

  let begun = null, last = null, panning = false, pointed = 0;
  area.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    begun = last = at(event);
    panning = event.shiftKey;
    area.setPointerCapture(event.pointerId);
    read();
    area.focus({ preventScroll: true });
    event.preventDefault();
  });
  area.addEventListener("pointermove", (event) => {
    const now = at(event);
    if (begun && panning) {
      later({ kind: "pan", x: last[0] - now[0], y: last[1] - now[1] });
      last = now;
    } else if (begun) {
      place(brush, [Math.min(begun[0], now[0]), Math.max(begun[0], now[0])]);
      const [low, high] = both() ? [Math.min(begun[1], now[1]), Math.max(begun[1], now[1])] : [0, 1];
      brush.style.bottom = `${100 * low}%`;
      brush.style.height = `${100 * (high - low)}%`;
    } else {
      pointed = now[0];
      beside();
      later({ kind: "hover", x: now[0], y: now[1] });
    }
  });
  area.addEventListener("pointerup", (event) => {
    if (!begun) return;
    const now = at(event), from = begun;
    begun = null;
    place(brush, null);
    read();
    if (panning) return;
    const x = [from[0], now[0]].sort((a, b) => a - b), y = [from[1], now[1]].sort((a, b) => a - b);
    if (x[1] - x[0] < 0.01) return;
    send(model.get("mode") === "range" ? "select" : "zoom", both() ? { x, y } : { x });
  });
  area.addEventListener("pointerleave", () => { if (!begun) send("leave"); });
  area.addEventListener("dblclick", () => send("reset"));
  area.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const message = by && event.shiftKey ? { kind: "pan", x: by / 8, y: 0 }
      : by ? { kind: "step", by }
      : event.key === "+" || event.key === "=" ? { kind: "scale", by: 0.5 }
      : event.key === "-" ? { kind: "scale", by: 2 }
      : event.key === "0" || event.key === "Escape" ? { kind: "reset" }
      : event.key === "Enter" ? { kind: "mark" } : null;
    if (!message || event.target !== area) return;
    model.send(message);
    event.preventDefault();
    event.stopPropagation();
  });
  area.addEventListener("blur", (event) => { if (!area.contains(event.relatedTarget)) send("leave"); });
  for (const kind of ["pointerdown", "dblclick", "keydown"]) readout.addEventListener(kind, (e) => e.stopPropagation());
  cut.onclick = () => {
    code.hidden = false;
    code.select();
    navigator.clipboard?.writeText(code.value).catch(() => {});
  };

  const layout = () => {
    const [left, right, top, bottom] = model.get("margins");
    Object.assign(area.style, { left: `${left}px`, right: `${right}px`, top: `${top}px`, bottom: `${bottom}px` });
    area.setAttribute("aria-label", model.get("subject"));
    area.classList.toggle("mpidist-ranging", model.get("mode") === "range");
  };
  const beside = () => {  // the tip next to what is read, within the plot
    const wide = area.clientWidth, own = tip.offsetWidth, x = pointed * wide;
    const left = pointed > 0.5 ? x - own - 10 : x + 10;
    tip.style.left = `${Math.max(0, Math.min(left, wide - own))}px`;
  };
  const read = () => {
    const lines = begun ? [] : model.get("tip");
    place(bin, begun ? [] : model.get("bin"));
    tip.style.display = lines.length ? "block" : "none";
    tip.replaceChildren(...lines.map(told));
    if (lines.length && !area.matches(":hover")) pointed = model.get("bin")[0];
    if (lines.length) beside();
  };
  const select = () => {
    place(shade, model.get("shade"));
    said.replaceChildren(...model.get("readout").map(told));
    if (code.value !== model.get("code")) code.hidden = true;
    code.value = model.get("code");
    cut.style.display = model.get("code") ? "" : "none";
    readout.style.display = model.get("readout").length ? "block" : "none";
  };
  const watched = [["change:margins change:mode change:subject", layout], ["change:bin change:tip", read],
    ["change:shade change:readout change:code", select]];
  for (const [names, handler] of watched) { model.on(names, handler); handler(); }
  return () => { for (const [names, handler] of watched) model.off(names, handler); };
}
export default { initialize: ({ model }) => { hear(model); }, render };
