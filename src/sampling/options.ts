/**
 * Options for choosing tokens, as users see them. `schema.ts` has the values that each may have, `resolve.ts` turns them into
 * exact settings.
 *
 * @module
 */
import type { SAMPLING_METHODS } from "../../ffi/wire.ts";
import type { Constraint } from "./constraint.ts";
import type { TokenMask } from "./mask.ts";

/**
 * A method of a sampler's chain, by name.
 *
 * @example
 * ```ts
 * import { Sampler, type SamplingMethod } from "@lightgpt/lightgpt";
 *
 * const order: SamplingMethod[] = ["topK", "temperature"];
 * console.log(new Sampler({ order, topK: 5, temperature: 0 }).sample(Float32Array.of(1, 3, 2))); // 1
 * ```
 */
export type SamplingMethod = (typeof SAMPLING_METHODS)[number];

/**
 * Options for choosing tokens. The methods run in the order of llama.cpp's chain, unless `order` says another: penalties,
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
  /**
   * 0 always takes the likeliest token; higher values give more surprising ones.
   * @default {0.8}
   */
  readonly temperature?: number;
  /**
   * A temperature that follows the entropy of the logits: from `temperature - range` to `temperature + range`, bent by
   * `exponent` (1).
   * @default {off}
   */
  readonly dynamicTemperature?: { readonly range: number; readonly exponent?: number };
  /**
   * Choose among this many likeliest tokens; 0 is all.
   * @default {40; with mirostat 0}
   */
  readonly topK?: number;
  /**
   * Choose among the likeliest tokens that together have this probability; 1 is all.
   * @default {0.95; with mirostat 1}
   */
  readonly topP?: number;
  /**
   * Choose among the tokens that are at least this share as likely as the likeliest; 0 is all.
   * @default {0}
   */
  readonly minP?: number;
  /**
   * Choose among the tokens whose surprise is nearest to the expected one and that together have this probability; 1 is all.
   * @default {1}
   */
  readonly typicalP?: number;
  /**
   * Choose among the tokens whose logit is within this many standard deviations of the greatest; 0 is all.
   * @default {0}
   */
  readonly topNSigma?: number;
  /**
   * With this probability, takes out the likeliest tokens of at least `threshold` (0.1, at most 0.5), all but the last of
   * them.
   * @default {off}
   */
  readonly xtc?: { readonly probability: number; readonly threshold?: number };
  /**
   * Makes tokens less likely that are among the last `window` (64) tokens: see {@link Penalties}.
   * @default {off}
   */
  readonly penalties?: Penalties;
  /**
   * Makes tokens less likely that would continue a repetition: see {@link Dry}.
   * @default {off}
   */
  readonly dry?: Dry;
  /**
   * Keeps the surprise at `tau` (5) bits, learning at the rate `eta` (0.1). Excludes the methods that cut.
   * @default {off}
   */
  readonly mirostat?: { readonly tau?: number; readonly eta?: number };
  /**
   * Added to the logits of tokens; -Infinity bans one.
   * @default {{}}
   */
  readonly bias?: ReadonlyMap<number, number> | Readonly<Record<number, number>>;
  /**
   * Only these tokens may be chosen.
   * @default {all}
   */
  readonly allowed?: readonly number[] | TokenMask;
  /**
   * These tokens may not be chosen.
   * @default {none}
   */
  readonly banned?: readonly number[] | TokenMask;
  /**
   * The fewest tokens that a method leaves, where there are as many.
   * @default {1}
   */
  readonly minKeep?: number;
  /**
   * The methods in the order in which they run; a method that is not named does not run, and its default does not apply.
   * @default {the order of `SAMPLING_METHODS`}
   */
  readonly order?: readonly SamplingMethod[];
  /**
   * A number from 0 to 2^64 - 1 that fixes the choices.
   * @default {a random one, which is reported}
   */
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
  /**
   * Divides a logit above 0 and multiplies others.
   * @default {1}
   */
  readonly repetition?: number;
  /**
   * Subtracted for each time that the token occurred.
   * @default {0}
   */
  readonly frequency?: number;
  /**
   * Subtracted once from the logit of a token that occurred.
   * @default {0}
   */
  readonly presence?: number;
  /**
   * How many of the last tokens count.
   * @default {64}
   */
  readonly window?: number;
}

/**
 * Options for a sampler of one's own.
 *
 * @example
 * ```ts
 * import { Grammar, LightGPT, Sampler, type SamplerOptions } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const grammar = await Grammar.choice(["happy", "sad"], lm.model.tokenizer);
 * const options: SamplerOptions = { temperature: 0.7, grammar: grammar.matcher() };
 * const sampler = new Sampler(options);
 * const tokens = [...lm.tokenize("The end of the story is ")];
 * while (!sampler.isDone) {
 *   const token = sampler.sample(await lm.logits(tokens));
 *   sampler.accept(token);
 *   tokens.push(token);
 * }
 * console.log(lm.detokenize(tokens));
 * ```
 */
export interface SamplerOptions extends SamplingOptions {
  /**
   * Says which tokens may come next: a `Matcher` of a `Grammar`, or a rule of one's own. It is copied as it is.
   * @default {any token}
   */
  readonly grammar?: Constraint;
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
  /**
   * Grows the penalty with the length of the repetition; at least 1.
   * @default {1.75}
   */
  readonly base?: number;
  /**
   * Repetitions of fewer tokens cost nothing.
   * @default {2}
   */
  readonly allowedLength?: number;
  /**
   * How many of the last tokens are looked at.
   * @default {all}
   */
  readonly window?: number;
  /**
   * Tokens that end a repetition; as strings, where a vocabulary is known: those that contain it.
   * @default {none}
   */
  readonly breakers?: readonly (number | string)[];
}
