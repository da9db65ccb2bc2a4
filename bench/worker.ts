/**
 * The LightGPT side of a round (`peers/run.mjs`), in a process of its own: loads a model, does the work of the plan
 * through the public API, and prints one line of JSON.
 *
 *     bun bench/worker.ts '{"model": ..., "threads": 2, ...}'
 *
 * @module
 */
import process from "node:process";
import { LightGPT } from "../mod.ts";
import { native } from "../ffi/native.ts";
import { peakBytes, promptIds, sharedWindow, startTiming, type Timing } from "./timing.mjs";

/** What a round does; `run.mjs` makes it. */
interface Plan {
  readonly model: string;
  readonly threads: number;
  readonly repeats: number;
  readonly prefill: number;
  readonly decode: { readonly prompt: number; readonly tokens: number };
  readonly batch: { readonly sequences: number; readonly prompt: number; readonly tokens: number };
}

const plan: Plan = JSON.parse(process.argv[2] ?? "{}");
const { prefill, decode, batch } = plan;

/** Reads `prompt` and makes `count` tokens; the time of each. */
async function generate(lm: LightGPT, prompt: number[], count: number): Promise<number[]> {
  const times: number[] = [];
  for await (const _ of lm.generate(prompt, { maxTokens: count, sampling: { temperature: 0 } })) {
    times.push(performance.now());
  }
  if (times.length < count) throw new Error(`LightGPT ended after ${times.length} of ${count} tokens`);
  return times;
}

const library = native(); // its opening is no part of loading a model, as in the other child
const emptyBytes = peakBytes();
const loading = startTiming();
const lm = await LightGPT.load(plan.model, {
  threads: plan.threads,
  context: Math.max(prefill, decode.prompt) + decode.tokens + 8,
});
const load = loading();
const loadedBytes = peakBytes();
await generate(lm, promptIds(8), 1);
const firstToken = loading();
await generate(lm, promptIds(8, 1), 4);

const samples: Record<string, (Timing & { tokens: number })[]> = { prefill: [], decode: [], batch: [] };
for (let repeat = 0; repeat < plan.repeats; repeat++) {
  const prefilling = startTiming();
  await generate(lm, promptIds(prefill, repeat), 1);
  samples.prefill.push({ tokens: prefill, ...prefilling() });

  const decoding = startTiming();
  const times = await generate(lm, promptIds(decode.prompt, repeat), decode.tokens + 1);
  samples.decode.push({ tokens: decode.tokens, ...decoding(), ms: times[decode.tokens] - times[0] });
}
for (let repeat = 0; repeat < (batch.sequences > 0 ? plan.repeats : 0); repeat++) {
  const running = startTiming();
  const times = await Promise.all(
    Array.from(
      { length: batch.sequences },
      (_, salt) => generate(lm, promptIds(batch.prompt, salt), batch.tokens + 1),
    ),
  );
  samples.batch.push({ ...running(), ...sharedWindow(times) });
}

console.log(JSON.stringify({
  version: `LightGPT ${library.version}, level ${library.processor.level}`,
  loadMs: load.ms,
  firstTokenMs: firstToken.ms,
  loadOthers: load.others,
  samples,
  emptyBytes,
  loadedBytes,
  peakBytes: peakBytes(),
  bandwidth: { one: library.bandwidth(1, 1024), all: library.bandwidth(plan.threads, 1024) },
}));
await lm.dispose();
