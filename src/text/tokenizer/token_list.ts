/**
 * The tokens of a text while they are found: an array that grows, up to a number of tokens that the caller sets.
 *
 * @module
 */

const FIRST_CAPACITY = 64;

/** Token ids in an array that grows. */
export class TokenList {
  #ids = new Uint32Array(FIRST_CAPACITY);
  #length = 0;
  readonly #most: number;
  readonly #refuse: () => void;

  /**
   * @param most how many tokens there may be
   * @param refuse throws the error of a text that has more
   */
  constructor(most: number = Infinity, refuse: () => void = () => {}) {
    this.#most = most;
    this.#refuse = refuse;
  }

  /** Appends a token. */
  push(token: number): void {
    if (this.#length >= this.#most) this.#refuse();
    if (this.#length === this.#ids.length) {
      const larger = new Uint32Array(2 * this.#ids.length);
      larger.set(this.#ids);
      this.#ids = larger;
    }
    this.#ids[this.#length++] = token;
  }

  /** The tokens, as a copy. */
  toArray(): Uint32Array {
    return this.#ids.slice(0, this.#length);
  }
}
