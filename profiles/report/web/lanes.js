// Lanes of the time chart: the axis and strips of labels; and where moments are in it.

const GUTTER = 132; // for names, on the left
const MARGIN = 74; // for figures, on the right

/** Where moments are: between x = left and x = right, in CSS pixels. */
class Frame {
  constructor(view, width) {
    this.left = GUTTER;
    this.right = Math.max(width - MARGIN, GUTTER + 50);
    this.start = view.start;
    this.perPixel = (view.end - view.start) / (this.right - this.left);
  }

  x(time) {
    return this.left + (time - this.start) / this.perPixel;
  }

  time(x) {
    return this.start + (x - this.left) * this.perPixel;
  }

  /** The x of both ends of a stretch, as far as it is in the frame, or null. */
  clip(start, end) {
    const from = Math.max(this.x(start), this.left);
    const to = Math.min(this.x(end), this.right);
    return to > from ? [from, to] : null;
  }
}

function laneName(context, lane, name) {
  context.fillStyle = colour("soft");
  context.textAlign = "right";
  context.textBaseline = "middle";
  context.fillText(shortened(context, name, GUTTER - 22), GUTTER - 12, lane.y + lane.height / 2);
}

function shortened(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let length = text.length;
  while (length > 1 && context.measureText(`${text.slice(0, length)}…`).width > width) length -= 1;
  return `${text.slice(0, length)}…`;
}

/** The times. */
class AxisLane {
  constructor() {
    this.height = 22;
  }

  draw(context, frame) {
    const step = tickStep(frame.perPixel * 90);
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (let time = Math.ceil(frame.start / step) * step; frame.x(time) <= frame.right; time += step) {
      context.fillStyle = colour("soft");
      context.fillText(clock(time, step), frame.x(time), this.y + 8);
      context.fillStyle = colour("line");
      context.fillRect(Math.round(frame.x(time)), this.y + 17, 1, 5);
    }
  }

  tell() {
    return [];
  }
}

/** The least round step that is at least so many seconds. */
function tickStep(least) {
  const steps = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400];
  if (least > 1) return steps.find((step) => step >= least) ?? Math.ceil(least / 86400) * 86400;
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= least * (1 - 1e-9));
}

/** Stretches with a label: the job's phases, the work's stages. `changes` are [time, what, number]. */
class StripLane {
  constructor(name, changes, total, colours) {
    this.name = name;
    this.height = 18;
    this.colours = colours;
    this.pieces = changes.map(([start, what, number], i) => ({
      start, what, number, end: i + 1 < changes.length ? changes[i + 1][0] : total,
    }));
  }

  draw(context, frame) {
    laneName(context, this, this.name);
    context.textAlign = "left";
    for (const piece of this.pieces) {
      const clipped = frame.clip(piece.start, piece.end);
      if (!clipped || !this.colours[piece.what]) continue;
      const [from, to] = clipped;
      context.globalAlpha = 0.3;
      context.fillStyle = colour(this.colours[piece.what]);
      context.fillRect(from, this.y + 2, Math.max(to - from - 1, 0.5), this.height - 4);
      context.globalAlpha = 1;
      context.fillStyle = colour("fg");
      const label = piece.number ? `${piece.what} ${piece.number}` : piece.what;
      if (to - from > context.measureText(label).width + 10) {
        context.fillText(label, from + 5, this.y + this.height / 2);
      }
    }
  }

  tell(time) {
    const piece = this.pieces.findLast((one) => one.start <= time && time < one.end);
    if (!piece || !this.colours[piece.what]) return [];
    return [["", this.name, piece.number ? `${piece.what}, step ${piece.number}` : piece.what]];
  }
}

/** The moments at which engines had new weights. */
class VersionLane {
  constructor(changes) {
    this.height = 16;
    this.changes = changes;
  }

  draw(context, frame) {
    laneName(context, this, "weights");
    context.textAlign = "left";
    let free = frame.left;
    for (const [time, , version] of this.changes) {
      const x = frame.x(time);
      if (x < frame.left || x > frame.right) continue;
      context.fillStyle = colour("accent");
      context.fillRect(x, this.y + 3, 1.5, this.height - 6);
      const label = `v${version}`;
      if (x > free) {
        context.fillText(label, x + 4, this.y + this.height / 2);
        free = x + context.measureText(label).width + 14;
      }
    }
  }

  tell(time) {
    const last = this.changes.findLast(([at]) => at <= time);
    return last ? [["", "weights", `version ${last[2]}`]] : [];
  }
}
