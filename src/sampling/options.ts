/**
 * What a caller says about choosing tokens, checked and made exact: which methods run, in which order, with numbers that
 * native code takes as they are. What contradicts itself is refused; nothing is ignored.
 *
 * @module
 */
import { SAMPLER, SAMPLING_METHODS } from "../../ffi/abi.ts";
import { checkKeys, integerOption, refuseOption } from "../options/checks.ts";
import { TokenMask } from "./mask.ts";

/** A method of a sampler's chain, by name. */
export type SamplingMethod = (typeof SAMPLING_METHODS)[number];

/**
 * How to choose the next token. The methods run in the order of llama.cpp's chain, unless `order` says another: penalties,
 * DRY, top-n-sigma, top-k, typical, top-p, min-p, XTC, temperature. Bias and the sets of allowed and banned tokens come
 * before all of them.
 *
 * @example
 * ```ts
 * import { LightGPT, type SamplingOptions } from "@lightgpt/lightgpt";
 *
 * const sampling: SamplingOptions = { temperature: 0.7, topK: 50, penalties: { repetition: 1.1 }, seed: 42 };
 * await using lm = await LightGPT.load();
 * console.log((await lm.complete("Once upon a time", { sampling, maxTokens: 50 })).text);
 * ```
 */
export interface SamplingOptions {
  /** 0: always the likeliest token; higher: more surprising. Default 0.8. */
  readonly temperature?: number;
  /** A temperature that follows the entropy: from `temperature - range` to `temperature + range`, bent by `exponent` (1). */
  readonly dynamicTemperature?: { readonly range: number; readonly exponent?: number };
  /** Choose among this many likeliest tokens; 0: all. Default 40; with mirostat 0. */
  readonly topK?: number;
  /** Choose among the likeliest tokens that together have this probability; 1: all. Default 0.95; with mirostat 1. */
  readonly topP?: number;
  /** Choose among the tokens that are at least this share as likely as the likeliest; 0: all. Default 0. */
  readonly minP?: number;
  /** Choose among the tokens of the most expected surprise that together have this probability; 1: all. Default 1. */
  readonly typicalP?: number;
  /** Choose among the tokens whose logit is within so many standard deviations of the greatest; 0: all. Default 0. */
  readonly topNSigma?: number;
  /** With this probability, takes out all the tokens of at least `threshold` (0.1, at most 0.5) but the least likely of them. */
  readonly xtc?: { readonly probability: number; readonly threshold?: number };
  /** Makes tokens less likely that are among the last `window` (64) tokens: see {@link Penalties}. */
  readonly penalties?: Penalties;
  /** Makes tokens less likely that would continue a repetition: see {@link Dry}. */
  readonly dry?: Dry;
  /** Keeps the surprise at `tau` (5) bits, learning at the rate `eta` (0.1). Excludes the methods that cut. */
  readonly mirostat?: { readonly tau?: number; readonly eta?: number };
  /** Added to the logits of tokens; -Infinity bans one. */
  readonly bias?: ReadonlyMap<number, number> | Readonly<Record<number, number>>;
  /** Only these tokens may be chosen. */
  readonly allowed?: readonly number[] | TokenMask;
  /** These tokens may not be chosen. */
  readonly banned?: readonly number[] | TokenMask;
  /** No method leaves fewer tokens, where there are as many. Default 1. */
  readonly minKeep?: number;
  /** The methods in the order in which they run; a default of one that is not named does not apply. */
  readonly order?: readonly SamplingMethod[];
  /** A number from 0 to 2^64 - 1 that fixes the choices; without one a random one is taken, and reported. */
  readonly seed?: number | bigint;
}

/**
 * Penalties for tokens that occurred, the prompt's included.
 *
 * @example
 * ```ts
 * import { type Penalties, Sampler } from "@lightgpt/lightgpt";
 *
 * const penalties: Penalties = { repetition: 1.1, frequency: 0.2, window: 256 };
 * const sampler = new Sampler({ penalties, temperature: 0 }).accept(1);
 * console.log(sampler.sample(Float32Array.of(1, 1.05, 0.5))); // 0
 * ```
 */
export interface Penalties {
  /** Divides a logit above 0 and multiplies others. Default 1. */
  readonly repetition?: number;
  /** Subtracted for each time that the token occurred. Default 0. */
  readonly frequency?: number;
  /** Subtracted once. Default 0. */
  readonly presence?: number;
  /** How many of the last tokens count. Default 64. */
  readonly window?: number;
}

/**
 * "Don't repeat yourself": a token that would continue a repetition of n tokens loses multiplier * base^(n - allowedLength)
 * (github.com/oobabooga/text-generation-webui/pull/5677).
 *
 * @example
 * ```ts
 * import { type Dry, LightGPT } from "@lightgpt/lightgpt";
 *
 * const dry: Dry = { multiplier: 0.8, breakers: ["\n", ":", '"', "*"] };
 * await using lm = await LightGPT.load();
 * console.log((await lm.complete("Once upon a time", { sampling: { dry }, maxTokens: 50 })).text);
 * ```
 */
export interface Dry {
  /** How strong it is; 0: off. */
  readonly multiplier: number;
  /** Grows the penalty with the length of the repetition; at least 1. Default 1.75. */
  readonly base?: number;
  /** Repetitions of fewer tokens cost nothing. Default 2. */
  readonly allowedLength?: number;
  /** How many of the last tokens are looked at. Default: all. */
  readonly window?: number;
  /** Tokens that end a repetition; as strings, where a vocabulary is known: those that contain it. Default: none. */
  readonly breakers?: readonly (number | string)[];
}

/** One method and what it was told, as `SAMPLER.step`. */
export interface Step {
  /** The method. */
  readonly method: SamplingMethod;
  /** Its integer. */
  readonly count: number;
  /** Its numbers. */
  readonly numbers: readonly [number, number, number];
}

/** Checked sampling settings. */
export interface Sampling {
  /** The methods that do something, in order. */
  readonly steps: readonly Step[];
  /** At least 1. */
  readonly minKeep: number;
  /** Pairs of an id and the bits of an f32. */
  readonly bias: Uint32Array;
  /** Only these. */
  readonly allowed: readonly number[] | TokenMask | undefined;
  /** None of these. */
  readonly banned: readonly number[] | TokenMask | undefined;
  /** How many of the last tokens are counted; 0: none. */
  readonly penaltyWindow: number;
  /** Where repetitions are looked for. */
  readonly dry:
    | { readonly window: number; readonly allowedLength: number; readonly breakers: ReadonlySet<number> }
    | undefined;
  /** Mirostat's first threshold, in bits. */
  readonly mu: number;
  /** 64 bits. */
  readonly seed: bigint;
}

const optionNames = [
  "temperature",
  "dynamicTemperature",
  "topK",
  "topP",
  "minP",
  "typicalP",
  "topNSigma",
  "xtc",
  "penalties",
  "dry",
  "mirostat",
  "bias",
  "allowed",
  "banned",
  "minKeep",
  "order",
  "seed",
] as const satisfies readonly (keyof SamplingOptions)[];

/** The smallest f32 above 0: what is smaller would round to 0, which means something else. */
const leastFloat = 2 ** -149;
const integerMost = 0xffff_ffff;
const windowMost = 2 ** 30;
const defaults = { temperature: 0.8, topK: 40, topP: 0.95 };

/** Checks sampling options; draws a seed where none is given. `textBreakers` turns a breaker that is a string into tokens. */
export function resolveSampling(
  options: SamplingOptions = {},
  textBreakers?: (text: string) => Iterable<number>,
): Sampling {
  checkKeys("sampling", options, optionNames);
  const found = new Map<SamplingMethod, Step>();
  const add = (method: SamplingMethod, count: number, a = 0, b = 0, c = 0) =>
    found.set(method, { method, count, numbers: [a, b, c] });
  const mirostat = resolveMirostat(options.mirostat);
  const order = resolveOrder(options.order, mirostat !== undefined);
  const named = (method: SamplingMethod) => order.includes(method);

  const temperature = resolveTemperature(options, named("temperature") ? defaults.temperature : 1);
  if (temperature[0] !== 1 || temperature[1] !== 0) add("temperature", 0, ...temperature);
  const topK = integerOption("topK", options.topK, 0, integerMost, mirostat || !named("topK") ? 0 : defaults.topK);
  if (topK > 0) add("topK", topK);
  const topP = share("topP", options.topP, mirostat || !named("topP") ? 1 : defaults.topP);
  if (topP < 1) add("topP", 0, topP);
  const typicalP = share("typicalP", options.typicalP, 1);
  if (typicalP < 1) add("typicalP", 0, typicalP);
  const minP = range("minP", options.minP, 0, 1, 0);
  if (minP > 0) add("minP", 0, minP);
  const topNSigma = range("topNSigma", options.topNSigma, 0, 1e9, 0);
  if (topNSigma > 0) add("topNSigma", 0, topNSigma);
  const xtc = resolveXtc(options.xtc);
  if (xtc) add("xtc", 0, ...xtc);
  const penalties = resolvePenalties(options.penalties);
  if (penalties) add("penalties", 0, ...penalties.numbers);
  const dry = resolveDry(options.dry, textBreakers);
  if (dry) add("dry", dry.allowedLength, dry.multiplier, dry.base);
  if (mirostat) add("mirostat", 0, ...mirostat);

  for (const method of found.keys()) {
    if (!named(method)) refuseOption("order", `an order that names ${method}, which is set`, order.join(", "));
  }
  if (mirostat) {
    if (temperature[0] === 0) refuseOption("mirostat", "a temperature above 0", 0);
    for (const method of ["topNSigma", "topK", "typicalP", "topP", "minP", "xtc"] as const) {
      if (found.has(method)) refuseOption("mirostat", `no ${method}: mirostat alone decides where to cut`, "both");
    }
  }
  const allowed = tokenSet("allowed", options.allowed);
  const banned = tokenSet("banned", options.banned);
  return {
    steps: order.flatMap((method) => found.get(method) ?? []),
    minKeep: integerOption("minKeep", options.minKeep, 1, integerMost, 1),
    bias: resolveBias(options.bias, banned),
    allowed,
    banned,
    penaltyWindow: penalties?.window ?? 0,
    dry,
    mu: mirostat ? 2 * mirostat[0] : 0,
    seed: resolveSeed(options.seed),
  };
}

function resolveOrder(order: readonly SamplingMethod[] | undefined, mirostat: boolean): readonly SamplingMethod[] {
  if (order === undefined) return SAMPLING_METHODS;
  if (!Array.isArray(order)) refuseOption("order", "an array of methods", order);
  for (const [index, method] of order.entries()) {
    if (!SAMPLING_METHODS.includes(method)) refuseOption(`order[${index}]`, SAMPLING_METHODS.join(", "), method);
    if (order.indexOf(method) !== index) refuseOption("order", "each method once", `${method} twice`);
  }
  if (mirostat && order.at(-1) !== "mirostat") {
    refuseOption("order", "mirostat at the end: it chooses the token", order.join(", "));
  }
  return [...order];
}

function resolveTemperature(options: SamplingOptions, otherwise: number): [number, number, number] {
  const { temperature = otherwise, dynamicTemperature } = options;
  if (typeof temperature !== "number" || !(temperature >= 0) || !Number.isFinite(Math.fround(temperature))) {
    refuseOption("temperature", "a number from 0 (the likeliest token) upwards", temperature);
  }
  const degree = temperature === 0 ? 0 : Math.max(Math.fround(temperature), leastFloat);
  if (dynamicTemperature === undefined) return [degree, 0, 0];
  checkKeys("dynamicTemperature", dynamicTemperature, ["range", "exponent"]);
  const spread = range("dynamicTemperature.range", dynamicTemperature.range, 0, 1e9);
  const exponent = range("dynamicTemperature.exponent", dynamicTemperature.exponent, 0, 100, 1);
  if (degree === 0 && spread > 0) refuseOption("dynamicTemperature", "a temperature above 0", 0);
  return spread === 0 ? [degree, 0, 0] : [degree, spread, exponent];
}

function resolveMirostat(mirostat: SamplingOptions["mirostat"]): [number, number] | undefined {
  if (mirostat === undefined) return undefined;
  checkKeys("mirostat", mirostat, ["tau", "eta"]);
  return [range("mirostat.tau", mirostat.tau, 0, 1000, 5), range("mirostat.eta", mirostat.eta, 0, 10, 0.1)];
}

function resolveXtc(xtc: SamplingOptions["xtc"]): [number, number] | undefined {
  if (xtc === undefined) return undefined;
  checkKeys("xtc", xtc, ["probability", "threshold"]);
  const probability = range("xtc.probability", xtc.probability, 0, 1);
  const threshold = range("xtc.threshold", xtc.threshold, 0, 0.5, 0.1);
  return probability === 0 ? undefined : [probability, threshold];
}

function resolvePenalties(penalties: Penalties | undefined) {
  if (penalties === undefined) return undefined;
  checkKeys("penalties", penalties, ["repetition", "frequency", "presence", "window"]);
  const repetition = range("penalties.repetition", penalties.repetition, leastFloat, 1e9, 1);
  const frequency = range("penalties.frequency", penalties.frequency, -1e9, 1e9, 0);
  const presence = range("penalties.presence", penalties.presence, -1e9, 1e9, 0);
  const window = integerOption("penalties.window", penalties.window, 1, windowMost, 64);
  if (repetition !== 1 || frequency !== 0 || presence !== 0) {
    return { numbers: [repetition, frequency, presence] as const, window };
  }
  if (penalties.window !== undefined) {
    refuseOption("penalties", "a repetition, frequency or presence for the window", "the window alone");
  }
  return undefined;
}

function resolveDry(dry: Dry | undefined, textBreakers?: (text: string) => Iterable<number>) {
  if (dry === undefined) return undefined;
  checkKeys("dry", dry, ["multiplier", "base", "allowedLength", "window", "breakers"]);
  const { breakers: given = [] } = dry;
  if (!Array.isArray(given)) refuseOption("dry.breakers", "an array of tokens or strings", given);
  const breakers = new Set<number>();
  for (const [index, breaker] of given.entries()) {
    const where = `dry.breakers[${index}]`;
    if (typeof breaker === "string" && breaker !== "" && textBreakers !== undefined) {
      for (const token of textBreakers(breaker)) breakers.add(token);
    } else if (Number.isInteger(breaker) && breaker >= 0) breakers.add(breaker);
    else {refuseOption(
        where,
        textBreakers ? "a token id or a string" : "a token id, for no vocabulary is known",
        breaker,
      );}
  }
  const resolved = {
    multiplier: range("dry.multiplier", dry.multiplier, 0, 1e9),
    base: range("dry.base", dry.base, 1, 1e9, 1.75),
    allowedLength: integerOption("dry.allowedLength", dry.allowedLength, 1, integerMost, 2),
    window: integerOption("dry.window", dry.window, 1, windowMost, windowMost),
    breakers,
  };
  return resolved.multiplier === 0 ? undefined : resolved;
}

/** A number within a range, as f32; one above 0 stays above 0. Without `otherwise` it must be given. */
function range(name: string, value: number | undefined, least: number, most: number, otherwise?: number): number {
  const number = value ?? otherwise;
  if (typeof number !== "number" || !(number >= least && number <= most) || value === null) {
    refuseOption(
      name,
      least === leastFloat ? `a number above 0, at most ${most}` : `a number from ${least} to ${most}`,
      value,
    );
  }
  return number > 0 ? Math.max(Math.fround(number), leastFloat) : Math.fround(number);
}

/** A probability above 0. */
function share(name: string, value: number | undefined, otherwise: number): number {
  const number = value === undefined ? otherwise : value;
  if (typeof number !== "number" || !(number > 0 && number <= 1)) {
    refuseOption(name, "a number above 0 and at most 1 (all tokens)", value);
  }
  return Math.max(Math.fround(number), leastFloat);
}

function tokenSet<T extends readonly number[] | TokenMask>(name: string, set: T | undefined): T | undefined {
  if (set === undefined || set instanceof TokenMask) return set;
  if (!Array.isArray(set)) refuseOption(name, "an array of token ids or a TokenMask", set);
  if (set.length === 0 && name === "allowed") refuseOption(name, "at least one token", "none");
  for (const [index, id] of set.entries()) checkId(`${name}[${index}]`, id);
  return [...set] as unknown as T;
}

function resolveBias(bias: SamplingOptions["bias"], banned: Sampling["banned"]): Uint32Array {
  if (bias === undefined) return new Uint32Array(0);
  if (bias === null || typeof bias !== "object" || Array.isArray(bias)) {
    refuseOption("bias", "a Map or an object from token ids to numbers", bias);
  }
  const entries = bias instanceof Map
    ? [...bias]
    : Object.entries(bias).map(([id, amount]) => [/^\d+$/.test(id) ? Number(id) : id, amount]);
  const words = new Uint32Array(2 * entries.length);
  const floats = new Float32Array(words.buffer);
  for (const [index, [id, amount]] of entries.entries()) {
    checkId("bias", id);
    const where = `bias of token ${id}`;
    if (typeof amount !== "number" || !(Math.fround(amount) < Infinity)) {
      refuseOption(where, "a finite number, or -Infinity", amount);
    }
    const isBanned = banned instanceof TokenMask
      ? (id as number) < banned.vocabularySize && banned.has(id as number)
      : banned?.includes(id as number);
    if (isBanned) refuseOption(where, "none, for the token is banned", amount);
    words[2 * index] = id as number;
    floats[2 * index + 1] = amount;
  }
  return words;
}

/** Throws unless `id` may be the id of a token. */
export function checkId(name: string, id: unknown): void {
  if (Number.isInteger(id) && (id as number) >= 0 && (id as number) < SAMPLER.vocabularyMost) return;
  refuseOption(name, "a token id", id);
}

function resolveSeed(seed: number | bigint | undefined): bigint {
  if (seed === undefined) return crypto.getRandomValues(new BigUint64Array(1))[0] as bigint;
  const valid = typeof seed === "bigint" ? seed >= 0n && seed < 1n << 64n : Number.isSafeInteger(seed) && seed >= 0;
  if (!valid) refuseOption("seed", "an integer from 0 to 2^53 - 1, or a bigint from 0 to 2^64 - 1", seed);
  return BigInt(seed);
}
