/**
 * The options of a request to all ways of generating: how tokens are chosen, where answers stop, what they must be. The
 * names are OpenAI's where it has one; our own come with and without underscores. What is OpenAI's and cannot be done is
 * refused by name where it would change the answer.
 *
 * @module
 */
import { generateFields } from "../batching/request_options.ts";
import { refuseOption } from "../options/checks.ts";
import {
  type AnyOption,
  boolean,
  choice,
  type Fields,
  group,
  integer,
  type Option,
  other,
  readOptions,
  type Resolved,
  text,
} from "../options/schema.ts";
import type { SamplingOptions } from "../sampling/options.ts";
import { samplingFields } from "../sampling/schema.ts";
import { refuse } from "./failure.ts";

/** `topP` as JSON interfaces write it. */
export function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

const { bias: _, ...named } = samplingFields;
const penalties = samplingFields.penalties.fields as Fields;

/** Our samplers by our names; where one has several words, also with underscores. */
const ours: Fields = Object.fromEntries(
  Object.entries(named as Fields).flatMap(([name, field]) => [[name, field], [snake(name), field]]),
);

/** How tokens are chosen. */
export const samplingNames: Fields = {
  ...ours,
  logit_bias: samplingFields.bias,
  frequency_penalty: penalties.frequency,
  presence_penalty: penalties.presence,
  repetition_penalty: penalties.repetition,
};

/** Where answers end, and what they must be. */
export const answerNames = {
  n: integer({ about: "How many answers there are.", least: 1, most: 1 << 10, default: 1 }),
  stop: generateFields.stop,
  constraint: generateFields.constraint,
  stream: boolean({ about: "Whether the answer is sent as it comes.", default: false }),
} as const satisfies Fields;

/** What clients of OpenAI send that cannot change an answer, or must be as it is without them. */
export const harmlessNames: Fields = {
  user: text({ about: "Names the user for abuse reports; nothing is done with it." }),
  safety_identifier: text({ about: "As user." }),
  prompt_cache_key: text({ about: "Nothing: prefixes are found without it." }),
  prompt_cache_retention: text({ about: "Nothing: prefixes are kept while there is room." }),
  prompt_cache_options: anything("Nothing: prefixes are found without it."),
  metadata: anything("Nothing: no answer is stored."),
  service_tier: choice(["auto", "default"], { about: "There is one tier." }),
  store: only("false: no answer is stored", (value) => value === false),
};

/** A value of which nothing is read. */
export function anything(about: string): AnyOption {
  return other<unknown>()({ about, expected: "anything" }, (value) => value);
}

/** A field that may only say what holds without it. */
export function only<T>(expected: string, test: (value: unknown) => boolean): Option<T, T | undefined> {
  return other<T>()(
    { about: `Only ${expected}.`, expected },
    (value, name) => test(value) ? value as T : refuseOption(name, expected, value),
  );
}

/** What a stream tells beside the answer. */
export const streamNames = group<{ readonly include_usage?: boolean; readonly include_obfuscation?: boolean }>()({
  include_usage: boolean({ about: "Whether a last event has the counts of tokens.", default: false }),
  include_obfuscation: only<boolean>("false: events are not padded", (value) => value === false),
}, { about: "What a stream tells." });

/** A count of tokens. */
export const tokensMost = integer({
  about: "The most tokens to generate.",
  least: 0,
  most: Number.MAX_SAFE_INTEGER,
  otherwise: "until the text ends or the context is full",
});

/** How many of the likeliest tokens are told. */
export const topLogprobs = integer({
  about: "How many of the likeliest tokens are told in each place.",
  least: 0,
  most: generateFields.logprobs.range?.most ?? 0,
});

/** An object without the names whose value is null: OpenAI's way of saying nothing. */
export function withoutNulls(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null));
}

/** What a body says: as it was given, without nulls, and read. */
export function readBody<F extends Fields>(
  fields: F,
  body: Readonly<Record<string, unknown>>,
): { readonly given: Record<string, unknown>; readonly body: Resolved<F> } {
  const given = withoutNulls(body);
  return { given, body: readOptions(fields, given, "body", "") };
}

/** Refuses what a stream should tell where there is none. */
export function checkStreamOptions({ stream, stream_options }: { stream: boolean; stream_options: unknown }): void {
  if (stream_options !== undefined && !stream) refuse("stream_options", "stream_options: stream must be true.");
}

/** A 53-bit seed, which every client can read as a number. */
export function drawSeed(): number {
  return Number(BigInt.asUintN(53, crypto.getRandomValues(new BigUint64Array(1))[0] as bigint));
}

/** How tokens are chosen, of a body whose fields have been checked. */
export function samplingOf(body: Readonly<Record<string, unknown>>): SamplingOptions & { readonly seed: number } {
  const found: Record<string, unknown> = {};
  for (const name of Object.keys(named)) {
    const other = snake(name);
    if (other !== name && body[name] !== undefined && body[other] !== undefined) {
      refuse(other, `${other}: it is the same as ${name}, and both are given.`);
    }
    const value = body[name] ?? body[other];
    if (value !== undefined) found[name] = value;
  }
  if (body.logit_bias !== undefined) found.bias = body.logit_bias;
  const single = { frequency: "frequency_penalty", presence: "presence_penalty", repetition: "repetition_penalty" };
  const given = Object.entries(single).filter(([, name]) => body[name] !== undefined);
  if (given.length > 0) {
    const [[, first]] = given;
    if (found.penalties !== undefined) refuse(first, `${first}: penalties has it too; give one of them.`);
    found.penalties = Object.fromEntries(given.map(([name, field]) => [name, body[field]]));
  }
  return { seed: drawSeed(), ...found } as SamplingOptions & { readonly seed: number };
}
