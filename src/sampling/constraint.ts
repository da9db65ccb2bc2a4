/**
 * What a sequence may go on with, where that depends on what was chosen: a grammar, a schema, any rule. The sampler of the
 * sequence owns the constraint; like the sampler's other memory it outlives the sequence's pages.
 *
 * @module
 */

/**
 * A token that likely comes next, and its chance from 0 to 1.
 *
 * @example
 * ```ts
 * import { Grammar, LightGPT, type TokenGuess } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const matcher = (await Grammar.choice(["yes", "yet"], lm.model.tokenizer)).matcher();
 * const guess: TokenGuess | undefined = matcher.guess();
 * console.log(guess?.chance);
 * ```
 */
export interface TokenGuess {
  /** The token. */
  readonly token: number;
  /** Its chance. */
  readonly chance: number;
}

/**
 * Decides after each chosen token which tokens may come next. A `Matcher` of a `Grammar` is one.
 *
 * @example
 * ```ts
 * import { type Constraint, Grammar, LightGPT } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const constraint: Constraint = (await Grammar.choice(["yes", "no"], lm.model.tokenizer)).matcher();
 * console.log(constraint.isDone, constraint.words().length);
 * ```
 */
export interface Constraint {
  /** Whether nothing may come any more, so that the sequence ends. */
  readonly isDone: boolean;
  /** The tokens that may come next: bit t % 32 of word floor(t / 32) is token t. Valid until the next {@link Constraint.accept}. */
  words(): Uint32Array;
  /**
   * Makes what {@link Constraint.words} gives, for a few milliseconds, where that may take longer: between two calls the event loop has
   * its turn. Without it, `words` takes the time that it takes.
   *
   * @returns whether it is there; if not, another call goes on
   */
  prepare?(): boolean;
  /**
   * Hears of each token that is chosen, once and in order, and not of those of the prompt.
   *
   * @param isGuess a copy goes on by a guess, which may never be chosen
   */
  accept(token: number, isGuess?: boolean): void;
  /** The token that likely comes next where the text is certain and its tokens are not; a hint, which changes no result. */
  guess?(): TokenGuess | undefined;
  /** A constraint in the same state, which goes on alone. */
  clone(): Constraint;
}

/** Whether a value is a constraint, as far as can be seen. */
export function isConstraint(value: unknown): value is Constraint {
  if (value === null || typeof value !== "object") return false;
  const { isDone, words, prepare = words, accept, clone } = value as Constraint;
  return typeof isDone === "boolean" && [words, prepare, accept, clone].every((method) => typeof method === "function");
}
