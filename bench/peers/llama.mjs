/**
 * llama.cpp in a process of its own: loads a model through node-llama-cpp, does the work of a plan (`ChildPlan` in
 * `../plan.ts`), and prints one line of JSON with the raw times. Greedy choice, F16 keys and values, batches of 512, all
 * else as node-llama-cpp's defaults have it. `../round.ts` starts it.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { getLlama, LlamaLogLevel } from "node-llama-cpp";
import { peakBytes, startTiming } from "../timing.mjs";

const plan = JSON.parse(process.argv[2]);
const greedy = { temperature: 0, yieldEogToken: true };

const llama = await getLlama({
  gpu: false,
  // Another llama.cpp, such as one built on this machine: `npx node-llama-cpp source build`.
  build: "never",
  skipDownload: true,
  logLevel: LlamaLogLevel.error,
  maxThreads: plan.threads,
});

/** Reads `prompt` and makes tokens until `count`; the time of each. */
async function generate(sequence, prompt, count) {
  const times = [];
  for await (const _ of sequence.evaluate(prompt, greedy)) {
    times.push(performance.now());
    if (times.length === count) break;
  }
  if (times.length < count) throw new Error(`llama.cpp ended after ${times.length} of ${count} tokens`);
  return times;
}

const loading = startTiming();
const emptyBytes = peakBytes();
const model = await llama.loadModel({ modelPath: plan.model });
let context;
let sequences = [];

/** Has a context of so many sequences, one at a time. */
async function openSequences(count) {
  if (sequences.length === count) return await Promise.all(sequences.map((sequence) => sequence.clearHistory()));
  await context?.dispose();
  context = await model.createContext({
    contextSize: plan.context,
    sequences: count,
    batchSize: 512,
    threads: plan.threads,
  });
  sequences = Array.from({ length: count }, () => context.getSequence());
}

await openSequences(1);
const { ms: loadMs } = loading();
const loadedBytes = peakBytes();
await generate(sequences[0], plan.prompts[0][0].slice(0, 8), 1);
const { ms: firstTokenMs } = loading();
await sequences[0].clearHistory();
await generate(sequences[0], plan.prompts[0][0].slice(1, 9), 5);

/** The times of each token of each sequence, by work, and how many cores others kept busy. */
const times = {};
const others = {};
for (const [index, work] of plan.work.entries()) {
  const prompts = plan.prompts[index];
  await openSequences(prompts.length);
  const begin = performance.now();
  const timing = startTiming();
  const streams = await Promise.all(
    prompts.map((prompt, at) => generate(sequences[at], prompt, work.kind === "prefill" ? 1 : work.tokens + 1)),
  );
  others[work.name] = timing().others;
  times[work.name] = work.kind === "prefill" ? [[begin, streams[0][0]]] : streams;
}

/** Which of its builds for the processor's kind ggml has loaded, where it comes in several. */
function backend() {
  try {
    return readFileSync("/proc/self/maps", "utf8").match(/libggml-cpu-?(\w*)\.so/)?.[1] || "native";
  } catch {
    return "unknown"; // not Linux
  }
}

const release = llama.llamaCppRelease.release;
console.log(JSON.stringify({
  version: `llama.cpp ${release}, node-llama-cpp ${plan.peerVersion}, ${llama.buildType}, CPU backend ${backend()}`,
  loadMs,
  firstTokenMs,
  times,
  others,
  emptyBytes,
  loadedBytes,
  peakBytes: peakBytes(),
}));
process.exit(0); // node-llama-cpp keeps the process alive
