/**
 * Words in a buffer that grows: what the writers of `wire_calls.ts` append records to, and what goes down to native code. The
 * name of its layout is part of its type, so that a batch is not taken for a sampler.
 *
 * @module
 */
import { checkU32 } from "./buffers.ts";
import { InvalidArgumentError } from "./errors.ts";

const double = new Float64Array(1);
const long = new BigUint64Array(double.buffer);
const halves = new Uint32Array(double.buffer);

/** Little-endian words, as every host of the library has them. `Layout` names what they mean. */
export class Words<Layout extends string> {
  /** What the words mean. */
  readonly layout: Layout;
  /** The words, and room for more. */
  words: Uint32Array<ArrayBuffer>;
  /** How many there are. */
  length = 0;
  #floats: Float32Array<ArrayBuffer>;

  /** An empty one, with room for `capacity` words. */
  constructor(layout: Layout, capacity: number = 16) {
    this.layout = layout;
    this.words = new Uint32Array(capacity);
    this.#floats = new Float32Array(this.words.buffer);
  }

  /** Forgets the words and keeps their room. */
  clear(): void {
    this.length = 0;
  }

  /** Makes room for `count` more. */
  reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.words.length) return;
    const larger = new Uint32Array(2 * needed);
    larger.set(this.words.subarray(0, this.length));
    this.words = larger;
    this.#floats = new Float32Array(larger.buffer);
  }

  /** Appends an integer from 0 to 2^32 - 1; room is there, as for the next five. */
  u32(value: number, what: string): void {
    checkU32(value, what);
    this.words[this.length++] = value;
  }

  /** Appends 1 or 0. */
  bool(value: boolean): void {
    this.words[this.length++] = value ? 1 : 0;
  }

  /** Appends the number of one of some names. */
  choice(name: string, names: readonly string[], what: string): void {
    const number = names.indexOf(name);
    if (number < 0) {
      const [expected, got] = [`one of ${names.join(", ")}`, String(name)];
      throw new InvalidArgumentError(`${what}: expected ${expected}, got ${got}.`, { where: what, expected, got });
    }
    this.words[this.length++] = number;
  }

  /** Appends a float; native code refuses one that is not finite. */
  f32(value: number): void {
    this.#floats[this.length++] = value;
  }

  /** Appends a double. */
  f64(value: number): void {
    double[0] = value;
    this.#pair();
  }

  /** Appends an integer from 0 to 2^64 - 1. */
  u64(value: bigint): void {
    long[0] = value;
    this.#pair();
  }

  /** Appends words as they are; it makes room for them, as do the next two. */
  list(values: ArrayLike<number>): void {
    this.reserve(values.length);
    this.words.set(values, this.length);
    this.length += values.length;
  }

  /** Appends floats. */
  floats(values: Float32Array): void {
    this.reserve(values.length);
    this.#floats.set(values, this.length);
    this.length += values.length;
  }

  /** Appends bytes and zeros up to whole words. */
  bytes(values: Uint8Array): void {
    const count = Math.ceil(values.length / 4);
    this.reserve(count);
    this.words.fill(0, this.length, this.length + count);
    new Uint8Array(this.words.buffer, 4 * this.length).set(values);
    this.length += count;
  }

  #pair(): void {
    this.words[this.length++] = halves[0];
    this.words[this.length++] = halves[1];
  }
}
