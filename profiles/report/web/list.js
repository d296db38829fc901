// The trajectories in a list that can be searched and ordered; only the rows in sight are in the document.

const ROW = 36;

class TrajectoryList {
  constructor(data, view) {
    this.data = data;
    this.view = view;
    this.box = document.getElementById("list");
    this.space = element("div", "space");
    this.box.append(this.space);
    this.moment = null; // [engine, time]: only those that ran there then
    this.longest = longest(data);
    this.sums = this.addUp();
    this.listen();
    this.refresh();
  }

  /** Figures to order by that are sums over a trajectory's turns. */
  addUp() {
    const { data } = this;
    const [generated, waited] = [new Float64Array(data.ids.length), new Float64Array(data.ids.length)];
    for (let life = 0; life < data.ids.length; life += 1) {
      for (let turn = data.turnsOf[life]; turn < data.turnsOf[life + 1]; turn += 1) {
        generated[life] += data.get("turns.generated", turn) ?? 0;
        const until = data.get("turns.dispatched", turn) === null ? "turns.end" : "turns.dispatched";
        waited[life] += data.time(until, turn) - data.time("turns.ready", turn);
      }
    }
    return { generated, waited };
  }

  listen() {
    for (const id of ["search", "order"]) {
      document.getElementById(id).addEventListener("input", () => this.refresh());
    }
    document.getElementById("moment").addEventListener("click", () => this.at(null));
    this.box.addEventListener("scroll", () => this.draw());
    this.box.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  /** Only those whose turn was on an engine at a time; null for all. */
  at(moment) {
    this.moment = moment;
    const chip = document.getElementById("moment");
    chip.hidden = moment === null;
    if (moment) chip.textContent = `on ${moment[0]} at ${clock(moment[1], 0.1)} ✕`;
    this.refresh();
  }

  refresh() {
    const sought = document.getElementById("search").value.trim().toLowerCase();
    const there = this.moment && this.running(...this.moment);
    this.rows = [];
    for (let life = 0; life < this.data.ids.length; life += 1) {
      if (there && !there.has(life)) continue;
      if (!sought || this.matches(life, sought)) this.rows.push(life);
    }
    const keys = Float64Array.from(this.data.ids, (_, life) => this.orderOf(life));
    this.rows.sort((a, b) => keys[a] - keys[b]);
    const of = this.rows.length === this.data.ids.length ? "" : ` of ${count(this.data.ids.length)}`;
    document.getElementById("found").textContent = `${count(this.rows.length)}${of} trajectories`;
    this.space.style.height = `${this.rows.length * ROW}px`;
    this.box.scrollTop = 0;
    this.draw();
  }

  matches(life, sought) {
    const { data } = this;
    const isGroup = data.word("lives.group", life).toLowerCase() === sought;
    return isGroup || data.ids[life].toLowerCase().includes(sought);
  }

  /** What the list is ordered by, the least first. */
  orderOf(life) {
    const { data, sums } = this;
    switch (document.getElementById("order").value) {
      case "start": return data.time("lives.start", life);
      case "turns": return data.turnsOf[life] - data.turnsOf[life + 1];
      case "generated": return -sums.generated[life];
      case "waited": return -sums.waited[life];
      case "reward": return data.reward(life) ?? Infinity;
      default: return -data.span(life);
    }
  }

  running(engine, time) {
    const { data } = this;
    const number = data.turn_engines.indexOf(engine);
    const found = new Set();
    const [engines, lives] = [data.columns["turns.engine"].values, data.columns["turns.life"].values];
    for (let turn = 0; turn < engines.length; turn += 1) {
      if (engines[turn] !== number || data.time("turns.dispatched", turn) > time) continue;
      if (time < data.time("turns.end", turn)) found.add(lives[turn]);
    }
    return found;
  }

  draw() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW) - 2);
    const last = Math.min(this.rows.length, first + Math.ceil(this.box.clientHeight / ROW) + 5);
    const rows = [];
    for (let place = first; place < last; place += 1) rows.push(this.row(this.rows[place], place));
    this.space.replaceChildren(...rows);
  }

  row(life, place) {
    const { data } = this;
    const row = element("div", "row");
    Object.assign(row.dataset, { life, id: data.ids[life] });
    row.style.top = `${place * ROW}px`;
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", life === this.view.life);
    const what = element("div", "what");
    const status = data.word("lives.status", life);
    const turns = data.turnsOf[life + 1] - data.turnsOf[life];
    const notes = [seconds(data.span(life)), `${turns} turns`];
    const reward = data.reward(life);
    if (reward !== null) notes.push(`reward ${reward}`);
    const took = element("span", "took", notes.join(" · "));
    if (status !== "finished") took.prepend(element("span", status === "failed" ? "failed" : "", `${status} `));
    what.append(element("span", "id", data.ids[life]), took);
    const mini = element("div", "mini");
    mini.style.background = stripes(tiled(data, life, piecesOf(data, life)), data.span(life) / this.longest);
    row.append(what, mini);
    row.addEventListener("click", () => this.select(life));
    return row;
  }

  select(life) {
    this.view.mark(life);
    showLife(this.data, this.view, life);
    this.draw();
  }

  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const at = this.rows.indexOf(this.view.life);
    const next = this.rows[at + step];
    if (!step || next === undefined) return;
    event.preventDefault();
    const top = (at + step) * ROW;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    const below = top + ROW - this.box.clientHeight;
    if (below > this.box.scrollTop) this.box.scrollTop = below;
    this.select(next);
  }
}

/** The longest life in seconds. */
function longest(data) {
  let most = 1e-9;
  for (let life = 0; life < data.ids.length; life += 1) most = Math.max(most, data.span(life));
  return most;
}
