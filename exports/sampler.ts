/**
 * Choosing tokens alone: a sampler for logits from anywhere.
 *
 * @example
 * ```ts
 * import { Sampler } from "@lightgpt/lightgpt/sampler";
 *
 * const sampler = new Sampler({ temperature: 0.8, minP: 0.05, seed: 42 });
 * const token = sampler.sample(Float32Array.of(0.1, 3, 2.9, -1));
 * console.log(token);
 * ```
 *
 * @module
 */
export { SAMPLING_METHODS } from "../ffi/wire.ts";
export { type Candidate, Sampler } from "../src/sampling/sampler.ts";
export { type Diversity, diversity } from "../src/sampling/diversity.ts";
export { Grammar } from "../src/grammar/grammar.ts";
export type { Constraint, TokenGuess } from "../src/sampling/constraint.ts";
export type { Matcher } from "../src/grammar/matcher.ts";
export type { SchemaOptions } from "../src/grammar/schema_options.ts";
export type { ConstraintOptions } from "../src/grammar/options.ts";
export { ObjectError } from "../src/grammar/standard/error.ts";
export { jsonSchema } from "../src/grammar/standard/read.ts";
export type {
  DeepPartial,
  InferInput,
  InferOutput,
  SchemaIssue,
  StandardResult,
  StandardSchema,
} from "../src/grammar/standard/types.ts";
export { TokenMask } from "../src/sampling/mask.ts";
export type { Dry, Penalties, SamplerOptions, SamplingMethod, SamplingOptions } from "../src/sampling/options.ts";
export type { MethodReport } from "../src/sampling/report.ts";
export type { SamplerMemory } from "../src/sampling/memory.ts";
export type { Choice, TokenLogprob } from "../src/sampling/state.ts";
