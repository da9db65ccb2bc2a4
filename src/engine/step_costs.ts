/**
 * What a step of so many tokens costs, token by token: kernels take tokens in tiles, so that a step of eight may be faster
 * than one of six, and one of two as fast as one of one. Drafting decides by it. Like all times it changes when something is
 * computed, never what (`docs/design/contract.md`).
 *
 * @module
 */

/** Steps of more tokens share an entry with those of about as many. */
const exactMost = 64;
/** Tokens that share an entry beyond that. */
const coarse = 32;
/** What a token more costs, as a share of a step of one, until that was measured: less than it does, so that it is tried. */
const guessedShare = 0.05;
/** How much of a deviation an entry takes over, and how much all of them: other load slows every step down alike. */
const ownShare = 1 / 10;
const commonShare = 1 / 8;

/** The costs of steps. */
export class StepCosts {
  /** Milliseconds of a step by its entry, as they would be without the common factor; 0: never measured. */
  readonly #entries: number[] = [];
  #factor = 1;

  /** A step of `tokens` tokens took `ms`. */
  record(tokens: number, ms: number): void {
    const entry = entryOf(tokens);
    const before = this.#entries[entry] ?? 0;
    if (before === 0) {
      this.#entries[entry] = ms / this.#factor;
      return;
    }
    // One step that was disturbed says little.
    const deviation = Math.min(2, Math.max(0.5, ms / (before * this.#factor)));
    this.#entries[entry] = before * deviation ** ownShare;
    this.#factor *= deviation ** commonShare;
  }

  /** Expected milliseconds of a step of `tokens` tokens; only their ratios mean something before any was measured. */
  expect(tokens: number): number {
    const entry = entryOf(tokens);
    let below = entry;
    while (below > 0 && !this.#entries[below]) below--;
    let above = entry;
    while (above < this.#entries.length && !this.#entries[above]) above++;
    const least = this.#entries[below];
    const most = this.#entries[above];
    if (least && most) {
      if (above === below) return least * this.#factor;
      const [from, to] = [tokensOf(below), tokensOf(above)];
      return (least + ((most - least) * (tokensOf(entry) - from)) / (to - from)) * this.#factor;
    }
    if (least) return least * (1 + guessedShare * (tokensOf(entry) - tokensOf(below))) * this.#factor;
    if (most) return most / (1 + guessedShare * (tokensOf(above) - tokensOf(entry))) * this.#factor;
    return 1 + guessedShare * tokens;
  }
}

function entryOf(tokens: number): number {
  return tokens <= exactMost ? tokens : exactMost + Math.ceil((tokens - exactMost) / coarse);
}

function tokensOf(entry: number): number {
  return entry <= exactMost ? entry : exactMost + (entry - exactMost) * coarse;
}
