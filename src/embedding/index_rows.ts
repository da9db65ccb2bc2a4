/**
 * The rows of an index in memory: as floats, as bytes with a scale, or as bits, in segments whose rows never move. A row's number is
 * its place; that of a row that was removed is given again.
 *
 * @module
 */
import { native } from "../../ffi/native.ts";
import { guarded, refuseOption } from "../options/checks.ts";
import { LightGPTError } from "../../ffi/errors.ts";
import { toBinary, toInt8 } from "./compact.ts";

/** How rows are kept. */
export type RowKind = "f32" | "int8" | "binary";

/** Bytes of a segment: a search takes a millisecond or two for one, and threads meet at its end. Files depend on it (`index_file.ts`). */
const segmentBytes = 16 << 20;
/** Bytes from which a segment is asked large pages for: what one has on most systems. */
const largePageBytes = 2 << 20;
/** Rows that a small index has room for. */
const rowsLeast = 256;
/** Squares of the numbers of a vector that is taken: products of two such are finite. */
const squaresMost = 1e38;
/** Numbers of rows are 32 bits. */
const rowsMost = 2 ** 31;

/** Some rows: scales lie behind those of bytes, in the same memory. */
export interface Segment {
  /** The number of its first row, a multiple of 32. */
  readonly first: number;
  /** Places that have been given. */
  rows: number;
  data: Uint8Array;
  scalesAt: number;
  /** A bit for each place: whether a row is there. */
  live: Uint32Array;
  capacity: number;
}

/** A query as native code takes it. */
export interface QueryRow {
  readonly bytes: Uint8Array;
  readonly scale: number;
}

/** Rows in segments. */
export class IndexRows {
  readonly kind: RowKind;
  readonly dimensions: number;
  readonly rowBytes: number;
  #segments: Segment[] = [];
  #free: number[] = [];
  #count = 0;
  readonly #perSegment: number;

  /** None as yet. */
  constructor(kind: RowKind, dimensions: number) {
    this.kind = kind;
    this.dimensions = dimensions;
    this.rowBytes = kind === "f32" ? 4 * dimensions : kind === "int8" ? dimensions : dimensions / 8;
    this.#perSegment = Math.max(32, 32 * Math.floor(segmentBytes / this.rowBytes / 32));
  }

  get segments(): readonly Segment[] {
    return this.#segments;
  }

  /** Rows that are there. */
  get count(): number {
    return this.#count;
  }

  /** Places that have been given, those of rows that were removed included. */
  get slots(): number {
    const last = this.#segments.at(-1);
    return last === undefined ? 0 : last.first + last.rows;
  }

  /** Rows of a whole segment. */
  get rowsOfSegment(): number {
    return this.#perSegment;
  }

  get bytes(): number {
    return this.#segments.reduce((sum, { data, live }) => sum + data.byteLength + live.byteLength, 0);
  }

  has(id: number): boolean {
    const segment = this.#segments[Math.floor(id / this.#perSegment)];
    if (segment === undefined) return false;
    const at = id - segment.first;
    return at < segment.rows && isSet(segment.live, at);
  }

  /** Adds vectors that lie one after the other; none where one is refused. */
  add(vectors: ArrayLike<number>): Uint32Array {
    const { dimensions } = this;
    const floats = floatsOf("vectors", vectors);
    if (floats.length % dimensions !== 0) {
      refuseOption("vectors", `vectors of ${dimensions} numbers`, `${floats.length} numbers`);
    }
    const count = floats.length / dimensions;
    for (let row = 0; row < count; row++) {
      this.#check(
        count === 1 ? "vectors" : `vectors[${row}]`,
        floats.subarray(row * dimensions, (row + 1) * dimensions),
      );
    }
    const ids = new Uint32Array(count);
    for (let row = 0; row < count; row++) {
      const id = this.#free.pop() ?? this.#newPlace();
      this.#put(id, floats.subarray(row * dimensions, (row + 1) * dimensions));
      ids[row] = id;
    }
    return ids;
  }

  remove(id: number): void {
    this.#mark(id, false);
    this.#free.push(id);
    this.#count--;
  }

  /** A row as numbers. */
  vector(id: number): Float32Array {
    const segment = this.#segmentOf(id);
    const at = id - segment.first;
    const row = segment.data.subarray(at * this.rowBytes, (at + 1) * this.rowBytes);
    if (this.kind === "f32") return new Float32Array(row.slice().buffer);
    if (this.kind === "binary") {
      return Float32Array.from(
        { length: this.dimensions },
        (_, bit) => (row[bit >> 3] as number) >> (bit & 7) & 1 ? 1 : -1,
      );
    }
    const scale = this.scales(segment)[at] as number;
    return Float32Array.from(new Int8Array(row.buffer, row.byteOffset, row.length), (value) => value * scale);
  }

  /** A query as native code takes it. */
  queryOf(query: ArrayLike<number>): QueryRow {
    const floats = floatsOf("query", query);
    if (floats.length !== this.dimensions) {
      refuseOption("query", `${this.dimensions} numbers, as a row has`, `${floats.length} numbers`);
    }
    this.#check("query", floats);
    return this.#row(floats);
  }

  /** Takes the rows of another, which is not used any more. */
  takeOver(other: IndexRows): void {
    this.#segments = other.#segments;
    this.#free = other.#free;
    this.#count = other.#count;
  }

  /** The scales of a segment of bytes. */
  scales({ data, scalesAt, capacity }: Segment): Float32Array {
    return new Float32Array(data.buffer, scalesAt, capacity);
  }

  /** Room for the rows of a file, in its order; whether each is there is told by `marks`. */
  restore(rows: number, isLive: (id: number) => boolean): void {
    for (let made = 0; made < rows; made++) {
      const id = this.#newPlace();
      if (isLive(id)) {
        this.#mark(id, true);
        this.#count++;
      } else {
        this.#free.push(id);
      }
    }
  }

  #segmentOf(id: number): Segment {
    return this.#segments[Math.floor(id / this.#perSegment)] as Segment;
  }

  #check(name: string, row: Float32Array): void {
    let squares = 0;
    for (let index = 0; index < row.length; index++) squares += (row[index] as number) ** 2;
    if (squares <= squaresMost) return;
    const wrong = row.findIndex((value) => !Number.isFinite(value));
    if (wrong >= 0) refuseOption(`${name}[${wrong}]`, "a finite number", row[wrong]);
    refuseOption(name, `numbers whose squares come to at most ${squaresMost}`, squares);
  }

  #row(floats: Float32Array): QueryRow {
    if (this.kind === "f32") {
      return { bytes: new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength), scale: 1 };
    }
    if (this.kind === "binary") return { bytes: toBinary(floats), scale: 1 };
    const { data, scale } = toInt8(floats);
    return { bytes: new Uint8Array(data.buffer), scale };
  }

  #put(id: number, floats: Float32Array): void {
    const segment = this.#segmentOf(id);
    const { bytes, scale } = this.#row(floats);
    const at = id - segment.first;
    segment.data.set(bytes, at * this.rowBytes);
    if (this.kind === "int8") this.scales(segment)[at] = scale;
    this.#mark(id, true);
    this.#count++;
  }

  #mark(id: number, isLive: boolean): void {
    const { live, first } = this.#segmentOf(id);
    const at = id - first;
    const bit = 1 << (at & 31);
    const word = live[at >>> 5] as number;
    live[at >>> 5] = isLive ? word | bit : word & ~bit;
  }

  #newPlace(): number {
    const last = this.#segments.at(-1);
    if (last === undefined || last.rows === this.#perSegment) {
      const first = last === undefined ? 0 : last.first + last.rows;
      if (first >= rowsMost) throw new LightGPTError("limit", `An index holds at most ${rowsMost} rows.`);
      // Behind a whole segment another is likely to fill.
      this.#segments.push(this.#segment(first, last === undefined ? rowsLeast : this.#perSegment));
    } else if (last.rows === last.capacity) {
      this.#grow(last);
    }
    const segment = this.#segments.at(-1) as Segment;
    return segment.first + segment.rows++;
  }

  #segment(first: number, rows: number): Segment {
    const capacity = Math.min(rows, this.#perSegment);
    const scalesAt = this.kind === "int8" ? capacity * this.rowBytes : 0;
    const data = new Uint8Array(capacity * this.rowBytes + (this.kind === "int8" ? 4 * capacity : 0));
    // Of small pages a search reads half as fast: each of its thousands has to be found.
    if (data.length >= largePageBytes) native().largePages(data);
    return { first, rows: 0, data, scalesAt, live: new Uint32Array(capacity / 32), capacity };
  }

  #grow(segment: Segment): void {
    const larger = this.#segment(segment.first, 2 * segment.capacity);
    larger.data.set(segment.data.subarray(0, segment.rows * this.rowBytes));
    if (this.kind === "int8") this.scales(larger).set(this.scales(segment));
    larger.live.set(segment.live);
    const { data, scalesAt, live, capacity } = larger;
    Object.assign(segment, { data, scalesAt, live, capacity });
  }
}

/** Whether a bit is set, bit `at` mod 32 of word `at` / 32. */
export function isSet(words: Uint32Array, at: number): boolean {
  return ((words[at >>> 5] as number) >>> (at & 31) & 1) === 1;
}

/** Numbers as 32-bit floats; those that are already are not copied. */
function floatsOf(name: string, values: ArrayLike<number>): Float32Array {
  if (values === null || typeof values !== "object") return refuseOption(name, "an array of numbers", values);
  return guarded(name, () => values instanceof Float32Array ? values.subarray() : Float32Array.from(values));
}
