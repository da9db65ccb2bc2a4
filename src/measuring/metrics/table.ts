/**
 * The metrics by name: kind, unit, meaning, and where in a report the value is. Prometheus' text, OpenTelemetry's instruments
 * and the names that a program may ask for come from this list.
 *
 * @module
 */
import { InvalidArgumentError } from "../../../ffi/errors.ts";
import { guarded, refuseOption } from "../../options/checks.ts";
import { nearestName } from "../../options/suggest.ts";
import type { HistogramReport, MetricsReport } from "./report.ts";

/** One value of a metric. */
export interface MetricValue {
  /** Which of several values it is. */
  readonly label?: string;
  /** The value. */
  readonly value: number;
}

/** A metric. */
export interface MetricSpec {
  /** A counter only grows, a gauge goes up and down, a histogram counts times by their length. */
  readonly kind: "counter" | "gauge" | "histogram";
  /** The unit by its name in UCUM, as OpenTelemetry wants it; `1` for shares and counts. */
  readonly unit: string;
  /** What its values mean. */
  readonly about: string;
  /** The name of the label, where it has several values. */
  readonly label?: string;
  /** Reads its values in a report; none where the report has none. */
  values?(report: MetricsReport): readonly MetricValue[];
  /** Reads the times of a histogram. */
  histogram?(report: MetricsReport): HistogramReport;
  /** The event of the meter that a histogram counts. */
  readonly event?: "firstToken" | "betweenTokens";
}

const one = (value: number): MetricValue[] => Number.isFinite(value) ? [{ value }] : [];

/** One value for each member of an object. */
function each(values: Readonly<Record<string, number | undefined>>): MetricValue[] {
  return Object.entries(values).flatMap(([label, value]) =>
    value !== undefined && Number.isFinite(value) ? [{ label, value }] : []
  );
}

function counter(about: string, value: (report: MetricsReport) => number | undefined, unit = "1"): MetricSpec {
  return { kind: "counter", unit, about, values: (report) => one(value(report) ?? NaN) };
}

function gauge(about: string, value: (report: MetricsReport) => number | undefined, unit = "1"): MetricSpec {
  return { kind: "gauge", unit, about, values: (report) => one(value(report) ?? NaN) };
}

/**
 * The name of a metric: Prometheus' without the `lightgpt_` in front.
 *
 * @example
 * ```ts
 * import { LightGPT, type MetricName } from "@lightgpt/lightgpt";
 *
 * const names: MetricName[] = ["tokens_per_second", "memory_bytes"];
 * await using lm = await LightGPT.load();
 * console.log(await lm.metrics.prometheus(names));
 * ```
 */
export type MetricName =
  | "tokens_total"
  | "prompt_tokens_total"
  | "requests_total"
  | "steps_total"
  | "step_seconds_total"
  | "draft_tokens_total"
  | "preemptions_total"
  | "tokens_per_second"
  | "requests_per_second"
  | "first_token_seconds"
  | "between_tokens_seconds"
  | "batch_fill_ratio"
  | "requests_open"
  | "kv_pages"
  | "kv_use_ratio"
  | "memory_bytes"
  | "compression_ratio"
  | "cache_hit_ratio"
  | "cache_tokens_asked_total"
  | "cache_tokens_saved_total"
  | "cache_evictions_total"
  | "cache_states"
  | "accuracy";

/** All metrics. */
export const METRICS: Readonly<Record<MetricName, MetricSpec>> = {
  tokens_total: counter("Tokens chosen.", ({ tokens }) => tokens),
  prompt_tokens_total: counter("Tokens of prompts that were read in chunks.", ({ promptTokens }) => promptTokens),
  requests_total: {
    kind: "counter",
    unit: "1",
    about: "Requests that have ended, by how; refused ones were never begun.",
    label: "outcome",
    values: ({ requests }) => each({ ...requests }),
  },
  steps_total: counter("Steps.", ({ steps }) => steps),
  step_seconds_total: counter("Time that steps took.", ({ stepMs }) => stepMs / 1000, "s"),
  draft_tokens_total: {
    kind: "counter",
    unit: "1",
    about: "Tokens that were guessed and verified, and those of them that were kept.",
    label: "which",
    values: ({ drafts }) => each({ ...drafts }),
  },
  preemptions_total: counter("How often a request gave up its pages for another.", ({ preemptions }) => preemptions),
  tokens_per_second: gauge("Tokens chosen in a second, over the last 256.", ({ tokensPerSecond }) => tokensPerSecond),
  requests_per_second: gauge(
    "Requests that ended in a second, over the last 256.",
    (report) => report.requestsPerSecond,
  ),
  first_token_seconds: {
    kind: "histogram",
    unit: "s",
    about: "From a request to its first token.",
    histogram: ({ firstTokenMs }) => firstTokenMs,
    event: "firstToken",
  },
  between_tokens_seconds: {
    kind: "histogram",
    unit: "s",
    about: "From a token to the next one of the same request.",
    histogram: ({ betweenTokensMs }) => betweenTokensMs,
    event: "betweenTokens",
  },
  batch_fill_ratio: gauge("How full the last 1024 steps were.", ({ batchFill }) => batchFill),
  requests_open: {
    kind: "gauge",
    unit: "1",
    about: "Requests that are open, by what they do.",
    label: "state",
    values: ({ queued, running, paused }) => each({ queued, running, paused }),
  },
  kv_pages: {
    kind: "gauge",
    unit: "1",
    about: "KV pages: all, those that may be held, those that sequences or the cache hold.",
    label: "which",
    values: ({ kv }) => each({ total: kv.pages, limit: kv.limit, held: kv.held }),
  },
  kv_use_ratio: gauge("Share of the KV pages that are held.", ({ kv }) => kv.use),
  memory_bytes: {
    kind: "gauge",
    unit: "By",
    about: "Memory by what it is for; the prefix cache is a part of kv, everything a part of resident.",
    label: "part",
    values: ({ memory }) => each({ ...memory }),
  },
  compression_ratio: {
    kind: "gauge",
    unit: "1",
    about: "How many times the weights would take in another type what they take.",
    label: "against",
    values: ({ compression }) => each({ ...compression }),
  },
  cache_hit_ratio: gauge("Share of the look-ups that found something.", ({ cache }) => cache?.hitRate),
  cache_tokens_asked_total: counter("Tokens that look-ups asked for.", ({ cache }) => cache?.tokensAsked),
  cache_tokens_saved_total: counter("Tokens of them that were found.", ({ cache }) => cache?.tokensSaved),
  cache_evictions_total: counter("Pages and states evicted from the cache.", ({ cache }) => cache?.evictions),
  cache_states: gauge("Copies of recurrent states that the cache keeps.", ({ cache }) => cache?.states),
  accuracy: {
    kind: "gauge",
    unit: "1",
    about: "How near the model is to a reference, as last measured on demand.",
    label: "measure",
    values: ({ accuracy }) =>
      accuracy
        ? each({
          kl_divergence: accuracy.divergence,
          same_choice: accuracy.same,
          same_choice_where_sure: accuracy.sameWhereSure,
          perplexity_ratio: accuracy.ratio,
        })
        : [],
  },
};

/**
 * Finds metrics by their names.
 *
 * @param names the names; all unless given
 * @throws {InvalidArgumentError} if no metric has one of the names
 */
export function chooseMetrics(names?: readonly string[]): [MetricName, MetricSpec][] {
  const known = Object.keys(METRICS) as MetricName[];
  guarded("names", () => {
    if (names !== undefined && !Array.isArray(names)) refuseOption("names", "an array of names", names);
    for (const name of names ?? []) {
      if (typeof name !== "string" || !Object.hasOwn(METRICS, name)) refuseName(name, known);
    }
  });
  return known.filter((name) => names?.includes(name) ?? true).map((name) => [name, METRICS[name]]);
}

function refuseName(name: unknown, known: readonly string[]): never {
  if (typeof name !== "string") refuseOption("names", `names of metrics: ${known.join(", ")}`, name);
  const got = JSON.stringify(name);
  const nearest = nearestName(name, known);
  const hint = nearest === undefined ? "" : `did you mean ${JSON.stringify(nearest)}? `;
  throw new InvalidArgumentError(`names: unknown metric ${got}; ${hint}there are ${known.join(", ")}.`, {
    what: "an unknown metric",
    where: "names",
    expected: `one of ${known.join(", ")}`,
    got,
  });
}
