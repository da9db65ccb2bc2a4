/**
 * What a constraint says of tokens that are guessed and not chosen yet. It walks on a copy, so the constraint itself stays where
 * the chosen tokens have left it.
 *
 * @module
 */
import { LightGPTError } from "../../ffi/errors.ts";
import type { Constraint } from "./constraint.ts";

/** Tokens ahead of a sequence that its constraint knows, or nearly so. */
export interface Forced {
  readonly tokens: readonly number[];
  /** The chance of each, given that those before it come; 1 where nothing else may come. */
  readonly chances: readonly number[];
}

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
        if (!this.#allows(token) || !this.#goOn(token)) return index;
      }
      return guesses.length;
    }) ?? 0;
  }

  /**
   * Goes on by the tokens that alone may come, and by those that likely spell a text that must come; at most `most` of them, which
   * together are at least as likely as `least`.
   *
   * @returns them with the chance of each, given those before it
   */
  forced(most: number, least: number): Forced {
    const [tokens, chances]: [number[], number[]] = [[], []];
    let together = 1;
    this.#within(() => {
      while (tokens.length < most) {
        const only = this.#only();
        const next = only === undefined ? this.#at.guess?.() : { token: only, chance: 1 };
        if (next === undefined || (together *= next.chance) < least || !this.#allows(next.token)) return;
        if (!this.#goOn(next.token)) return;
        tokens.push(next.token);
        chances.push(next.chance);
      }
    });
    return { tokens, chances };
  }

  get #isPrepared(): boolean {
    return this.#at.prepare?.() ?? true;
  }

  #allows(token: number): boolean {
    const word = (this.#at.words()[token >>> 5] ?? 0) & (this.#set[token >>> 5] ?? -1);
    return ((word >>> (token & 31)) & 1) === 1;
  }

  /** Takes a token; returns whether one may follow. */
  #goOn(token: number): boolean {
    this.#at.accept(token, true);
    return !this.#at.isDone && this.#isPrepared &&
      this.#at.words().some((word, index) => (word & (this.#set[index] ?? -1)) !== 0);
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

  /**
   * What `walk` gives; undefined where it comes to a limit of the grammar: the sequence meets that itself if it gets there. Masks that
   * take long are made for what was chosen, and not for guesses.
   */
  #within<T>(walk: () => T): T | undefined {
    try {
      return this.#isPrepared ? walk() : undefined;
    } catch (error) {
      if (error instanceof LightGPTError && error.code === "limit") return undefined;
      throw error;
    }
  }
}
