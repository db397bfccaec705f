// The tools of a plot, and its legend: buttons, a menu, and chips that show and hide curves.
function render({ model, el }) {
  const bar = document.createElement("div");
  bar.className = "mpidist-bar";
  bar.setAttribute("role", "toolbar");
  const legend = document.createElement("div");
  legend.className = "mpidist-legend";
  el.classList.add("mpidist-tools");
  el.append(bar, legend);

  const change = (name, value) => {
    model.set("state", { ...model.get("state"), [name]: value });
    model.save_changes();
  };
  const makers = {
    toggle({ name, label, title }) {
      const button = document.createElement("button");
      button.textContent = label;
      button.onclick = () => change(name, !model.get("state")[name]);
      button.refresh = () => button.setAttribute("aria-pressed", String(!!model.get("state")[name]));
      return button;
    },
    action({ name, label }) {
      const button = document.createElement("button");
      button.textContent = label;
      button.onclick = () => model.send({ action: name });
      return button;
    },
    choice({ name, label, options }) {
      const menu = document.createElement("select");
      for (const option of options) menu.add(new Option(`${label}${option}`, option));
      menu.onchange = () => change(name, menu.value);
      menu.refresh = () => { menu.value = String(model.get("state")[name]); };
      return menu;
    },
  };
  const refresh = () => {
    for (const tool of bar.children) tool.refresh?.();
    const hidden = model.get("state").hidden || [];
    for (const chip of legend.children) chip.setAttribute("aria-pressed", String(!hidden.includes(chip.title)));
  };
  const draw = () => {
    bar.setAttribute("aria-label", `tools of ${model.get("subject")}`);
    bar.replaceChildren(...model.get("items").map((item) => {
      const tool = makers[item.kind](item);
      tool.title = item.title;
      tool.setAttribute("aria-label", item.title);
      tool.classList.add(`mpidist-${item.name}`);
      return tool;
    }));
    legend.replaceChildren(...model.get("samples").map(([name, colour]) => {
      const chip = document.createElement("button");
      const mark = document.createElement("span");
      mark.style.background = colour;
      chip.append(mark, name);
      chip.title = name;
      chip.setAttribute("aria-label", `show ${name}`);
      chip.onclick = () => {
        const hidden = model.get("state").hidden || [];
        change("hidden", hidden.includes(name) ? hidden.filter((one) => one !== name) : [...hidden, name]);
      };
      return chip;
    }));
    legend.style.display = model.get("samples").length ? "" : "none";
    refresh();
  };
  model.on("change:items change:samples", draw);
  model.on("change:state", refresh);
  draw();
  return () => {
    model.off("change:items change:samples", draw);
    model.off("change:state", refresh);
  };
}
export default { initialize: ({ model }) => { hear(model); }, render };
