/**
 * `lightgpt imatrix`: has a model read a text and writes what its matrices saw, as an importance matrix in llama.cpp's
 * GGUF format. It computes nothing but that, so it takes no settings of requests.
 *
 * @module
 */
import { basename } from "node:path";
import { collectFields, collectImportance, type CollectOptions } from "../src/converting/collect_importance.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import { loadFields, type LoadOptions, Model } from "../src/model/model.ts";
import { readText } from "./files.ts";
import { optionsFrom } from "./flags.ts";
import type { Arguments } from "./arguments.ts";
import { UsageError } from "./types.ts";
import { modelPath } from "./download.ts";
import { note, print, toJson } from "./output.ts";
import { ProgressBar } from "./progress.ts";

/** Runs the subcommand. */
export async function imatrix(args: Arguments, signal: AbortSignal): Promise<void> {
  const [file, out] = [args.text("file"), args.text("out")];
  if (file === undefined || out === undefined) throw new UsageError("imatrix needs --file and --out");
  const text = readText("--file", file);
  const path = await modelPath(args.text("model") ?? embeddedModel(), signal);
  const loading = new ProgressBar(`loading ${basename(path)}`, "bytes");
  await using model = await Model.load(path, {
    ...optionsFrom<LoadOptions>(args, loadFields),
    signal,
    onProgress: ({ bytesDone, bytesTotal }) => loading.update(bytesDone, bytesTotal),
  }).finally(() => loading.end());
  for (const warning of model.warnings) note(warning);
  const bar = new ProgressBar("reading");
  const matrix = await collectImportance(model, text, {
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
