/**
 * What a caller says about choosing tokens, checked and made exact. The choice itself is part of a step, in native code:
 * the same settings, seed and logits give the same token everywhere.
 *
 * @module
 */
import { checkKeys, integerOption, refuseOption } from "./options.ts";

/**
 * How to choose the next token among the likely ones.
 *
 * @example
 * ```ts
 * import { LightGPT, type SamplingOptions } from "@lightgpt/lightgpt";
 *
 * const sampling: SamplingOptions = { temperature: 0.7, topK: 50, seed: 42 };
 * await using lm = await LightGPT.load();
 * console.log((await lm.complete("Once upon a time", { sampling, maxTokens: 50 })).text);
 * ```
 */
export interface SamplingOptions {
  /** 0: always the likeliest token; higher: more surprising. Default 0.8. */
  readonly temperature?: number;
  /** Choose among this many likeliest tokens; 0: all. Default 40. */
  readonly topK?: number;
  /** Choose among the likeliest tokens that together have this probability; 1: all. Default 0.95. */
  readonly topP?: number;
  /** A number from 0 to 2^64 - 1 that fixes the choices; without one a random one is taken, and reported. */
  readonly seed?: number | bigint;
}

/** Checked sampling settings, as native code takes them. */
export interface Sampling {
  /** 0 or more, an f32. */
  readonly temperature: number;
  /** 0: all. */
  readonly topK: number;
  /** Above 0, at most 1, an f32. */
  readonly topP: number;
  /** 64 bits. */
  readonly seed: bigint;
}

/** The least f32 above 0. */
const leastFloat = 2 ** -149;

/** Checks sampling options and fills in the defaults. */
export function resolveSampling(options: SamplingOptions = {}): Sampling {
  checkKeys("sampling", options, ["temperature", "topK", "topP", "seed"]);
  const { temperature = 0.8, topK, topP = 0.95 } = options;
  if (typeof temperature !== "number" || !(temperature >= 0) || !Number.isFinite(Math.fround(temperature))) {
    refuseOption("temperature", "a number from 0 (the likeliest token) upwards", temperature);
  }
  if (typeof topP !== "number" || !(topP > 0 && topP <= 1)) {
    refuseOption("topP", "a number above 0 and at most 1 (all tokens)", topP);
  }
  return {
    temperature: temperature === 0 ? 0 : Math.max(Math.fround(temperature), leastFloat),
    topK: integerOption("topK", topK, 0, 0xffff_ffff, 40),
    topP: Math.max(Math.fround(topP), leastFloat),
    seed: resolveSeed(options.seed),
  };
}

function resolveSeed(seed: number | bigint | undefined): bigint {
  if (seed === undefined) return crypto.getRandomValues(new BigUint64Array(1))[0] as bigint;
  const valid = typeof seed === "bigint" ? seed >= 0n && seed < 1n << 64n : Number.isSafeInteger(seed) && seed >= 0;
  if (!valid) refuseOption("seed", "an integer from 0 to 2^53 - 1, or a bigint from 0 to 2^64 - 1", seed);
  return BigInt(seed);
}
