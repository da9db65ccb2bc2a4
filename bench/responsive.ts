/**
 * How free the event loop stays beside generation, and how soon a cancelled request is over. The promises: 99 % of the ticks of a
 * 1 ms timer within 10 ms, on two cores; cancelling within 100 ms, with what it held free again.
 *
 *     bun bench/responsive.ts [MODEL] [THREADS]        deno run -A bench/responsive.ts [MODEL] [THREADS]
 *
 * Without a model it measures on the TinyLlama-shaped file of `tinyllama.ts`. `others` is how many cores other programs kept
 * busy meanwhile: with more than a little of that, the figures are theirs.
 *
 * @module
 */
import process from "node:process";
import { promptSource } from "../src/measuring/benchmark/timing.ts";
import { LightGPT } from "../mod.ts";
import { native } from "../ffi/native.ts";
import { defaultPath, makeTinyLlama } from "./tinyllama.ts";
import { startTiming } from "./timing.mjs";

const [path = makeTinyLlama("q4_0", defaultPath("q4_0")), threads = "2"] = process.argv.slice(2);
await using lm = await LightGPT.load(path, { threads: Number(threads), context: 512, cache: false });
const prompts = promptSource();
/** Never meets the end of a text. */
const wild = (seed: number) => ({ temperature: 1e9, topK: 0, topP: 1, seed });
const round = (value: number) => Math.round(value * 100) / 100;

/** Runs `work` beside a 1 ms timer; how late its ticks came. */
async function ticks(work: () => Promise<unknown>) {
  const gaps: number[] = [];
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    gaps.push(now - last);
    last = now;
  }, 1);
  const timing = startTiming();
  await work();
  const { ms, others } = timing();
  clearInterval(timer);
  gaps.sort((a, b) => a - b);
  const at = (share: number) => round(gaps[Math.floor(share * (gaps.length - 1))] ?? NaN);
  return {
    ticks: gaps.length,
    "within 10 ms, %": round(100 * gaps.filter((gap) => gap <= 10).length / gaps.length),
    p50: at(0.5),
    p99: at(0.99),
    worst: at(1),
    seconds: round(ms / 1000),
    others: others === null ? "unknown" : round(others),
  };
}

/** Aborts a request `afterMs` after it began: milliseconds until its reader hears, and until the engine is idle again. */
async function cancel(afterMs: number, promptTokens: number, seed: number) {
  const controller = new AbortController();
  const pieces = lm.generate(prompts(promptTokens), { sampling: wild(seed), signal: controller.signal });
  let aborted = 0;
  setTimeout(() => {
    aborted = performance.now();
    controller.abort();
  }, afterMs);
  try {
    for await (const _ of pieces);
  } catch {
    const heard = performance.now();
    // The next request's step cannot begin before the one in flight has given up.
    await lm.complete([5], { maxTokens: 1 });
    return { heard: heard - aborted, next: performance.now() - aborted };
  }
  throw new Error(`a request of ${promptTokens} tokens ended before ${afterMs} ms were over; it must be longer`);
}

const runtime = "Deno" in globalThis ? "Deno" : "Bun";
console.log(`${runtime}, level ${native().processor.level}, ${threads} threads, ${path}`);
await lm.complete(prompts(64), { maxTokens: 4, sampling: wild(1) });
console.table({
  idle: await ticks(() => new Promise((resolve) => setTimeout(resolve, 3000))),
  "one token at a time": await ticks(() => lm.complete(prompts(8), { maxTokens: 100, sampling: wild(2) })),
  "a prompt of 448": await ticks(() => lm.complete(prompts(448), { maxTokens: 1 })),
  "8 requests": await ticks(() =>
    Promise.all(
      Array.from({ length: 8 }, (_, salt) => lm.complete(prompts(32), { maxTokens: 24, sampling: wild(salt) })),
    )
  ),
});

const alone: number[] = [];
for (let repeat = 0; repeat < 5; repeat++) {
  const begin = performance.now();
  await lm.complete([5], { maxTokens: 1 });
  alone.push(performance.now() - begin);
}
alone.sort((a, b) => a - b);
const cancels: Awaited<ReturnType<typeof cancel>>[] = [];
for (let salt = 0; salt < 20; salt++) cancels.push(await cancel(20 + 13 * salt, salt % 2 === 0 ? 448 : 16, salt));
const worst = (key: "heard" | "next") => round(Math.max(...cancels.map((times) => times[key])));
console.log(
  `cancelled 20 times, amid prompts and texts: the reader hears within ${
    worst("heard")
  } ms; the first token of the next ` +
    `request comes within ${worst("next")} ms of the cancelling, ${round(alone[2])} ms of which it takes alone`,
);
