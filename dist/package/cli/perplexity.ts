/**
 * `lightgpt perplexity`: how well a model predicts a text, in consecutive windows that each begin with BOS.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { openModel } from "./model.ts";
import { type Arguments, UsageError } from "./options.ts";
import { print, ProgressBar, toJson } from "./output.ts";

/** Runs the subcommand. */
export async function perplexity(args: Arguments, signal: AbortSignal): Promise<void> {
  const file = args.text("file");
  if (file === undefined) throw new UsageError("perplexity needs --file");
  const window = args.number("window");
  const text = readFileSync(file, "utf8");
  await using lm = await openModel(args, signal);
  const bar = new ProgressBar("reading");
  const result = await lm.perplexity(text, {
    signal,
    ...(window === undefined ? {} : { window }),
    onProgress: (done, total) => bar.update(done, total),
  }).finally(() => bar.end());
  const { perplexity, tokens, nll } = result;
  await print(
    args.flag("json") ? toJson({ perplexity, tokens, nll }) : `${perplexity.toFixed(5)} over ${tokens} tokens\n`,
  );
}
