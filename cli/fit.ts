/**
 * Which file of a model fits this machine: the memory it wants, by the sums that loading decides by, and how many tokens a second the
 * memory can give. A model that is not here is known by its header, which is read from the hub.
 *
 * @module
 */
import { type FitSettings, needOf, totalOf } from "../src/batching/memory_budget.ts";
import { resolveBatcherOptions } from "../src/batching/options.ts";
import { measureBandwidth, probeMachine } from "../src/machine/machine.ts";
import { readShare } from "../src/measuring/benchmark/timing.ts";
import type { ModelPlan } from "../src/model/architectures/architectures.ts";

/** What this machine has for a model. */
export interface Room {
  /** Bytes that a model may take; undefined where that is not known. */
  readonly memoryBytes: number | undefined;
  /** Bytes of memory that are read in a second. */
  readonly bytesPerSecond: number;
}

/** How a file would run here. */
export interface Fit {
  /** Memory with a context of {@link fitContext} positions, or what the model was trained for. */
  readonly memoryBytes: number;
  readonly context: number;
  /** Tokens a second, at most: each reads all weights once, of experts those in use. */
  readonly tokensPerSecond: number;
  readonly fits: boolean;
}

/** The context that memory is told for: a conversation's. */
const fitContext = 4096;
/** Tokens a second below which a person waits for each word. */
const readingRate = 8;
/** What a program and the system want beside the model: a share of the memory. */
const shareForModel = 0.85;

/** What this machine has. Blocks for some tenths of a second. */
export function roomHere(): Room {
  const { memory, threads } = probeMachine();
  return { memoryBytes: memory.freeBytes ?? memory.limitBytes, bytesPerSecond: measureBandwidth(threads) };
}

/** How a file of `bytes` would run; without a plan, by its size alone. */
export function fitOf(bytes: number, plan: ModelPlan | undefined, { memoryBytes, bytesPerSecond }: Room): Fit {
  const context = Math.min(fitContext, plan?.hyperparameters.context ?? fitContext);
  const need = plan === undefined ? 1.1 * bytes : totalOf(needOf(plan, { ...settings(), context }, 0, bytes));
  const share = plan === undefined ? 1 : readShare(plan);
  return {
    memoryBytes: need,
    context,
    tokensPerSecond: bytesPerSecond / (share * bytes),
    fits: memoryBytes === undefined || need <= shareForModel * memoryBytes,
  };
}

function settings(): Omit<FitSettings, "context"> {
  return resolveBatcherOptions({}).settings;
}

/** Types in the order in which one is proposed: the nearest to the original that is usual, then smaller ones. */
const proposed = ["Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "MXFP4", "Q4_K_S", "IQ4_XS", "Q4_0", "Q3_K_M", "IQ3_XXS", "Q2_K"];

/**
 * The file to propose: the one nearest to the original that fits and is as fast as a person reads; where none is that fast, the usual
 * one, or the largest below it that fits.
 */
export function propose<T extends { readonly type: string | undefined; readonly bytes: number; readonly fit: Fit }>(
  files: readonly T[],
): T | undefined {
  const fitting = files.filter(({ fit }) => fit.fits);
  const inOrder = proposed.flatMap((type) => fitting.filter((file) => file.type === type));
  const fast = inOrder.find(({ fit }) => fit.tokensPerSecond >= readingRate);
  const smaller = inOrder.slice(inOrder.findIndex(({ type }) => type === "Q4_K_M"));
  return fast ?? smaller[0] ?? fitting.toSorted((a, b) => b.bytes - a.bytes)[0];
}
