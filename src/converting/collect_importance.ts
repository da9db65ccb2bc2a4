/**
 * Collects an importance matrix: a model reads a text once, and the library sums up the squares of each matrix's inputs,
 * column by column.
 *
 * @module
 */
import type { Role } from "../../ffi/wire.ts";
import type { Engine } from "../engine/engine.ts";
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

/** Which product of its layer a matrix takes part in, as `Native.capture` numbers them. */
const PRODUCTS = {
  attn_q: 0,
  attn_k: 0,
  attn_v: 0,
  ssm_in: 0,
  attn_output: 1,
  ssm_out: 1,
  ffn_gate: 2,
  ffn_up: 2,
  ffn_down: 3,
} as const satisfies Partial<Record<Role, number>>;
const productsOfLayer = 4;

/** A product, and the tensors that take part in it. */
interface Product {
  readonly number: number;
  readonly names: string[];
  readonly columns: number;
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
  const { openReader, readWindow, windowsOf } = await import("../measuring/text_windows.ts");
  const windows = await windowsOf(model, text, window, signal);
  const engine = openReader(model, window, threads, activationBits[read.activations]);
  try {
    engine.sumInputs(true);
    let done = 0;
    for (const tokens of windows) {
      assertNotAborted(signal);
      await readWindow(engine, tokens);
      onProgress?.(++done, windows.length);
    }
    const entries = new Map(productsOf(model).flatMap((product) => entriesOf(product, engine)));
    const origin = { datasets: dataset === undefined ? [] : [dataset], chunkCount: windows.length, chunkSize: window };
    return new ImportanceMatrix(entries, origin);
  } finally {
    await engine.dispose();
  }
}

/** The products of all layers, in order, with the tensors that take part in each. */
function productsOf({ plan }: Model): Product[] {
  const products = new Map<number, Product>();
  for (const { role, layer, tensor, columns } of plan.tensors) {
    if (!isMatrix(role)) continue;
    const number = productsOfLayer * layer + PRODUCTS[role];
    const product = products.get(number) ?? { number, names: [], columns };
    // Tensors in one piece, as phi3's q, k and v, come once for each role.
    if (!product.names.includes(tensor.name)) product.names.push(tensor.name);
    products.set(number, product);
  }
  return [...products.values()].sort((a, b) => a.number - b.number);
}

function isMatrix(role: Role): role is keyof typeof PRODUCTS {
  return Object.hasOwn(PRODUCTS, role);
}

function entriesOf({ number, names, columns }: Product, engine: Engine): [string, ImportanceEntry][] {
  const sums = new Float64Array(columns);
  const rows = engine.inputSums(number, 0, sums);
  return names.map((name) => [name, { sums: Float32Array.from(sums), counts: Float32Array.of(rows) }]);
}
