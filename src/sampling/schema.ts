/**
 * The schema of the options for choosing tokens: what each may be, what holds without it, and its flag of the command, by
 * the name that users of llama.cpp know.
 *
 * @module
 */
import { LIMITS, SAMPLING_METHODS } from "../../ffi/wire.ts";
import { refuseOption } from "../options/checks.ts";
import { type FieldsOf, group, integer, number, other } from "../options/schema.ts";
import { TokenMask } from "./mask.ts";
import { type Constraint, isConstraint } from "./constraint.ts";
import type { Dry, Penalties, SamplerOptions, SamplingMethod, SamplingOptions } from "./options.ts";

const integerMost = 0xffff_ffff;
const windowMost = 2 ** 30;
/** The most that a number may be that native code takes as an f32. */
const numberMost = 1e9;

const share = { above: 0, most: 1 } as const;

/** The schema of {@link SamplingOptions.dynamicTemperature}. */
const dynamicTemperatureFields = {
  range: number({
    about: "How far the temperature may move.",
    least: 0,
    most: numberMost,
    required: true,
    flag: {
      name: "dynatemp-range",
      value: "R",
      about: "move the temperature up to R up or down, by the entropy of the logits (default: 0, which is off)",
    },
  }),
  exponent: number({
    about: "Above 1 the temperature rises late with the entropy, below 1 early.",
    least: 0,
    most: 100,
    default: 1,
    flag: { name: "dynatemp-exp", value: "E", about: "raise the entropy to the power E for --dynatemp-range" },
  }),
} as const satisfies FieldsOf<NonNullable<SamplingOptions["dynamicTemperature"]>>;

/** The schema of {@link SamplingOptions.xtc}. */
const xtcFields = {
  probability: number({
    about: "How often the likeliest tokens are taken out.",
    least: 0,
    most: 1,
    required: true,
    flag: {
      name: "xtc-probability",
      value: "P",
      about: "XTC: with probability P, take out the likeliest tokens but the last of them (default: 0, which is off)",
    },
  }),
  threshold: number({
    about: "How likely a token must be to be taken out.",
    least: 0,
    most: 0.5,
    default: 0.1,
    flag: { name: "xtc-threshold", value: "P", about: "XTC takes out tokens of at least probability P" },
  }),
} as const satisfies FieldsOf<NonNullable<SamplingOptions["xtc"]>>;

/** The schema of {@link SamplingOptions.mirostat}. */
const mirostatFields = {
  tau: number({
    about: "The surprise to keep, in bits.",
    least: 0,
    most: 1000,
    default: 5,
    flag: { name: "mirostat-ent", value: "TAU", about: "the surprise that mirostat keeps, in bits" },
  }),
  eta: number({
    about: "How fast mirostat learns.",
    least: 0,
    most: 10,
    default: 0.1,
    flag: { name: "mirostat-lr", value: "ETA", about: "how fast mirostat learns" },
  }),
} as const satisfies FieldsOf<NonNullable<SamplingOptions["mirostat"]>>;

/** The schema of {@link Penalties}. */
const penaltyFields = {
  repetition: number({
    about: "Divides a logit above 0 and multiplies others.",
    above: 0,
    most: numberMost,
    default: 1,
    flag: { name: "repeat-penalty", value: "R", about: "divide the logits of tokens that occurred by R" },
  }),
  frequency: number({
    about: "Subtracted for each time that the token occurred.",
    least: -numberMost,
    most: numberMost,
    default: 0,
    flag: { name: "frequency-penalty", value: "R", about: "subtract R for each time that a token occurred" },
  }),
  presence: number({
    about: "Subtracted once from the logit of a token that occurred.",
    least: -numberMost,
    most: numberMost,
    default: 0,
    flag: { name: "presence-penalty", value: "R", about: "subtract R once from the logits of tokens that occurred" },
  }),
  window: integer({
    about: "How many of the last tokens count.",
    least: 1,
    most: windowMost,
    default: 64,
    flag: { name: "repeat-last-n", value: "N", about: "these penalties look at the last N tokens" },
  }),
} as const satisfies FieldsOf<Penalties>;

/** The schema of {@link Dry}; breakers that are texts need a vocabulary, which `resolveDry` has. */
const dryFields = {
  multiplier: number({
    about: "How strong it is; 0 is off.",
    least: 0,
    most: numberMost,
    required: true,
    flag: {
      name: "dry-multiplier",
      value: "M",
      about: "how strongly DRY punishes tokens that continue a repetition (default: 0, which is off)",
    },
  }),
  base: number({
    about: "Grows the penalty with the length of the repetition.",
    least: 1,
    most: numberMost,
    default: 1.75,
    flag: { name: "dry-base", value: "B", about: "each further token of a repetition multiplies DRY's penalty by B" },
  }),
  allowedLength: integer({
    about: "Repetitions of fewer tokens cost nothing.",
    least: 1,
    most: integerMost,
    default: 2,
    flag: { name: "dry-allowed-length", value: "N", about: "repetitions of fewer than N tokens cost nothing" },
  }),
  window: integer({
    about: "How many of the last tokens are looked at.",
    least: 1,
    most: windowMost,
    default: windowMost,
    otherwise: "all",
    flag: { name: "dry-penalty-last-n", value: "N", about: "DRY looks at the last N tokens" },
  }),
  breakers: other<readonly (number | string)[]>()(
    {
      about: "Tokens that end a repetition.",
      expected: "an array of tokens or strings",
      default: [],
      otherwise: "none",
      flag: { name: "dry-sequence-breaker", value: "TEXT", about: "tokens that contain TEXT end a repetition" },
    },
    (value, name) => Array.isArray(value) ? [...value] : refuseOption(name, "an array of tokens or strings", value),
  ),
} as const satisfies FieldsOf<Dry>;

/** The schema of {@link SamplingOptions}. */
export const samplingFields = {
  temperature: number({
    about: "0 always takes the likeliest token; higher values give more surprising ones.",
    least: 0,
    most: Infinity,
    otherwise: "0.8",
    flag: { value: "T", about: "0 always takes the likeliest token; higher is more surprising" },
  }),
  dynamicTemperature: group<NonNullable<SamplingOptions["dynamicTemperature"]>>()(dynamicTemperatureFields, {
    about: "A temperature that follows the entropy of the logits.",
  }),
  topK: integer({
    about: "Choose among this many likeliest tokens; 0 is all.",
    least: 0,
    most: integerMost,
    otherwise: "40; with mirostat 0",
    flag: { value: "K", about: "choose among the K likeliest tokens; 0 is all" },
  }),
  topP: number({
    ...share,
    about: "Choose among the likeliest tokens that together have this probability; 1 is all.",
    otherwise: "0.95; with mirostat 1",
    flag: { value: "P", about: "choose among the likeliest tokens whose probabilities add up to P; 1 is all" },
  }),
  minP: number({
    about: "Choose among the tokens that are at least this share as likely as the likeliest; 0 is all.",
    least: 0,
    most: 1,
    default: 0,
    flag: { value: "P", about: "choose among tokens that are at least P times as likely as the likeliest; 0 is all" },
  }),
  typicalP: number({
    ...share,
    about: "Choose among the tokens whose surprise is nearest to the expected one; 1 is all.",
    default: 1,
    flag: {
      name: "typical",
      value: "P",
      about: "choose among the tokens of typical surprise whose probabilities add up to P; 1 is all",
    },
  }),
  topNSigma: number({
    about: "Choose among the tokens whose logit is within this many standard deviations of the greatest; 0 is all.",
    least: 0,
    most: numberMost,
    default: 0,
    flag: {
      name: "top-nsigma",
      value: "N",
      about: "choose among logits within N standard deviations of the greatest; 0 is all",
    },
  }),
  xtc: group<NonNullable<SamplingOptions["xtc"]>>()(xtcFields, {
    about: "Now and then takes out the likeliest tokens.",
  }),
  penalties: group<Penalties>()(penaltyFields, { about: "Makes tokens less likely that are among the last ones." }),
  dry: group<Dry>()(dryFields, { about: "Makes tokens less likely that would continue a repetition." }),
  mirostat: group<NonNullable<SamplingOptions["mirostat"]>>()(mirostatFields, {
    about: "Keeps the surprise at a number of bits.",
  }),
  bias: other<NonNullable<SamplingOptions["bias"]>, readonly (readonly [number, number])[]>()(
    {
      about: "Added to the logits of tokens; -Infinity bans one.",
      expected: "a Map or an object from token ids to numbers",
      default: {},
      otherwise: "none",
      flag: { name: "logit-bias", value: "ID+BIAS,...", about: "add to the logits of tokens: 15043+1,29871-0.5" },
    },
    readBias,
  ),
  allowed: other<NonNullable<SamplingOptions["allowed"]>>()(
    { about: "Only these tokens may be chosen.", expected: "an array of token ids or a TokenMask", otherwise: "all" },
    (value, name) => {
      const set = tokenSet(value, name);
      if (!(set instanceof TokenMask) && set.length === 0) refuseOption(name, "at least one token", "none");
      return set;
    },
  ),
  banned: other<NonNullable<SamplingOptions["banned"]>>()(
    { about: "These tokens may not be chosen.", expected: "an array of token ids or a TokenMask", otherwise: "none" },
    tokenSet,
  ),
  minKeep: integer({ about: "No method leaves fewer tokens.", least: 1, most: integerMost, default: 1 }),
  order: other<readonly SamplingMethod[]>()(
    {
      about: "The methods in the order in which they run.",
      expected: "an array of methods",
      otherwise: SAMPLING_METHODS.join(", "),
      flag: {
        name: "samplers",
        value: "NAME;...",
        about: "the methods in the order in which they run (default: llama.cpp's order)",
      },
    },
    readOrder,
  ),
  seed: other<number | bigint, bigint>()(
    {
      kind: "seed",
      about: "Fixes the choices.",
      expected: "an integer from 0 to 2^53 - 1, or a bigint from 0 to 2^64 - 1",
      otherwise: "a random one, which is reported",
      flag: { value: "S", about: "an integer from 0 to 2^64 - 1 that fixes the choices" },
    },
    readSeed,
  ),
} as const satisfies FieldsOf<SamplingOptions>;

/** The schema of {@link SamplerOptions}. */
export const samplerFields = {
  ...samplingFields,
  grammar: other<Constraint>()(
    { about: "Says which tokens may come next.", expected: "a Matcher or another Constraint", otherwise: "any token" },
    (value, name) => isConstraint(value) ? value.clone() : refuseOption(name, "a Matcher or another Constraint", value),
  ),
} as const satisfies FieldsOf<SamplerOptions>;

function readOrder(order: unknown, name: string): readonly SamplingMethod[] {
  if (!Array.isArray(order)) refuseOption(name, "an array of methods", order);
  const methods: SamplingMethod[] = [];
  for (const [index, asked] of order.entries()) {
    const method = SAMPLING_METHODS.find((known) => known === asked);
    if (method === undefined) refuseOption(`${name}[${index}]`, SAMPLING_METHODS.join(", "), asked);
    if (methods.includes(method)) refuseOption(name, "each method once", `${method} twice`);
    methods.push(method);
  }
  return methods;
}

function tokenSet(set: unknown, name: string): readonly number[] | TokenMask {
  if (set instanceof TokenMask) return set;
  if (!Array.isArray(set)) refuseOption(name, "an array of token ids or a TokenMask", set);
  return Array.from(set, (id, index) => {
    checkId(`${name}[${index}]`, id);
    return id;
  });
}

function readBias(bias: unknown, name: string): readonly (readonly [number, number])[] {
  if (bias === null || typeof bias !== "object" || Array.isArray(bias)) {
    refuseOption(name, "a Map or an object from token ids to numbers", bias);
  }
  const entries: readonly (readonly unknown[])[] = bias instanceof Map
    ? [...bias]
    : Object.entries(bias).map(([id, amount]) => [/^\d+$/.test(id) ? Number(id) : id, amount]);
  return entries.map(([id, amount]) => {
    checkId(name, id);
    if (typeof amount === "number" && Math.fround(amount) < Infinity) return [id, amount];
    return refuseOption(`${name} of token ${id}`, "a finite number, or -Infinity", amount);
  });
}

/** Throws unless `id` may be the id of a token. */
export function checkId(name: string, id: unknown): asserts id is number {
  if (Number.isInteger(id) && (id as number) >= 0 && (id as number) < LIMITS.vocabularyMax) return;
  refuseOption(name, "a token id", id);
}

function readSeed(seed: unknown, name: string): bigint {
  if (typeof seed === "bigint" && seed >= 0n && seed < 1n << 64n) return seed;
  if (typeof seed === "number" && Number.isSafeInteger(seed) && seed >= 0) return BigInt(seed);
  return refuseOption(name, "an integer from 0 to 2^53 - 1, or a bigint from 0 to 2^64 - 1", seed);
}
