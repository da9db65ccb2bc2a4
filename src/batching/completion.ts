/**
 * What a request gives: pieces of text while it runs, and a completion at its end.
 *
 * @module
 */
import type { MethodReport } from "../sampling/report.ts";
import type { Choice, TokenLogprob } from "../sampling/state.ts";

/**
 * What one token adds to the text.
 *
 * @example
 * ```ts
 * import { LightGPT, type Piece } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const pieces: Piece[] = [];
 * for await (const piece of lm.generate("Once upon a time", { maxTokens: 9 })) pieces.push(piece);
 * console.log(pieces.join("")); // a piece as a string is its text
 * ```
 */
export class Piece {
  /** The text; empty while a character or a possible stop string is incomplete. The texts of all pieces are the whole. */
  readonly text: string;
  /** The id of the token. */
  readonly token: number;

  /** ln(probability) of the token in the model's own distribution, before any method; where `logprobs` asked for it. */
  readonly logprob: number | undefined;
  /** The likeliest tokens in its place, the likeliest first; where `logprobs` asked for them. */
  readonly top: readonly TokenLogprob[] | undefined;
  /** Mirostat's threshold after the token, for `resume`; only with mirostat. */
  readonly mu: number | undefined;

  /** A piece of text and its token. */
  constructor(text: string, { token, logprob, top, mu }: Choice) {
    this.text = text;
    this.token = token;
    this.logprob = logprob;
    this.top = top;
    this.mu = mu;
  }

  /** The text. */
  toString(): string {
    return this.text;
  }
}

/**
 * A choice whose log probabilities were asked for.
 *
 * @example
 * ```ts
 * import { LightGPT, type ToldChoice } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const { logprobs = [] } = await lm.complete("Once", { maxTokens: 3, logprobs: 2 });
 * for (const { token, logprob, top } of logprobs as ToldChoice[]) console.log(token, Math.exp(logprob), top.length);
 * ```
 */
export type ToldChoice = Choice & Required<Pick<Choice, "logprob" | "top">>;

/**
 * What a request came to.
 *
 * @example
 * ```ts
 * import { type Completion, LightGPT } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const { text, stopReason, generatedTokens, decodeMs }: Completion = await lm.complete("Once upon a time");
 * console.log(text, stopReason, (1000 * generatedTokens) / decodeMs, "tokens a second");
 * ```
 */
export interface Completion {
  /** The generated text, without the prompt. */
  readonly text: string;
  /** The generated tokens, without one that ended the text. */
  readonly tokens: number[];
  /** How many tokens the prompt has; 0 where the request was ended before a text had become tokens. */
  readonly promptTokens: number;
  /** How many of them were found in the prefix cache, and not read. */
  readonly cachedTokens: number;
  /** How many tokens were generated. */
  readonly generatedTokens: number;
  /** How long loading the model took. */
  readonly loadMs: number;
  /** From the request to its first token. */
  readonly prefillMs: number;
  /** From the first token to the last. */
  readonly decodeMs: number;
  /**
   * Why it ended: the model ended the text, or as asked for, or the context is full; with `onAbort: "return"`, also that the
   * signal or the deadline ended it.
   */
  readonly stopReason: "endOfText" | "maxTokens" | "stop" | "context" | "aborted" | "deadline";
  /** The stop string that ended it, where one did. */
  readonly stop?: string;
  /** The seed: with it, the same request gives the same tokens. A bigint only where it is above 2^53 - 1. */
  readonly seed: number | bigint;
  /** What each method of the sampler did. */
  readonly sampling: readonly MethodReport[];
  /**
   * Of each of `tokens` its log probability, and the likeliest in its place; where `logprobs` asked for them. Tokens that a
   * request went on from are left out.
   */
  readonly logprobs?: readonly ToldChoice[];
  /** Mirostat's threshold at the end, for `resume`; only with mirostat. */
  readonly mu?: number;
  /** The same for `JSON.stringify`, which knows no bigint: such a seed is a string there. */
  toJSON(): Omit<Completion, "seed" | "toJSON"> & { readonly seed: number | string };
}

/** A completion of its figures. What makes JSON of it is no figure, so nothing lists it. */
export function completionOf<Figures extends Omit<Completion, "toJSON">>(
  figures: Figures,
): Figures & { toJSON(): Omit<Figures, "seed" | "toJSON"> & { readonly seed: number | string } } {
  return Object.defineProperty(figures, "toJSON", {
    value: () => ({ ...figures, seed: typeof figures.seed === "bigint" ? `${figures.seed}` : figures.seed }),
  }) as ReturnType<typeof completionOf<Figures>>;
}
