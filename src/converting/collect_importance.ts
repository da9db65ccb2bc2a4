/**
 * Collects an importance matrix: a model reads a text, and of each matrix the squares of its inputs are summed up, column
 * by column. As many matrices at once as memory for their inputs allows; the text is read again for the next ones.
 *
 * @module
 */
import { LightGPTError } from "../../ffi/errors.ts";
import { threadsOption } from "../machine/machine.ts";
import type { Model } from "../model/model.ts";
import { cancelledBy, checkFunction, checkKeys, checkSignal, integerOption, refuseOption } from "../options/checks.ts";
import { ImportanceMatrix } from "./imatrix.ts";
import type { ImportanceEntry } from "./importance_entry.ts";

/**
 * How {@link collectImportance} works.
 *
 * @example
 * ```ts
 * import { collectImportance, type CollectOptions, Model } from "@lightgpt/lightgpt";
 *
 * const options: CollectOptions = { dataset: "a sentence" };
 * await using model = await Model.load("model.gguf");
 * const matrix = await collectImportance(model, "Once upon a time, there was a girl.", options);
 * console.log(matrix.datasets); // ["a sentence"]
 * ```
 */
export interface CollectOptions {
  /** What the text is called in the file. Default: nothing. */
  readonly dataset?: string;
  /** Tokens that are read together. Default 256, or the context if that is less. */
  readonly window?: number;
  /** Threads that compute; the result does not depend on it. Default: one for each processor. */
  readonly threads?: number;
  /** Ends the work. */
  readonly signal?: AbortSignal;
  /** Hears how many windows of text have been read, of how many. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Bytes for the inputs that are kept at once. */
const roomBytes = 128 << 20;

/** The sums of one product's inputs: the matrices that share it, and what was found. */
interface Product {
  readonly number: number;
  readonly names: string[];
  readonly columns: number;
  readonly sums: Float64Array;
  rows: number;
}

/**
 * Has a model read a text and sums up what its matrices see. Throws where the text has no tokens.
 *
 * @example
 * ```ts
 * import { collectImportance, Model } from "@lightgpt/lightgpt";
 *
 * await using model = await Model.load("model-f16.gguf");
 * const matrix = await collectImportance(model, "Once upon a time, there was a little girl.");
 * matrix.write("imatrix.gguf");
 * ```
 */
export async function collectImportance(
  model: Model,
  text: string,
  options: CollectOptions = {},
): Promise<ImportanceMatrix> {
  checkKeys("options", options, ["dataset", "window", "threads", "signal", "onProgress"]);
  if (typeof text !== "string") refuseOption("text", "a string", text);
  const { dataset, signal, onProgress } = options;
  if (dataset !== undefined && typeof dataset !== "string") refuseOption("dataset", "a string", dataset);
  checkFunction("onProgress", onProgress);
  checkSignal(signal);
  const threads = threadsOption(options.threads);
  const window = integerOption("window", options.window, 2, model.context, Math.min(256, model.context));
  const { productOf } = await import("./calibrator.ts");
  const { openReader, readWindow, windowsOf } = await import("../measuring/text_windows.ts");
  const windows = windowsOf(model, text, window);
  const engine = openReader(model, window, threads);
  try {
    const products = productsOf(model, productOf);
    const widest = Math.max(...products.map(({ columns }) => columns));
    const together = Math.max(1, Math.floor(roomBytes / (4 * window * widest)));
    const passes = Math.ceil(products.length / together);
    const room = new Float32Array(window * widest);
    let done = 0;
    for (let first = 0; first < products.length; first += together) {
      const part = products.slice(first, first + together);
      engine.capture(part[0].number, part.length);
      for (const tokens of windows) {
        if (signal?.aborted) throw cancelledBy(signal);
        await readWindow(engine, tokens);
        for (const product of part) addSquares(product, room.subarray(0, engine.captured(product.number, room)));
        onProgress?.(++done, passes * windows.length);
      }
    }
    const entries = new Map(products.flatMap(entriesOf));
    const origin = { datasets: dataset === undefined ? [] : [dataset], chunkCount: windows.length, chunkSize: window };
    return new ImportanceMatrix(entries, origin);
  } finally {
    await engine.dispose();
  }
}

/** The products of all layers, in order, with the tensors that take part in each. */
function productsOf({ plan }: Model, productOf: (tensor: string) => number | undefined): Product[] {
  const products = new Map<number, Product>();
  for (const { role, layer, tensor, columns } of plan.tensors) {
    const number = productOf(`blk.${layer}.${role}.weight`);
    if (number === undefined) continue;
    const product = products.get(number) ?? { number, names: [], columns, sums: new Float64Array(columns), rows: 0 };
    // Tensors in one piece, as phi3's q, k and v, come once for each role.
    if (!product.names.includes(tensor.name)) product.names.push(tensor.name);
    products.set(number, product);
  }
  return [...products.values()].sort((a, b) => a.number - b.number);
}

function addSquares(product: Product, rows: Float32Array): void {
  const { columns, sums } = product;
  if (rows.length % columns !== 0) throw new LightGPTError("library", `${product.names[0]}: ${rows.length} inputs`);
  for (let i = 0, column = 0; i < rows.length; i++) {
    sums[column] += rows[i] * rows[i];
    if (++column === columns) column = 0;
  }
  product.rows += rows.length / columns;
}

function entriesOf({ names, sums, rows }: Product): [string, ImportanceEntry][] {
  return names.map((name) => [name, { sums: Float32Array.from(sums), counts: Float32Array.of(rows) }]);
}
