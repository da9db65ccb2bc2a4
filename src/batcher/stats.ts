/**
 * What a scheduler has done: counts since its beginning, and times of the last thousand or so.
 *
 * @module
 */

/**
 * The middle and the ends of a number of times.
 *
 * @example
 * ```ts
 * import { LightGPT, type Percentiles } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * await lm.complete("Once upon a time");
 * const { p50, p99 }: Percentiles = lm.batcher.stats().betweenTokensMs;
 * console.log(p50, p99);
 * ```
 */
export interface Percentiles {
  /** Half of them are no longer; NaN while there are none. */
  readonly p50: number;
  /** 95 % of them are no longer. */
  readonly p95: number;
  /** 99 % of them are no longer. */
  readonly p99: number;
}

/** The last so many numbers. */
export class Window {
  readonly #values: Float64Array;
  #count = 0;

  /** Keeps `size` numbers. */
  constructor(size: number = 1024) {
    this.#values = new Float64Array(size);
  }

  /** Adds one; the oldest goes. */
  add(value: number): void {
    this.#values[this.#count++ % this.#values.length] = value;
  }

  /** Their mean; NaN while there are none. */
  get mean(): number {
    const values = this.#present();
    return values.reduce((sum, value) => sum + value, 0) / values.length;
  }

  /** Of times: how many a second, over the span that they cover. */
  get rate(): number {
    const times = this.#present();
    const span = times.reduce((most, time) => Math.max(most, time), -Infinity) -
      times.reduce((least, time) => Math.min(least, time), Infinity);
    return span > 0 ? (1000 * (times.length - 1)) / span : 0;
  }

  /** Nearest-rank percentiles. */
  percentiles(): Percentiles {
    const sorted = this.#present().slice().sort();
    const at = (share: number) => sorted[Math.ceil(share * sorted.length) - 1] ?? NaN;
    return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
  }

  #present(): Float64Array {
    return this.#values.subarray(0, Math.min(this.#count, this.#values.length));
  }
}

/** What is counted while steps run. */
export class Meter {
  readonly firstToken = new Window();
  readonly betweenTokens = new Window();
  readonly batchFill = new Window();
  /** Milliseconds between two sequences that got a place. */
  readonly placements = new Window(32);
  /** Times of the last tokens. */
  readonly #tokenTimes = new Window(256);
  #lastPlacement: number | undefined;
  tokens = 0;
  steps = 0;
  preemptions = 0;
  finished = 0;
  failed = 0;

  /** A sequence got a place. */
  placed(nowMs: number): void {
    if (this.#lastPlacement !== undefined) this.placements.add(nowMs - this.#lastPlacement);
    this.#lastPlacement = nowMs;
  }

  /** A sequence gave a token: its first, or one after another. */
  token(nowMs: number, sinceMs: number, isFirst: boolean): void {
    this.tokens++;
    (isFirst ? this.firstToken : this.betweenTokens).add(nowMs - sinceMs);
    this.#tokenTimes.add(nowMs);
  }

  /** Tokens a second over the last 256. */
  get tokensPerSecond(): number {
    return this.#tokenTimes.rate;
  }
}
