/**
 * `lightgpt embed` and `lightgpt rerank`: the lines of standard input as vectors, or by how well they answer a query.
 *
 * @module
 */
import { Embedder } from "../src/embedding/embedder.ts";
import {
  embedderFields,
  type EmbedderOptions,
  embedFields,
  type EmbedOptions,
  rerankFields,
  type RerankOptions,
} from "../src/embedding/options.ts";
import { lightGptFields } from "../src/lightgpt/options.ts";
import type { Arguments } from "./arguments.ts";
import { modelPath } from "./download.ts";
import { flagsOf, optionsFrom } from "./flags.ts";
import { note, print, readInput, toJson } from "./output.ts";
import { UsageError } from "./types.ts";

/** Prints a vector a line, as a JSON array, in the order of the texts. */
export async function embed(args: Arguments, signal: AbortSignal): Promise<void> {
  const lines = await linesOf("embed", signal);
  await using embedder = await load(args, signal);
  const options = optionsFrom<EmbedOptions>(args, embedFields);
  for await (const part of embedder.embedParts(lines, { ...options, signal })) {
    for (const vector of part) await print(`[${Array.from(vector).join(",")}]\n`);
  }
}

/** Prints the documents, the best first, each behind its score. */
export async function rerank(args: Arguments, signal: AbortSignal): Promise<void> {
  const lines = await linesOf("rerank", signal);
  await using ranker = await load(args, signal);
  const options = optionsFrom<RerankOptions>(args, rerankFields);
  const ranked = await ranker.rerank(args.argument ?? "", lines, { ...options, signal });
  if (args.flag("json")) return await print(toJson(ranked));
  for (const { score, document } of ranked) await print(`${score.toFixed(6)}\t${document}\n`);
}

async function linesOf(command: string, signal: AbortSignal): Promise<string[]> {
  const text = await readInput(signal);
  const lines = (text ?? "").split(/\r?\n/).filter((line) => line !== "");
  if (lines.length > 0) return lines;
  throw new UsageError(`${command} reads standard input, a text a line; give it some through a pipe`);
}

/** Loads the model for a command whose options are those of models that generate; refuses what has no meaning for this one. */
export async function openEmbedder(args: Arguments, signal: AbortSignal): Promise<Embedder> {
  const own = flagsOf(embedderFields);
  const foreign = [...Object.keys(flagsOf(lightGptFields)), "tune"].find((flag) => !(flag in own) && args.flag(flag));
  if (foreign !== undefined) {
    throw new UsageError(`--${foreign} is for models that generate, and this one makes vectors`);
  }
  const embedder = await load(args, signal);
  for (const warning of embedder.model.warnings) note(warning);
  return embedder;
}

async function load(args: Arguments, signal: AbortSignal): Promise<Embedder> {
  const path = await modelPath(args.text("model") ?? "", signal);
  return await Embedder.load(path, { ...optionsFrom<EmbedderOptions>(args, embedderFields), signal });
}
