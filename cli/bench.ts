/**
 * `lightgpt bench`: how fast a model runs on this machine, alone or beside a baseline.
 *
 * @module
 */
import { batcherFields } from "../src/batching/options.ts";
import { readOptions } from "../src/options/schema.ts";
import { type BenchmarkPlan, decodeContext, runBenchmark } from "../src/measuring/benchmark/benchmark.ts";
import { benchText } from "../src/measuring/benchmark/report_text.ts";
import { bytesPerToken } from "../src/measuring/benchmark/timing.ts";
import { compareWithBaseline } from "./baseline.ts";
import { openModel } from "./model.ts";
import type { Arguments } from "./arguments.ts";
import { optionsFrom } from "./flags.ts";
import { UsageError } from "./types.ts";
import { print, toJson } from "./output.ts";
import { ProgressBar } from "./progress.ts";

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
    const report = await runBenchmark(lm, {
      prompts: [...prompts],
      batches: [...args.ids("batch") ?? [1, 4, 16]],
      tokens,
      repeats: args.number("repeats") ?? 3,
      precision: precisionOf(args),
      onProgress: (done, total) => bar.update(done, total),
      signal,
    });
    await print(args.flag("json") ? toJson(report) : benchText(report, bytesPerToken(lm)));
  } finally {
    bar.end();
  }
}

function precisionOf(args: Arguments): BenchmarkPlan["precision"] {
  const { activations, kv } = readOptions(batcherFields, optionsFrom(args, batcherFields));
  return { activations, kv };
}
