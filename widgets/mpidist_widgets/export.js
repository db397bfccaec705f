// A button with a menu. What needs the browser (a download, a PNG) is done here, the rest by the kernel, which answers in
// `said` and `code`.
function render({ model, el }) {
  const me = Math.random().toString(36).slice(2);
  const make = (tag, parent, properties = {}) => {
    const node = Object.assign(document.createElement(tag), properties);
    parent.append(node);
    return node;
  };
  el.classList.add("mpidist-export");
  const subject = model.get("subject");
  const button = make("button", el, { textContent: "export", title: `export ${subject}` });
  button.setAttribute("aria-label", `export ${subject}`);
  button.setAttribute("aria-haspopup", "menu");
  const panel = make("div", el, { className: "mpidist-export-panel" });
  panel.setAttribute("popover", "auto");  // above everything, closed by Escape and by a click elsewhere
  const menu = make("div", panel);
  menu.setAttribute("role", "menu");
  menu.setAttribute("aria-label", `export ${subject}`);
  const said = make("div", panel, { className: "mpidist-export-said" });
  said.setAttribute("role", "status");
  const code = make("textarea", panel, { readOnly: true, rows: 12, cols: 74 });
  code.setAttribute("aria-label", `code that draws ${subject}`);
  const copy = make("button", panel, { textContent: "copy" });
  copy.onclick = () => { code.select(); document.execCommand("copy"); };

  const items = model.get("items").map(([key, label]) => {
    const item = make("button", menu, { textContent: label });
    item.setAttribute("role", "menuitem");
    item.dataset.key = key;
    item.onclick = () => model.send({ ask: key, by: me });
    return item;
  });
  menu.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const at = items.indexOf(document.activeElement);
    items[(at + step + items.length) % items.length].focus();
  });

  const place = () => {
    const box = button.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = panel;
    panel.style.left = `${Math.max(4, Math.min(box.right - width, innerWidth - width - 4))}px`;
    panel.style.top = `${box.bottom + height + 4 < innerHeight ? box.bottom + 2 : Math.max(4, box.top - height - 2)}px`;
  };
  const refresh = () => {
    said.textContent = model.get("said");
    code.value = model.get("code");
    code.hidden = copy.hidden = !code.value;
    if (panel.matches(":popover-open")) place();
  };
  button.onclick = () => {
    panel.showPopover();
    place();
    items[0].focus();
  };
  panel.addEventListener("toggle", (event) => {
    if (event.newState === "closed") model.send({ ask: "", by: me });
  });

  const download = (name, blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  const painted = (text, scale, done) => {
    const url = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
    const image = new Image();
    image.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = scale * image.width;
      canvas.height = scale * image.height;
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      URL.revokeObjectURL(url);
      canvas.toBlob(done, "image/png");
    };
    image.src = url;
  };
  const answer = ({ by, file, svg, scale }) => {
    if (by !== me) return;  // the same card is shown elsewhere too
    if (scale) painted(svg, scale, (blob) => download(file, blob));
    else download(file, new Blob([svg], { type: "image/svg+xml" }));
  };
  model.on("msg:custom", answer);
  model.on("change:said change:code", refresh);
  refresh();
  return () => {
    model.off("msg:custom", answer);
    model.off("change:said change:code", refresh);
  };
}
export default { initialize: ({ model }) => { hear(model); }, render };
