/**
 * Reads the header of a file from front to back, and no byte of the tensors behind it: a buffer that grows as the parser
 * asks for more. Every read is checked against the end of the file first, and what the parser allocates is counted
 * against the header's size, so a file of a few bytes can't ask for gigabytes. The meaning of the bytes is `parse.ts`'s.
 *
 * @module
 */
import { given } from "../../options/schema.ts";
import { ModelFormatError } from "../../../ffi/errors.ts";
import { LENGTH_BYTES } from "./metadata.ts";

/** Where bytes are read from: a file, or memory in tests. */
export interface ByteSource {
  /** What to call it in messages. */
  readonly name: string;
  /** All its bytes. */
  readonly size: number;
  /** Fills `target` with the bytes from `offset` on; returns how many there were. */
  read(target: Uint8Array, offset: number): number;
}

const FIRST_READ = 1 << 16;
/** Fresh memory is expensive to touch, so a read is not longer than this beyond what is needed. */
const READ_AHEAD = 1 << 18;
/**
 * Bytes of the buffer for each string of a vocabulary: enough for its text, and for the score, kind and merge that follow. What is not
 * filled is no memory yet, but is asked for all the same: no more than so many bytes.
 */
const ROOM_OF_STRING = 64, ROOM_MOST = 1 << 25;
const ALLOWANCE = 1 << 20;
const ALLOWANCE_FACTOR = 4;
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A cursor over a file's header. */
export class HeaderReader {
  readonly source: ByteSource;
  /** The next byte to read. */
  position = 0;
  /** What is being read, for messages. */
  field = "header";
  /** The bytes read so far; longer than what was asked for. */
  bytes: Uint8Array;
  #view: DataView;
  #filled = 0;
  #reach = 0;
  #allocated = 0;

  constructor(source: ByteSource) {
    this.source = source;
    this.bytes = new Uint8Array(Math.min(FIRST_READ, source.size));
    this.#view = new DataView(this.bytes.buffer);
  }

  /** How many bytes the file has left. */
  get remaining(): number {
    return this.source.size - this.position;
  }

  /** An error about the field at hand. */
  fail(message: string, { at = this.position, expected, got }: Partial<Blame> = {}): never {
    throw new ModelFormatError(`${this.source.name}: ${message} (byte ${at})`, {
      field: this.field,
      offset: at,
      ...given({ expected, got }),
    });
  }

  /** Makes sure that the next `count` bytes are there. */
  need(count: number): void {
    const end = this.position + count;
    if (end <= this.#filled) return;
    if (!(end <= this.source.size)) {
      this.fail(`the file ends inside ${this.field}`, {
        expected: `${count} more bytes`,
        got: `${this.remaining}`,
      });
    }
    this.#reach = Math.max(this.#reach, end);
    this.#fill(end);
  }

  /** Counts an allocation that the parser is about to make. */
  allocate(bytes: number): void {
    this.#allocated += bytes;
    const limit = ALLOWANCE_FACTOR * Math.max(this.position, this.#reach) + ALLOWANCE;
    if (this.#allocated + this.#filled > limit) {
      this.fail(`reading the header would take more memory than its size allows, at ${this.field}`, {
        expected: `at most ${limit} bytes`,
        got: `${this.#allocated + this.#filled}`,
      });
    }
  }

  u8(): number {
    this.need(1);
    return this.bytes[this.position++];
  }

  u32(): number {
    this.need(4);
    const value = this.#view.getUint32(this.position, true);
    this.position += 4;
    return value;
  }

  /** A u64 as a number: exact up to 2^53, rounded above, where every caller has a lower limit. */
  u64(): number {
    this.need(8);
    const low = this.#view.getUint32(this.position, true);
    const high = this.#view.getUint32(this.position + 4, true);
    this.position += 8;
    return high * 2 ** 32 + low;
  }

  /**
   * Passes over an array of strings, each of at most `most` bytes, of which the file can hold `count`; returns the
   * `starts` of a `StringTable`. In one loop, for a vocabulary has hundreds of thousands of them.
   */
  strings(count: number, most: number): Uint32Array {
    const size = this.source.size;
    let at = this.position;
    this.#reach = Math.max(this.#reach, at + LENGTH_BYTES * count);
    // Texts are short: with this much, the buffer need not grow step by step, which would copy it.
    if (count > 1) this.#grow(Math.min(size, at + Math.max(20 * count, Math.min(ROOM_OF_STRING * count, ROOM_MOST))));
    this.allocate(4 * (count + 1));
    const starts = new Uint32Array(count + 1);
    let filled = this.#filled;
    let bytes = this.bytes;
    for (let index = 0; index < count; index++) {
      if (at + LENGTH_BYTES > filled) {
        this.position = at;
        this.need(LENGTH_BYTES);
        filled = this.#filled;
        bytes = this.bytes;
      }
      // Byte by byte: a start comes by here before anything is compiled, and methods of a view are slow then.
      let length = bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16;
      if (bytes[at + 3] !== 0) length += bytes[at + 3] * 2 ** 24;
      const high = bytes[at + 4] | bytes[at + 5] | bytes[at + 6] | bytes[at + 7];
      const end = at + LENGTH_BYTES + length;
      if (high !== 0 || length > most || end > size) {
        this.position = at;
        const got = this.u64();
        this.fail(`a string of ${this.field} is longer than the file allows`, {
          at,
          expected: `at most ${Math.min(most, this.remaining)} bytes`,
          got: `${got}`,
        });
      }
      starts[index] = at + LENGTH_BYTES;
      at = end;
    }
    starts[count] = at + LENGTH_BYTES;
    this.skip(at - this.position);
    return starts;
  }

  skip(count: number): void {
    this.need(count);
    this.position += count;
  }

  /** A string of `count` bytes that has to be UTF-8. */
  text(count: number): string {
    this.need(count);
    const start = this.position;
    const bytes = this.bytes.subarray(start, start + count);
    this.position += count;
    if (count < 64 && bytes.every((byte) => byte < 128)) return String.fromCharCode(...bytes);
    try {
      return decoder.decode(bytes);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      return this.fail(`${this.field} is not UTF-8`, { at: start, expected: "UTF-8" });
    }
  }

  /** Reads on until `end` is in the buffer, which at least doubles when it has to grow. */
  #fill(end: number): void {
    if (end > this.bytes.length) this.#grow(Math.min(this.source.size, Math.max(end, 2 * this.bytes.length)));
    const wanted = Math.min(this.bytes.length, Math.max(end, this.#filled + READ_AHEAD));
    while (this.#filled < end) {
      const count = this.source.read(this.bytes.subarray(this.#filled, wanted), this.#filled);
      if (count === 0) this.fail("the file became shorter while it was read", { at: this.#filled });
      this.#filled += count;
    }
  }

  #grow(length: number): void {
    if (length <= this.bytes.length) return;
    const grown = new Uint8Array(length);
    grown.set(this.bytes.subarray(0, this.#filled));
    this.bytes = grown;
    this.#view = new DataView(grown.buffer);
    this.allocate(0);
  }
}

interface Blame {
  at: number;
  expected: string;
  got: string;
}
