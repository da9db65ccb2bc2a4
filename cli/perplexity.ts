/**
 * `lightgpt perplexity`: how well a model predicts a text, in consecutive windows that each begin with BOS, and how far
 * it is from another one.
 *
 * @module
 */
import { readText } from "./files.ts";
import { type Comparison, perplexityFields, type PerplexityOptions } from "../src/measuring/perplexity.ts";
import { optionsFrom } from "./flags.ts";
import { openModel } from "./model.ts";
import type { Arguments } from "./arguments.ts";
import { UsageError } from "./types.ts";
import { print, ProgressBar, toJson } from "./output.ts";

/** Runs the subcommand. */
export async function perplexity(args: Arguments, signal: AbortSignal): Promise<void> {
  const file = args.text("file");
  if (file === undefined) throw new UsageError("perplexity needs --file");
  const text = readText("--file", file);
  const compare = args.text("compare");
  await using lm = await openModel(args, signal);
  await using other = compare === undefined ? undefined : await openModel(args, signal, compare);
  const bar = new ProgressBar("reading");
  const options: PerplexityOptions = {
    signal,
    ...optionsFrom<PerplexityOptions>(args, perplexityFields),
    onProgress: (done, total) => bar.update(done, total),
  };
  const json = args.flag("json");
  if (other === undefined) {
    const { perplexity, tokens, nll } = await lm.perplexity(text, options).finally(() => bar.end());
    await print(json ? toJson({ perplexity, tokens, nll }) : `${perplexity.toFixed(5)} over ${tokens} tokens\n`);
  } else {
    const comparison = await lm.accuracy({ ...options, reference: other, text }).finally(() => bar.end());
    await print(json ? toJson(comparison) : plain(comparison));
  }
}

function plain({ perplexity, reference, ratio, divergence, same, sure, sameWhereSure, tokens }: Comparison): string {
  const percent = (share: number) => `${(100 * share).toFixed(3)} %`;
  return [
    `perplexity     ${perplexity.toFixed(5)} over ${tokens} tokens`,
    `of the other   ${reference.toFixed(5)}, ratio ${ratio.toFixed(5)}`,
    `mean KL        ${divergence.toFixed(6)}`,
    `same choice    ${percent(same)}`,
    `where sure     ${percent(sameWhereSure)} of ${sure}`,
    "",
  ].join("\n");
}
