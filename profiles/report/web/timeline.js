// The time chart: lanes on one time axis, zoomed and moved together.

class Timeline {
  constructor(data, view, onMoment) {
    this.data = data;
    this.view = view;
    this.onMoment = onMoment;
    this.box = document.getElementById("chart");
    this.base = document.getElementById("base");
    this.over = document.getElementById("over");
    this.engines = new EngineLane(data, view);
    this.lanes = this.makeLanes();
    this.placeLanes();
    this.drag = null;
    this.listen();
    view.onChange(() => this.draw());
  }

  makeLanes() {
    const { data } = this;
    const phases = { rollout: "busy", training: "training", evaluation: "tool_wait", screening: "agent" };
    const stages = { ramp: "startup", steady: "busy_recompute", drain: "long_tail" };
    const many = data.engines.length;
    const lanes = [new AxisLane()];
    if (data.phases.length) lanes.push(new StripLane("phase", data.phases, data.wall, phases));
    if (data.stages.length) lanes.push(new StripLane("stage", data.stages, data.wall, stages));
    if (data.versions.length) lanes.push(new VersionLane(data.versions));
    lanes.push(this.engines);
    const level = (options) => lanes.push(new LevelLane({ data, owners: 1, show: count, ...options }));
    const share = { show: percent, top: 1 };
    level({ name: "KV headroom", column: "kv", owners: many, hue: "busy", map: (used) => 1 - used, ...share });
    level({ name: "turns running", column: "running", owners: many, hue: "busy" });
    level({ name: "turns ready", column: "ready", hue: "kv_full" });
    level({ name: "in tools", column: "tools", hue: "tool_wait" });
    level({ name: "trajectories", column: "live", hue: "training" });
    const gpus = data.gpus.length;
    if (gpus) level({ name: "SMs busy", column: "sm", owners: gpus, hue: "accent", ...share });
    return lanes;
  }

  placeLanes() {
    let y = 0;
    for (const lane of this.lanes) {
      lane.y = y;
      y += lane.height + (lane instanceof EngineLane ? 10 : 2);
    }
    this.height = y;
  }

  draw() {
    this.width = this.box.clientWidth;
    this.frame = new Frame(this.view, this.width);
    const [context, ratio] = this.prepare(this.base);
    for (const lane of this.lanes) lane.draw(context, this.frame, ratio);
    this.prepare(this.over);
    const { start, end, total } = this.view;
    Object.assign(this.box.dataset, { start: start.toFixed(6), end: end.toFixed(6) });
    const step = (end - start) / 1000;
    document.getElementById("range").textContent = this.view.isWhole
      ? `the whole run, ${seconds(total)}`
      : `${clock(start, step)} – ${clock(end, step)}, ${seconds(end - start)} of ${seconds(total)}`;
  }

  /** Size a canvas to the chart and clear it. */
  prepare(canvas) {
    const ratio = devicePixelRatio || 1;
    canvas.width = Math.round(this.width * ratio);
    canvas.height = Math.round(this.height * ratio);
    canvas.style.height = `${this.height}px`;
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.font = "12px system-ui, 'DejaVu Sans', sans-serif";
    return [context, ratio];
  }

  listen() {
    const { box, view } = this;
    addEventListener("wheel", (event) => this.noteWheel(event), { capture: true, passive: true });
    box.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    box.addEventListener("pointerdown", (event) => this.press(event));
    box.addEventListener("pointermove", (event) => this.point(event));
    box.addEventListener("pointerup", (event) => this.release(event));
    box.addEventListener("pointerleave", () => this.leave());
    box.addEventListener("pointercancel", () => this.leave());
    box.addEventListener("dblclick", () => view.reset());
    box.addEventListener("keydown", (event) => this.key(event));
    document.getElementById("zoom-in").addEventListener("click", () => view.zoom(0.5));
    document.getElementById("zoom-out").addEventListener("click", () => view.zoom(2));
    document.getElementById("zoom-reset").addEventListener("click", () => view.reset());
    new ResizeObserver(() => this.box.clientWidth !== this.width && this.draw()).observe(box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /** A page that is being scrolled goes on scrolling when the chart comes under the pointer. */
  noteWheel(event) {
    const now = event.timeStamp;
    if (now - (this.wheeled ?? -1e9) > 250) this.scrolls = !this.box.contains(event.target);
    this.wheeled = now;
  }

  wheel(event) {
    if (this.scrolls || (event.deltaY > 0 && this.view.isWhole)) return;
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.view.move(event.deltaX * this.frame.perPixel);
    else this.view.zoom(1.0015 ** event.deltaY, this.frame.time(this.place(event).x));
  }

  press(event) {
    if (event.button) return;
    const { x, y } = this.place(event);
    this.drag = { from: x, y, last: x, moves: event.shiftKey, far: false };
    this.box.setPointerCapture(event.pointerId);
  }

  point(event) {
    const { x, y } = this.place(event);
    if (!this.drag) return this.tell(event, x, y);
    this.drag.far ||= Math.abs(x - this.drag.from) > 4;
    if (this.drag.moves) this.view.move((this.drag.last - x) * this.frame.perPixel);
    else if (this.drag.far) this.drawSelection(x);
    this.drag.last = x;
    return tip.hide();
  }

  release(event) {
    const drag = this.drag;
    this.leave();
    if (!drag || drag.moves) return;
    const { x, y } = this.place(event);
    const [from, to] = [drag.from, x].sort((a, b) => a - b);
    if (drag.far) this.view.look(this.frame.time(from), this.frame.time(to));
    else this.click(x, y);
  }

  click(x, y) {
    const engine = this.engines.engineAt(y);
    const inside = x >= this.frame.left && x <= this.frame.right;
    if (engine !== null && inside) this.onMoment(this.data.engines[engine], this.frame.time(x));
  }

  leave() {
    this.drag = null;
    this.prepare(this.over);
    tip.hide();
  }

  key(event) {
    const span = this.view.end - this.view.start;
    const actions = {
      "+": () => this.view.zoom(0.5),
      "-": () => this.view.zoom(2),
      0: () => this.view.reset(),
      ArrowLeft: () => this.view.move(-span / 5),
      ArrowRight: () => this.view.move(span / 5),
    };
    if (!actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  }

  /** Say what was at the moment that is pointed at. */
  tell(event, x, y) {
    const [context] = this.prepare(this.over);
    if (x < this.frame.left || x > this.frame.right) return tip.hide();
    const time = Math.min(Math.max(this.frame.time(x), 0), this.data.wall);
    const engine = this.engines.engineAt(y);
    context.fillStyle = colour("fg");
    context.globalAlpha = 0.45;
    context.fillRect(x, 0, 1, this.height);
    context.globalAlpha = 1;
    if (engine !== null) for (const lane of this.lanes) lane.drawOver?.(context, this.frame, engine);
    const title = engine === null ? "all engines" : this.data.engines[engine];
    const lines = this.lanes.flatMap((lane) => lane.tell(time, engine));
    return tip.show(event, `${title} at ${clock(time, this.frame.perPixel)}`, lines);
  }

  drawSelection(x) {
    const [context] = this.prepare(this.over);
    context.fillStyle = colour("accent");
    context.globalAlpha = 0.18;
    context.fillRect(Math.min(this.drag.from, x), 0, Math.abs(x - this.drag.from), this.height);
  }

  place(event) {
    const { left, top } = this.box.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }
}
