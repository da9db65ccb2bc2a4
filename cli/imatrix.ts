/**
 * `lightgpt imatrix`: has a model read a text and writes what its matrices saw, as an importance matrix in llama.cpp's
 * GGUF format.
 *
 * @module
 */
import { basename } from "node:path";
import { collectFields, collectImportance, type CollectOptions } from "../src/converting/collect_importance.ts";
import { readText } from "./files.ts";
import { optionsFrom } from "./flags.ts";
import { openModel } from "./model.ts";
import type { Arguments } from "./arguments.ts";
import { UsageError } from "./types.ts";
import { print, ProgressBar, toJson } from "./output.ts";

/** Runs the subcommand. */
export async function imatrix(args: Arguments, signal: AbortSignal): Promise<void> {
  const [file, out] = [args.text("file"), args.text("out")];
  if (file === undefined || out === undefined) throw new UsageError("imatrix needs --file and --out");
  const text = readText("--file", file);
  await using lm = await openModel(args, signal);
  const bar = new ProgressBar("reading");
  const matrix = await collectImportance(lm.model, text, {
    dataset: basename(file),
    signal,
    ...optionsFrom<CollectOptions>(args, collectFields),
    onProgress: (done, total) => bar.update(done, total),
  }).finally(() => bar.end());
  matrix.write(out);
  const { chunkCount, chunkSize } = matrix;
  const found = { out, matrices: matrix.entries.size, chunks: chunkCount, chunkSize };
  await print(
    args.flag("json")
      ? toJson(found)
      : `${out}: ${found.matrices} matrices, ${chunkCount} windows of ${chunkSize} tokens\n`,
  );
}
