// The engines: a row each, every column of pixels filled from below by the shares of the causes in that time.

class EngineLane {
  constructor(data, view) {
    this.data = data;
    this.view = view;
    const rows = Math.max(data.engines.length, 1);
    this.row = Math.max(2, Math.min(30, Math.floor(600 / rows)));
    this.height = this.row * rows;
    this.columns = data.causes.map((cause) => data.columns[`cause:${cause}`].values);
  }

  /** The engine at a y of the chart, or null. */
  engineAt(y) {
    const engine = Math.floor((y - this.y) / this.row);
    return engine >= 0 && engine < this.data.engines.length ? engine : null;
  }

  draw(context, frame, ratio) {
    const width = Math.round((frame.right - frame.left) * ratio);
    const image = context.createImageData(width, Math.round(this.height * ratio));
    const pixels = new Uint32Array(image.data.buffer);
    const colours = this.data.causes.map((cause) => this.packed(cause));
    this.data.engines.forEach((_, engine) => this.paint(pixels, width, ratio, frame, engine, colours));
    context.putImageData(image, Math.round(frame.left * ratio), Math.round(this.y * ratio));
    this.drawNames(context, frame);
    if (this.view.life !== null) this.drawLife(context, frame, this.view.life);
  }

  paint(pixels, width, ratio, frame, engine, colours) {
    const gap = this.row >= 8 ? Math.round(3 * ratio) : this.row >= 4 ? 1 : 0;
    const top = Math.round(engine * this.row * ratio);
    const height = Math.round((engine + 1) * this.row * ratio) - top - gap;
    const sums = new Float64Array(this.columns.length);
    for (let x = 0; x < width; x += 1) {
      const whole = this.add(sums, engine, frame.time(frame.left + x / ratio), frame.perPixel / ratio);
      let [y, sum] = [top + height, 0];
      for (let cause = 0; cause < sums.length && whole; cause += 1) {
        sum += sums[cause];
        const end = top + height - Math.round((sum / whole) * height);
        for (; y > end; y -= 1) pixels[(y - 1) * width + x] = colours[cause];
      }
    }
  }

  /** The shares of an engine's causes over a stretch; returns what they sum to. */
  add(sums, engine, start, span) {
    const { bin, bins } = this.data;
    const first = Math.min(Math.max(Math.floor(start / bin), 0), bins - 1);
    const last = Math.min(Math.max(Math.ceil((start + span) / bin - 1e-9), first + 1), bins);
    let whole = 0;
    for (let cause = 0; cause < sums.length; cause += 1) {
      sums[cause] = 0;
      const column = this.columns[cause];
      for (let bin = first; bin < last; bin += 1) sums[cause] += column[engine * bins + bin];
      whole += sums[cause];
    }
    return whole;
  }

  drawNames(context, frame) {
    if (this.row < 9) return;
    const sums = new Float64Array(this.columns.length);
    this.data.engines.forEach((name, engine) => {
      const lane = { y: this.y + engine * this.row - 1, height: this.row };
      laneName(context, lane, name);
      const whole = this.add(sums, engine, frame.start, this.view.end - this.view.start);
      const busy = sums.filter((_, i) => this.data.causes[i].startsWith("busy")).reduce((a, b) => a + b, 0);
      context.textAlign = "left";
      if (whole) context.fillText(`${percent(busy / whole)} busy`, frame.right + 8, lane.y + this.row / 2);
    });
  }

  /** Where a trajectory's turns ran. */
  drawLife(context, frame, life) {
    const { data } = this;
    const rows = new Map(data.engines.map((name, engine) => [name, engine]));
    context.fillStyle = colour("fg");
    for (let turn = data.turnsOf[life]; turn < data.turnsOf[life + 1]; turn += 1) {
      const engine = data.get("turns.engine", turn);
      const row = engine === null ? undefined : rows.get(data.turn_engines[engine]);
      const clipped = frame.clip(data.time("turns.dispatched", turn), data.time("turns.end", turn));
      if (row === undefined || !clipped) continue;
      const height = Math.max(2, Math.min(4, this.row / 4));
      const y = this.y + (row + 0.5) * this.row - height;
      context.fillRect(clipped[0], y, Math.max(clipped[1] - clipped[0], 1.5), height);
    }
  }

  /** The causes of an engine at a moment. */
  tell(time, engine) {
    if (engine === null) return [];
    const sums = new Float64Array(this.columns.length);
    const whole = this.add(sums, engine, time, 0);
    return this.data.causes
      .map((cause, i) => [cause, spoken(cause), percent(sums[i] / whole), sums[i]])
      .filter(([, , , sum]) => sum > 0)
      .sort((a, b) => b[3] - a[3])
      .slice(0, 6);
  }

  /** A cause's colour as a pixel; the others fade where one is followed. */
  packed(cause) {
    const followed = this.view.cause === null || this.view.cause === cause;
    const [paper, ink] = [rgb(colour("bg")), rgb(colour(cause))];
    const [r, g, b] = ink.map((value, i) => Math.round(followed ? value : paper[i] + (value - paper[i]) * 0.16));
    return (255 << 24) | (b << 16) | (g << 8) | r;
  }
}
