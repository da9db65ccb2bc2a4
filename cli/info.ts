/**
 * `lightgpt info`: what this machine can do (levels, cores, caches, memory and how fast it is read) and which settings were
 * measured for a model. No weights are loaded.
 *
 * @module
 */
import { prepare } from "../ffi/library.ts";
import { native } from "../ffi/native.ts";
import { VERSION } from "../ffi/wire.ts";
import { batcherFields, type BatcherOptions } from "../src/batching/options.ts";
import { fetchEmbeddedModel } from "../src/files/embedded.ts";
import { measureBandwidth, probeMachine } from "../src/machine/machine.ts";
import type { Machine } from "../src/machine/types.ts";
import { readPlan } from "../src/model/model.ts";
import { keptProfile } from "../src/tuning/tuned_settings.ts";
import type { Profile } from "../src/tuning/tuner/profile.ts";
import type { Arguments } from "./arguments.ts";
import { modelPath } from "./download.ts";
import { optionsFrom } from "./flags.ts";
import { note, print, toJson } from "./output.ts";

/** What `--json` prints. */
export interface InfoReport {
  version: string;
  machine: Machine;
  /** The level of the kernels in use, and those that the processor can run. */
  level: string;
  levels: readonly string[];
  /** How fast memory is read with one thread, and with all. */
  bandwidthGBs: { one: number; all: number };
  /** The file. */
  model: string;
  /** What was measured for it; null where nothing was. */
  profile: Profile | null;
  /** Where that is kept, or would be. */
  profilePath: string | null;
}

/** Runs the subcommand. */
export async function info(args: Arguments, signal: AbortSignal): Promise<void> {
  await prepare();
  const batching = optionsFrom<BatcherOptions>(args, batcherFields);
  const model = readPlan(await modelPath(args.text("model") ?? await fetchEmbeddedModel(), signal), {
    context: args.number("context"),
  });
  const machine = probeMachine();
  const kept = keptProfile({ model, machine, batching });
  if (kept.note) note(kept.note);
  const { level, levels } = native().processor;
  const report: InfoReport = {
    version: VERSION,
    machine,
    level,
    levels,
    bandwidthGBs: { one: measureBandwidth(1) / 1e9, all: measureBandwidth(machine.threads) / 1e9 },
    model: model.gguf.files[0] as string,
    profile: kept.profile ?? null,
    profilePath: kept.path ?? null,
  };
  await print(args.flag("json") ? toJson(report) : infoText(report));
}

/** The report as text. */
export function infoText(
  { version, machine, level, levels, bandwidthGBs, model, profile, profilePath }: InfoReport,
): string {
  const { processor, processors, usable, cores, quota, efficiency, threads, caches, memory } = machine;
  const size = (bytes: number | undefined) => bytes === undefined ? "unknown" : sizeText(bytes);
  const rows: (readonly [string, string])[] = [
    ["lightgpt", `${version}, on ${machine.platform} ${machine.arch}`],
    ["processor", processor ?? "unknown"],
    [
      "threads",
      `${threads}: ` + [
        processors === undefined ? undefined : `${processors} processors`,
        usable === undefined ? undefined : `${usable} may be used`,
        cores === undefined ? undefined : `on ${cores} cores`,
        efficiency === undefined ? undefined : `${efficiency} of them for efficiency`,
        quota === undefined ? undefined : `a quota of ${quota}`,
      ].filter((part) => part !== undefined).join(", "),
    ],
    ["level", `${level}; this processor can run ${levels.join(", ")}`],
    [
      "caches",
      caches.map(({ level, bytes, sharedBy }) =>
        `L${level} ${sizeText(bytes)}${sharedBy && sharedBy > 1 ? ` for ${sharedBy}` : ""}`
      ).join(", ") || "unknown",
    ],
    [
      "memory",
      `${size(memory.totalBytes)}, of which this process may have ${size(memory.limitBytes)}, now ${
        size(memory.freeBytes)
      }`,
    ],
    ...memory.limits.map(({ source, bytes }) => ["limit", `${sizeText(bytes)} by ${source}`] as const),
    [
      "bandwidth",
      `${bandwidthGBs.all.toFixed(1)} GB/s with ${threads} threads, ${bandwidthGBs.one.toFixed(1)} with one`,
    ],
    ...machine.notes.map((text) => ["note", text] as const),
    ["model", model],
    ...profileRows(profile, profilePath),
  ];
  return rows.map(([name, value]) => `${name.padEnd(11)}${value}\n`).join("");
}

function profileRows(profile: Profile | null, path: string | null): (readonly [string, string])[] {
  if (!profile) return [["tuned", "no: the default settings are used; lightgpt tune measures better ones"]];
  return [
    ["tuned", `${profile.measuredAt}, in ${(profile.ms / 1000).toFixed(1)} s; ${path}`],
    ...profile.trials.map(({ setting, from, to, why }) =>
      ["", `${setting} ${from === to ? `${to} stays` : `${to} in place of ${from}`}: ${why}`] as const
    ),
  ];
}

function sizeText(bytes: number): string {
  const [unit, name] = bytes >= 2 ** 30 ? [2 ** 30, "GiB"] : bytes >= 2 ** 20 ? [2 ** 20, "MiB"] : [2 ** 10, "KiB"];
  return `${Number((bytes / unit).toFixed(1))} ${name}`;
}
