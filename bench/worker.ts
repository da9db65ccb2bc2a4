/**
 * LightGPT in a process of its own: loads a model, does the work of a {@link ChildPlan} through the public interface, and
 * prints one line of JSON. `round.ts` starts it, on Bun or Deno.
 *
 * @module
 */
import process from "node:process";
import { bytesPerToken, promptSource, timeDecode, timePrefill } from "../src/measuring/benchmark/timing.ts";
import { native } from "../ffi/native.ts";
import { VERSION } from "../ffi/wire.ts";
import { LightGPT } from "../mod.ts";
import { kvSizes } from "../src/engine/engine.ts";
import type { ChildPlan, NativeResult, SubjectResult } from "./plan.ts";
import { peakBytes, startTiming } from "./timing.mjs";

const plan: ChildPlan = JSON.parse(process.argv[2] ?? "{}");
const { threads, threadsTold, kv = "f16", activations = "int8" } = plan;
const prompts = promptSource();

const library = native(); // its opening is no part of loading a model, as in the other child
const emptyBytes = peakBytes();
const loading = startTiming();
const told = threadsTold === undefined ? {} : { threads: threadsTold };
const lm = await LightGPT.load(plan.model, {
  ...told,
  kv,
  activations,
  packed: plan.packed ? "keep" : "off",
  context: plan.context,
  cache: false,
});
const { ms: loadMs } = loading();
const loadedBytes = peakBytes();
await timePrefill(lm, prompts(8));
const { ms: firstTokenMs } = loading();
await timeDecode(lm, { batch: 1, context: 8, tokens: 4, prompts });

const rates: Record<string, number> = {};
const others: Record<string, number | null> = {};
for (const work of plan.work) {
  const timing = startTiming();
  const rate = work.kind === "prefill"
    ? await timePrefill(lm, prompts(work.tokens))
    : await timeDecode(lm, { ...work, prompts });
  others[work.name] = timing().others;
  rates[work.name] = rate.tokens / rate.ms * 1000;
}

const result: SubjectResult = {
  version: `LightGPT ${VERSION}, ${"Deno" in globalThis ? "Deno" : "Bun"}, level ${library.processor.level}`,
  loadMs,
  firstTokenMs,
  rates,
  others,
  emptyBytes,
  loadedBytes,
  peakBytes: peakBytes(),
  native: nativeResult(),
};
console.log(JSON.stringify(result));
await lm.dispose();

function nativeResult(): NativeResult {
  const { plan } = lm.model;
  const { tensors } = plan;
  const macs = (isWanted: (role: string) => boolean) =>
    tensors.filter(({ role }) => isWanted(role)).reduce((sum, { columns, rows }) => sum + columns * rows, 0);
  const isOutside = (role: string) => role === "output" || role === "token_embd";
  return {
    bandwidthOne: library.bandwidth({ threads: 1, mebibytes: 1024 }),
    bandwidth: library.bandwidth({ threads, mebibytes: 1024 }),
    tokenBytes: bytesPerToken(lm),
    positionBytes: kvSizes(plan, kv, 64).pageBytes / 64,
    tensorBytes: tensors.reduce((sum, { bytes }) => sum + bytes, 0),
    layerMacs: macs((role) => !isOutside(role)),
    outputMacs: macs((role) => role === "output"),
  };
}
