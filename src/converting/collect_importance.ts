/**
 * Collects an importance matrix: a model reads a text, and the squares of each matrix's inputs are summed up, column by
 * column. Each reading serves as many matrices as memory for their inputs allows; then the text is read again.
 *
 * @module
 */
import { LightGPTError } from "../../ffi/errors.ts";
import { activationBits, activationsField } from "../engine/types.ts";
import { threadsField, threadsOption } from "../machine/machine.ts";
import { Model } from "../model/model.ts";
import { windowField, windowOf } from "../measuring/window.ts";
import { assertNotAborted, checkInstance, checkText } from "../options/checks.ts";
import { abortSignal, callback, type FieldsOf, readOptions, text } from "../options/schema.ts";
import { ImportanceMatrix } from "./imatrix.ts";
import type { ImportanceEntry } from "./importance_entry.ts";

/**
 * Options for {@link collectImportance}.
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
  /**
   * What the text is called in the file.
   * @default {no name}
   */
  readonly dataset?: string;
  /**
   * Tokens that are read together, the one that begins a text included.
   * @default {256, or the context if that is less}
   */
  readonly window?: number;
  /**
   * Threads that compute. The result does not depend on it.
   * @default {the processors that may be used}
   */
  readonly threads?: number;
  /**
   * How activations are rounded before products with quantized weights.
   * @default {"int8"}
   */
  readonly activations?: "int8" | "int16";
  /** Ends the work. */
  readonly signal?: AbortSignal;
  /** Called with how many windows of text have been read, of how many. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** The schema of {@link CollectOptions}. */
export const collectFields = {
  dataset: text({ about: "What the text is called in the file.", otherwise: "no name" }),
  window: windowField,
  threads: threadsField,
  activations: activationsField,
  signal: abortSignal("Ends the work."),
  onProgress: callback<(done: number, total: number) => void>({
    about: "Called with how many windows of text have been read, of how many.",
  }),
} as const satisfies FieldsOf<CollectOptions>;

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
 * Has a model read a text and sums up the squares of its matrices' inputs. Throws where the text has no tokens.
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
  checkInstance("model", model, Model, "a Model");
  checkText("text", text);
  const { dataset, signal, onProgress, ...read } = readOptions(collectFields, options);
  assertNotAborted(signal);
  const threads = threadsOption(read.threads);
  const window = windowOf(read.window, model.context);
  const { productOf } = await import("./calibrator.ts");
  const { openReader, readWindow, windowsOf } = await import("../measuring/text_windows.ts");
  const windows = await windowsOf(model, text, window, signal);
  const engine = openReader(model, window, threads, activationBits[read.activations]);
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
        assertNotAborted(signal);
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
