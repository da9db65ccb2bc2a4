/**
 * The memory of a sampler as plain data, which can be stored or sent to another machine, and its check.
 *
 * @module
 */
import { refuseOption } from "../options/checks.ts";
import { type FieldsOf, integer, number, other, readOptions } from "../options/schema.ts";
import { tokenIds } from "../options/token_ids.ts";

/**
 * What a sampler keeps of its text, as plain data.
 *
 * @example
 * ```ts
 * import { Sampler, type SamplerMemory } from "@lightgpt/lightgpt";
 *
 * const settings = { temperature: 0.9, seed: 1 };
 * const sampler = new Sampler(settings);
 * sampler.sample(Float32Array.of(1, 2, 3));
 * const memory: SamplerMemory = JSON.parse(JSON.stringify(sampler.memory())); // sent to another machine, say
 * console.log(new Sampler(settings).recall(memory).sample(Float32Array.of(1, 2, 3)));
 * ```
 */
export interface SamplerMemory {
  /** How many tokens it has chosen. */
  readonly choices: number;
  /** Mirostat's threshold; 0 without mirostat. */
  readonly mu: number;
  /** How many tokens the text has. */
  readonly length: number;
  /** The last of them, as many as penalties and DRY look at. */
  readonly tokens: readonly number[];
}

/** The schema of {@link SamplerMemory}. */
const memoryFields = {
  choices: integer({ about: "How many tokens were chosen.", least: 0, most: 0xffff_ffff, required: true }),
  mu: number({ about: "Mirostat's threshold.", least: -Number.MAX_VALUE, most: Number.MAX_VALUE, required: true }),
  length: integer({ about: "How many tokens the text has.", least: 0, most: 0xffff_ffff, required: true }),
  tokens: other<readonly number[]>()(
    { about: "The last tokens.", expected: "an array of token ids", required: true },
    (value, name) => [...tokenIds(name, value)],
  ),
} as const satisfies FieldsOf<SamplerMemory>;

/** A memory that was given from outside, checked. */
export function readMemory(memory: unknown): SamplerMemory {
  const read = readOptions(memoryFields, memory, "memory");
  if (read.tokens.length > read.length) {
    refuseOption("memory.tokens", `at most ${read.length} tokens, as the text has`, `${read.tokens.length}`);
  }
  return read;
}
