/**
 * What the optimizer promises while a model is served, on Deno or Bun:
 *
 *     bun bench/serving.ts metrics [MODEL]     what listeners, reports and Prometheus' text cost of throughput
 *     bun bench/serving.ts memory [MODEL [N]]  a thousand requests, or N, with long prompts within 300 MB above the model
 *     bun bench/serving.ts latency [MODEL]     what a target for the time of a token does to it, and to throughput
 *
 * Without MODEL it is the embedded one; `bench/tinyllama.ts` makes a larger one.
 *
 * @module
 */
import { median } from "../src/engine/median.ts";
import process from "node:process";
import { LightGPT, type LightGPTOptions, Model } from "../mod.ts";
import { Meter } from "../src/batching/stats.ts";
import { embeddedModel } from "../src/files/embedded.ts";

const mib = 2 ** 20;
/** No text ends before it should; {@link open} says which tokens would end one. */
let greedy: { temperature: number; banned?: number[] } = { temperature: 0 };

function report(what: string, figure: string, goal: string): void {
  console.log(`${what.padEnd(62)} ${figure.padStart(28)}   goal ${goal}`);
}

/** Token ids that every vocabulary has, other ones for each `salt`. */
function promptIds(count: number, salt: number): number[] {
  return Array.from({ length: count }, (_, index) => 3 + (index * 79 + salt * 37 + Math.imul(index, salt) % 97) % 251);
}

async function open(path: string | undefined, options: LightGPTOptions): Promise<LightGPT> {
  const lm = await LightGPT.load(path, options);
  greedy = { temperature: 0, banned: [...lm.model.tokenizer.endOfGeneration] };
  return lm;
}

/** Serves requests, some at a time; returns tokens a second. */
async function serve(lm: LightGPT, requests: number, atOnce: number, prompt: number, tokens: number): Promise<number> {
  const begin = performance.now();
  let next = 0;
  let made = 0;
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (next < requests) {
      const ids = promptIds(prompt, next++);
      for await (const _ of lm.generate(ids, { maxTokens: tokens, sampling: greedy, cache: false })) made++;
    }
  }));
  return made / (performance.now() - begin) * 1000;
}

/** Pairs of short runs, with and without, in turns; the ratio of each pair. */
async function metrics(path: string | undefined): Promise<void> {
  counting();
  await using lm = await open(path, { cache: false });
  const work = () => serve(lm, 48, 8, 16, 60);
  const watched = async () => {
    let heard = 0;
    const stop = lm.metrics.listen(() => heard++);
    // As Prometheus does, which asks every 15 s, or every second where it is set so.
    const timer = setInterval(() => void lm.metrics.prometheus(), 1000);
    const rate = await work();
    clearInterval(timer);
    stop();
    if (heard === 0) throw new Error("nothing was heard");
    return rate;
  };
  await watched();
  const ratios: number[] = [];
  for (let pair = 0; pair < 40; pair++) {
    const isFirst = pair % 2 === 0;
    const one = await (isFirst ? watched() : work());
    const other = await (isFirst ? work() : watched());
    ratios.push(isFirst ? one / other : other / one);
  }
  const sorted = ratios.toSorted((a, b) => a - b);
  const middle = `${(100 * (1 - median(ratios))).toFixed(2)} %`;
  const spread = `(${(100 * (1 - sorted[30])).toFixed(1)} to ${(100 * (1 - sorted[9])).toFixed(1)})`;
  const begin = performance.now();
  for (let index = 0; index < 50; index++) await lm.metrics.prometheus();
  const text = (performance.now() - begin) / 50;
  report("Prometheus' text, once", `${text.toFixed(2)} ms`, "<= 10 ms, 1 % of a second");
  report("cost of listening, and of Prometheus' text every second", `${middle} ${spread}`, "<= 1 %");
}

/** What counting costs without any noise of steps: a token and its share of a step of eight, counted and told. */
function counting(): void {
  const meter = new Meter();
  let heard = 0;
  meter.listeners.add({ token: () => heard++, step: () => heard++ });
  const tokens = 2_000_000;
  const times = { bornMs: 1, placedMs: 1, firstMs: 1, tokenMs: 1 };
  const begin = performance.now();
  for (let token = 0; token < tokens; token++) {
    meter.token(token, times);
    if (token % 8 === 0) meter.step({ ms: 1, tokens: 8, prompt: 0, sequences: 8, running: 8 }, 16);
  }
  const microseconds = (performance.now() - begin) * 1000 / tokens;
  if (heard !== tokens + tokens / 8) throw new Error("not all was heard");
  report("counting a token, with a listener", `${microseconds.toFixed(3)} us`, "<= 1 % of the time of a token");
}

/** Long prompts, no two alike, within so much more than the model takes, beside a program that lets the cache grow. */
async function memory(path: string | undefined, requests: number): Promise<void> {
  const model = await Model.load(path ?? embeddedModel());
  const loaded = process.memoryUsage.rss();
  const { context, residentBytes } = model;
  model.dispose();
  const limit = residentBytes + 300 * mib;
  // A prompt of most of the context; larger models get some that share it, or a thousand would take hours.
  const isSmall = residentBytes < 50e6;
  const prompt = Math.min(1500, Math.floor(context * 0.9));
  const stems = isSmall ? 1000 : 4;
  const run = async (options: LightGPTOptions) => {
    await using lm = await open(path, options);
    const peak = { resident: 0, kv: 0 };
    const timer = setInterval(() => {
      peak.resident = Math.max(peak.resident, process.memoryUsage.rss());
      peak.kv = Math.max(peak.kv, lm.metrics.report().memory.kv);
    }, 20);
    const outcomes = { served: 0, refused: 0 };
    let next = 0;
    const begin = performance.now();
    await Promise.all(Array.from({ length: 24 }, async () => {
      while (next < requests) {
        const number = next++;
        const ids = [...promptIds(prompt - 4, number % stems), ...promptIds(4, number)];
        for (;;) {
          try {
            await lm.complete(ids, { maxTokens: 8, sampling: greedy });
            outcomes.served++;
            break;
          } catch (error) {
            if (!(error instanceof Error) || !("code" in error) || error.code !== "outOfMemory") throw error;
            outcomes.refused++;
            await new Promise((done) => setTimeout(done, 200));
          }
        }
      }
    }));
    clearInterval(timer);
    const seconds = ((performance.now() - begin) / 1000).toFixed(0);
    const { preemptions, cache } = lm.metrics.report();
    const decisions = lm.optimizer.events.filter(({ kind }) => kind === "memory");
    console.log(
      `${outcomes.served} requests with prompts of ${prompt} in ${seconds} s, ${outcomes.refused} refusals, ` +
        `${preemptions} preemptions, ${cache?.evictions} pages evicted; KV up to ${(peak.kv / mib).toFixed(0)} MiB; ` +
        `${decisions.length} decisions, the last: ${decisions.at(-1)?.text ?? "none"}`,
    );
    return peak.resident;
  };
  console.log(
    `the model takes ${(residentBytes / mib).toFixed(0)} MiB, the process with it ${(loaded / mib).toFixed(0)} MiB`,
  );
  const within = await run({ memory: limit });
  report(
    `most resident memory, of ${(limit / mib).toFixed(0)} MiB`,
    `${(within / mib).toFixed(0)} MiB`,
    "below the limit",
  );
  if (!isSmall) return;
  const without = await run({ kvBytesMax: 2 ** 30 });
  report("the same without a budget, with KV pages of 1 GiB", `${(without / mib).toFixed(0)} MiB`, "(above it)");
}

/** Sixteen requests at once, with targets. */
async function latency(path: string | undefined): Promise<void> {
  const base = await measure(path, {});
  console.log(`without a target: 95 % of tokens within ${base.p95.toFixed(2)} ms, ${base.rate.toFixed(0)} tokens/s`);
  for (const share of [0.7, 0.4]) {
    const target = Number((base.p95 * share).toPrecision(3));
    const { p95, rate, batch, events } = await measure(path, { targetTokenMs: target });
    report(
      `a target of ${target} ms: batch ${batch}, ${rate.toFixed(0)} tokens/s, ${events} decisions`,
      `95 % within ${p95.toFixed(2)} ms`,
      `<= ${target} ms`,
    );
  }
}

async function measure(path: string | undefined, options: LightGPTOptions) {
  await using lm = await open(path, options);
  const begin = performance.now();
  const seconds = lm.model.residentBytes < 50e6 ? 6 : 40;
  while (performance.now() - begin < 1000 * seconds) await serve(lm, 48, 24, 16, 60);
  const times: number[] = [];
  // The steps in which a request waited; the time of a token from outside includes the queue of this very loop.
  const stop = lm.metrics.listen((event) => {
    if (event.kind === "step" && event.tokens > event.prompt) times.push(event.ms);
  });
  const rate = await serve(lm, 48, 24, 16, 60);
  stop();
  const p95 = times.toSorted((a, b) => a - b)[Math.ceil(0.95 * times.length) - 1] ?? NaN;
  const events = lm.optimizer.events.filter(({ kind }) => kind === "adapt").length;
  return { p95, rate, batch: lm.optimizer.settings.batchSequences, events };
}

const parts: Record<string, (path: string | undefined, count: number) => Promise<void>> = { metrics, memory, latency };
const [name = "", path, count = "1000"] = process.argv.slice(2);
const part = Object.hasOwn(parts, name) ? parts[name] : undefined;
if (!part) {
  console.error(`serving: expected one of ${Object.keys(parts).join(", ")}, got "${name}"`);
  process.exit(2);
}
await part(path, Number(count));
