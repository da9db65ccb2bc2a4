/**
 * `lightgpt pack`: keeps the packed weights of a model on disk, so that its next start has them at once, lists what is kept,
 * compares it with its sums, and removes it.
 *
 * @module
 */
import { LightGPTError } from "../ffi/errors.ts";
import { prepare } from "../ffi/library.ts";
import { checkPacked, listPacked, type PackedFile, removePacked } from "../src/model/packed/folder.ts";
import { packedFields, type PackedOptions } from "../src/model/packed/options.ts";
import { packedFolder, packedKey, packedPath } from "../src/model/packed/place.ts";
import { Model, readPlan } from "../src/model/model.ts";
import { readOptions } from "../src/options/schema.ts";
import type { Arguments } from "./arguments.ts";
import { optionsFrom } from "./flags.ts";
import { UsageError } from "./types.ts";
import { modelFile } from "../src/files/model_file.ts";
import { print, toJson } from "./output.ts";
import { ProgressBar } from "./progress.ts";

/** Runs the subcommand. */
export async function pack(args: Arguments, signal: AbortSignal): Promise<void> {
  const asked = ["list", "check", "remove"].filter((name) => args.flag(name));
  const [work, other] = asked;
  if (other !== undefined) throw new UsageError(`--${work} and --${other} cannot be done together`);
  if (args.flag("all") && work !== "remove") throw new UsageError("--all belongs to --remove");
  const options = optionsFrom<PackedOptions>(args, packedFields);
  const folder = packedFolder(readOptions(packedFields, options).folder);
  switch (work) {
    case undefined:
      return await keep(args, options, signal);
    case "list":
      return await list(args, await filesOf(args, folder));
    case "check":
      return await check(args, await filesOf(args, folder), signal);
    case "remove":
      return await remove(args, folder);
  }
}

/** Packs the model of the argument, and keeps the weights; that they can't be kept is an error here. */
async function keep(args: Arguments, options: PackedOptions, signal: AbortSignal): Promise<void> {
  if (args.argument === undefined) throw new UsageError("pack needs FILE, or one of --list, --check and --remove");
  const bar = new ProgressBar("packing");
  await using model = await Model.load(args.argument, {
    packed: { ...options, use: "keep" },
    allowUnknownPreTokenizer: true, // no text is read
    signal,
    onProgress: ({ bytesDone, bytesTotal }) => bar.update(bytesDone, bytesTotal),
  }).finally(() => bar.end());
  const { packedPath: path, residentBytes } = model;
  if (path === undefined) {
    const why = model.warnings.join(" ");
    throw new LightGPTError("io", `${args.argument}: ${why}`, { what: "weights were not kept", where: args.argument });
  }
  const found = { model: args.argument, path, bytes: residentBytes };
  await print(args.flag("json") ? toJson(found) : `${args.argument}: ${megabytes(residentBytes)} in ${path}\n`);
}

/** All files, or that of the argument. */
async function filesOf({ argument }: Arguments, folder: string): Promise<PackedFile[]> {
  const files = listPacked(folder);
  const named = files.filter(({ path }) => argument === undefined || path === argument);
  if (argument === undefined || named.length > 0) return named;
  const { gguf, plan } = readPlan(await modelFile("FILE", argument, { signal: undefined, onProgress: undefined }));
  const path = packedPath(folder, await packedKey(gguf, plan));
  const own = files.filter((file) => file.path === path);
  if (own.length > 0) return own;
  throw new LightGPTError("io", `${argument}: its packed weights are not in ${folder}.`, {
    what: "no packed weights",
    where: argument,
    expected: `what lightgpt pack ${argument} writes`,
  });
}

async function list(args: Arguments, files: readonly PackedFile[]): Promise<void> {
  if (args.flag("json")) {
    return await print(toJson(files.map(({ path, bytes, usedAt, header, stale }) => ({
      path,
      bytes,
      source: header?.source ?? null,
      usedAt: new Date(usedAt).toISOString(),
      stale: stale ?? null,
    }))));
  }
  const lines = files.map(({ path, bytes, usedAt, header, stale }) => {
    const used = new Date(usedAt).toISOString().slice(0, 10);
    return `${path}: ${megabytes(bytes)}, used ${used}, of ${header?.source ?? "?"}${
      stale ? `; stale: ${stale}` : ""
    }\n`;
  });
  await print(lines.length > 0 ? lines.join("") : "no packed weights\n");
}

/** Checks each file; the first that is wrong is told at the end, as an error, after all have been looked at. */
async function check(args: Arguments, files: readonly PackedFile[], signal: AbortSignal): Promise<void> {
  await prepare();
  const results: { path: string; fault: string | null }[] = [];
  let first: LightGPTError | undefined;
  for (const file of files) {
    try {
      await checkPacked(file, signal);
      results.push({ path: file.path, fault: null });
    } catch (error) {
      if (!(error instanceof LightGPTError) || error.code === "cancelled") throw error;
      first ??= error;
      results.push({ path: file.path, fault: error.message });
    }
  }
  const text = results.map(({ path, fault }) => `${path}: ${fault === null ? "as it was written" : "damaged"}\n`);
  await print(args.flag("json") ? toJson(results) : text.join("") || "no packed weights\n");
  if (first !== undefined) throw first;
}

async function remove(args: Arguments, folder: string): Promise<void> {
  if ((args.argument === undefined) === !args.flag("all")) throw new UsageError("pack --remove needs FILE or --all");
  const files = await filesOf(args, folder);
  for (const { path } of files) removePacked(path);
  const removed = files.map(({ path, bytes }) => ({ path, bytes }));
  const text = removed.map(({ path, bytes }) => `removed ${path}: ${megabytes(bytes)}\n`).join("");
  await print(args.flag("json") ? toJson(removed) : text || "no packed weights\n");
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
