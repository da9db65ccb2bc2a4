/**
 * The one sum of what a model takes in memory: whether it fits is asked before its weights are loaded, from the table of
 * tensors in its file, and again when a batcher takes memory for keys and values. How large an engine is follows from it.
 *
 * @module
 */
import { InvalidArgumentError, OutOfMemoryError } from "../../ffi/errors.ts";
import { native } from "../../ffi/native.ts";
import { currentRuntime } from "../../ffi/runtime/pick.ts";
import { kvSizes } from "../engine/engine.ts";
import type { EngineSettings } from "../engine/step.ts";
import { pagesFor } from "../engine/page_pool.ts";
import { weightOf, windowsOf } from "./windows.ts";
import { chunkMost } from "../engine/step_times.ts";
import type { ModelPlan } from "../model/architectures/architectures.ts";
import type { Model } from "../model/model.ts";
import { typeThatFits } from "../model/type_that_fits.ts";

/** Contexts beyond the first get pages only within this many bytes: more would rarely be used. */
const kvBudget = 2 ** 30;
/** The most bytes for the logits of a step. */
const logitBudget = 2 ** 24;

/** What a model needs at least, in bytes. */
export interface Need {
  /** What the process has without the model. */
  readonly program: number;
  /** The weights. */
  readonly weights: number;
  /** The keys and values of one context, and the state of its sequence. */
  readonly kv: number;
  /** What the largest step works in. */
  readonly work: number;
}

/** Tensors that stay in their file, where rows are read. */
const rowsInFile: ReadonlySet<string> = new Set(["per_layer_token_embd"]);

/** How it would run. */
export interface FitSettings extends Pick<EngineSettings, "kv" | "pageSize"> {
  /** Positions. */
  readonly context: number;
}

/** The sum: what a model of `plan` takes beside `program` bytes; `weights` where they are loaded already. */
export function needOf(plan: ModelPlan, settings: FitSettings, program: number, weights?: number): Need {
  const { kv, pageSize } = settings;
  const { hyperparameters, tensors } = plan;
  const { embedding, perLayer } = hyperparameters;
  const most = (of: (layer: typeof perLayer[number]) => number) => Math.max(...perLayer.map(of));
  const latent = most(({ heads, latentRank, latentRotated }) => heads * (2 * latentRank + latentRotated));
  const heads = latent + most(({ heads, kDim, vDim }) => heads * (kDim + vDim)) +
    most(({ kvHeads, kDim, vDim }) => kvHeads * (kDim + vDim));
  // Rows of floats that a token has in a step: hidden states, queries, keys, values, both sides of the feed-forward part.
  const { layers, layerInputs, expertsUsed } = hyperparameters;
  const inputs = (2 * layers + 1) * layerInputs;
  const inner = most(({ feedForward, sharedWidth }) => Math.max(feedForward, sharedWidth));
  // Projections of what goes on over states, and what comes of them.
  const states = most(({ stateHeads, stateGroups, stateSize, stateWidth }) =>
    stateHeads * (3 * (stateWidth || stateSize) + 2) + 2 * stateGroups * stateSize
  );
  // As many rows again for each expert that it goes to.
  const expert = most(({ experts, expertWidth }) => experts > 0 ? 2 * embedding + 3 * expertWidth : 0);
  const floats = 4 * embedding + inputs + heads + states + 3 * inner + expertsUsed * expert;
  return {
    program,
    weights: weights ?? tensors.reduce((sum, { role, bytes }) => rowsInFile.has(role) ? sum : sum + bytes, 0),
    kv: Math.ceil(weightOfContext(plan, settings) * kvSizes(plan, kv, pageSize).pageBytes),
    work: 4 * floats * chunkMost + logitBudget,
  };
}

/** Pages of one context: those of its positions, and those that hold a state. */
function pagesOfContext(plan: ModelPlan, { kv, pageSize, context }: FitSettings): number {
  return pagesFor(context, pageSize) + kvSizes(plan, kv, pageSize).statePages;
}

/** What the pages of one context weigh, in whole pages: windowed layers leave theirs behind. */
function weightOfContext(plan: ModelPlan, { kv, pageSize, context }: FitSettings): number {
  const sizes = kvSizes(plan, kv, pageSize);
  return sizes.statePages + weightOf(context, windowsOf(plan.hyperparameters.perLayer, sizes), pageSize);
}

/** All of it. */
export function totalOf({ program, weights, kv, work }: Need): number {
  return program + weights + kv + work;
}

/** Throws an {@link OutOfMemoryError} with the figures where `need` is more than `limitBytes`; says which type would fit. */
export function assertFits(plan: ModelPlan, need: Need, limitBytes: number, settings: FitSettings): void {
  const total = totalOf(need);
  if (total <= limitBytes) return;
  const left = limitBytes - (total - need.weights);
  const fits = typeThatFits(plan, need.weights, left);
  const isContext = total - need.kv <= limitBytes;
  const context = contextThatFits(plan, settings, limitBytes - (total - need.kv));
  const shorter = context === undefined ? "a smaller context" : `context: ${context}`;
  const smaller = `, ${shorter}${isContext && settings.kv !== "q8_0" ? ', kv "q8_0"' : ""}`;
  const without = left > 0 && fits === undefined && !isContext
    ? "no type of its weights would fit: expected a smaller model"
    : `expected more memory${settings.context > contextStep ? smaller : ""}, or a smaller model`;
  const instead = fits ? `as ${fits.name} its weights would take ${mebibytes(fits.bytes)} and fit` : without;
  throw new OutOfMemoryError(
    `memory: the model needs ${mebibytes(total)} (weights ${mebibytes(need.weights)}, keys and values of ` +
      `${settings.context} positions ${mebibytes(need.kv)}, work space ${mebibytes(need.work)}, the program itself ` +
      `${mebibytes(need.program)}), and ${mebibytes(limitBytes)} may be used; ${instead}.`,
    {
      what: "not enough memory",
      where: isContext ? "context" : "memory",
      expected: fits ? `a file made as ${fits.name}` : `at least ${total} bytes`,
      got: `${limitBytes} bytes`,
    },
  );
}

/** Contexts that are proposed are multiples of so many positions. */
const contextStep = 256;

/** The largest context whose keys and values take at most `bytes`; undefined where none does. */
function contextThatFits(plan: ModelPlan, settings: FitSettings, bytes: number): number | undefined {
  const fits = (steps: number) => {
    const context = steps * contextStep;
    return weightOfContext(plan, { ...settings, context }) * kvSizes(plan, settings.kv, settings.pageSize).pageBytes <=
      bytes;
  };
  let [least, most] = [0, Math.floor(settings.context / contextStep)];
  while (least < most) {
    const middle = Math.ceil((least + most) / 2);
    if (fits(middle)) least = middle;
    else most = middle - 1;
  }
  return least === 0 ? undefined : least * contextStep;
}

/** What the process has without `bytes` of weights that are loaded. */
export function programBytes(bytes: number): number {
  return Math.max(0, currentRuntime().resident() - bytes);
}

/** Bytes for keys and values where nothing is said: contexts for all sequences of a step, within a budget; at least one. */
export function usualKvBytes(contextBytes: number, sequences: number): number {
  return Math.max(contextBytes, Math.min(kvBudget, contextBytes * sequences));
}

/** What an engine for a loaded model has room for; throws where not even one context fits. */
export function engineSizes(
  model: Pick<Model, "plan" | "context" | "residentBytes" | "vocabulary">,
  { kv, pageSize, kvBytesMax, sequences }:
    & Pick<EngineSettings, "kv" | "pageSize" | "sequences">
    & { kvBytesMax?: number | undefined },
): Pick<EngineSettings, "pages" | "sequences" | "batchTokens" | "logitRows"> & { readonly weightMost: number } {
  const { plan, context, residentBytes, vocabulary } = model;
  const settings = { kv, pageSize, context };
  const { kv: bytes } = needOf(plan, settings, 0, residentBytes);
  if (kvBytesMax !== undefined && kvBytesMax < bytes) {
    throw new InvalidArgumentError(
      `kvBytesMax: expected at least ${bytes} bytes, which the keys and values of a context of ${context} ` +
        `positions take, got ${kvBytesMax}; a smaller context needs less.`,
      { what: "too little for one context", where: "kvBytesMax", expected: `at least ${bytes}`, got: `${kvBytesMax}` },
    );
  }
  const usual = usualKvBytes(bytes, sequences);
  const limit = native().memoryFor(residentBytes + usual);
  let room = Infinity;
  if (limit !== undefined) {
    const need = needOf(plan, settings, programBytes(residentBytes), residentBytes);
    assertFits(plan, need, limit, settings);
    room = limit - (totalOf(need) - need.kv);
  }
  const contexts = Math.max(1, Math.floor(Math.min(usual, room / 2) / bytes));
  const [pages, weight] = [pagesOfContext(plan, settings), weightOfContext(plan, settings)];
  return {
    pages: kvBytesMax === undefined ? pages * contexts : Math.floor((pages * kvBytesMax) / bytes),
    weightMost: kvBytesMax === undefined ? weight * contexts : (weight * kvBytesMax) / bytes,
    sequences,
    batchTokens: chunkMost + sequences,
    logitRows: Math.max(sequences, Math.min(chunkMost, Math.floor(logitBudget / (4 * vocabulary)))),
  };
}

/** A number of bytes for people. */
export function mebibytes(bytes: number): string {
  const mib = bytes / 2 ** 20;
  return mib >= 1024 ? `${(mib / 1024).toFixed(2)} GiB` : `${mib.toFixed(1)} MiB`;
}
