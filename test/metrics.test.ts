/**
 * Metrics: the same figures as an object, as events, as Prometheus' text and as instruments of OpenTelemetry.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { it } from "node:test";
import { join } from "node:path";
import { readFileSync } from "node:fs";
import {
  CancelledError,
  InvalidArgumentError,
  LightGPT,
  type MetricEvent,
  type ObservableResult,
  type OpenTelemetryMeter,
  QueueFullError,
} from "../mod.ts";
import { Registry } from "prom-client";
import { expositionText, type Family, histogramSamples } from "../src/measuring/metrics/exposition.ts";
import { METRICS } from "../src/measuring/metrics/table.ts";
import { describeTales } from "./kit.ts";

const greedy = { sampling: { temperature: 0 }, maxTokens: 12 } as const;

it("metrics tell what was done: tokens, requests by how they ended, times, pages, memory", async () => {
  await using lm = await LightGPT.load(undefined, { queueMax: 1 });
  const before = lm.metrics.report();
  assertEquals([before.tokens, before.requests.finished, before.firstTokenMs.count], [0, 0, 0]);
  const { generatedTokens } = await lm.complete("Once upon a time", greedy);
  await lm.complete("Once upon a time", greedy);
  for await (const _ of lm.generate("The red fox")) break;
  await assertRejects(() => lm.complete("The hen", { ...greedy, logitsProcessor: () => fail() }), RangeError);
  const held = lm.batcher.submit({ prompt: "The owl", readAhead: 1 });
  await held.next();
  while (lm.batcher.stats().paused === 0) await new Promise((done) => setTimeout(done, 1)); // until it has read ahead
  assertThrows(() => lm.batcher.submit({ prompt: "The cat" }), QueueFullError);
  await held.return(undefined as never);
  const report = lm.metrics.report();
  assertEquals(report.requests, { finished: 2, cancelled: 2, failed: 1, refused: 1 });
  assert(report.tokens >= 2 * generatedTokens);
  assertEquals(report.firstTokenMs.count + report.betweenTokensMs.count, report.tokens);
  const counted = report.betweenTokensMs.buckets.reduce((sum, { count }) => sum + count, 0);
  assertEquals(counted, report.betweenTokensMs.count);
  assertEquals(report.cache?.hitRate, 0.25);
  assert(report.stepMs > 0 && report.steps > 0 && report.requestsPerSecond > 0);
  const { weights, kv, prefixCache = 0, javascript, resident } = report.memory;
  assertEquals(weights, lm.model.residentBytes);
  assert(prefixCache > 0 && kv >= prefixCache && resident > weights + kv && javascript > 0);
  assertAlmostEquals(report.compression.f32, 4 * lm.model.plan.parameters / weights);
  assertAlmostEquals(report.compression.f32, 2 * report.compression.f16);
});

function fail(): never {
  throw new RangeError("a processor threw");
}

it("events tell each step, token and end of a request, and a listener that is removed hears no more", async () => {
  await using lm = await LightGPT.load();
  const events: MetricEvent[] = [];
  const stop = lm.metrics.listen((event) => events.push(event));
  const { generatedTokens, promptTokens } = await lm.complete("Once upon a time", greedy);
  stop();
  await lm.complete("Once upon a time", greedy);
  const of = (kind: MetricEvent["kind"]) => events.filter((event) => event.kind === kind);
  assertEquals(of("token").length, generatedTokens);
  assertEquals(of("token").filter((event) => event.kind === "token" && event.isFirst).length, 1);
  assertEquals(of("step").length, generatedTokens);
  const [{ ms, ...end }, ...others] = of("request");
  assertEquals(end, { kind: "request", outcome: "finished", promptTokens, tokens: generatedTokens });
  assert(ms > 0 && others.length === 0);
});

it("Prometheus' text has every metric with its values, and times as a histogram", async () => {
  await using lm = await LightGPT.load();
  const { generatedTokens } = await lm.complete("Once upon a time", greedy);
  const text = await lm.metrics.prometheus();
  const sample = (line: string) => Number(new RegExp(`^lightgpt_${line} (\\S+)$`, "m").exec(text)?.[1]);
  assertEquals(sample("tokens_total"), generatedTokens);
  assertEquals(sample('requests_total\\{outcome="finished"\\}'), 1);
  assertEquals(sample('first_token_seconds_bucket\\{le="\\+Inf"\\}'), 1);
  assertEquals(sample("between_tokens_seconds_count"), generatedTokens - 1);
  assertEquals(sample('memory_bytes\\{part="weights"\\}'), lm.model.residentBytes);
  assert(sample("between_tokens_seconds_sum") > 0);
  const names = [...text.matchAll(/^# TYPE lightgpt_(\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]);
  const expected = Object.entries(METRICS).filter(([name]) => name !== "accuracy"); // measured on demand only
  assertEquals(names, expected.map(([name, { kind }]) => [name, kind]));
  const some = await lm.metrics.prometheus(["steps_total"]);
  assertEquals(some.match(/^lightgpt_\S+/gm), ["lightgpt_steps_total"]);
});

it("Prometheus' text is what prom-client writes of the same values", async () => {
  const labels = { kind: 'a "b" \\ c\nd', other: "" };
  const counted = { buckets: [{ most: 0.5, count: 2 }, { most: Infinity, count: 1 }], sum: 7.25, count: 3 };
  const families: Family[] = [
    { name: "one_total", help: "Of one\nand \\ two.", kind: "counter", samples: [{ labels: {}, value: 3 }] },
    { name: "two", help: "Two.", kind: "gauge", samples: [{ labels, value: -1e-9 }, { labels: {}, value: Infinity }] },
    { name: "three_seconds", help: "Three.", kind: "histogram", samples: histogramSamples(counted, { model: "x" }) },
  ];
  const registry = new Registry();
  for (const { name, help, kind, samples } of families) {
    const values = samples.map(({ suffix = "", labels, value }) => ({ value, labels, metricName: `${name}${suffix}` }));
    const metric = { help, name, type: kind, aggregator: "sum", values };
    registry.registerMetric({ name, get: () => Promise.resolve(metric) } as never);
  }
  const lines = (text: string) => text.split("\n").filter((line) => line !== "");
  assertEquals(lines(expositionText(families)), lines(await registry.metrics()));
  // Those of one name are one family, as the format wants it.
  const [first] = families;
  const twice = expositionText([first, families[1], { ...first, samples: [{ labels: { of: "2" }, value: 4 }] }]);
  assertEquals(twice.match(/^one_total.*$/gm), ["one_total 3", 'one_total{of="2"} 4']);
  assertEquals(twice.match(/^# TYPE one_total/gm)?.length, 1);
});

it("OpenTelemetry's instruments observe the same values, and stop when they are told to", async () => {
  await using lm = await LightGPT.load();
  const observers = new Map<string, Set<(result: ObservableResult) => void>>();
  const recorded = new Map<string, number[]>();
  const observable = (name: string) => {
    const callbacks = new Set<(result: ObservableResult) => void>();
    observers.set(name, callbacks);
    return {
      addCallback: (callback: (result: ObservableResult) => void) => void callbacks.add(callback),
      removeCallback: (callback: (result: ObservableResult) => void) => void callbacks.delete(callback),
    };
  };
  const meter: OpenTelemetryMeter = {
    createObservableCounter: observable,
    createObservableGauge: observable,
    createHistogram(name) {
      const values: number[] = [];
      recorded.set(name, values);
      return { record: (value) => values.push(value) };
    },
  };
  const stop = await lm.metrics.openTelemetry(meter);
  const { generatedTokens } = await lm.complete("Once upon a time", greedy);
  const collect = (name: string) => {
    const values: [number, unknown][] = [];
    const result = { observe: (value: number, attributes?: unknown) => values.push([value, attributes]) };
    observers.get(name)?.forEach((callback) => callback(result));
    return values;
  };
  assertEquals(collect("lightgpt.tokens"), [[generatedTokens, {}]]);
  assertEquals(collect("lightgpt.requests")[0], [1, { outcome: "finished" }]);
  assertEquals(recorded.get("lightgpt.first_token")?.length, 1);
  assertEquals(recorded.get("lightgpt.between_tokens")?.length, generatedTokens - 1);
  stop();
  await lm.complete("The red fox", greedy);
  assertEquals([collect("lightgpt.tokens"), recorded.get("lightgpt.first_token")?.length], [[], 1]);
});

it("OpenTelemetry's own package is found in the program, and what it gives is a meter", async () => {
  await using lm = await LightGPT.load();
  const { metrics } = await import("@opentelemetry/api");
  const fits: OpenTelemetryMeter = metrics.getMeter("a program");
  (await lm.metrics.openTelemetry(fits, ["tokens_total"]))();
  (await lm.metrics.openTelemetry())();
});

it("metrics of unknown names are refused with the names that there are", async () => {
  await using lm = await LightGPT.load();
  const unknown = ["tokens", "", "__proto__"] as never[];
  for (const name of unknown) {
    assertThrows(() => lm.metrics.values(name), InvalidArgumentError, "tokens_per_second");
    await assertRejects(() => lm.metrics.prometheus([name]), InvalidArgumentError, "unknown metric");
    await assertRejects(() => lm.metrics.openTelemetry(undefined, [name]), InvalidArgumentError, "unknown metric");
  }
  await assertRejects(() => lm.metrics.prometheus("steps_total" as never), InvalidArgumentError, "names: expected");
  await assertRejects(() => lm.metrics.openTelemetry({} as never), InvalidArgumentError, "a Meter of OpenTelemetry");
  assertThrows(() => lm.metrics.listen(undefined as never), InvalidArgumentError, "listener");
  assertEquals([...lm.metrics.values("requests_open")], [["queued", 0], ["running", 0], ["paused", 0]]);
});

describeTales("accuracy", (tales) => {
  const reference = join(tales, "tinytales-f32.gguf");
  const text = readFileSync(join(tales, "valid-window.txt"), "utf8").slice(0, 6000);

  it("is measured against a file, told by the metrics from then on, and 0 away from itself", async () => {
    await using lm = await LightGPT.load();
    const measured = await lm.accuracy({ reference, text });
    assert(measured.divergence > 0 && measured.divergence < 0.03, `${measured.divergence}`);
    assert(measured.sameWhereSure > 0.98 && measured.same > 0.9 && Math.abs(measured.ratio - 1) < 0.03);
    assertEquals(lm.metrics.report().accuracy, measured);
    assertEquals(lm.metrics.values("accuracy").get("kl_divergence"), measured.divergence);
    await using exact = await LightGPT.load(reference, { kv: "f32" });
    const itself = await exact.accuracy({ reference, text: text.slice(0, 800) });
    assertEquals([itself.divergence, itself.same, itself.ratio], [0, 1, 1]);
  });

  it("is refused without what it needs, and a cancelled one leaves nothing behind", async () => {
    await using lm = await LightGPT.load();
    await assertRejects(() => lm.accuracy({ text } as never), InvalidArgumentError, "reference");
    await assertRejects(() => lm.accuracy({ reference } as never), InvalidArgumentError, "text");
    await assertRejects(() => lm.accuracy({ reference, text: "" }), InvalidArgumentError, "text");
    const signal = AbortSignal.abort();
    await assertRejects(() => lm.accuracy({ reference, text, signal }), CancelledError);
    assertEquals(lm.metrics.report().accuracy, undefined);
  });
});
