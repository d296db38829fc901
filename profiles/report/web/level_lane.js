// The levels: how full engines were, how many turns waited.

/** A level over time: of the fleet, or the mean over several owners in the band between their least and most. */
class LevelLane {
  constructor({ name, data, column, owners, hue, show, map = (value) => value, top }) {
    Object.assign(this, { name, owners, hue, show, map });
    this.height = 58;
    this.bin = data.bin;
    this.bins = data.bins;
    this.column = data.columns[column];
    this.top = top ?? this.largest();
  }

  draw(context, frame) {
    const y = (value) => this.y + this.height - 6 - (value / this.top) * (this.height - 14);
    laneName(context, this, this.name);
    context.textAlign = "left";
    context.fillText(this.show(this.top), frame.right + 8, this.y + 10);
    context.fillStyle = colour("line");
    context.fillRect(frame.left, Math.round(y(0)), frame.right - frame.left, 1);
    const points = this.points(frame);
    const low = points.map(([x, least]) => [x, this.owners > 1 ? least : 0]);
    const high = points.map(([x, , , most]) => [x, most]);
    context.fillStyle = colour(this.hue);
    context.globalAlpha = 0.25;
    fillBand(context, low, high, y);
    context.globalAlpha = 1;
    context.strokeStyle = colour(this.hue);
    context.lineWidth = 1.4;
    strokeLine(context, points.map(([x, , mean]) => [x, mean]), y);
  }

  /** One owner's own line, for the engine that is pointed at. */
  drawOver(context, frame, owner) {
    if (this.owners < 2 || owner >= this.owners) return;
    const y = (value) => this.y + this.height - 6 - (value / this.top) * (this.height - 14);
    const line = [];
    for (let x = frame.left; x < frame.right; x += 1) {
      line.push([x, this.mean(owner, frame.time(x), frame.time(x + 1))]);
    }
    context.strokeStyle = colour("fg");
    context.lineWidth = 1.2;
    strokeLine(context, line, y);
  }

  tell(time, engine) {
    const of = engine !== null && this.owners > 1 && engine < this.owners ? [engine] : owners(this.owners);
    const values = of.map((owner) => this.mean(owner, time, time)).filter((value) => value !== null);
    if (!values.length) return [];
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return [[this.hue, this.name, this.show(mean)]];
  }

  /** [x, least, mean, most] over the owners, for each pixel. */
  points(frame) {
    const points = [];
    for (let x = frame.left; x < frame.right; x += 1) {
      const values = owners(this.owners)
        .map((owner) => this.mean(owner, frame.time(x), frame.time(x + 1)))
        .filter((value) => value !== null);
      if (!values.length) points.push([x, null, null, null]);
      else {
        const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
        points.push([x, Math.min(...values), mean, Math.max(...values)]);
      }
    }
    return points;
  }

  /** An owner's mean over the bins that a stretch touches, or null where nothing is known. */
  mean(owner, start, end) {
    const first = Math.min(Math.max(Math.floor(start / this.bin), 0), this.bins - 1);
    const last = Math.min(Math.max(Math.ceil(end / this.bin), first + 1), this.bins);
    let [sum, known] = [0, 0];
    for (let bin = first; bin < last; bin += 1) {
      const value = this.column.at(owner * this.bins + bin);
      if (value !== null) [sum, known] = [sum + value, known + 1];
    }
    return known ? this.map(sum / known) : null;
  }

  largest() {
    let most = 0;
    for (let i = 0; i < this.column.values.length; i += 1) most = Math.max(most, this.column.at(i) ?? 0);
    return most || 1;
  }
}

function owners(number) {
  return Array.from({ length: number }, (_, i) => i);
}

function fillBand(context, low, high, y) {
  let from = 0;
  for (let i = 0; i <= high.length; i += 1) {
    if (i < high.length && high[i][1] !== null) continue;
    if (i > from) {
      context.beginPath();
      for (const [x, value] of high.slice(from, i)) context.lineTo(x, y(value));
      for (const [x, value] of low.slice(from, i).reverse()) context.lineTo(x, y(value));
      context.fill();
    }
    from = i + 1;
  }
}

function strokeLine(context, points, y) {
  context.beginPath();
  let drawing = false;
  for (const [x, value] of points) {
    if (value !== null && drawing) context.lineTo(x, y(value));
    else if (value !== null) {
      context.moveTo(x, y(value));
      context.lineTo(x + 1, y(value)); // one that stands alone is seen, too
    }
    drawing = value !== null;
  }
  context.stroke();
}
