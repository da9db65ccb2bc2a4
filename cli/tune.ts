/**
 * `lightgpt tune`: measures the settings that make a model run fastest on this machine and keeps them. At its end it says in
 * words what was chosen and why.
 *
 * @module
 */
import { LightGPT } from "../src/lightgpt/lightgpt.ts";
import { lightGptFields, type LightGPTOptions } from "../src/lightgpt/options.ts";
import { batcherFields } from "../src/batching/options.ts";
import { given, pickOptions } from "../src/options/schema.ts";
import { optionsFrom } from "./flags.ts";
import type { OptimizerEvent } from "../src/tuning/events.ts";
import { keptProfile } from "../src/tuning/tuned_settings.ts";
import type { Profile } from "../src/tuning/tuner/profile.ts";
import type { Arguments } from "./arguments.ts";
import { modelPath } from "./download.ts";
import { note, print, toJson } from "./output.ts";
import { ProgressBar } from "./progress.ts";

/** Runs the subcommand. */
export async function tune(args: Arguments, signal: AbortSignal): Promise<void> {
  const loading = new ProgressBar("loading");
  const tuning = new ProgressBar("tuning");
  const seconds = args.number("seconds");
  const options = optionsFrom<LightGPTOptions>(args, lightGptFields);
  try {
    const asked = args.text("model");
    await using lm = await LightGPT.load(asked === undefined ? undefined : await modelPath(asked, signal), {
      ...options,
      signal,
      onProgress: ({ bytesDone, bytesTotal }) => loading.update(bytesDone, bytesTotal),
      tune: "again",
      ...given({ tuneMs: seconds && Math.round(1000 * seconds) }),
      onTune: ({ spentMs, budgetMs }) => {
        loading.end();
        tuning.update(spentMs, budgetMs);
      },
    });
    tuning.end();
    const { optimizer, model } = lm;
    for (const { kind, text } of optimizer.events) if (kind === "note") note(text);
    const { profile } = optimizer;
    const kept = keptProfile({ model, machine: optimizer.machine, batching: pickOptions(batcherFields, options) });
    const path = kept.profile && kept.profile.measuredAt === profile?.measuredAt ? kept.path : undefined;
    const file = model.gguf.files[0];
    await print(
      args.flag("json")
        ? toJson({ model: file, profile: profile ?? null, kept: path ?? null })
        : tuneText(file, optimizer.events, profile, path),
    );
  } finally {
    loading.end();
    tuning.end();
  }
}

/** What was chosen and why, a line for each setting. */
export function tuneText(
  file: string | undefined,
  events: readonly OptimizerEvent[],
  profile: Profile | undefined,
  path: string | undefined,
): string {
  const lines = events.filter(({ kind }) => kind === "tune").map(({ text }) => `  ${text}`);
  const spent = profile ? `measured in ${(profile.ms / 1000).toFixed(1)} s` : "nothing could be measured";
  return [`${file}:`, ...lines, path ? `${spent}; kept in ${path}` : `${spent}; not kept`, ""].join("\n");
}
