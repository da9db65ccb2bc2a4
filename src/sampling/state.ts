/**
 * A sampler at work on one sequence: its settings, its memory, and how both become the words that native code reads, in a
 * step or in a call of its own. The state lies beside the sequence, so it outlives the sequence's pages.
 *
 * @module
 */
import { putSamplerChoice, putSamplerSettings, putSamplerStep, type Sampled } from "../../ffi/wire_calls.ts";
import { Words } from "../../ffi/words.ts";
import { refuseOption } from "../options/checks.ts";
import { clearBit, setBit } from "./bits.ts";
import { History } from "./history.ts";
import type { SamplerMemory } from "./memory.ts";
import { Lookahead } from "./lookahead.ts";
import { TokenMask } from "./mask.ts";
import type { Constraint } from "./constraint.ts";
import type { Sampling } from "./resolve.ts";
import { type MethodReport, Report } from "./report.ts";

/**
 * A token and the natural logarithm of its probability in the model's own distribution, before any method.
 *
 * @example
 * ```ts
 * import { LightGPT, type TokenLogprob } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * for await (const { top } of lm.generate("Once upon a", { maxTokens: 1, logprobs: 3 })) {
 *   const likeliest: readonly TokenLogprob[] = top ?? [];
 *   console.log(likeliest.map(({ token, logprob }) => [lm.detokenize([token]), Math.exp(logprob)]));
 * }
 * ```
 */
export interface TokenLogprob {
  /** The id of the token. */
  readonly token: number;
  /** ln(probability), at most 0. */
  readonly logprob: number;
}

/**
 * A chosen token; with log probabilities where they were asked for.
 *
 * @example
 * ```ts
 * import { type Choice, Sampler } from "@lightgpt/lightgpt";
 *
 * const { token, logprob, top }: Choice = new Sampler({ seed: 1 }).choose(Float32Array.of(0, 0, 3), 2);
 * console.log(token, logprob, top);
 * ```
 */
export interface Choice {
  /** The id of the token. */
  readonly token: number;
  /** ln(probability) in the model's own distribution. */
  readonly logprob?: number;
  /** The likeliest tokens, the likeliest first. */
  readonly top?: readonly TokenLogprob[];
  /** Mirostat's threshold after the choice; only with mirostat. */
  readonly mu?: number;
}

/** A seed as it is told: a number, or above 2^53 - 1 a bigint. */
export function seedOf(seed: bigint): number | bigint {
  return seed <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(seed) : seed;
}

/** What a choice asks for beside the token. */
export interface Request {
  /** The position that the token will have. */
  readonly position: number;
  /** How many of the likeliest tokens to tell; undefined: no log probabilities. */
  readonly top?: number | undefined;
  /** Whether the candidates stay in the workspace. */
  readonly distribution?: boolean;
}

/** The settings and the memory of one sequence's sampler. */
export class SamplerState {
  /** The settings. */
  readonly sampling: Sampling;
  /** The words of settings and steps, which are the same for every choice. */
  readonly #head: Uint32Array;
  /** Whether lists follow these words. */
  readonly #hasLists: boolean;
  #history: History;
  #report: Report;
  /** Mirostat's threshold. */
  mu: number;
  #choices = 0;
  /** Tokens of the vocabulary that it was checked against. */
  #vocabulary: number | undefined;
  #mask: { readonly vocabulary: number; readonly words: Uint32Array } | undefined;
  #constraint: Constraint | undefined;
  /** The constraint as it was at the beginning. */
  readonly #unbegun: Constraint | undefined;

  /** Begins with an empty history; `constraint` becomes its own. */
  constructor(sampling: Sampling, constraint?: Constraint) {
    this.sampling = sampling;
    this.#constraint = constraint;
    this.#unbegun = constraint?.clone();
    this.#head = headOf(sampling);
    const { bias, allowed, banned, penaltyWindow, dry } = sampling;
    this.#hasLists = bias.length > 0 || penaltyWindow > 0 ||
      [allowed, banned, dry, constraint].some((part) => part !== undefined);
    this.#history = new History(sampling);
    this.#report = new Report(sampling.steps);
    this.mu = sampling.mu;
  }

  /** How many tokens the text has. */
  get position(): number {
    return this.#history.length;
  }

  /** What each method did so far, in the order of the chain. */
  get report(): MethodReport[] {
    return this.#report.read();
  }

  /** Whether mirostat chooses, so that `mu` means something. */
  get hasMu(): boolean {
    return this.sampling.steps.at(-1)?.method === "mirostat";
  }

  /** Whether its constraint lets nothing follow. */
  get isDone(): boolean {
    return this.#constraint?.isDone === true;
  }

  /** A walk ahead by tokens that are guessed, where a constraint has something to say about them. */
  lookahead(vocabulary: number): Lookahead | undefined {
    return this.#constraint && new Lookahead(this.#constraint, this.#setWords(vocabulary));
  }

  /** Adds the tokens before the first chosen one. */
  begin(prompt: Iterable<number>): void {
    for (const token of prompt) this.#history.push(token);
  }

  /** Whether what a choice goes by changes from token to token: a constraint's mask, what penalties look at. */
  get changes(): boolean {
    return this.#constraint !== undefined || this.sampling.penaltyWindow > 0 || this.sampling.dry !== undefined;
  }

  /** The reader got the oldest choice that was taken and not told yet: the report counts it. */
  tell(): void {
    this.#report.tell();
  }

  /** Adds a chosen token. */
  accept(token: number): void {
    this.#history.push(token);
    this.#constraint?.accept(token);
  }

  /** Adds a token that was chosen elsewhere, as if it had been chosen here. */
  resume(token: number): void {
    this.#choices++;
    this.accept(token);
  }

  /** What it keeps, as plain data: with it and the same settings, another one goes on with the same choices. */
  get memory(): SamplerMemory {
    const { length, kept } = this.#history;
    return { choices: this.#choices, mu: this.mu, length, tokens: [...kept] };
  }

  /** Goes on from what another one kept. */
  recall({ choices, mu, length, tokens }: SamplerMemory): void {
    this.reset();
    this.#history = new History(this.sampling, length - tokens.length);
    const least = Math.min(length, this.#history.reach);
    if (tokens.length < least) {
      refuseOption("memory.tokens", `the last ${least} tokens, which these settings look at`, `${tokens.length}`);
    }
    this.begin(tokens);
    this.#choices = choices;
    this.mu = mu;
  }

  /**
   * Checks settings and constraint against a vocabulary of this size.
   *
   * @throws {InvalidArgumentError} if they name a token that it does not have, or a mask is of another size
   */
  check(vocabulary: number): void {
    this.#vocabulary = vocabulary;
    const { bias, allowed, banned } = this.sampling;
    const checkId = (name: string, id: number) => {
      if (id >= vocabulary) refuseOption(name, `a token id from 0 to ${vocabulary - 1}`, id);
    };
    for (let pair = 0; pair < bias.length; pair += 2) checkId("bias", bias[pair] as number);
    for (const [name, set] of [["allowed", allowed], ["banned", banned]] as const) {
      if (!(set instanceof TokenMask)) set?.forEach((id) => checkId(name, id));
      else if (set.vocabularySize !== vocabulary) {
        refuseOption(name, `a mask of ${vocabulary} tokens, as the vocabulary has`, `one of ${set.vocabularySize}`);
      }
    }
    const length = Math.ceil(vocabulary / 32);
    // One whose mask takes long is looked at when it is there.
    const words = this.#constraint && this.prepare() ? this.#constraint.words().length : length;
    if (words !== length) refuseOption("constraint", `a mask of ${length} words`, `one of ${words}`);
  }

  /** Makes the mask of the constraint, for a few milliseconds where it takes long; returns whether it is there. */
  prepare(): boolean {
    return this.#constraint?.prepare?.() ?? true;
  }

  /** Throws where settings and constraint leave no token: of one sequence, before a step that others share. */
  assertChoice(): void {
    if (this.#hasLists && this.#vocabulary !== undefined) this.#maskWords(this.#vocabulary);
  }

  /**
   * Appends the sampler to a batch, or to a buffer of its own.
   *
   * @param drafts guesses of the tokens from `request.position` on: a choice more is asked for after each.
   */
  encode(to: Words<"batch" | "sampler">, vocabulary: number, request: Request, drafts: readonly number[] = []): void {
    to.list(this.#head);
    this.#encodeChoice(to, vocabulary, request, this.sampling.bias);
    if (drafts.length === 0) return;
    const ahead = this.clone();
    drafts.forEach((token, index) => {
      ahead.accept(token);
      ahead.#choices++;
      ahead.#encodeChoice(to, vocabulary, { ...request, position: request.position + index + 1 }, nothing);
    });
  }

  /** Appends what the next choice of an encoded sampler goes by. */
  encodeNext(to: Words<"sampler">, vocabulary: number, request: Request): void {
    this.#encodeChoice(to, vocabulary, request, nothing);
  }

  #encodeChoice(
    to: Words<"batch" | "sampler">,
    vocabulary: number,
    { position, top, distribution }: Request,
    bias: Uint32Array,
  ): void {
    const hasLists = this.#hasLists;
    const mask = hasLists ? this.#maskWords(vocabulary) : nothing;
    const counts = hasLists ? this.#history.counts : nothing;
    const matches = hasLists ? this.#history.matches() : nothing;
    putSamplerChoice(to, {
      logprobs: top === undefined ? 0 : 1 + top,
      distribution: distribution === true,
      choice: this.#choices,
      position,
      mu: this.mu,
      mask: mask.length,
      counts: counts.length / 2,
      matches: matches.length / 2,
    });
    if (!hasLists) return;
    to.list(mask);
    to.list(bias);
    to.list(counts);
    to.list(matches);
  }

  /** Takes a choice that native code has made. The report counts it in {@link SamplerState.tell}. */
  take(sampled: Sampled, vocabulary: number, top: number | undefined): Choice {
    this.#choices++;
    this.mu = sampled.mu;
    this.#report.add(sampled, vocabulary);
    const { token } = sampled;
    const memory = this.hasMu ? { mu: sampled.mu } : {};
    if (top === undefined) return { token, ...memory };
    const likeliest = Array.from({ length: sampled.top }, (_, index) => ({
      token: sampled.topIds(index),
      logprob: sampled.topLogprobs(index),
    }));
    return { token, logprob: sampled.logprob, top: likeliest, ...memory };
  }

  /** A copy that would choose the same, and changes independently. */
  clone(): SamplerState {
    const copy = new SamplerState(this.sampling, this.#unbegun?.clone());
    copy.#constraint = this.#constraint?.clone();
    copy.#history = this.#history.clone();
    copy.#report = this.#report.clone();
    copy.mu = this.mu;
    copy.#choices = this.#choices;
    return copy;
  }

  /** Begins anew, with an empty text. */
  reset(): void {
    this.#history = new History(this.sampling);
    this.#report = new Report(this.sampling.steps);
    this.mu = this.sampling.mu;
    this.#choices = 0;
    this.#constraint = this.#unbegun?.clone();
  }

  /** The bits of the tokens that both the settings and the constraint allow; empty: all. */
  #maskWords(vocabulary: number): Uint32Array {
    const set = this.#setWords(vocabulary);
    if (!this.#constraint) return set;
    const words = this.#constraint.words();
    if (words.length !== Math.ceil(vocabulary / 32)) this.check(vocabulary);
    if (isEmpty(words)) refuseOption("constraint", "a vocabulary with a token for what must come next", "none");
    if (set.length === 0) return words;
    const both = words.map((word, index) => word & (set[index] as number));
    if (isEmpty(both)) {
      refuseOption("sampling", "allowed and banned tokens that leave one which the constraint lets come", "none");
    }
    return both;
  }

  /** The bits of the tokens that the settings allow; empty: all. A mask of the caller may change between two choices. */
  #setWords(vocabulary: number): Uint32Array {
    const { allowed, banned } = this.sampling;
    if (allowed === undefined && banned === undefined) return nothing;
    if (this.#mask?.vocabulary === vocabulary) return this.#mask.words;
    this.check(vocabulary);
    if (allowed instanceof TokenMask && banned === undefined) return allowed.words;
    const changing = allowed instanceof TokenMask || banned instanceof TokenMask;
    const words = allowed instanceof TokenMask
      ? allowed.words.slice()
      : new TokenMask(vocabulary, allowed).fill(false).words;
    if (allowed === undefined) words.fill(0xffff_ffff);
    else if (!(allowed instanceof TokenMask)) { for (const id of allowed) setBit(words, id); }
    if (banned instanceof TokenMask) banned.words.forEach((word, index) => words[index] &= ~word);
    else for (const id of banned ?? []) clearBit(words, id);
    if (!changing) this.#mask = { vocabulary, words };
    return words;
  }
}

function isEmpty(words: Uint32Array): boolean {
  for (let index = 0; index < words.length; index++) if (words[index] !== 0) return false;
  return true;
}

const nothing = new Uint32Array(0);

function headOf({ steps, minKeep, seed, bias }: Sampling): Uint32Array {
  const head = new Words("sampler", 32);
  putSamplerSettings(head, { steps: steps.length, minKeep, seed, bias: bias.length / 2 });
  for (const { method, count, numbers: [a, b, c] } of steps) putSamplerStep(head, { method, count, a, b, c });
  return head.words.slice(0, head.length);
}
