/**
 * Vectors in fewer bytes, and how near two are: as floats, as bytes with a scale, as one bit a number.
 *
 * @module
 */
import { refuseOption } from "../options/checks.ts";

/**
 * A vector as bytes: number i is about `data[i] * scale`.
 *
 * @example
 * ```ts
 * import { type Int8Vector, toInt8 } from "@lightgpt/lightgpt/embedding";
 *
 * const { data, scale }: Int8Vector = toInt8(Float32Array.of(0.5, -1));
 * console.log(data, scale); // 64 and -127, 1 / 127
 * ```
 */
export interface Int8Vector {
  /** The numbers, from -127 to 127. */
  readonly data: Int8Array;
  /** What they are multiplied by. */
  readonly scale: number;
}

/**
 * The cosine of two vectors: 1 where they point the same way, 0 where nothing is alike. A vector of zeros has no direction: 0.
 *
 * @param a numbers
 * @param b as many
 * @returns from -1 to 1
 * @throws {InvalidArgumentError} where they are not equally long
 *
 * @example
 * ```ts
 * import { similarity } from "@lightgpt/lightgpt/embedding";
 *
 * console.log(similarity(Float32Array.of(1, 0), Float32Array.of(2, 0))); // 1
 * ```
 */
export function similarity(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const n = lengthOf(a, b);
  let [product, ofA, ofB] = [0, 0, 0];
  for (let index = 0; index < n; index++) {
    const [x, y] = [a[index] as number, b[index] as number];
    product += x * y;
    ofA += x * x;
    ofB += y * y;
  }
  const length = Math.sqrt(ofA) * Math.sqrt(ofB);
  return length === 0 ? 0 : product / length;
}

/**
 * A vector as bytes: a quarter of the memory, and nearly the same scores.
 *
 * @param vector numbers, all finite
 * @returns the bytes and their scale
 * @throws {InvalidArgumentError} where a number is not finite
 *
 * @example
 * ```ts
 * import { int8Similarity, toInt8 } from "@lightgpt/lightgpt/embedding";
 *
 * console.log(int8Similarity(toInt8(Float32Array.of(1, 0)), toInt8(Float32Array.of(1, 0)))); // 1
 * ```
 */
export function toInt8(vector: ArrayLike<number>): Int8Vector {
  let most = 0;
  for (let index = 0; index < vector.length; index++) {
    const value = vector[index] as number;
    if (!Number.isFinite(value)) refuseOption(`vector[${index}]`, "a finite number", value);
    most = Math.max(most, Math.abs(value));
  }
  const data = new Int8Array(vector.length);
  if (most === 0) return { data, scale: 0 };
  for (let index = 0; index < data.length; index++) data[index] = Math.round((vector[index] as number) * 127 / most);
  return { data, scale: most / 127 };
}

/**
 * The cosine of two vectors of bytes.
 *
 * @param a of {@link toInt8}
 * @param b as long
 * @returns from -1 to 1
 * @throws {InvalidArgumentError} where they are not equally long
 *
 * @example
 * ```ts
 * import { int8Similarity, toInt8 } from "@lightgpt/lightgpt/embedding";
 *
 * console.log(int8Similarity(toInt8(Float32Array.of(1, 2)), toInt8(Float32Array.of(2, 4)))); // 1, or nearly
 * ```
 */
export function int8Similarity(a: Int8Vector, b: Int8Vector): number {
  // Scales are positive, and a cosine does not know them.
  return similarity(a.data, b.data);
}

/**
 * A vector as one bit a number, set where it is above 0: number i is bit i mod 8 of byte i / 8.
 *
 * @param vector numbers, a multiple of 8 of them
 * @returns the bytes
 * @throws {InvalidArgumentError} where their number is no multiple of 8
 *
 * @example
 * ```ts
 * import { toBinary } from "@lightgpt/lightgpt/embedding";
 *
 * console.log(toBinary(Float32Array.of(1, -1, 1, 1, -1, -1, -1, -1))); // 0b1101
 * ```
 */
export function toBinary(vector: ArrayLike<number>): Uint8Array {
  if (vector.length % 8 !== 0) refuseOption("vector", "a multiple of 8 numbers", vector.length);
  const bytes = new Uint8Array(vector.length / 8);
  for (let index = 0; index < vector.length; index++) {
    if ((vector[index] as number) > 0) bytes[index >> 3] = (bytes[index >> 3] as number) | 1 << (index & 7);
  }
  return bytes;
}

/**
 * How alike two vectors of bits are: 1 where all are the same, -1 where none is.
 *
 * @param a of {@link toBinary}
 * @param b as long
 * @returns from -1 to 1
 * @throws {InvalidArgumentError} where they are not equally long
 *
 * @example
 * ```ts
 * import { binarySimilarity, toBinary } from "@lightgpt/lightgpt/embedding";
 *
 * const vector = Float32Array.of(1, -1, 1, 1, -1, -1, -1, -1);
 * console.log(binarySimilarity(toBinary(vector), toBinary(vector.map((x) => -x)))); // -1
 * ```
 */
export function binarySimilarity(a: Uint8Array, b: Uint8Array): number {
  const n = lengthOf(a, b);
  let different = 0;
  for (let index = 0; index < n; index++) {
    for (let bits = (a[index] as number) ^ (b[index] as number); bits !== 0; bits &= bits - 1) different++;
  }
  return n === 0 ? 0 : 1 - different / (4 * n);
}

function lengthOf(a: ArrayLike<number>, b: ArrayLike<number>): number {
  for (const [name, vector] of [["a", a], ["b", b]] as const) {
    if (vector === null || typeof vector !== "object") refuseOption(name, "an array of numbers", vector);
  }
  if (a.length !== b.length) refuseOption("b", `a vector of ${a.length} numbers, as many as the first`, b.length);
  return a.length;
}
