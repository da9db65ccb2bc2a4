/**
 * How fast a loaded model runs on this machine: rates as medians, beside the rate at which the machine reads memory, which is
 * what generating is limited by.
 *
 * @module
 */
import { cpus } from "node:os";
import process from "node:process";
import { native } from "../../../ffi/native.ts";
import type { Batcher } from "../../batching/batcher.ts";
import type { Percentiles } from "../../batching/stats.ts";
import { median } from "../../engine/median.ts";
import type { Report } from "./report.ts";
import { promptSource, type Rate, type Timed, timeDecode, timePrefill } from "./timing.ts";

/** Tokens that a sequence has read before its generating is measured. */
export const decodeContext = 16;
/** Mebibytes that are read to measure the bandwidth: far more than any cache holds. */
const bandwidthMiB = 1024;
/** Milliseconds of warming up before each measurement, with as few tokens as a large model generates or reads in them. */
const warmUpMs = 150;
/** Milliseconds that a figure is taken over, at least. */
const sampleMs = 150;
const warmUpTokens = 4;
const warmUpPrompt = 16;

/** What is measured: a `LightGPT`, as far as a benchmark needs it. */
export interface Benchmarked extends Timed {
  /** Threads that compute. */
  readonly threads: number;
  /** What runs the requests. */
  readonly batcher: Pick<Batcher, "stats">;
}

/** What to measure. */
export interface BenchmarkPlan {
  readonly prompts: readonly number[];
  readonly batches: readonly number[];
  readonly tokens: number;
  readonly repeats: number;
  /** What the model runs with, for the report. */
  readonly precision: Pick<Report, "activations" | "kv">;
  readonly onProgress: (done: number, total: number) => void;
  readonly signal: AbortSignal;
}

/** Measures a model that is loaded. */
export async function runBenchmark(
  lm: Benchmarked,
  { prompts, batches, tokens, repeats, precision, onProgress, signal }: BenchmarkPlan,
): Promise<Report> {
  const next = promptSource();
  const total = (prompts.length + batches.length + 1) * repeats; // the bandwidth is a figure, too
  let done = 0;
  const medianRate = async (time: () => Promise<Rate>) => {
    const rates: number[] = [];
    for (let repeat = 0; repeat < repeats; repeat++) {
      const sum = { tokens: 0, ms: 0 };
      // Of a small model again and again, for some milliseconds are easily disturbed.
      do {
        const { tokens, ms } = await time();
        sum.tokens += tokens;
        sum.ms += ms;
      } while (sum.ms < sampleMs);
      rates.push(sum.tokens / sum.ms * 1000);
      onProgress(++done, total);
    }
    return median(rates);
  };

  const ofOne = { batch: 1, context: decodeContext, prompts: next, signal };
  // The first steps find out how long steps take, while the runtime compiles what runs between them.
  await warmUp(() => timeDecode(lm, { ...ofOne, tokens: Math.min(tokens, warmUpTokens) }));
  const prefill: Report["prefill"] = [];
  for (const count of prompts) {
    let read = Math.min(count, warmUpPrompt);
    await warmUp(async () => {
      await timePrefill(lm, next(read), signal);
      read = Math.min(count, 2 * read);
    });
    const tokensPerSecond = await medianRate(() => timePrefill(lm, next(count), signal));
    prefill.push({ tokens: count, tokensPerSecond });
  }
  const decode: Report["decode"] = [];
  for (const batch of batches) {
    const few = { ...ofOne, batch, tokens: Math.min(tokens, warmUpTokens) };
    if (batch > 1) await warmUp(() => timeDecode(lm, few));
    const tokensPerSecond = await medianRate(() => timeDecode(lm, { ...ofOne, batch, tokens }));
    decode.push({ batch, context: decodeContext, tokensPerSecond });
  }
  // Before the memory that is read to measure its rate counts, too.
  const peakBytes = 1024 * process.resourceUsage().maxRSS;
  const bandwidthGBs = native().bandwidth({ threads: lm.threads, mebibytes: bandwidthMiB }) / 1e9;
  onProgress(total, total);
  const { arch, os, level: chosen, refused } = native().processor;
  const level = refused === "" ? chosen : `${chosen} (the system refuses ${refused})`;
  const processors = cpus();
  return {
    machine: { processor: processors[0]?.model.trim() ?? "unknown", cores: processors.length, arch, os, level },
    model: lm.model.gguf.files[0],
    threads: lm.threads,
    ...precision,
    prefill,
    decode,
    bandwidthGBs,
    residentBytes: lm.model.residentBytes,
    firstTokenMs: finite(lm.batcher.stats().firstTokenMs),
    betweenTokensMs: finite(lm.batcher.stats().betweenTokensMs),
    peakBytes,
  };
}

/** Does something for some time, at least once. */
async function warmUp(work: () => Promise<unknown>): Promise<void> {
  const begin = performance.now();
  do await work(); while (performance.now() - begin < warmUpMs);
}

/** Of too few tokens there is nothing to say, and JSON has no NaN. */
function finite({ p50, p95, p99 }: Percentiles): Percentiles {
  return { p50: p50 || 0, p95: p95 || 0, p99: p99 || 0 };
}
