// The one tooltip: a title and lines, each with a colour, a name and a figure.

const tip = {
  /** Show it beside the pointer. */
  show(event, title, lines = []) {
    const box = document.getElementById("tip");
    box.replaceChildren(element("b", "", title), ...lines.map(tipLine));
    box.hidden = false;
    const { width, height } = box.getBoundingClientRect();
    const right = event.clientX + 16 + width > innerWidth;
    box.style.left = `${Math.max(4, right ? event.clientX - 16 - width : event.clientX + 16)}px`;
    box.style.top = `${Math.max(4, Math.min(event.clientY + 14, innerHeight - height - 6))}px`;
  },

  hide() {
    document.getElementById("tip").hidden = true;
  },

  /** Show what elements say in `data-tip`, wherever they are. */
  listen() {
    document.addEventListener("pointermove", (event) => {
      const said = event.target.closest?.("[data-tip]");
      if (said) tip.show(event, said.dataset.tip);
    });
    document.addEventListener("pointerout", (event) => {
      if (event.target.closest?.("[data-tip]")) tip.hide();
    });
  },
};

function tipLine([colourName, name, figure]) {
  const line = element("div", "line");
  const label = element("span", "", name);
  if (colourName) {
    const swatch = element("i");
    swatch.style.setProperty("--hue", `var(--${colourName})`);
    label.prepend(swatch);
  }
  line.append(label, element("span", "", figure));
  return line;
}
