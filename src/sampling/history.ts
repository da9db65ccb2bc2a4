/**
 * The tokens of a sampler's text, and what penalties need to know about them: how often each occurs in a window, which is
 * counted token by token, and which tokens would continue a repetition.
 *
 * @module
 */
import type { Sampling } from "./resolve.ts";

/** Pairs of a token and a number, in an array that grows. */
class Pairs {
  words = new Uint32Array(128);
  count = 0;

  push(token: number, value: number): number {
    if (2 * this.count === this.words.length) this.words = grown(this.words);
    this.words[2 * this.count] = token;
    this.words[2 * this.count + 1] = value;
    return this.count++;
  }
}

function grown(words: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(2 * words.length);
  larger.set(words);
  return larger;
}

/** No pairs. */
const nothing = new Uint32Array(0);

/** The memory of a sampler. */
export class History {
  readonly #sampling: Sampling;
  readonly #window: number;
  readonly #dry: Sampling["dry"];
  #tokens = new Uint32Array(256);
  #length = 0;
  readonly #skipped: number;
  #counts = new Pairs();
  /** The index in `#counts` of each token. */
  #slots = new Map<number, number>();
  #matches = new Pairs();
  #common = new Int32Array(0);

  /** Keeps as much as the settings need; `skipped` tokens came before those that it will be told. */
  constructor(sampling: Sampling, skipped = 0) {
    this.#sampling = sampling;
    this.#skipped = skipped;
    this.#window = sampling.penaltyWindow;
    this.#dry = sampling.dry;
  }

  /** How many tokens the text has. */
  get length(): number {
    return this.#skipped + this.#length;
  }

  /** How many of the last tokens the settings look at. */
  get reach(): number {
    return Math.max(this.#window, this.#dry?.window ?? 0);
  }

  /** The last tokens, as many as the settings look at. */
  get kept(): Uint32Array {
    const first = Math.max(0, this.#length - this.reach);
    return this.#tokens.subarray(this.reach === 0 ? this.#length : first, this.#length);
  }

  /** Pairs of a token of the window and how often it occurs there. */
  get counts(): Uint32Array {
    if (this.#window === 0) return nothing;
    return this.#counts.words.subarray(0, 2 * this.#counts.count);
  }

  /** Adds a token. */
  push(token: number): void {
    if (this.#window > 0 || this.#dry !== undefined) {
      if (this.#length === this.#tokens.length) this.#tokens = grown(this.#tokens);
      this.#tokens[this.#length] = token;
    }
    this.#length++;
    if (this.#window === 0) return;
    this.#add(token);
    if (this.#length > this.#window) this.#remove(this.#tokens[this.#length - 1 - this.#window] as number);
  }

  /**
   * Finds repetitions that the next token would continue.
   *
   * @returns pairs of such a token and the length of the longest repetition that it continues, those above the allowed length
   */
  matches(): Uint32Array {
    if (this.#dry === undefined) return nothing;
    const pairs = this.#matches;
    pairs.count = 0;
    const { window, allowedLength, breakers } = this.#dry;
    const tokens = this.#tokens;
    const last = this.#length - 1;
    const n = Math.min(this.#length, window);
    // A breaker ends every repetition.
    let longest = 0;
    while (longest < n && !breakers.has(tokens[last - longest] as number)) longest++;
    if (longest < allowedLength) return nothing;
    // The Z function of the tokens in reverse: for each place, how many tokens before it equal those at the end.
    if (this.#common.length < n) this.#common = new Int32Array(2 * n);
    const common = this.#common;
    const slots = new Map<number, number>();
    let left = 0;
    let right = 0;
    for (let i = 1; i < n; i++) {
      let k = i < right ? Math.min(common[i - left] as number, right - i) : 0;
      while (i + k < n && tokens[last - k] === tokens[last - i - k]) k++;
      common[i] = k;
      if (i + k > right) {
        left = i;
        right = i + k;
      }
      const length = Math.min(k, longest);
      if (length < allowedLength) continue;
      const next = tokens[last - i + 1] as number;
      const slot = slots.get(next);
      if (slot === undefined) slots.set(next, pairs.push(next, length));
      else pairs.words[2 * slot + 1] = Math.max(pairs.words[2 * slot + 1] as number, length);
    }
    return pairs.words.subarray(0, 2 * pairs.count);
  }

  /** A copy that changes independently. */
  clone(): History {
    const copy = new History(this.#sampling, this.#skipped);
    copy.#tokens = this.#tokens.slice();
    copy.#length = this.#length;
    copy.#counts.words = this.#counts.words.slice();
    copy.#counts.count = this.#counts.count;
    copy.#slots = new Map(this.#slots);
    return copy;
  }

  #add(token: number): void {
    const slot = this.#slots.get(token);
    if (slot === undefined) this.#slots.set(token, this.#counts.push(token, 1));
    else this.#counts.words[2 * slot + 1] += 1;
  }

  #remove(token: number): void {
    const { words } = this.#counts;
    const slot = this.#slots.get(token) as number;
    if (words[2 * slot + 1] > 1) {
      words[2 * slot + 1] -= 1;
      return;
    }
    // The last pair takes its place.
    const end = --this.#counts.count;
    words.copyWithin(2 * slot, 2 * end, 2 * end + 2);
    this.#slots.set(words[2 * slot] as number, slot);
    this.#slots.delete(token);
  }
}
