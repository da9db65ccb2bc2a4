/**
 * The sums that calibrated rounding goes by, of the inputs of one product, and what is made of them: the factor by which errors of a
 * column are made up for by the columns after it, and the repair of what the inputs themselves have lost.
 *
 * The room is taken once, for the product with the most columns, and used for each: of a model of 1.1 B these are 0.9 GB.
 *
 * @module
 */
import { native } from "../../ffi/native.ts";
import type { Calibration } from "./round_calibrated.ts";
import { inSlices } from "./slices.ts";

/** Added to the diagonal, in parts of its mean: what keeps columns that say nothing from being trusted. */
const damping = 0.01;

/** The sums of one product after the other. */
export class CalibrationSums {
  readonly #threads: number;
  readonly #signal: AbortSignal | undefined;
  readonly #most: number;
  /** Of the rounded copy's inputs with themselves: the upper half. */
  readonly #own: Float32Array;
  /** Of what the original's inputs are more than those, with those. */
  readonly #lost: Float32Array;
  readonly #matrix: Float64Array;
  readonly #factor: Float32Array;
  #columns = 0;
  #hasLost = false;

  /** Room for products of at most `columns` columns. */
  constructor(columns: number, threads: number, signal: AbortSignal | undefined) {
    this.#most = columns;
    this.#threads = threads;
    this.#signal = signal;
    this.#own = new Float32Array(columns * columns);
    this.#lost = new Float32Array(columns * columns);
    this.#matrix = new Float64Array(columns * columns);
    this.#factor = new Float32Array(2 * columns * columns);
  }

  /** Begins the sums of another product. */
  begin(columns: number): void {
    if (columns > this.#most) throw new RangeError(`${columns} columns, room for ${this.#most}`);
    this.#columns = columns;
    this.#hasLost = false;
    this.#own.fill(0, 0, columns * columns);
    this.#lost.fill(0, 0, columns * columns);
  }

  /** Adds rows of the original's inputs, which are spoilt, and the copy's inputs at the same positions. */
  async add(original: Float32Array, copy: Float32Array): Promise<void> {
    for (let i = 0; i < original.length; i++) {
      const difference = original[i]! - copy[i]!;
      original[i] = difference;
      if (difference !== 0) this.#hasLost = true;
    }
    await this.#addProducts(copy, copy, this.#own);
    if (this.#hasLost) await this.#addProducts(original, copy, this.#lost);
  }

  async #addProducts(x: Float32Array, y: Float32Array, to: Float32Array): Promise<void> {
    const n = this.#columns;
    const sums = to.subarray(0, n * n);
    await inSlices(n, x.length / n, 64, this.#signal, (begin, end) => {
      native().gram({ x, y, columns: n, begin, end, sums, threads: this.#threads });
    });
  }

  /** What rounding goes by; valid until the next product begins. */
  async finish(): Promise<Calibration> {
    const n = this.#columns;
    const matrix = this.#matrix.subarray(0, n * n);
    const factor = this.#factor.subarray(0, 2 * n * n);
    const sums = factor.subarray(n * n);
    mirror(this.#own, sums, n);
    let trace = 0;
    for (let i = 0; i < n; i++) trace += sums[i * n + i]!;
    // Columns that never had a value get the damping alone.
    const more = trace === 0 ? 1 : damping * trace / n;
    for (let i = 0; i < n; i++) sums[i * n + i]! += more;
    matrix.set(sums);
    await inSlices(n, 2 * n, 1, this.#signal, (begin, end) => {
      native().factor({ matrix, columns: n, begin: n - end, end: n - begin, threads: this.#threads });
    });
    const importance = new Float32Array(n);
    for (let k = 0; k < n; k++) {
      const inverse = matrix[k * n + k]!;
      importance[k] = 1 / (inverse * inverse);
    }
    const repair = this.#hasLost ? await this.#repair(matrix) : null;
    for (let i = 0; i < n; i++) {
      for (let k = 0; k < n; k++) factor[i * n + k] = i < k ? matrix[i * n + k]! * matrix[k * n + k]! : 0;
    }
    return { factor, importance, columns: n, repair };
  }

  /** lost (R R')^-1, transposed: column by column what a row's weights are to be changed by. */
  async #repair(matrix: Float64Array): Promise<Float32Array> {
    const n = this.#columns;
    const lost = this.#lost.subarray(0, n * n);
    await inSlices(n, 2 * n, 16, this.#signal, (begin, end) => {
      const rows = lost.subarray(begin * n, end * n);
      native().solve({ matrix, columns: n, rows, threads: this.#threads });
    });
    transpose(lost, n);
    return lost;
  }
}

/** Copies a matrix of which the upper half is there, whole. */
function mirror(upper: Float32Array, to: Float32Array, n: number): void {
  for (let i = 0; i < n; i++) {
    for (let j = i; j < n; j++) {
      const value = upper[i * n + j]!;
      to[i * n + j] = value;
      to[j * n + i] = value;
    }
  }
}

function transpose(matrix: Float32Array, n: number): void {
  for (let i = 0; i < n; i++) {
    for (let j = i + 1; j < n; j++) {
      const above = matrix[i * n + j]!;
      matrix[i * n + j] = matrix[j * n + i]!;
      matrix[j * n + i] = above;
    }
  }
}
