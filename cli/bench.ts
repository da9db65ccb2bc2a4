/**
 * `lightgpt bench`: how fast a model runs on this machine, as medians, beside the rate at which the machine reads memory:
 * that is what generating is limited by.
 *
 * @module
 */
import type { Report } from "./bench_report.ts";
import { cpus } from "node:os";
import process from "node:process";
import { native } from "../ffi/native.ts";
import type { Percentiles } from "../src/batching/stats.ts";
import type { LightGPT } from "../src/lightgpt.ts";
import { compareWithBaseline } from "./baseline.ts";
import { bytesPerToken, median, promptSource, type Rate, timeDecode, timePrefill } from "./measure.ts";
import { openModel } from "./model.ts";
import type { Arguments } from "./arguments.ts";
import { UsageError } from "./types.ts";
import { print, ProgressBar, toJson } from "./output.ts";

/** Tokens that a sequence has read before its generating is measured. */
const decodeContext = 16;
/** Memory that is read to measure the bandwidth: far more than any cache holds. */
const bandwidthMiB = 1024;

/** Below so many bytes a token, weights may stay in a cache, and the rate of memory is no limit. */
const cachedBytes = 64e6;
/** Before anything is measured it is done for so long, with tokens that a large model generates or reads in such a time. */
const warmUpMs = 150;
/** A figure is of at least so long. */
const sampleMs = 150;
const warmUpTokens = 4;
const warmUpPrompt = 16;

/** Runs the subcommand. */
export async function bench(args: Arguments, signal: AbortSignal): Promise<void> {
  if (args.text("baseline") !== undefined) return await compareWithBaseline(args, signal);
  for (const name of ["svg", "text"]) {
    if (args.text(name) !== undefined) throw new UsageError(`--${name} belongs to --baseline`);
  }
  // What an earlier `tune` found would make two machines, or two days, hard to compare.
  await using lm = await openModel(args, signal, args.text("model"), "off");
  const tokens = args.number("tokens") ?? 64;
  if (decodeContext + tokens + 1 > lm.context) {
    throw new UsageError(
      `--tokens ${tokens} after ${decodeContext} of prompt are more than the context of ${lm.context}`,
    );
  }
  const prompts = args.ids("prompt") ?? [Math.min(512, lm.context)];
  const tooLong = prompts.find((count) => count > lm.context);
  if (tooLong !== undefined) {
    throw new UsageError(`--prompt ${tooLong} is more than the context of ${lm.context}; --context makes it larger`);
  }
  const bar = new ProgressBar("measuring");
  try {
    const report = await measure(lm, {
      prompts: [...prompts],
      batches: [...args.ids("batch") ?? [1, 4, 16]],
      tokens,
      repeats: args.number("repeats") ?? 3,
      onProgress: (done, total) => bar.update(done, total),
      signal,
    });
    await print(args.flag("json") ? toJson(report) : benchText(report, bytesPerToken(lm)));
  } finally {
    bar.end();
  }
}

/** What to measure. */
interface Plan {
  readonly prompts: readonly number[];
  readonly batches: readonly number[];
  readonly tokens: number;
  readonly repeats: number;
  readonly onProgress: (done: number, total: number) => void;
  readonly signal: AbortSignal;
}

async function measure(
  lm: LightGPT,
  { prompts, batches, tokens, repeats, onProgress, signal }: Plan,
): Promise<Report> {
  const next = promptSource();
  const total = (prompts.length + batches.length) * repeats;
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
  const { arch, os, level } = native().processor;
  const processors = cpus();
  return {
    machine: { processor: processors[0]?.model.trim() ?? "unknown", cores: processors.length, arch, os, level },
    model: lm.model.gguf.files[0],
    threads: lm.threads,
    prefill,
    decode,
    bandwidthGBs: native().bandwidth({ threads: lm.threads, mebibytes: bandwidthMiB }) / 1e9,
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

/** The report as text; the rate of memory is shown where a token reads more bytes (`perToken`) than a cache holds. */
export function benchText(report: Report, perToken: number): string {
  const { machine, model, threads, prefill, decode, bandwidthGBs, residentBytes } = report;
  const rows = [
    ...prefill.map(({ tokens, tokensPerSecond }) => [`prompt of ${tokens}`, tokensPerSecond, ""] as const),
    ...decode.map(({ batch, tokensPerSecond }) => {
      const read = tokensPerSecond / batch * perToken / 1e9;
      const share = perToken < cachedBytes
        ? ""
        : `  weights read at ${read.toFixed(1)} GB/s, ${(100 * read / bandwidthGBs).toFixed(0)} %`;
      return [batch === 1 ? "one sequence" : `${batch} sequences`, tokensPerSecond, share] as const;
    }),
  ];
  return [
    `${model}: ${(residentBytes / 1e6).toFixed(1)} MB of weights`,
    `${machine.processor}, ${machine.cores} cores, level ${machine.level}; ${threads} threads`,
    `memory read at ${bandwidthGBs.toFixed(1)} GB/s`,
    "",
    ...rows.map(([name, rate, note]) => `${name.padEnd(16)}${rate.toFixed(1).padStart(10)} tokens/s${note}`),
    "",
  ].join("\n");
}
