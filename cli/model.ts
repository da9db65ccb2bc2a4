/**
 * What the subcommands that load a model have in common: the options, the bar while it loads, and its end.
 *
 * @module
 */
import { LightGPT } from "../src/lightgpt/lightgpt.ts";
import { lightGptFields, type LightGPTOptions } from "../src/lightgpt/options.ts";
import { draftWords } from "../src/batching/drafting/options.ts";
import { Model } from "../src/model/model.ts";
import type { Arguments } from "./arguments.ts";
import { optionsFrom } from "./flags.ts";
import { note, ProgressBar } from "./output.ts";

/** Loads the model that `--model` names, or the embedded one; the caller disposes it. */
export async function openModel(
  args: Arguments,
  signal: AbortSignal,
  path: string | undefined = args.text("model"),
  untuned: "kept" | "off" = "kept",
): Promise<LightGPT> {
  const bar = new ProgressBar("loading");
  const tuning = new ProgressBar("tuning");
  try {
    const lm = await LightGPT.load(path, {
      ...optionsFrom<LightGPTOptions>(args, lightGptFields, { lora: readAdapter }),
      signal,
      onProgress: ({ bytesDone, bytesTotal }) => bar.update(bytesDone, bytesTotal),
      tune: args.flag("tune") ? "auto" : untuned,
      adapt: false, // a command has no load to follow, and a measurement should measure one setting
      onTune: ({ spentMs, budgetMs }) => {
        bar.end();
        tuning.update(spentMs, budgetMs);
      },
    });
    bar.end();
    for (const warning of lm.model.warnings) note(warning);
    for (const { kind, text } of lm.optimizer.events) if (kind === "note") note(text);
    return lm;
  } finally {
    bar.end();
    tuning.end();
  }
}

/** Loads the model that `--draft` names, where it names one; the caller disposes it, after the model that it guesses for. */
export async function openDraft(args: Arguments, signal: AbortSignal): Promise<Model | undefined> {
  const how = args.text("draft");
  if (how === undefined || draftWords.some((word) => word === how)) return undefined;
  const context = args.number("context");
  return await Model.load(how, { signal, ...(context === undefined ? {} : { context }) });
}

/** An adapter as `--lora` names it: a file, or a file and a scale behind a colon. */
function readAdapter(text: string): { path: string; scale?: number } {
  const [, path, scale] = /^(.+):([+-]?(?:\d+\.?\d*|\.\d+))$/.exec(text) ?? [];
  return path === undefined ? { path: text } : { path, scale: Number(scale) };
}
