/**
 * `lightgpt perplexity`: how well a model predicts a text, window after window, and how far it is from another one, or from what
 * one said of the text earlier.
 *
 * @module
 */
import { readText } from "./files.ts";
import type { Comparison } from "../src/measuring/comparison.ts";
import { perplexityFields, type PerplexityOptions } from "../src/measuring/perplexity.ts";
import { given } from "../src/options/schema.ts";
import { optionsFrom } from "./flags.ts";
import { openModel } from "./model.ts";
import type { Arguments } from "./arguments.ts";
import { UsageError } from "./types.ts";
import { print, toJson } from "./output.ts";
import { ProgressBar } from "./progress.ts";

/** Runs the subcommand. */
export async function perplexity(args: Arguments, signal: AbortSignal): Promise<void> {
  const compare = args.text("compare");
  const base = args.text("kl-divergence-base");
  const readsBase = args.flag("kl-divergence");
  if (readsBase && base === undefined) throw new UsageError("--kl-divergence needs --kl-divergence-base");
  if (compare !== undefined && base !== undefined) {
    throw new UsageError("--compare and --kl-divergence-base are two references; expected one of them");
  }
  const file = args.text("file");
  if (file === undefined && !readsBase) throw new UsageError("perplexity needs --file");
  const text = file === undefined ? undefined : readText("--file", file);
  await using lm = await openModel(args, signal);
  await using other = compare === undefined ? undefined : await openModel(args, signal, compare);
  const bar = new ProgressBar("reading");
  const options: PerplexityOptions = {
    signal,
    ...optionsFrom<PerplexityOptions>(args, perplexityFields),
    onProgress: (done, total) => bar.update(done, total),
  };
  const json = args.flag("json");
  try {
    if (other !== undefined || readsBase) {
      const comparison = await lm.accuracy({ ...options, ...given({ reference: other, text }) });
      bar.end();
      await print(json ? toJson(comparison) : plain(comparison));
    } else if (text !== undefined) {
      const { perplexity, tokens, nll } = await lm.perplexity(text, options);
      bar.end();
      await print(json ? toJson({ perplexity, tokens, nll }) : `${perplexity.toFixed(5)} over ${tokens} tokens\n`);
    }
  } finally {
    bar.end();
  }
}

function plain(
  { perplexity, reference, ratio, divergence, divergence99, same, sure, sameWhereSure, tokens }: Comparison,
): string {
  const percent = (share: number) => `${(100 * share).toFixed(3)} %`;
  return [
    `perplexity     ${perplexity.toFixed(5)} over ${tokens} tokens`,
    `of the other   ${reference.toFixed(5)}, ratio ${ratio.toFixed(5)}`,
    `mean KL        ${divergence.toFixed(6)}`,
    `99th of 100    ${divergence99.toFixed(6)}`,
    `same choice    ${percent(same)}`,
    `where sure     ${percent(sameWhereSure)} of ${sure}`,
    "",
  ].join("\n");
}
