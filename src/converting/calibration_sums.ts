/**
 * The sums that calibrated rounding goes by, of the inputs of one product, and what is made of them: the factor by which errors of a
 * column are made up for by the columns after it, and what is to be changed of the weights before they are rounded.
 *
 * Weights change so that the copy gives what the original gives. Where a product's results go to the stream as they are, it makes up for
 * everything that the copy's stream lacks there; errors count by the size of the stream that they are added to, which the next norm
 * divides by. Any other product makes up for what its inputs lack.
 *
 * The room is taken once, for the product with the most columns, and used for each: of a model of 1.1 B these are 0.9 GB.
 *
 * @module
 */
import { native } from "../../ffi/native.ts";
import { LIMITS } from "../../ffi/wire.ts";
import type { Calibration } from "./round_calibrated.ts";
import { inSlices } from "./slices.ts";

/** Added to the diagonal, in parts of its mean: what keeps columns that say nothing from being trusted. */
const damping = 0.01;
/** Rows that a thread solves at a time, which share what is read of the factor. */
const solvedOfThread = 32;
/** Columns of a panel, as the library reads matrices. */
const panel = LIMITS.calibratePanel;
/** Keeps the weight of an empty stream finite. */
const smallest = 1e-12;

/** What the sums of a product are of. */
export interface Summed {
  /** Floats of an input. */
  readonly columns: number;
  /** Floats of the stream, where the product's results are added to it; else undefined. */
  readonly stream: number | undefined;
}

/** The sums of one product after the other. */
export class CalibrationSums {
  readonly #threads: number;
  readonly #signal: AbortSignal | undefined;
  /** Of the rounded copy's inputs with themselves: the upper half. */
  readonly #own: Float32Array;
  /** Of what the copy lacks with the copy's inputs: of inputs, or of the stream. */
  readonly #lacking: Float32Array;
  readonly #matrix: Float64Array;
  readonly #factor: Float32Array;
  #of: Summed = { columns: 0, stream: undefined };
  #lacks = false;

  /** Room for these products. */
  constructor(products: readonly Summed[], threads: number, signal: AbortSignal | undefined) {
    this.#threads = threads;
    this.#signal = signal;
    const columns = Math.max(...products.map(({ columns }) => columns));
    this.#own = new Float32Array(columns * columns);
    this.#lacking = new Float32Array(Math.max(...products.map(({ columns, stream }) => (stream ?? columns) * columns)));
    this.#matrix = new Float64Array(columns * columns);
    this.#factor = new Float32Array(2 * columns * columns);
  }

  /** Begins the sums of another product. */
  begin(of: Summed): void {
    this.#of = of;
    this.#lacks = false;
    this.#own.fill(0, 0, of.columns * of.columns);
    this.#lacking.fill(0, 0, (of.stream ?? of.columns) * of.columns);
  }

  /** Adds rows of the original's inputs, which are spoilt, and the copy's inputs at the same positions. */
  async add(original: Float32Array, copy: Float32Array): Promise<void> {
    for (let i = 0; i < original.length; i++) {
      const difference = original[i]! - copy[i]!;
      original[i] = difference;
      if (difference !== 0) this.#lacks = true;
    }
    await this.#addAll(original, copy, this.#of.columns);
  }

  /**
   * Adds rows of a product whose results go to the stream: the original's stream after it, the copy's with the matrix as it was, and
   * the copy's inputs. All but the copy's stream are spoilt.
   */
  async addToStream(original: Float32Array, stream: Float32Array, inputs: Float32Array): Promise<void> {
    const { columns, stream: width = 0 } = this.#of;
    if (weigh(original, stream, inputs, columns)) this.#lacks = true;
    await this.#addAll(original, inputs, width);
  }

  async #addAll(lacking: Float32Array, copy: Float32Array, width: number): Promise<void> {
    await this.#addProducts(copy, copy, this.#own, this.#of.columns);
    if (this.#lacks) await this.#addProducts(lacking, copy, this.#lacking, width);
  }

  /** Adds the products of the `rows` values of x with those of y. */
  async #addProducts(x: Float32Array, y: Float32Array, to: Float32Array, rows: number): Promise<void> {
    const { columns } = this.#of;
    const sums = to.subarray(0, rows * columns);
    await inSlices(rows, y.length, 64 * this.#threads, this.#signal, (begin, end) => {
      native().gram({ x, y, xColumns: rows, columns, begin, end, sums, threads: this.#threads });
    });
  }

  /** What rounding goes by; valid until the next product begins. */
  async finish(): Promise<Calibration> {
    const { columns: n, stream } = this.#of;
    const matrix = this.#matrix.subarray(0, n * n);
    const factor = this.#factor.subarray(0, 2 * n * n);
    let trace = 0;
    for (let i = 0; i < n; i++) trace += this.#own[i * n + i]!;
    // Columns that never had a value get the damping alone.
    const more = trace === 0 ? 1 : damping * trace / n;
    for (let i = 0; i < n; i++) {
      for (let j = i; j < n; j++) matrix[j * n + i] = matrix[i * n + j] = this.#own[i * n + j]!;
      matrix[i * n + i] = Math.fround(matrix[i * n + i]! + more);
    }
    toPanels(factor.subarray(n * n), n, (i, k) => i <= k ? matrix[i * n + k]! : matrix[k * n + i]!);
    await inSlices(n, 2 * n, LIMITS.factorColumns, this.#signal, (begin, end) => {
      native().factor({ matrix, columns: n, begin: n - end, end: n - begin, threads: this.#threads });
    });
    const importance = new Float32Array(n);
    for (let k = 0; k < n; k++) {
      const inverse = matrix[k * n + k]!;
      importance[k] = 1 / (inverse * inverse);
    }
    if (this.#lacks) await this.#solve(matrix, stream ?? n);
    toPanels(factor, n, (i, k) => i < k ? matrix[i * n + k]! * matrix[k * n + k]! : 0);
    const lacking = this.#lacks ? this.#lacking.subarray(0, (stream ?? n) * n) : null;
    return {
      factor,
      importance,
      columns: n,
      repair: stream === undefined ? lacking : null,
      shift: stream === undefined ? null : lacking,
    };
  }

  /** Lacking (R R')^-1, in its place. */
  async #solve(matrix: Float64Array, count: number): Promise<void> {
    const n = this.#of.columns;
    await inSlices(count, 2 * n, solvedOfThread * this.#threads, this.#signal, (begin, end) => {
      const rows = this.#lacking.subarray(begin * n, end * n);
      native().solve({ matrix, columns: n, rows, threads: this.#threads });
    });
  }
}

/**
 * Turns the original's stream into what the copy's lacks, by the size of the original's rows, and weighs inputs likewise; says
 * whether anything is lacking. A function of its own: in a method, with a private field in its loops, it takes four times as long.
 */
function weigh(original: Float32Array, stream: Float32Array, inputs: Float32Array, columns: number): boolean {
  const count = inputs.length / columns;
  const width = original.length / count;
  let lacks = false;
  for (let t = 0; t < count; t++) {
    const begin = t * width;
    const end = begin + width;
    let sum = 0;
    for (let i = begin; i < end; i++) sum += original[i]! * original[i]!;
    const weight = 1 / Math.sqrt(sum / width + smallest);
    for (let i = begin; i < end; i++) {
      const difference = original[i]! - stream[i]!;
      original[i] = difference * weight;
      lacks = lacks || difference !== 0;
    }
    const last = (t + 1) * columns;
    for (let i = t * columns; i < last; i++) inputs[i] = inputs[i]! * weight;
  }
  return lacks;
}

/** Writes a matrix panel after panel. */
function toPanels(to: Float32Array, n: number, valueAt: (i: number, k: number) => number): void {
  let at = 0;
  for (let first = 0; first < n; first += panel) {
    const end = Math.min(n, first + panel);
    for (let i = 0; i < n; i++) for (let k = first; k < end; k++) to[at++] = valueAt(i, k);
  }
}
