// The stretch of time that is looked at, and the one cause that is followed.

class View {
  constructor(total, finest) {
    this.total = total;
    this.finest = Math.min(finest, total); // the shortest stretch
    this.start = 0;
    this.end = total;
    this.cause = null;
    this.life = null;
    this.listeners = [];
  }

  onChange(listener) {
    this.listeners.push(listener);
  }

  /** Look at a stretch, moved into the run and not shorter than the finest. */
  look(start, end) {
    const span = Math.min(Math.max(end - start, this.finest), this.total);
    const middle = (start + end) / 2;
    this.start = Math.min(Math.max(middle - span / 2, 0), this.total - span);
    this.end = this.start + span;
    this.changed();
  }

  /** Zoom by a factor, with the moment `at` where it is. */
  zoom(factor, at = (this.start + this.end) / 2) {
    const span = Math.min(Math.max((this.end - this.start) * factor, this.finest), this.total);
    const share = (at - this.start) / (this.end - this.start);
    this.look(at - share * span, at - share * span + span);
  }

  move(by) {
    this.look(this.start + by, this.end + by);
  }

  reset() {
    this.look(0, this.total);
  }

  get isWhole() {
    return this.end - this.start >= this.total * (1 - 1e-9);
  }

  follow(cause) {
    if (cause !== this.cause) {
      this.cause = cause;
      this.changed();
    }
  }

  /** Mark a trajectory, or none. */
  mark(life) {
    this.life = life;
    this.changed();
  }

  changed() {
    for (const listener of this.listeners) listener(this);
  }
}
