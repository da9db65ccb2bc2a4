/**
 * Measures what calibrated rounding needs: the inputs of a model's matrices while it reads a text. Before each of a layer's
 * four products the text is read by the original model and by a copy in which everything before is rounded already. So a
 * matrix is rounded for the inputs that it will get, and makes up for what these have lost.
 *
 * @module
 */
import { native } from "../../ffi/native.ts";
import type { Engine } from "../engine/engine.ts";
import type { Role } from "../model/architectures/tensors.ts";
import { Model } from "../model/model.ts";
import { cancelledBy } from "../options/checks.ts";
import type { Calibration, TensorCalibrator } from "./round_calibrated.ts";
import { inSlices } from "./slices.ts";
import { openReader, readWindow, windowsOf } from "../measuring/text_windows.ts";

/** Which product a tensor's input is that of, in its layer (`Native.capture`). */
const PRODUCTS = {
  attn_q: 0,
  attn_k: 0,
  attn_v: 0,
  attn_output: 1,
  ffn_gate: 2,
  ffn_up: 2,
  ffn_down: 3,
} as const satisfies Partial<Record<Role, number>>;

const matrixName = /^blk\.(\d+)\.(\w+)\.weight$/;

/** Added to the diagonal, as a share of its mean, so that columns with few inputs are not trusted too much. */
const damping = 0.01;

/** Positions that are read together. */
const windowMost = 256;

/** The sums of one product's inputs. */
interface Sums {
  /** Of the rounded copy's inputs with themselves. */
  readonly own: Float32Array;
  /** Of the differences (inputs of the original less those of the copy) with the copy's inputs. */
  readonly lost: Float32Array;
  readonly columns: number;
}

/** Reads a text with two copies of a model. */
export class Calibrator implements TensorCalibrator {
  readonly #exact: Model;
  readonly #moving: Model;
  readonly #engines: readonly [Engine, Engine];
  readonly #windows: readonly Uint32Array[];
  readonly #threads: number;
  readonly #signal: AbortSignal | undefined;
  #product = -1;
  #calibration: Calibration | undefined;

  private constructor(
    models: readonly [Model, Model],
    engines: readonly [Engine, Engine],
    windows: readonly Uint32Array[],
    threads: number,
    signal: AbortSignal | undefined,
  ) {
    [this.#exact, this.#moving] = models;
    this.#engines = engines;
    this.#windows = windows;
    this.#threads = threads;
    this.#signal = signal;
  }

  /** Loads the model twice. */
  static async open(path: string, text: string, threads: number, signal?: AbortSignal): Promise<Calibrator> {
    const options = signal === undefined ? {} : { signal };
    const exact = await Model.load(path, options);
    const moving = await Model.load(path, options);
    const window = Math.min(windowMost, exact.context);
    const windows = await windowsOf(exact, text, window, signal);
    return new Calibrator(
      [exact, moving],
      [openReader(exact, window, threads), openReader(moving, window, threads)],
      windows,
      threads,
      signal,
    );
  }

  /** The place of a tensor in the order of rounding: tensors of one product together, products in the order of the model. */
  order(name: string): number {
    return productOf(name) ?? -1;
  }

  /** The calibration of a tensor; undefined for those that are no matrix of a layer. */
  async calibrationFor(name: string): Promise<Calibration | undefined> {
    const product = productOf(name);
    if (product === undefined) return undefined;
    if (product !== this.#product) {
      this.#product = product;
      this.#calibration = await this.#read(product);
    }
    return this.#calibration;
  }

  /** Puts a tensor's new blocks into the copy, for the layers after it. */
  replace(name: string, format: number, blocks: Uint8Array): void {
    const [, layer, role] = matrixName.exec(name) ?? [];
    if (!isMatrix(role)) return;
    const before = this.#exact.gguf.tensors.get(name);
    if (before === undefined || blocks.length > before.bytes) return; // only what shrinks fits in its place
    native().replace({ model: this.#moving.handle, layer: Number(layer), role, format, blocks });
  }

  /** Frees both models. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const engine of this.#engines) await engine.dispose();
    this.#exact.dispose();
    this.#moving.dispose();
  }

  async #read(product: number): Promise<Calibration> {
    const columns = this.#columnsOf(product);
    const sums = { own: new Float32Array(columns * columns), lost: new Float32Array(columns * columns), columns };
    for (const engine of this.#engines) engine.capture(product, 1);
    const rooms = this.#engines.map(() => new Float32Array(windowMost * columns));
    for (const tokens of this.#windows) {
      if (this.#signal?.aborted) throw cancelledBy(this.#signal);
      const rows: Float32Array[] = [];
      for (const [index, engine] of this.#engines.entries()) {
        await readWindow(engine, tokens);
        rows.push(rooms[index].subarray(0, engine.captured(product, rooms[index])));
      }
      const [x, y] = rows;
      native().gram({ x: y, y, columns, sums: sums.own, threads: this.#threads });
      for (let i = 0; i < x.length; i++) x[i] -= y[i];
      native().gram({ x, y, columns, sums: sums.lost, threads: this.#threads });
    }
    return await factorOf(sums, this.#threads, this.#signal);
  }

  #columnsOf(product: number): number {
    const { embedding, perLayer, vDim } = this.#exact.plan.hyperparameters;
    const { heads, feedForward } = perLayer[Math.floor(product / 4)];
    return [embedding, heads * vDim, embedding, feedForward][product % 4];
  }
}

/** The number of the product that a tensor is multiplied in, as `Native.capture` numbers them. */
export function productOf(name: string): number | undefined {
  const [, layer, role] = matrixName.exec(name) ?? [];
  return isMatrix(role) ? 4 * Number(layer) + PRODUCTS[role] : undefined;
}

function isMatrix(role: string): role is keyof typeof PRODUCTS {
  return Object.hasOwn(PRODUCTS, role);
}

/** Factors the sums: columns that never had a value get the damping alone. */
async function factorOf(
  { own, lost, columns: n }: Sums,
  threads: number,
  signal: AbortSignal | undefined,
): Promise<Calibration> {
  const matrix = Float64Array.from(own);
  let trace = 0;
  for (let i = 0; i < n; i++) trace += matrix[i * n + i];
  const more = trace === 0 ? 1 : damping * trace / n;
  for (let i = 0; i < n; i++) matrix[i * n + i] += more;
  await inSlices(n, 2 * n, 1, signal, (begin, end) => {
    native().factor({ matrix, columns: n, begin: n - end, end: n - begin, threads });
  });
  const factor = new Float32Array(2 * n * n);
  factor.set(own, n * n);
  for (let i = 0; i < n; i++) factor[(n + i) * n + i] += more;
  const importance = new Float32Array(n);
  for (let k = 0; k < n; k++) {
    const inverse = matrix[k * n + k];
    importance[k] = 1 / (inverse * inverse);
    for (let i = 0; i < k; i++) factor[i * n + k] = matrix[i * n + k] * inverse;
  }
  const repair = lost.some((value) => value !== 0) ? await repairOf(lost, matrix, n, signal) : null;
  return { factor, importance, columns: n, repair };
}

/** lost (R R')^-1, transposed, row by row. */
async function repairOf(
  lost: Float32Array,
  matrix: Float64Array,
  n: number,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const result = new Float32Array(n * n);
  const y = new Float64Array(n);
  await inSlices(n, 2 * n, 1, signal, (begin, end) => {
    for (let row = begin; row < end; row++) {
      // y R' = lost: from the last column on; R is upper triangular.
      for (let k = 0; k < n; k++) y[k] = lost[row * n + k];
      for (let k = n - 1; k >= 0; k--) {
        let sum = y[k];
        for (let j = k + 1; j < n; j++) sum -= y[j] * matrix[k * n + j];
        y[k] = sum * matrix[k * n + k];
      }
      // z R = y: from the first column on.
      for (let k = 0; k < n; k++) {
        const z = y[k] * matrix[k * n + k];
        result[k * n + row] = z;
        for (let j = k + 1; j < n; j++) y[j] -= z * matrix[k * n + j];
      }
    }
  });
  return result;
}
