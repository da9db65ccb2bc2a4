/**
 * The file of an index, written and read as a stream: a head, the bits that say which places have a row, the rows with their scales
 * segment by segment, and a SHA-256 of all that. A file is untrusted: nothing is allocated for what has not come.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { ModelFormatError } from "../../ffi/errors.ts";
import { LIMITS } from "../../ffi/wire.ts";
import { ByteSource, joined, wordsOf } from "../options/byte_source.ts";
import { guarded, refuseOption } from "../options/checks.ts";
import { IndexRows, isSet, type RowKind, type Segment } from "./index_rows.ts";

/** "LGVI", the version (which segments of another size raise), the kind, dimensions, places. */
const magic = 0x4956474c;
const version = 2;
const headWords = 5;
const KINDS: readonly RowKind[] = ["f32", "int8", "binary"];
const sumBytes = 32;
/** Bytes that are handed out at once, and read at once. */
const pieceBytes = 1 << 20;

/** The bytes of the file. */
export function* writeIndex(rows: IndexRows): Generator<Uint8Array, void, void> {
  const sum = createHash("sha256");
  const summed = (bytes: Uint8Array) => {
    sum.update(bytes);
    return bytes;
  };
  const head = Uint32Array.of(magic, version, KINDS.indexOf(rows.kind), rows.dimensions, rows.slots);
  yield summed(bytesOf(head));
  for (const { rows: used, live } of rows.segments) yield summed(bytesOf(live.slice(0, Math.ceil(used / 32))));
  for (const segment of rows.segments) {
    for (const part of partsOf(rows, segment)) {
      for (let at = 0; at < part.length; at += pieceBytes) yield summed(part.slice(at, at + pieceBytes));
    }
  }
  yield new Uint8Array(sum.digest());
}

/** The memory of a segment that has something: rows, and scales. */
function partsOf(rows: IndexRows, segment: Segment): Uint8Array[] {
  const { data, rows: used } = segment;
  const own = data.subarray(0, used * rows.rowBytes);
  return rows.kind === "int8" ? [own, bytesOf(rows.scales(segment).subarray(0, used))] : [own];
}

function bytesOf({ buffer, byteOffset, byteLength }: Uint32Array | Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Reads the file. */
export async function readIndex(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<IndexRows> {
  const reader = new Reader(source);
  try {
    const head = await reader.words(headWords, "the head");
    const [found, ofVersion, kind, dimensions, slots] = head as unknown as [number, number, number, number, number];
    if (found !== magic) throw damaged("it does not begin as an index does", "a file that VectorIndex.save gave");
    if (ofVersion !== version) throw damaged(`it has the version ${ofVersion}`, `version ${version}`);
    const ofKind = KINDS[kind];
    const isRight = ofKind !== undefined && dimensions >= 1 && dimensions <= LIMITS.embeddingMax && slots <= 2 ** 31 &&
      (ofKind !== "binary" || dimensions % 8 === 0);
    if (!isRight) {
      throw damaged(`its head says kind ${kind}, ${dimensions} numbers a row, ${slots} rows`, "what it can be");
    }
    const rows = new IndexRows(ofKind, dimensions);
    const live = await reader.bits(slots);
    await readRows(reader, rows, slots, live);
    await reader.end();
    return rows;
  } finally {
    await reader.close();
  }
}

/** Rows are made room for as far as their bytes have come. */
async function readRows(reader: Reader, rows: IndexRows, slots: number, live: Uint32Array): Promise<void> {
  const stepRows = 32 * Math.max(1, Math.floor(pieceBytes / rows.rowBytes / 32));
  for (let done = 0; done < slots;) {
    const before = rows.segments.length;
    // A segment's rows come before its scales, so a segment is read as a whole.
    const last = Math.min(slots, done + rows.rowsOfSegment);
    const pieces: Uint8Array[] = [];
    for (let at = done; at < last; at += stepRows) {
      pieces.push(await reader.take(Math.min(stepRows, last - at) * rows.rowBytes, "rows"));
    }
    rows.restore(last - done, (id) => isSet(live, id));
    const segment = rows.segments[before] as Segment;
    let at = 0;
    for (const piece of pieces) {
      segment.data.set(piece, at);
      at += piece.length;
    }
    if (rows.kind === "int8") {
      const scales = await reader.words(segment.rows, "scales");
      rows.scales(segment).set(new Float32Array(scales.buffer));
    }
    const numbers = rows.kind === "int8" ? rows.scales(segment) : rows.kind === "f32" ? floatsOf(segment) : [];
    if (!numbers.every(Number.isFinite)) throw damaged("a row has a number that is not finite", "finite numbers");
    done = last;
  }
}

function floatsOf({ data }: Segment): Float32Array {
  return new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4);
}

function damaged(got: string, expected: string): ModelFormatError {
  return new ModelFormatError(`The index cannot be read: ${got}; expected ${expected}.`, {
    field: "index",
    expected,
    got,
  });
}

/** Reads a saved index, and sums it. */
class Reader {
  readonly #iterator: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  readonly #source: ByteSource;
  readonly #sum = createHash("sha256");

  constructor(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) {
    const expected = "bytes in pieces: an iterable of Uint8Array";
    if (source === null || typeof source !== "object") refuseOption("source", expected, source);
    this.#iterator = guarded("source", () => {
      if (Symbol.asyncIterator in source) return source[Symbol.asyncIterator]();
      if (Symbol.iterator in source) return source[Symbol.iterator]();
      return refuseOption("source", expected, source);
    });
    this.#source = new ByteSource(() => this.#next(), {
      ended: (_missing, what) => {
        throw damaged(`it ends within ${what}`, "the whole of it");
      },
      notBytes: (value) => refuseOption("source", "pieces that are Uint8Array", value),
    });
  }

  async take(bytes: number, what: string): Promise<Uint8Array> {
    const taken = await this.#source.read(bytes, what);
    this.#sum.update(taken);
    return taken;
  }

  async words(count: number, what: string): Promise<Uint32Array<ArrayBuffer>> {
    return wordsOf(await this.take(4 * count, what));
  }

  /** A bit for each of so many places. */
  async bits(count: number): Promise<Uint32Array> {
    const parts: Uint8Array[] = [];
    const bytes = 4 * Math.ceil(count / 32);
    for (let at = 0; at < bytes; at += pieceBytes) {
      parts.push(await this.take(Math.min(pieceBytes, bytes - at), "the marks of rows"));
    }
    return wordsOf(joined(parts));
  }

  /** Checks the sum, and that nothing follows. */
  async end(): Promise<void> {
    const wanted = this.#sum.digest();
    const got = await this.#source.read(sumBytes, "its sum");
    if (!got.every((byte, index) => byte === wanted[index])) {
      throw damaged("its sum is another", "the bytes that were saved");
    }
    if (!await this.#source.isAtEnd()) throw damaged("something follows it", "its end");
  }

  async close(): Promise<void> {
    await this.#iterator.return?.();
  }

  /** The next piece; what the source throws is the cause of an error that names it. */
  async #next(): Promise<IteratorResult<Uint8Array, unknown>> {
    try {
      return await this.#iterator.next();
    } catch (error) {
      return guarded("source", () => {
        throw error;
      });
    }
  }
}
