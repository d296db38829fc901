// One trajectory's life: what it spent its time on, its turns by engine, its waits and tools, every turn's figures.

const SVG = "http://www.w3.org/2000/svg";
const LANE = 22;
const NAMES = 110; // for the names of lanes, on the left
const MOST_TOOL_LANES = 5;
const TURN_COLUMNS = [
  "turn", "engine", "placed", "held back", "queue", "to first token", "decode", "prompt", "cached", "generated",
  "preempted", "ended",
];

function showLife(data, view, life) {
  const box = document.getElementById("life");
  const pieces = piecesOf(data, life);
  const row = tiled(data, life, pieces);
  const chart = lifeChart(data, life, pieces, box.clientWidth);
  box.replaceChildren(lifeHead(data, view, life), sharesBar(row), sharesLegend(row), chart, turnTable(data, life));
  box.dataset.id = data.ids[life];
}

function lifeHead(data, view, life) {
  const head = element("div");
  const title = element("div", "tools");
  const button = element("button", "", "show over time");
  button.addEventListener("click", () => {
    const [start, span] = [data.time("lives.start", life), data.span(life)];
    view.look(start - span * 0.05, start + span * 1.05);
    document.getElementById("timeline").scrollIntoView({ behavior: "smooth" });
  });
  title.append(element("h3", "id", data.ids[life]), button);
  const reward = data.reward(life);
  const facts = [
    `group ${data.word("lives.group", life)}`,
    [data.word("lives.status", life), data.word("lives.cause", life)].filter(Boolean).join(": "),
    reward === null ? "" : `reward ${reward}`,
    `${seconds(data.span(life))} from ${clock(data.time("lives.start", life), 1)}`,
    `${data.turnsOf[life + 1] - data.turnsOf[life]} turns`,
  ];
  head.append(title, element("p", "soft", facts.filter(Boolean).join(" · ")));
  return head;
}

function sharesBar(row) {
  const bar = element("div", "shares");
  bar.style.background = stripes(summed(row));
  return bar;
}

function sharesLegend(row) {
  const total = row.reduce((sum, [, , length]) => sum + length, 0) || 1;
  const legend = element("ul", "legend");
  for (const [hue, name, length] of summed(row)) {
    const entry = element("li", "", `${name} `);
    const swatch = element("i");
    swatch.style.setProperty("--hue", `var(--${hue})`);
    entry.prepend(swatch);
    entry.append(element("b", "", `${percent(length / total)}`));
    entry.dataset.tip = `${name}: ${seconds(length)}`;
    legend.append(entry);
  }
  return legend;
}

/** Lanes from the top: what held it back, the engines in the order in which it came to them, tools. */
function lanesOf(pieces) {
  const names = (isWanted) => [...new Set(pieces.filter(({ kind }) => isWanted(kind)).map(({ lane }) => lane))];
  const waits = names((kind) => kind === "wait");
  const engines = names((kind) => kind !== "wait" && kind !== "tool");
  let tools = names((kind) => kind === "tool");
  if (tools.length > MOST_TOOL_LANES) tools = ["tools"];
  const laneOf = ({ kind, lane }) => {
    if (kind === "wait") return 0;
    if (kind === "tool") return waits.length + engines.length + Math.max(tools.indexOf(lane), 0);
    return waits.length + engines.indexOf(lane);
  };
  return { lanes: [...waits, ...engines, ...tools], laneOf };
}

function lifeChart(data, life, pieces, boxWidth) {
  const [start, span] = [data.time("lives.start", life), data.span(life) || 1];
  const { lanes, laneOf } = lanesOf(pieces);
  const [width, height] = [Math.max(boxWidth, 300), lanes.length * LANE + 24];
  const x = (time) => NAMES + ((time - start) / span) * (width - NAMES - 12);
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, class: "life-chart" });
  const step = tickStep((span / (width - NAMES)) * 80);
  for (let time = 0; time <= span; time += step) {
    const at = x(start + time);
    chart.append(svg("line", { class: "grid", x1: at, x2: at, y1: 0, y2: height - 20 }));
    const label = time ? `+${clock(time, step)}` : "0";
    chart.append(svg("text", { x: at, y: height - 5, "text-anchor": "middle" }, label));
  }
  lanes.forEach((name, lane) => {
    const label = name.length > 15 ? `${name.slice(0, 14)}…` : name;
    chart.append(svg("text", { x: NAMES - 10, y: lane * LANE + 15, "text-anchor": "end" }, label));
  });
  for (const piece of pieces) chart.append(pieceMark(data, piece, laneOf(piece), x));
  return chart;
}

function pieceMark(data, piece, lane, x) {
  const width = Math.max(x(piece.end) - x(piece.start), 1);
  const mark = svg("rect", { class: "piece", x: x(piece.start), y: lane * LANE + 3, height: LANE - 6, width });
  mark.dataset.kind = piece.kind;
  mark.dataset.tip = pieceTip(data, piece);
  mark.style.fill = `var(--${piece.hue}, var(--soft))`;
  return mark;
}

function pieceTip(data, piece) {
  const said = `${piece.name} for ${seconds(piece.end - piece.start)}`;
  if (piece.kind === "tool") return `tool ${said}, ${data.word("tools.status", piece.tool) || "not over"}`;
  const turn = `turn ${data.get("turns.turn", piece.turn)}: ${said}`;
  return piece.kind === "wait" ? turn : `${turn} on ${piece.lane}`;
}

function svg(tag, attributes, text = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

function turnTable(data, life) {
  const box = element("div", "turns");
  const table = element("table");
  table.append(tableRow("th", TURN_COLUMNS));
  for (let turn = data.turnsOf[life]; turn < data.turnsOf[life + 1]; turn += 1) {
    table.append(tableRow("td", turnFigures(data, turn)));
  }
  box.append(table);
  return box;
}

function turnFigures(data, turn) {
  const figure = (name) => {
    const value = data.get(`turns.${name}`, turn);
    return value === null ? "–" : value.toLocaleString("en");
  };
  const engine = data.get("turns.engine", turn);
  const isPlaced = engine !== null;
  const isEnded = data.get("turns.first", turn) !== null;
  const [ready, placed, end] = ["ready", "dispatched", "end"].map((name) => data.time(`turns.${name}`, turn));
  const first = isEnded ? data.time("turns.first", turn) : 0;
  return [
    figure("turn"),
    isPlaced ? data.turn_engines[engine] : "–",
    data.word("turns.reason", turn) || "–",
    seconds((isPlaced ? placed : end) - ready, 2),
    isEnded ? seconds(data.time("turns.queued", turn), 2) : "–",
    isEnded ? seconds(first, 2) : "–",
    isEnded ? seconds(Math.max(end - placed - first, 0), 2) : "–",
    ...["prompt", "cached", "generated", "preemptions"].map(figure),
    data.word("turns.finish", turn) || "–",
  ];
}

function tableRow(cell, texts) {
  const row = element("tr");
  row.append(...texts.map((text) => element(cell, "", text)));
  return row;
}
