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

/** Steps of an entry beyond which it weighs no more beside another. */
const weightMost = 10;

/** Entries that have one cost together, how much it weighs. */
interface Level {
  readonly ms: number;
  readonly weight: number;
  readonly entries: readonly number[];
}

/** The costs of steps. */
export class StepCosts {
  /** Milliseconds of a step by its entry, as they would be without the common factor; 0: never measured. */
  readonly #entries: number[] = [];
  /** How often each was measured. */
  readonly #counts: number[] = [];
  #factor = 1;
  /** The entries as they are expected, since the last was measured. */
  #levels: readonly number[] | undefined;

  /** A step of `tokens` tokens took `ms`. */
  record(tokens: number, ms: number): void {
    const entry = entryOf(tokens);
    const before = this.#entries[entry] ?? 0;
    this.#levels = undefined;
    this.#counts[entry] = (this.#counts[entry] ?? 0) + 1;
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
    this.#levels ??= this.#level();
    const levels = this.#levels;
    const entry = entryOf(tokens);
    let below = entry;
    while (below > 0 && !levels[below]) below--;
    let above = entry;
    while (above < levels.length && !levels[above]) above++;
    const least = levels[below];
    const most = levels[above];
    if (least && most) {
      if (above === below) return least * this.#factor;
      const [from, to] = [tokensOf(below), tokensOf(above)];
      return (least + ((most - least) * (tokensOf(entry) - from)) / (to - from)) * this.#factor;
    }
    if (least) return least * (1 + guessedShare * (tokensOf(entry) - tokensOf(below))) * this.#factor;
    if (most) return most / (1 + guessedShare * (tokensOf(above) - tokensOf(entry))) * this.#factor;
    return 1 + guessedShare * tokens;
  }

  /**
   * The entries such that none costs more than a larger one: those that seem to were disturbed, so they have their mean
   * (isotonic regression). One of them alone would keep guesses of its length away, and never be measured again.
   */
  #level(): number[] {
    const pooled: Level[] = [];
    this.#entries.forEach((ms, entry) => {
      if (!ms) return;
      let next: Level = { ms, weight: Math.min(weightMost, this.#counts[entry] as number), entries: [entry] };
      for (let last = pooled.at(-1); last && last.ms > next.ms; last = pooled.at(-1)) {
        const weight = last.weight + next.weight;
        const mean = (last.ms * last.weight + next.ms * next.weight) / weight;
        next = { ms: mean, weight, entries: [...last.entries, ...next.entries] };
        pooled.pop();
      }
      pooled.push(next);
    });
    const levels: number[] = [];
    for (const { ms, entries } of pooled) for (const entry of entries) levels[entry] = ms;
    return levels;
  }
}

function entryOf(tokens: number): number {
  return tokens <= exactMost ? tokens : exactMost + Math.ceil((tokens - exactMost) / coarse);
}

function tokensOf(entry: number): number {
  return entry <= exactMost ? entry : exactMost + (entry - exactMost) * coarse;
}
