/**
 * Wrappers of the native functions for calibration, as `native.ts` has them for the others: the inputs of matrices, sums of
 * their products, the factor of such sums, and rounding that goes by it.
 *
 * @module
 */
import { CALIBRATE } from "./abi.ts";
import { checkBuffer, checkU32 } from "./buffers.ts";
import { InvalidArgumentError } from "./errors.ts";
import { errorFrom, library } from "./library.ts";
import type { NativeArgument } from "./runtime/types.ts";

type Name = "lg_capture" | "lg_captured" | "lg_replace" | "lg_gram" | "lg_factor" | "lg_calibrate";

function call(name: Name, where: string, ...parameters: NativeArgument[]): number {
  const { statuses, call } = library();
  const status = call[name](...parameters);
  if (status < 0) throw errorFrom(statuses, status, new Uint8Array(0), where);
  return status;
}

/**
 * Keeps the inputs of a step's products `first` to `first + count - 1` from now on; 0: of none. Layer l has the products 4 l
 * (q, k, v), 4 l + 1 (attention's output), 4 l + 2 (gate, up) and 4 l + 3 (down); the last makes the logits.
 */
export function captureInputs(engine: number, first: number, count: number): void {
  [engine, first, count].forEach((word) => checkU32(word, "capture"));
  call("lg_capture", "engine", engine, first, count);
}

/** Copies the rows kept of a product in the last step to `out`; returns how many floats. */
export function capturedInputs(engine: number, product: number, out: Float32Array): number {
  [engine, product].forEach((word) => checkU32(word, "capture"));
  checkBuffer("Float32Array", out, "rows");
  return call("lg_captured", "rows", engine, product, out, out.byteLength);
}

/** Packs other blocks in the place of a matrix of a loaded model, of which no step may run meanwhile. */
export function replaceMatrix(model: number, layer: number, role: number, format: number, blocks: Uint8Array): void {
  [model, layer, role, format].forEach((word) => checkU32(word, "matrix"));
  checkBuffer("Uint8Array", blocks, "blocks");
  call("lg_replace", "matrix", model, layer, role, format, blocks, blocks.length);
}

/** Adds the sum over rows of x[i] y[j] to a square matrix. */
export function addGram(x: Float32Array, y: Float32Array, columns: number, out: Float32Array, threads: number): void {
  checkBuffer("Float32Array", x, "rows");
  checkBuffer("Float32Array", y, "rows", x.length);
  checkBuffer("Float32Array", out, "sums", columns * columns);
  [columns, threads].forEach((word) => checkU32(word, "sums"));
  call("lg_gram", "sums", x, y, x.byteLength, columns, out, threads);
}

/** Columns `begin` to `end` of the upper factor of a symmetric matrix, the last first; the diagonal gets inverses. */
export function factorColumns(matrix: Float64Array, n: number, begin: number, end: number, threads: number): void {
  const found: unknown = matrix;
  if (!(found instanceof Float64Array) || matrix.length !== n * n || matrix.buffer.byteLength > 0xffff_ffff) {
    throw new InvalidArgumentError(`matrix: expected a Float64Array of ${n * n} values of less than 4 GiB.`);
  }
  [n, begin, end, threads].forEach((word) => checkU32(word, "matrix"));
  call("lg_factor", "matrix", matrix, matrix.byteLength, n, begin, end, threads);
}

/** What {@link calibrateRows} goes by. */
export interface CalibrationFactor {
  /** r_ik / r_kk, columns x columns; then the sums themselves, as many. */
  readonly factor: Float32Array;
  /** The squares of r_kk. */
  readonly importance: Float32Array;
}

/** Rounds rows with errors compensated; returns how many come before the first that is refused. Values become errors. */
export function calibrateRows(
  format: number,
  values: Float32Array,
  columns: number,
  { factor, importance }: CalibrationFactor,
  blocks: Uint8Array,
  threads: number,
): number {
  checkBuffer("Float32Array", values, "values");
  checkBuffer("Float32Array", factor, "factor", 2 * columns * columns);
  checkBuffer("Float32Array", importance, "importance", columns);
  checkBuffer("Uint8Array", blocks, "blocks");
  const sizes = [values.byteLength, factor.byteLength, importance.byteLength, blocks.byteLength];
  const words = [2, format, values.length / columns, columns, threads, ...sizes];
  words.forEach((word, index) => checkU32(word, CALIBRATE[index] as string));
  const options = Uint32Array.from(words);
  return call("lg_calibrate", `format ${format}`, options, options.byteLength, values, factor, importance, blocks);
}
