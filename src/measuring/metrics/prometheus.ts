/**
 * The metrics of a report as Prometheus reads them.
 *
 * @module
 */
import { type Family, histogramSamples, type Sample } from "./exposition.ts";
import type { HistogramReport, MetricsReport } from "./report.ts";
import type { MetricName, MetricSpec } from "./table.ts";

/** What every name begins with. */
export const prefix = "lightgpt_";

/** Times as counts of seconds. */
export function inSeconds({ buckets, sumMs, count }: Pick<HistogramReport, "buckets" | "sumMs" | "count">) {
  return { buckets: buckets.map(({ mostMs, count }) => ({ most: mostMs / 1000, count })), sum: sumMs / 1000, count };
}

/** The metrics of a report; each sample has `labels` beside its own. */
export function familiesOf(
  metrics: readonly (readonly [MetricName, MetricSpec])[],
  report: MetricsReport,
  labels: Readonly<Record<string, string>> = {},
): Family[] {
  return metrics.map(([name, spec]) => ({
    name: `${prefix}${name}`,
    help: spec.about,
    kind: spec.kind,
    samples: samplesOf(spec, report, labels),
  }));
}

function samplesOf(spec: MetricSpec, report: MetricsReport, labels: Readonly<Record<string, string>>): Sample[] {
  const times = spec.histogram?.(report);
  if (times) return histogramSamples(inSeconds(times), labels);
  return (spec.values?.(report) ?? []).map(({ label, value }) => {
    const own = spec.label === undefined || label === undefined ? {} : { [spec.label]: label };
    return { labels: { ...own, ...labels }, value };
  });
}
