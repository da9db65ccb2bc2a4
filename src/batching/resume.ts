/**
 * The option of a request that goes on where another one broke off: the tokens that were chosen so far, and what a sampler
 * keeps beside them. Prompt, tokens, seed and this give the rest of the answer, bit for bit, on any machine. How an answer
 * takes them over is in `answer.ts`.
 *
 * @module
 */
import { checkObject, refuseOption } from "../options/checks.ts";
import { type FieldsOf, number, other, readOptions, type Resolved } from "../options/schema.ts";
import { tokenIds } from "../options/token_ids.ts";
import type { Sampling } from "../sampling/resolve.ts";

/**
 * Options for going on with a request that broke off.
 *
 * @example
 * ```ts
 * import { LightGPT, type ResumeOptions } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const request = { sampling: { seed: 7, mirostat: {} }, maxTokens: 20 };
 * let resume: ResumeOptions = { tokens: [] };
 * for await (const { token, mu } of lm.generate("Once upon a time", request)) {
 *   resume = { tokens: [...Array.from(resume.tokens), token], mu };
 *   if (resume.tokens.length === 5) break; // the connection was lost, say
 * }
 * const { text } = await lm.complete("Once upon a time", { ...request, resume });
 * console.log(text === (await lm.complete("Once upon a time", request)).text); // true
 * ```
 */
export interface ResumeOptions {
  /** The tokens that the request has given so far, in order. */
  readonly tokens: ArrayLike<number>;
  /**
   * Mirostat's threshold after the last of them, which the {@link Piece} of that token tells; only with mirostat.
   * @default {none}
   */
  readonly mu?: number | undefined;
}

/** The schema of {@link ResumeOptions}. */
export const resumeFields = {
  tokens: other<ArrayLike<number>, Uint32Array>()(
    { about: "The tokens that were given so far.", expected: "an array of token ids", required: true },
    (value, name) => tokenIds(name, value),
  ),
  mu: number({ about: "Mirostat's threshold after the last token.", least: -Number.MAX_VALUE, most: Number.MAX_VALUE }),
} as const satisfies FieldsOf<ResumeOptions>;

/** What a request goes on from, checked. */
export type Resume = Resolved<typeof resumeFields>;

/** The schema of the option: tokens alone are the common case. */
export const resumeField = other<ArrayLike<number> | ResumeOptions, Resume>()(
  {
    about: "The tokens that this request gave before it broke off; it goes on after them.",
    expected: "an array of token ids, or an object with tokens",
    otherwise: "from the beginning",
    fields: resumeFields,
  },
  (value, name) => {
    if (Array.isArray(value) || ArrayBuffer.isView(value)) return { tokens: tokenIds(name, value), mu: undefined };
    checkObject(name, value);
    return readOptions(resumeFields, value, name);
  },
);

/** Throws where a request cannot go on exactly: without the seed, or without what its sampler remembers. */
export function checkResume({ tokens, mu }: Resume, { steps }: Sampling, hasSeed: boolean): void {
  if (tokens.length === 0) return;
  const has = (method: string) => steps.some((step) => step.method === method);
  const isGreedy = steps.some(({ method, numbers }) => method === "temperature" && numbers[0] === 0) && !has("xtc");
  if (!hasSeed && !isGreedy) refuseOption("sampling.seed", "the seed of the request that goes on", undefined);
  if (has("mirostat") !== (mu !== undefined)) {
    refuseOption("resume.mu", has("mirostat") ? "the mu of the last piece, for mirostat" : "none without mirostat", mu);
  }
}
