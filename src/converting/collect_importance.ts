/**
 * Collects an importance matrix: a model reads a text once, and the library sums up the squares of each matrix's inputs,
 * column by column.
 *
 * @module
 */
import type { Role } from "../../ffi/wire.ts";
import type { ProductInputs } from "../engine/product_inputs.ts";
import { activationBits, activationsField } from "../engine/types.ts";
import { threadsField, threadsOption } from "../engine/threads_option.ts";
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
  ssm_gate: 0,
  ssm_beta: 0,
  ssm_alpha: 0,
  ssm_ba: 0,
  attn_output: 1,
  ssm_out: 1,
  ffn_gate: 2,
  ffn_up: 2,
  ffn_down: 3,
  ffn_gate_exps: 2,
  ffn_up_exps: 2,
  ffn_down_exps: 3,
  ffn_gate_shexp: 2,
  ffn_latent_down: 2,
  ffn_up_shexp: 2,
  ffn_down_shexp: 3,
} as const satisfies Partial<Record<Role, number>>;
const productsOfLayer = 4;

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
  const { openReader, windowsOf } = await import("../measuring/text_windows.ts");
  const windows = await windowsOf(model, text, window, signal);
  const reader = openReader(model, window, threads, activationBits[read.activations]);
  try {
    reader.inputs.sum(true);
    let done = 0;
    for (const read of windows) {
      assertNotAborted(signal);
      await reader.read(read);
      onProgress?.(++done, windows.length);
    }
    const entries = entriesOf(model, reader.inputs);
    const origin = { datasets: dataset === undefined ? [] : [dataset], chunkCount: windows.length, chunkSize: window };
    return new ImportanceMatrix(entries, origin);
  } finally {
    await reader.dispose();
  }
}

/** What each matrix saw, in the order of products; of a stack, what each expert saw. */
function entriesOf({ plan }: Model, inputs: ProductInputs): Map<string, ImportanceEntry> {
  const { perLayer } = plan.hyperparameters;
  // Beside attention, what comes of states has a product without a number.
  const isCounted = (role: Role, layer: number) => role !== "ssm_out" || perLayer[layer].mixer !== "paired";
  const matrices = plan.tensors.flatMap(({ role, ...rest }) =>
    isMatrix(role) && isCounted(role, rest.layer)
      ? [{ ...rest, role, number: productsOfLayer * rest.layer + PRODUCTS[role] }]
      : []
  ).sort((a, b) => a.number - b.number);
  const experts = new Map(
    matrices.flatMap(({ role, layer, tensor }) => isStack(role) ? [[layer, tensor.dims[2]]] : []),
  );
  const entries = new Map<string, ImportanceEntry>();
  for (const { role, layer, tensor, columns, number } of matrices) {
    // Tensors in one piece, as phi3's q, k and v, come once for each role.
    if (entries.has(tensor.name)) continue;
    const all = PRODUCTS[role] < PRODUCTS.ffn_gate ? 0 : experts.get(layer) ?? 0;
    const seen = isStack(role) ? Array.from({ length: all }, (_, expert) => expert) : [all];
    const sums = new Float32Array(columns * seen.length);
    const counts = new Float32Array(seen.length);
    const room = new Float64Array(columns);
    seen.forEach((matrix, index) => {
      counts[index] = inputs.sums(number, matrix, room);
      sums.set(room, index * columns);
    });
    entries.set(tensor.name, { sums, counts });
  }
  return entries;
}

function isStack(role: Role): boolean {
  return role.endsWith("_exps");
}

function isMatrix(role: Role): role is keyof typeof PRODUCTS {
  return Object.hasOwn(PRODUCTS, role);
}
