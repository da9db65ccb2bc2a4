/**
 * Turns options for choosing tokens into exact settings: which methods run, in which order, with numbers that native code
 * takes as they are. Options that contradict each other are refused; none is ignored.
 *
 * @module
 */
import { SAMPLING_METHODS } from "../../ffi/wire.ts";
import { refuseOption } from "../options/checks.ts";
import { readOptions, type Resolved } from "../options/schema.ts";
import { TokenMask } from "./mask.ts";
import type { SamplingMethod, SamplingOptions } from "./options.ts";
import { samplingFields } from "./schema.ts";

/** One method and its settings, as `SamplerStep` of `ffi/wire_calls.ts`. */
export interface Step {
  /** The method. */
  readonly method: SamplingMethod;
  /** Its whole number: of top-k, how many tokens; of DRY, the allowed length. */
  readonly count: number;
  /** Its other numbers, as f32. */
  readonly numbers: readonly [number, number, number];
}

/** Checked sampling settings. */
export interface Sampling {
  /** The methods that do something, in order. */
  readonly steps: readonly Step[];
  /** The least tokens that a method leaves; at least 1. */
  readonly minKeep: number;
  /** Pairs of an id and the bits of the f32 that is added to its logit. */
  readonly bias: Uint32Array;
  /** The only tokens that may be chosen. */
  readonly allowed: readonly number[] | TokenMask | undefined;
  /** Tokens that may not be chosen. */
  readonly banned: readonly number[] | TokenMask | undefined;
  /** How many of the last tokens penalties count; 0: none. */
  readonly penaltyWindow: number;
  /** What DRY takes for a repetition. */
  readonly dry:
    | { readonly window: number; readonly allowedLength: number; readonly breakers: ReadonlySet<number> }
    | undefined;
  /** Mirostat's first threshold, in bits. */
  readonly mu: number;
  /** The seed, of 64 bits. */
  readonly seed: bigint;
}

/** The smallest f32 above 0. A smaller number would round to 0, which means something else. */
const leastFloat = 2 ** -149;

type Read = Resolved<typeof samplingFields>;

/** Defaults of the methods that run; one that `order` leaves out has none. */
const methodDefaults = { temperature: 0.8, topK: 40, topP: 0.95 } as const;

/**
 * Checks sampling options and turns them into settings. Without a seed, one is drawn.
 *
 * @param textBreakers turns a breaker of DRY that is a text into tokens; without it, breakers are token ids
 * @returns the settings
 * @throws {InvalidArgumentError} if an option has a wrong value or contradicts another
 */
export function resolveSampling(
  options: SamplingOptions = {},
  textBreakers?: (text: string) => Iterable<number>,
): Sampling {
  const read = readOptions(samplingFields, options, "sampling", "");
  const { order = SAMPLING_METHODS, allowed, banned, minKeep } = read;
  const found = new Map<SamplingMethod, Step>();
  const add = (method: SamplingMethod, count: number, ...numbers: readonly number[]) => {
    const [a = 0, b = 0, c = 0] = numbers.map(single);
    found.set(method, { method, count, numbers: [a, b, c] });
  };
  const mirostat = read.mirostat && [read.mirostat.tau, read.mirostat.eta] as const;
  if (mirostat && order.at(-1) !== "mirostat" && read.order) {
    refuseOption("order", "mirostat at the end: it chooses the token", order.join(", "));
  }
  const named = (method: SamplingMethod) => order.includes(method);
  /** The default of a method that cuts, which mirostat excludes. */
  const cut = (method: "topK" | "topP", all: number) => mirostat || !named(method) ? all : methodDefaults[method];

  const { temperature: asked = named("temperature") ? methodDefaults.temperature : 1 } = read;
  const temperature = resolveTemperature(asked, read.dynamicTemperature);
  if (temperature[0] !== 1 || temperature[1] !== 0) add("temperature", 0, ...temperature);
  const { topK = cut("topK", 0), typicalP, minP, topNSigma } = read;
  const topP = single(read.topP ?? cut("topP", 1));
  if (topK > 0) add("topK", topK);
  if (topP < 1) add("topP", 0, topP);
  if (single(typicalP) < 1) add("typicalP", 0, typicalP);
  if (minP > 0) add("minP", 0, minP);
  if (topNSigma > 0) add("topNSigma", 0, topNSigma);
  if (read.xtc && read.xtc.probability > 0) add("xtc", 0, read.xtc.probability, read.xtc.threshold);
  const penalties = resolvePenalties(read.penalties, options.penalties?.window !== undefined);
  if (penalties) add("penalties", 0, ...penalties.numbers);
  const dry = resolveDry(read.dry, textBreakers);
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
  return {
    steps: order.flatMap((method) => found.get(method) ?? []),
    minKeep,
    bias: resolveBias(read.bias, banned),
    allowed,
    banned,
    penaltyWindow: penalties?.window ?? 0,
    dry,
    mu: mirostat ? 2 * single(mirostat[0]) : 0,
    seed: read.seed ?? drawnSeed(),
  };
}

/** A random seed of 53 bits, which a number holds exactly. */
function drawnSeed(): bigint {
  return BigInt.asUintN(53, crypto.getRandomValues(new BigUint64Array(1))[0] as bigint);
}

/** A number as an f32; one above 0 stays above 0. */
function single(value: number): number {
  return value > 0 ? Math.max(Math.fround(value), leastFloat) : Math.fround(value);
}

function resolveTemperature(
  temperature: number,
  dynamicTemperature: Read["dynamicTemperature"],
): [number, number, number] {
  const degree = single(temperature);
  if (!Number.isFinite(degree)) refuseOption("temperature", "a number from 0 up that fits a float", temperature);
  if (dynamicTemperature === undefined) return [degree, 0, 0];
  const { range, exponent } = dynamicTemperature;
  if (degree === 0 && range > 0) refuseOption("dynamicTemperature", "a temperature above 0", 0);
  return range === 0 ? [degree, 0, 0] : [degree, range, exponent];
}

function resolvePenalties(penalties: Read["penalties"], isWindowed: boolean) {
  if (penalties === undefined) return undefined;
  const { repetition, frequency, presence, window } = penalties;
  const numbers = [single(repetition), single(frequency), single(presence)] as const;
  if (numbers[0] !== 1 || numbers[1] !== 0 || numbers[2] !== 0) return { numbers, window };
  if (isWindowed) {
    refuseOption("penalties", "a repetition, frequency or presence for the window", "the window alone");
  }
  return undefined;
}

function resolveDry(dry: Read["dry"], textBreakers?: (text: string) => Iterable<number>) {
  if (dry === undefined) return undefined;
  const breakers = new Set<number>();
  for (const [index, breaker] of dry.breakers.entries()) {
    if (typeof breaker === "string" && breaker !== "" && textBreakers !== undefined) {
      for (const token of textBreakers(breaker)) breakers.add(token);
    } else if (typeof breaker === "number" && Number.isInteger(breaker) && breaker >= 0) {
      breakers.add(breaker);
    } else {
      const expected = textBreakers ? "a token id or a string" : "a token id, for no vocabulary is known";
      refuseOption(`dry.breakers[${index}]`, expected, breaker);
    }
  }
  return dry.multiplier === 0 ? undefined : { ...dry, breakers };
}

/** Pairs of an id and the bits of an f32, as native code takes them. */
function resolveBias(bias: Read["bias"], banned: Sampling["banned"]): Uint32Array {
  const words = new Uint32Array(2 * bias.length);
  const floats = new Float32Array(words.buffer);
  for (const [index, [id, amount]] of bias.entries()) {
    const isBanned = banned instanceof TokenMask ? id < banned.vocabularySize && banned.has(id) : banned?.includes(id);
    if (isBanned) refuseOption(`bias of token ${id}`, "none, for the token is banned", amount);
    words[2 * index] = id;
    floats[2 * index + 1] = amount;
  }
  return words;
}
