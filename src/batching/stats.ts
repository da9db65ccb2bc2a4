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

  /** Of the spans between events: how long the one is that a random moment falls into; NaN while there are none. */
  get spanAround(): number {
    const values = this.#present();
    return values.reduce((sum, value) => sum + value * value, 0) / values.reduce((sum, value) => sum + value, 0);
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

/** The upper ends of the buckets of {@link Histogram}, in milliseconds. */
export const histogramBoundsMs = [
  0.1,
  0.2,
  0.5,
  1,
  2,
  5,
  10,
  20,
  50,
  100,
  200,
  500,
  1000,
  2000,
  5000,
  10_000,
  30_000,
] as const;

/** How many times fell into each bucket, since the beginning. */
export class Histogram {
  /** Times no longer than each bound and longer than the one before; the last of those beyond all. */
  readonly counts = new Float64Array(histogramBoundsMs.length + 1);
  sum = 0;
  count = 0;

  /** Counts one. */
  add(ms: number): void {
    let bucket = 0;
    while (bucket < histogramBoundsMs.length && ms > (histogramBoundsMs[bucket] as number)) bucket++;
    (this.counts[bucket] as number)++;
    this.sum += ms;
    this.count++;
  }
}

/** One step, as it was. */
export interface StepRecord {
  /** How long it took. */
  readonly ms: number;
  /** Tokens read. */
  readonly tokens: number;
  /** Those of them that belonged to prompts, or were read again after a preemption. */
  readonly prompt: number;
  /** Sequences that took part. */
  readonly sequences: number;
  /** Sequences that had a place in the batch and asked; a prompt takes part when it is its turn to be read. */
  readonly running: number;
}

/** Called with what is counted, as it is counted. */
export interface MeterListener {
  /** A step has ended. */
  step?(step: StepRecord): void;
  /** A request gave a token: its first, `ms` after it came, or one `ms` after another. */
  token?(ms: number, isFirst: boolean): void;
  /** A request has ended. */
  request?(end: RequestEnd): void;
}

/** How a request ended. */
export interface RequestEnd {
  /** By itself, by its reader (or a deadline), or by an error. */
  readonly outcome: "finished" | "cancelled" | "failed";
  /** Tokens that it was given. */
  readonly promptTokens: number;
  /** Tokens that were chosen for it. */
  readonly tokens: number;
  /** From its beginning to its end. */
  readonly ms: number;
}

/** When a request came, had its first place, gave its first token and its last one; 0 before. */
export interface RequestTimes {
  readonly bornMs: number;
  placedMs: number;
  firstMs: number;
  tokenMs: number;
}

/** Milliseconds: the longest time after which a refused request is asked to come again. */
const retryMsMost = 60_000;

/** What is counted while steps run. */
export class Meter {
  readonly firstToken = new Window();
  readonly betweenTokens = new Window();
  readonly batchFill = new Window();
  /** Milliseconds between two ends of requests while others had no place: how often a place becomes free. */
  readonly #ends = new Window(32);
  /** Times of the last tokens. */
  readonly #tokenTimes = new Window(256);
  /** Since when requests have had no place, or when the last one ended since then; undefined while each has one. */
  #shortMs: number | undefined;
  /** When the request that was refused last is to come again. */
  #toldMs = -Infinity;
  tokens = 0;
  promptTokens = 0;
  steps = 0;
  stepMs = 0;
  preemptions = 0;
  refused = 0;
  /** Requests that have ended, by how. */
  readonly ended = { finished: 0, cancelled: 0, failed: 0 };
  readonly firstTokenHistogram = new Histogram();
  readonly betweenTokensHistogram = new Histogram();
  /** From a request to its place, from that to its first token, and of finished ones from that to the last. */
  readonly queueHistogram = new Histogram();
  readonly prefillHistogram = new Histogram();
  readonly decodeHistogram = new Histogram();
  readonly listeners = new Set<MeterListener>();
  /** Times of the last ends of requests. */
  readonly #requestTimes = new Window(256);

  /**
   * In how many whole milliseconds a request that finds no place should come again: when the next requests end, which may be
   * several at once, behind those that were told so before; in a second, and a tenth more for each, where nothing is known.
   */
  retryMs(nowMs: number): number {
    this.short(nowMs);
    const { mean, spanAround } = this.#ends;
    const [first, more] = Number.isNaN(spanAround) ? [1000, 100] : [spanAround, mean];
    const at = Math.max(nowMs + Math.max(1, first), this.#toldMs + more);
    this.#toldMs = Math.min(at, nowMs + retryMsMost);
    return Math.ceil(this.#toldMs - nowMs);
  }

  /** A sequence got a place, its first or one after a preemption. */
  placed(nowMs: number, times: RequestTimes): void {
    if (times.placedMs === 0) {
      times.placedMs = nowMs;
      this.queueHistogram.add(nowMs - times.bornMs);
    }
  }

  /** There are requests without a place. */
  short(nowMs: number): void {
    this.#shortMs ??= nowMs;
  }

  /** Each request has a place, and places are left. */
  enough(): void {
    this.#shortMs = undefined;
  }

  /** A sequence gave a token: its first, or one after another. */
  token(nowMs: number, times: RequestTimes): void {
    const isFirst = times.tokenMs === 0;
    const ms = nowMs - (isFirst ? times.bornMs : times.tokenMs);
    if (isFirst) {
      times.firstMs = nowMs;
      this.prefillHistogram.add(nowMs - times.placedMs);
    }
    times.tokenMs = nowMs;
    this.tokens++;
    (isFirst ? this.firstToken : this.betweenTokens).add(ms);
    (isFirst ? this.firstTokenHistogram : this.betweenTokensHistogram).add(ms);
    this.#tokenTimes.add(nowMs);
    for (const listener of this.listeners) listener.token?.(ms, isFirst);
  }

  /** A step has ended, for which `most` sequences could have run. */
  step(step: StepRecord, most: number): void {
    this.stepMs += step.ms;
    this.promptTokens += step.prompt;
    this.batchFill.add(Math.min(1, step.running / most));
    for (const listener of this.listeners) listener.step?.(step);
  }

  /** A request has ended. */
  request(nowMs: number, end: RequestEnd, { firstMs, tokenMs }: RequestTimes): void {
    if (end.outcome === "finished" && tokenMs > 0) this.decodeHistogram.add(tokenMs - firstMs);
    this.ended[end.outcome]++;
    this.#requestTimes.add(nowMs);
    // While places are left, the time between two ends says how often requests come, not how soon one ends.
    if (this.#shortMs !== undefined) {
      this.#ends.add(nowMs - this.#shortMs);
      this.#shortMs = nowMs;
    }
    for (const listener of this.listeners) listener.request?.(end);
  }

  /** Requests a second over the last 256 that ended. */
  get requestsPerSecond(): number {
    return this.#requestTimes.rate;
  }

  /** Tokens a second over the last 256. */
  get tokensPerSecond(): number {
    return this.#tokenTimes.rate;
  }
}
