/**
 * What LightGPT does, in figures: as an object, as events, as Prometheus' text, and as instruments of OpenTelemetry. The
 * batcher and the cache count them anyway; `table.ts` has their names.
 *
 * @module
 */
import { Batcher, partsOf } from "../../batching/batcher.ts";
import { histogramBoundsMs, type MeterListener } from "../../batching/stats.ts";
import { chooseMetrics, type MetricName } from "./table.ts";
import type { OpenTelemetryMeter } from "./opentelemetry.ts";
import { type MetricsReport, readMetrics } from "./report.ts";
import { Model } from "../../model/model.ts";
import { checkFunction, checkInstance, refuseOption } from "../../options/checks.ts";
import type { Comparison } from "../comparison.ts";

export type { HistogramReport, MemoryReport, MetricsReport } from "./report.ts";
export type { MetricName } from "./table.ts";
export type { InstrumentOptions, ObservableInstrument, ObservableResult, OpenTelemetryMeter } from "./opentelemetry.ts";

/**
 * Something that happened: a step, a token, or the end of a request.
 *
 * @example
 * ```ts
 * import { LightGPT, type MetricEvent } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const stop = lm.metrics.listen((event: MetricEvent) => {
 *   if (event.kind === "request") console.log(event.outcome, event.tokens, "tokens in", event.ms, "ms");
 * });
 * await lm.complete("Once upon a time");
 * stop();
 * ```
 */
export type MetricEvent =
  | {
    /** A step has ended. */
    readonly kind: "step";
    /** How long it took. */
    readonly ms: number;
    /** Tokens that it read. */
    readonly tokens: number;
    /** Those of them that belonged to prompts, or were read again after a preemption. */
    readonly prompt: number;
    /** Sequences that took part. */
    readonly sequences: number;
    /** Sequences that had a place in the batch and asked; a prompt takes part when it is its turn to be read. */
    readonly running: number;
  }
  | {
    /** A request gave a token. */
    readonly kind: "token";
    /** Since the request began, of its first token, else since the one before. */
    readonly ms: number;
    /** Whether it was the first. */
    readonly isFirst: boolean;
  }
  | {
    /** A request has ended. */
    readonly kind: "request";
    /** By itself, by its reader or a deadline, or by an error. */
    readonly outcome: "finished" | "cancelled" | "failed";
    /** Tokens of its prompt. */
    readonly promptTokens: number;
    /** Tokens that were chosen for it. */
    readonly tokens: number;
    /** From its beginning to its end. */
    readonly ms: number;
  };

/**
 * The figures of one model and its batcher.
 *
 * @example
 * ```ts
 * import { LightGPT, type Metrics } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const metrics: Metrics = lm.metrics;
 * await lm.complete("Once upon a time");
 * console.log(metrics.report().tokensPerSecond, await metrics.prometheus(["tokens_total"]));
 * ```
 */
export class Metrics {
  readonly #model: Model;
  readonly #batcher: Batcher;
  /** The result of the last measurement of accuracy. */
  accuracy: Comparison | undefined;

  /** The figures of `batcher`, which runs `model`. */
  constructor(model: Model, batcher: Batcher) {
    checkInstance("model", model, Model, "a Model");
    checkInstance("batcher", batcher, Batcher, "a Batcher");
    this.#model = model;
    this.#batcher = batcher;
  }

  /**
   * Reads all figures.
   *
   * @returns the figures of this moment
   */
  report(): MetricsReport {
    return readMetrics(this.#model, this.#batcher, this.accuracy);
  }

  /**
   * Reads one metric.
   *
   * @param name its name
   * @returns a value for each of its labels (the empty string where it has none); of a histogram the count
   * @throws {InvalidArgumentError} if no metric has this name
   */
  values(name: MetricName): ReadonlyMap<string, number> {
    const [[, { values, histogram }]] = chooseMetrics([name]);
    const report = this.report();
    if (histogram) return new Map([["", histogram(report).count]]);
    return new Map(values?.(report).map(({ label = "", value }) => [label, value]));
  }

  /**
   * Calls `listener` at the end of each step and request, and for each token. An error that it throws goes to `reportError`, and
   * ends nothing that runs here.
   *
   * @param listener called with each event
   * @returns a function that ends the calls
   *
   * @example
   * ```ts
   * import { LightGPT } from "@lightgpt/lightgpt";
   *
   * await using lm = await LightGPT.load();
   * let tokens = 0;
   * const stop = lm.metrics.listen((event) => {
   *   if (event.kind === "request") tokens += event.tokens;
   * });
   * await lm.complete("Once upon a time", { maxTokens: 9 });
   * stop();
   * console.log(tokens);
   * ```
   */
  listen(listener: (event: MetricEvent) => void): () => void {
    if (listener === undefined) refuseOption("listener", "a function", listener);
    checkFunction("listener", listener);
    const tell = (event: MetricEvent) => {
      try {
        listener(event);
      } catch (error) {
        reportError(error);
      }
    };
    const { listeners } = partsOf(this.#batcher).scheduler.meter;
    const heard: MeterListener = {
      step: (step) => tell({ kind: "step", ...step }),
      token: (ms, isFirst) => tell({ kind: "token", ms, isFirst }),
      request: (end) => tell({ kind: "request", ...end }),
    };
    listeners.add(heard);
    return () => void listeners.delete(heard);
  }

  /**
   * Writes metrics as Prometheus' text (`text/plain; version=0.0.4`).
   *
   * @param names the metrics; all unless given
   * @returns the text
   */
  async prometheus(names?: readonly MetricName[]): Promise<string> {
    const chosen = chooseMetrics(names);
    const [{ expositionText }, { familiesOf }] = await Promise.all([
      import("./exposition.ts"),
      import("./prometheus.ts"),
    ]);
    return expositionText(familiesOf(chosen, this.report()));
  }

  /**
   * Makes metrics the instruments of a meter of OpenTelemetry.
   *
   * @param meter the meter; that of the program's own `@opentelemetry/api` unless given
   * @param names the metrics; all unless given
   * @returns a function that ends the instruments
   * @throws {UnsupportedError} if there is no meter
   */
  async openTelemetry(meter?: OpenTelemetryMeter, names?: readonly MetricName[]): Promise<() => void> {
    const chosen = chooseMetrics(names);
    const { hostMeter, instrument } = await import("./opentelemetry.ts");
    const { meter: source } = partsOf(this.#batcher).scheduler;
    return instrument(meter ?? await hostMeter(), chosen, () => this.report(), source, histogramBoundsMs);
  }
}
