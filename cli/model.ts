/**
 * What the subcommands that load a model have in common: the options, the bar while it loads, and its end.
 *
 * @module
 */
import { basename } from "node:path";
import { LightGPT } from "../src/lightgpt/lightgpt.ts";
import { lightGptFields, type LightGPTOptions } from "../src/lightgpt/options.ts";
import { draftWords } from "../src/batching/drafting/options.ts";
import { Model } from "../src/model/model.ts";
import type { Arguments } from "./arguments.ts";
import { DownloadBar } from "./download.ts";
import { optionsFrom } from "./flags.ts";
import { note } from "./output.ts";
import { ProgressBar } from "./progress.ts";

/** Loads the model that `--model` names, or the embedded one; the caller disposes it. */
export async function openModel(
  args: Arguments,
  signal: AbortSignal,
  path: string | undefined = args.text("model"),
  untuned: "kept" | "off" = "kept",
  more: Pick<LightGPTOptions, "batchSequences"> = {},
): Promise<LightGPT> {
  const bar = new ProgressBar(`loading ${path === undefined ? "the embedded model" : basename(path)}`, "bytes");
  const download = new DownloadBar();
  const tuning = new ProgressBar("tuning");
  try {
    const lm = await LightGPT.load(path, {
      ...optionsFrom<LightGPTOptions>(args, lightGptFields, { lora: readAdapter }),
      ...more,
      signal,
      onDownload: download.update,
      onProgress: ({ bytesDone, bytesTotal }) => {
        download.end();
        bar.update(bytesDone, bytesTotal);
      },
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
    download.end();
    bar.end();
    tuning.end();
  }
}

/** Loads the model that `--draft` names, where it names one; the caller disposes it, after the model that it guesses for. */
export async function openDraft(args: Arguments, signal: AbortSignal): Promise<Model | undefined> {
  const how = args.text("draft");
  if (how === undefined || draftWords.some((word) => word === how)) return undefined;
  const context = args.number("context");
  const download = new DownloadBar();
  return await Model.load(how, { signal, onDownload: download.update, ...(context === undefined ? {} : { context }) })
    .finally(() => download.end());
}

/** An adapter as `--lora` names it: a file, or a file and a scale behind a colon. */
function readAdapter(text: string): { path: string; scale?: number } {
  const [, path, scale] = /^(.+):([+-]?(?:\d+\.?\d*|\.\d+))$/.exec(text) ?? [];
  return path === undefined ? { path: text } : { path, scale: Number(scale) };
}
