/**
 * A set of tokens as a bit mask, one bit for each token of a vocabulary: the tokens that a grammar, or another rule, allows
 * next. It may change between two choices; the sampler reads it at each choice.
 *
 * @module
 */
import { LIMITS } from "../../ffi/wire.ts";
import { checkInteger, guarded, refuseOption } from "../options/checks.ts";
import { clearBit, hasBit, setBit } from "./bits.ts";

/**
 * A set of tokens of one vocabulary, as a bit mask. Its methods throw an {@link InvalidArgumentError} for an id that the
 * vocabulary doesn't have.
 *
 * @example
 * ```ts
 * import { Sampler, TokenMask } from "@lightgpt/lightgpt";
 *
 * const digits = new TokenMask(100);
 * for (let id = 48; id < 58; id++) digits.add(id);
 * const sampler = new Sampler({ allowed: digits, temperature: 0 });
 * console.log(sampler.sample(new Float32Array(100))); // 48: of equal logits the lowest id
 * digits.delete(48);
 * console.log(sampler.sample(new Float32Array(100))); // 49
 * ```
 */
export class TokenMask {
  /** How many tokens the vocabulary has. */
  readonly vocabularySize: number;
  /** The bits: token t is bit t % 32 of word floor(t / 32). A program may write them. */
  readonly words: Uint32Array<ArrayBuffer>;

  /**
   * Makes a set.
   *
   * @param vocabularySize how many tokens the vocabulary has
   * @param tokens the tokens in the set
   */
  constructor(vocabularySize: number, tokens: Iterable<number> = []) {
    checkInteger("vocabularySize", vocabularySize, 1, LIMITS.vocabularyMax);
    this.vocabularySize = vocabularySize;
    this.words = new Uint32Array(Math.ceil(vocabularySize / 32));
    guarded("tokens", () => {
      for (const token of tokens) this.add(token);
    });
  }

  /**
   * Adds a token.
   *
   * @returns the set itself
   */
  add(token: number): this {
    this.#check(token);
    setBit(this.words, token);
    return this;
  }

  /**
   * Removes a token.
   *
   * @returns the set itself
   */
  delete(token: number): this {
    this.#check(token);
    clearBit(this.words, token);
    return this;
  }

  /** Whether a token is in the set. */
  has(token: number): boolean {
    this.#check(token);
    return hasBit(this.words, token);
  }

  /** Takes all tokens in (`isIn`), or out. */
  fill(isIn: boolean): this {
    this.words.fill(isIn ? 0xffff_ffff : 0);
    return this;
  }

  #check(token: number): void {
    if (Number.isInteger(token) && token >= 0 && token < this.vocabularySize) return;
    refuseOption("token", `an id from 0 to ${this.vocabularySize - 1}`, token);
  }
}
