/**
 * What a constraint says of tokens that are guessed and not chosen yet. It walks on a copy, so the constraint itself stays where
 * the chosen tokens have left it.
 *
 * @module
 */
import { LightGPTError } from "../../ffi/errors.ts";
import type { Constraint } from "./constraint.ts";

/** A walk ahead of a sequence. */
export class Lookahead {
  readonly #at: Constraint;
  /** The bits of the tokens that the settings allow; empty: all. */
  readonly #set: Uint32Array;

  /** A walk that begins where `constraint` is, which stays there. */
  constructor(constraint: Constraint, set: Uint32Array) {
    this.#at = constraint.clone();
    this.#set = set;
  }

  /**
   * Goes on by `guesses` for as long as they may come, and something may follow them: where a text ends, nothing is chosen after
   * it.
   *
   * @returns how many of them that are
   */
  follow(guesses: readonly number[]): number {
    return this.#within(() => {
      for (const [index, token] of guesses.entries()) {
        const word = (this.#at.words()[token >>> 5] ?? 0) & (this.#set[token >>> 5] ?? -1);
        if (((word >>> (token & 31)) & 1) === 0 || !this.#goOn(token)) return index;
      }
      return guesses.length;
    }) ?? 0;
  }

  /** Goes on by the tokens that alone may come, at most `most` of them; returns these. */
  forced(most: number): number[] {
    const tokens: number[] = [];
    this.#within(() => {
      while (tokens.length < most) {
        const token = this.#only();
        if (token === undefined || !this.#goOn(token)) return;
        tokens.push(token);
      }
    });
    return tokens;
  }

  /** Takes a token; returns whether one may follow. */
  #goOn(token: number): boolean {
    this.#at.accept(token);
    return !this.#at.isDone && this.#at.words().some((word, index) => (word & (this.#set[index] ?? -1)) !== 0);
  }

  /** The only token that may come, where there is one alone. */
  #only(): number | undefined {
    let found: number | undefined;
    const words = this.#at.words();
    for (let index = 0; index < words.length; index++) {
      const word = (words[index] as number) & (this.#set[index] ?? -1);
      if (word === 0) continue;
      if (found !== undefined || (word & (word - 1)) !== 0) return undefined;
      found = 32 * index + 31 - Math.clz32(word);
    }
    return found;
  }

  /** What `walk` gives; undefined where it comes to a limit of the grammar: the sequence meets that itself if it gets there. */
  #within<T>(walk: () => T): T | undefined {
    try {
      return walk();
    } catch (error) {
      if (error instanceof LightGPTError && error.code === "limit") return undefined;
      throw error;
    }
  }
}
