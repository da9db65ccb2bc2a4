/**
 * Metrics as instruments of a meter of OpenTelemetry, which the program has. The meter asks for counters and gauges when it
 * collects; times are recorded as they happen. A program without OpenTelemetry need not install it.
 *
 * @module
 */
import { UnsupportedError } from "../../../ffi/errors.ts";
import type { Meter } from "../../batching/stats.ts";
import { guarded, refuseOption } from "../../options/checks.ts";
import type { MetricsReport } from "./report.ts";
import type { MetricName, MetricSpec, MetricValue } from "./table.ts";

/**
 * Options for an instrument.
 *
 * @example
 * ```ts
 * import { type InstrumentOptions, type OpenTelemetryMeter } from "@lightgpt/lightgpt";
 *
 * declare const meter: OpenTelemetryMeter; // in a program: metrics.getMeter("my-program"), of @opentelemetry/api
 * const options: InstrumentOptions = { description: "Texts that were answered", unit: "{text}" };
 * const histogram = (meter: OpenTelemetryMeter) => meter.createHistogram("texts", options);
 * console.log(histogram);
 * ```
 */
export interface InstrumentOptions {
  /**
   * What it tells.
   * @default {nothing}
   */
  readonly description?: string;
  /**
   * What it is measured in.
   * @default {nothing}
   */
  readonly unit?: string;
  /**
   * Where buckets end.
   * @default {as the meter has them}
   */
  readonly advice?: { readonly explicitBucketBoundaries?: number[] };
}

/**
 * Takes the value of an instrument while the host collects.
 *
 * @example
 * ```ts
 * import { type ObservableResult } from "@lightgpt/lightgpt";
 *
 * const callback = (result: ObservableResult) => result.observe(3, { tenant: "trial" });
 * callback({ observe: (value, attributes) => console.log(value, attributes) });
 * ```
 */
export interface ObservableResult {
  /** Adds a value; attributes tell it from others of the instrument. */
  observe(value: number, attributes?: Record<string, string>): void;
}

/**
 * An instrument that is asked for its values.
 *
 * @example
 * ```ts
 * import { type ObservableInstrument } from "@lightgpt/lightgpt";
 *
 * const gauge: ObservableInstrument = { addCallback: (ask) => ask({ observe: console.log }), removeCallback: () => {} };
 * gauge.addCallback((result) => result.observe(1));
 * ```
 */
export interface ObservableInstrument {
  /** Asks `callback` at each collection from now on. */
  addCallback(callback: (result: ObservableResult) => void): void;
  /** Ends that. */
  removeCallback(callback: (result: ObservableResult) => void): void;
}

/**
 * The part of a `Meter` of `@opentelemetry/api` that LightGPT uses. A meter of that package fits.
 *
 * @example
 * ```ts
 * import { LightGPT, type OpenTelemetryMeter } from "@lightgpt/lightgpt";
 *
 * declare const meter: OpenTelemetryMeter; // in a program: metrics.getMeter("my-program"), of @opentelemetry/api
 * await using lm = await LightGPT.load();
 * const stop = await lm.metrics.openTelemetry(meter);
 * stop();
 * ```
 */
export interface OpenTelemetryMeter {
  /** Makes a counter whose value the meter asks for. */
  createObservableCounter(name: string, options?: InstrumentOptions): ObservableInstrument;
  /** Makes a gauge whose value the meter asks for. */
  createObservableGauge(name: string, options?: InstrumentOptions): ObservableInstrument;
  /** Makes a histogram that is told each value. */
  createHistogram(name: string, options?: InstrumentOptions): { record(value: number): void };
}

const methods = ["createObservableCounter", "createObservableGauge", "createHistogram"] as const;

/**
 * Makes the instruments.
 *
 * @param read reads a report
 * @param source tells times as they happen
 * @param boundsMs where buckets end
 * @returns a function that ends the instruments
 */
export function instrument(
  meter: OpenTelemetryMeter,
  metrics: readonly (readonly [MetricName, MetricSpec])[],
  read: () => MetricsReport,
  source: Meter,
  boundsMs: readonly number[],
): () => void {
  guarded("meter", () => {
    if (meter === null || typeof meter !== "object" || methods.some((name) => typeof meter[name] !== "function")) {
      refuseOption("meter", "a Meter of OpenTelemetry", meter);
    }
  });
  const ends: (() => void)[] = [];
  // Every instrument of one collection asks for the same report.
  let report: MetricsReport | undefined;
  const fresh = () => {
    if (report === undefined) queueMicrotask(() => report = undefined);
    return report ??= read();
  };
  for (const [name, { kind, unit, about, label, values, event }] of metrics) {
    const full = `lightgpt.${name.replace(/(_seconds|_bytes)?(_total)?$/, "")}`;
    const options = { description: about, unit };
    if (kind === "histogram") {
      const explicitBucketBoundaries = boundsMs.map((ms) => ms / 1000);
      const histogram = meter.createHistogram(full, { ...options, advice: { explicitBucketBoundaries } });
      const listener = {
        token(ms: number, isFirst: boolean) {
          if (isFirst === (event === "firstToken")) histogram.record(ms / 1000);
        },
      };
      source.listeners.add(listener);
      ends.push(() => source.listeners.delete(listener));
      continue;
    }
    const instrument = kind === "counter"
      ? meter.createObservableCounter(full, options)
      : meter.createObservableGauge(full, options);
    const callback = (result: ObservableResult) => {
      for (const value of values?.(fresh()) ?? []) result.observe(value.value, attributes(label, value));
    };
    instrument.addCallback(callback);
    ends.push(() => instrument.removeCallback(callback));
  }
  return () => ends.splice(0).forEach((end) => end());
}

function attributes(label: string | undefined, value: MetricValue): Record<string, string> {
  return label === undefined || value.label === undefined ? {} : { [label]: value.label };
}

/**
 * Finds the meter of the program's own `@opentelemetry/api`.
 *
 * @throws {UnsupportedError} if the package cannot be loaded
 */
export async function hostMeter(): Promise<OpenTelemetryMeter> {
  const name = "@opentelemetry/api"; // a name that no bundler follows: it is the host's
  try {
    const { metrics } = await import(name) as { metrics: { getMeter(name: string): OpenTelemetryMeter } };
    return metrics.getMeter("lightgpt");
  } catch (error) {
    throw new UnsupportedError(
      "meter: @opentelemetry/api could not be loaded; expected it in the program, or a Meter as argument.",
      { what: "a package is missing", where: "meter", expected: "a Meter" },
      { cause: error },
    );
  }
}
