// Puts the page together. `data-ready` on the document says that all of it is drawn, `data-error` why it is not.

function followCauses(view) {
  const follow = (event) => view.follow(event.target.closest?.("[data-cause]")?.dataset.cause ?? null);
  for (const name of ["pointerover", "focusin"]) document.addEventListener(name, follow);
  view.onChange(() => {
    for (const part of document.querySelectorAll(".part, .key")) {
      part.classList.toggle("dim", view.cause !== null && part.dataset.cause !== view.cause);
    }
  });
}

async function main() {
  const root = document.documentElement;
  tip.listen();
  try {
    const data = await loadData(document.getElementById("data"));
    const view = new View(data.wall || 1, Math.max(data.bin * 10, 1e-3));
    const list = new TrajectoryList(data, view);
    const timeline = new Timeline(data, view, (engine, time) => {
      list.at([engine, time]);
      document.getElementById("trajectories").scrollIntoView({ behavior: "smooth" });
    });
    followCauses(view);
    timeline.draw();
    if (list.rows.length) list.select(list.rows[0]);
    root.dataset.ready = "";
  } catch (error) {
    root.dataset.error = String(error);
    const said = `The data of this page cannot be shown: ${error}. A current browser is needed.`;
    document.querySelector("main").prepend(element("p", "warn", said));
    throw error;
  }
}

main();
