/**
 * Metrics as Prometheus reads them, written by prom-client. Everything is counted already, so its counters are not used: each
 * registered metric looks its values up when the text is asked for.
 *
 * @module
 */
import type { Metric, MetricValue as PromValue } from "prom-client";
import { UnsupportedError } from "../../../ffi/errors.ts";
import type { MetricsReport } from "./report.ts";
import type { MetricName, MetricSpec, MetricValue } from "./table.ts";

/** What every name begins with. */
export const prefix = "lightgpt_";

/** Writes metrics of a report as Prometheus' text. */
export async function prometheusText(
  metrics: readonly (readonly [MetricName, MetricSpec])[],
  report: MetricsReport,
): Promise<string> {
  const { Registry } = await load();
  const registry = new Registry();
  for (const [name, spec] of metrics) {
    const full = `${prefix}${name}`;
    const metric = {
      help: spec.about,
      name: full,
      type: spec.kind,
      aggregator: "sum",
      values: values(full, spec, report),
    };
    if (metric.values.length === 0) continue; // a name without a value says nothing
    // What a registry asks of a metric; its types know only the library's own four classes.
    registry.registerMetric({ name: full, get: () => Promise.resolve(metric) } as unknown as Metric);
  }
  return await registry.metrics();
}

async function load(): Promise<typeof import("prom-client")> {
  try {
    return await import("prom-client"); // only where Prometheus is served
  } catch (error) {
    throw new UnsupportedError(
      "Prometheus' text needs the package prom-client, which could not be loaded; expected it installed beside LightGPT.",
      { what: "a package is missing", where: "prom-client" },
      { cause: error },
    );
  }
}

function values(
  name: string,
  spec: MetricSpec,
  report: MetricsReport,
): (PromValue<string> & { metricName?: string })[] {
  const times = spec.histogram?.(report);
  if (!times) {
    return (spec.values?.(report) ?? []).map((value) => ({ value: value.value, labels: labels(spec, value) }));
  }
  let below = 0;
  const buckets = times.buckets.map(({ mostMs, count }) => {
    below += count;
    const le = mostMs === Infinity ? "+Inf" : String(mostMs / 1000);
    return { metricName: `${name}_bucket`, labels: { le }, value: below };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels: {}, value: times.sumMs / 1000 },
    { metricName: `${name}_count`, labels: {}, value: times.count },
  ];
}

function labels({ label }: MetricSpec, value: MetricValue): Record<string, string> {
  if (label === undefined || value.label === undefined) return {};
  return { [label]: value.label };
}
