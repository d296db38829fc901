// A trajectory's life in pieces: {kind, name, hue, lane, start, end, turn or tool}, in order of their start.

/** All pieces of a life; between them it was in its agent's own code. */
function piecesOf(data, life) {
  const pieces = [];
  for (let turn = data.turnsOf[life]; turn < data.turnsOf[life + 1]; turn += 1) {
    pieces.push(...turnPieces(data, turn));
  }
  for (let tool = data.toolsOf[life]; tool < data.toolsOf[life + 1]; tool += 1) {
    const name = data.word("tools.name", tool);
    const [start, end] = [data.time("tools.start", tool), data.time("tools.end", tool)];
    pieces.push({ kind: "tool", name, hue: "tool_wait", lane: name, start, end, tool });
  }
  pieces.sort((a, b) => a.start - b.start || a.end - b.end);
  return pieces;
}

/** A turn: held back for its reasons, then in its engine's queue, its prefill and its decoding. */
function turnPieces(data, turn) {
  const pieces = [];
  const add = (kind, name, hue, lane, start, end) => {
    if (end > start) pieces.push({ kind, name, hue, lane, start, end, turn });
  };
  const end = data.time("turns.end", turn);
  const isPlaced = data.get("turns.dispatched", turn) !== null;
  const placed = isPlaced ? data.time("turns.dispatched", turn) : end;
  let [since, cause] = [data.time("turns.ready", turn), "dispatch_lag"];
  for (let hold = data.holdsOf[turn]; hold < data.holdsOf[turn + 1]; hold += 1) {
    add("wait", spoken(cause), hueOf(cause), "held back", since, data.time("holds.t", hold));
    [since, cause] = [data.time("holds.t", hold), data.word("holds.reason", hold)];
  }
  add("wait", spoken(cause), hueOf(cause), "held back", since, placed);
  if (!isPlaced) return pieces;
  const lane = data.turn_engines[data.get("turns.engine", turn)];
  if (data.get("turns.first", turn) === null) {
    const isOver = data.get("turns.end", turn) !== null;
    const [name, hue] = isOver ? [data.word("turns.finish", turn), "abandoned"] : ["running", "busy"];
    add("generating", name, hue, lane, placed, end);
    return pieces;
  }
  const begins = Math.min(placed + data.time("turns.queued", turn), end);
  const first = Math.min(Math.max(placed + data.time("turns.first", turn), begins), end);
  add("queue", "engine queue", "queue", lane, placed, begins);
  add("generating", "prefill", "prefill", lane, begins, first);
  add("generating", "decode", "busy", lane, first, end);
  return pieces;
}

/** A cause's colour by name; the record may have any word for a cause. */
function hueOf(cause) {
  return /^[a-z_]+$/.test(cause) ? cause : "soft";
}

/** The pieces as one row without overlaps or gaps: [hue, name, seconds], in order of time. */
function tiled(data, life, pieces) {
  const row = [];
  let at = data.time("lives.start", life);
  const end = at + data.span(life);
  const add = (hue, name, until) => {
    if (until > at) row.push([hue, name, until - at]);
    at = Math.max(at, until);
  };
  for (const piece of pieces) {
    add("agent", "agent", Math.min(piece.start, end));
    add(piece.hue, piece.kind === "tool" ? `tool ${piece.name}` : piece.name, Math.min(piece.end, end));
  }
  add("agent", "agent", end);
  return row;
}

/** The row's seconds by name, the most first: [hue, name, seconds]. */
function summed(row) {
  const sums = new Map();
  for (const [hue, name, length] of row) {
    const sum = sums.get(name) ?? [hue, name, 0];
    sum[2] += length;
    sums.set(name, sum);
  }
  return [...sums.values()].sort((a, b) => b[2] - a[2]);
}

/** A row as a background that is as wide as `share` of its element. */
function stripes(row, share = 1) {
  const total = row.reduce((sum, [, , length]) => sum + length, 0) || 1;
  const stops = [];
  let at = 0;
  for (const [hue, , length] of row) {
    const from = at;
    at += (length / total) * share * 100;
    stops.push(`var(--${hue}, var(--soft)) ${from.toFixed(3)}% ${at.toFixed(3)}%`);
  }
  return `linear-gradient(to right, ${[...stops, `transparent ${at.toFixed(3)}% 100%`].join(", ")})`;
}
