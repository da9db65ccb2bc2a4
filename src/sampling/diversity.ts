/**
 * How varied a text is, in figures that don't depend on a model. They compare settings of a sampler.
 *
 * @module
 */
import { LIMITS } from "../../ffi/wire.ts";
import { tokenIds } from "../options/token_ids.ts";

/**
 * Measures of the variety of a list of tokens; all but the entropy are shares from 0 to 1.
 *
 * @example
 * ```ts
 * import { type Diversity, diversity } from "@lightgpt/lightgpt";
 *
 * const { distinct1, repetition }: Diversity = diversity([1, 2, 3, 1, 2, 3, 1, 2, 3]);
 * console.log(distinct1, repetition); // 0.33, 0.5
 * ```
 */
export interface Diversity {
  /** Different tokens over all tokens (Li et al., "A diversity-promoting objective function", 2016). */
  readonly distinct1: number;
  /** Different pairs of neighbours over all such pairs. */
  readonly distinct2: number;
  /** Different triples over all triples. */
  readonly distinct3: number;
  /** Entropy of the tokens' frequencies, in bits. */
  readonly entropy: number;
  /** Runs of four tokens that occurred before, over all such runs (Welleck et al., "Neural text generation with unlikelihood training", 2019: seq-rep-4). */
  readonly repetition: number;
}

/**
 * Measures how varied tokens are. In a list that is too short for a share, the share is 1 and the repetition 0.
 *
 * @param tokens ids of tokens
 * @returns the measures
 * @throws {InvalidArgumentError} if `tokens` is no array of token ids
 * @example
 * ```ts
 * import { diversity, LightGPT } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * console.log(diversity((await lm.complete("Once upon a time")).tokens));
 * ```
 */
export function diversity(tokens: ArrayLike<number>): Diversity {
  const ids = tokenIds("tokens", tokens, LIMITS.vocabularyMax);
  // The number of an n-gram is found by that of the n-gram without its last token, and by this token.
  let numbers = new Float64Array(ids.length);
  const shares: number[] = [];
  let entropy = 0;
  for (let n = 1; n <= 4; n++) {
    const known = new Map<number, number>();
    const counts: number[] = [];
    const total = Math.max(0, ids.length - n + 1);
    const next = new Float64Array(total);
    for (let at = 0; at < total; at++) {
      const token = ids[at + n - 1] as number;
      const key = (numbers[at] as number) * LIMITS.vocabularyMax + token;
      let number = known.get(key);
      if (number === undefined) {
        number = counts.push(0) - 1;
        known.set(key, number);
      }
      counts[number] += 1;
      next[at] = number;
    }
    numbers = next;
    shares.push(total === 0 ? 1 : known.size / total);
    if (n === 1) { for (const count of counts) entropy -= (count / total) * Math.log2(count / total); }
  }
  const [distinct1, distinct2, distinct3, distinct4] = shares as [number, number, number, number];
  return { distinct1, distinct2, distinct3, entropy: entropy + 0, repetition: 1 - distinct4 };
}
