/**
 * The llama.cpp side of a round, in a process of its own: loads a model through node-llama-cpp, does the work of
 * `plan` (see `run.mjs`), and prints one line of JSON. Greedy choice, F16 keys and values, batches of 512, all else
 * as node-llama-cpp's defaults have it.
 *
 *     node llama.mjs '{"model": ..., "threads": 2, ...}'
 *
 * @module
 */
import process from "node:process";
import { getLlama, LlamaLogLevel } from "node-llama-cpp";
import { peakBytes, promptIds, sharedWindow, startTiming } from "../timing.mjs";

/** @type {import("./run.mjs").Plan} */
const plan = JSON.parse(process.argv[2]);
const greedy = { temperature: 0, yieldEogToken: true };

const llama = await getLlama({
  gpu: false,
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

const { prefill, decode, batch } = plan;
const loading = startTiming();
const model = await llama.loadModel({ modelPath: plan.model });
const context = await model.createContext({
  contextSize: Math.max(prefill, decode.prompt) + decode.tokens + 8,
  sequences: 1,
  batchSize: 512,
  threads: plan.threads,
});
const load = loading();
const loadedBytes = peakBytes();
const sequence = context.getSequence();
await generate(sequence, promptIds(8), 1);
const firstToken = loading();
await generate(sequence, promptIds(8, 1), 4);

const samples = { prefill: [], decode: [], batch: [] };
for (let repeat = 0; repeat < plan.repeats; repeat++) {
  await sequence.clearHistory();
  const prefilling = startTiming();
  await generate(sequence, promptIds(prefill, repeat), 1);
  samples.prefill.push({ tokens: prefill, ...prefilling() });

  await sequence.clearHistory();
  const decoding = startTiming();
  const times = await generate(sequence, promptIds(decode.prompt, repeat), decode.tokens + 1);
  samples.decode.push({ tokens: decode.tokens, ...decoding(), ms: times[decode.tokens] - times[0] });
}
await context.dispose();

if (batch.sequences > 0) {
  const wide = await model.createContext({
    contextSize: batch.prompt + batch.tokens + 8,
    sequences: batch.sequences,
    batchSize: 512,
    threads: plan.threads,
  });
  const sequences = Array.from({ length: batch.sequences }, () => wide.getSequence());
  for (let repeat = 0; repeat < plan.repeats; repeat++) {
    await Promise.all(sequences.map((sequence) => sequence.clearHistory()));
    const running = startTiming();
    const times = await Promise.all(
      sequences.map((sequence, salt) => generate(sequence, promptIds(batch.prompt, salt), batch.tokens + 1)),
    );
    samples.batch.push({ ...running(), ...sharedWindow(times) });
  }
}

const report = {
  version: `llama.cpp ${llama.llamaCppRelease.release} (node-llama-cpp ${plan.peerVersion}, ${llama.buildType})`,
  loadMs: load.ms,
  firstTokenMs: firstToken.ms,
  loadOthers: load.others,
  samples,
  loadedBytes,
  peakBytes: peakBytes(),
};
console.log(JSON.stringify(report));
process.exit(0); // node-llama-cpp keeps the process alive
