// Decodes the page's data: a header in JSON, then columns of numbers. Times are seconds from here on.

const NUMBERS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array };

/** A column of numbers that may be absent; `at` gives null for those. */
class Column {
  constructor(values, scale) {
    this.values = values;
    this.scale = scale;
    this.absent = 2 ** (8 * values.BYTES_PER_ELEMENT) - 1;
  }

  at(row) {
    const value = this.values[row];
    return value === this.absent ? null : value * this.scale;
  }
}

/** Everything that the page draws. */
class Data {
  constructor(header, columns) {
    Object.assign(this, header);
    this.columns = columns;
    this.second = header.unit_ns / 1e9; // a unit of time in seconds
    this.wall = header.wall_ns / 1e9;
    this.bin = header.bin_ns / 1e9;
    this.turnsOf = ranges(columns["turns.life"].values, this.ids.length);
    this.toolsOf = ranges(columns["tools.life"].values, this.ids.length);
    this.holdsOf = ranges(columns["holds.turn"].values, columns["turns.life"].values.length);
  }

  /** A figure of a table's row, or null. */
  get(name, row) {
    return this.columns[name].at(row);
  }

  /** A time of a table's row in seconds; what has not happened is at the end of the record. */
  time(name, row) {
    const value = this.columns[name].at(row);
    return value === null ? this.wall : value * this.second;
  }

  /** The word of a table's row, or "". */
  word(name, row) {
    const number = this.columns[name].at(row);
    return number === null ? "" : this.words[number];
  }

  reward(life) {
    const number = this.columns["lives.reward"].at(life);
    return number === null ? null : this.rewards[number];
  }

  span(life) {
    return this.time("lives.end", life) - this.time("lives.start", life);
  }
}

/** Where each owner's rows begin in a column that is sorted by owner: those of i are [r[i], r[i + 1]). */
function ranges(owners, count) {
  const starts = new Uint32Array(count + 1);
  for (const owner of owners) starts[owner + 1] += 1;
  for (let i = 0; i < count; i += 1) starts[i + 1] += starts[i];
  return starts;
}

async function loadData(element) {
  const text = atob(element.textContent);
  const packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) packed[i] = text.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const columns = {};
  for (const [name, column] of Object.entries(header.columns)) {
    const values = new NUMBERS[column.type](buffer, 4 + length + column.at, column.count);
    columns[name] = new Column(values, column.scale);
  }
  return new Data(header, columns);
}
