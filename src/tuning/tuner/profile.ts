/**
 * Keeps the results of tuning for the next time: one file for each machine, model, version and set of user's options, in the
 * cache folder. A file is untrusted: each member is checked, and a file that is damaged or of another machine is ignored, with
 * a note.
 *
 * @module
 */
import { cacheDirectory, replaceFile } from "../../../ffi/cache_directory.ts";
import { native } from "../../../ffi/native.ts";
import { LIMITS, VERSION } from "../../../ffi/wire.ts";
import { node } from "../../../ffi/runtime/builtins.ts";
import { currentRuntime } from "../../../ffi/runtime/pick.ts";
import type { Runtime } from "../../../ffi/runtime/types.ts";
import type { EngineSettings } from "../../engine/step.ts";
import type { Machine } from "../../machine/types.ts";
import type { Model } from "../../model/model.ts";
import { chunkMost } from "../../engine/step_times.ts";
import type { Trial } from "./plan.ts";
import type { TunedSettings } from "./subject.ts";

/**
 * The result of tuning one model on one machine.
 *
 * @example
 * ```ts
 * import { LightGPT, type Profile } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load(undefined, { tune: "auto" });
 * const profile: Profile | undefined = lm.optimizer.profile;
 * console.log(profile?.settings.decodeThreads, profile?.measuredAt);
 * ```
 */
export interface Profile {
  /** The settings to use. */
  readonly settings: TunedSettings;
  /** What became of each setting, and why. */
  readonly trials: readonly Trial[];
  /** When it was measured, as an ISO date. */
  readonly measuredAt: string;
  /** How long that took, in milliseconds. */
  readonly ms: number;
}

/** What a profile holds for: what speed depends on, beside the settings. */
export interface ProfileKey {
  readonly version: string;
  readonly machine: Readonly<Record<string, string | number | null>>;
  /** Its shape and types, by a hash: two models alike in these run alike. */
  readonly model: string;
  /** What the user said. */
  readonly wishes: Readonly<Record<string, string | number | null>>;
}

/** The bounds of every setting. */
const bounds: Readonly<Record<keyof TunedSettings, readonly [number, number]>> = {
  prefillThreads: [1, LIMITS.threadsMax],
  decodeThreads: [1, LIMITS.threadsMax],
  prefillTokens: [1, chunkMost],
  chunkTokens: [1, chunkMost],
  batchSequences: [1, LIMITS.sequencesMax],
  pageSize: [16, 64],
  spinLoops: [0, LIMITS.spinsMax],
};
const format = 2;
/** No profile is longer. */
const bytesMost = 1 << 16;
const textMost = 1000;

/** The key of a model's profile on a machine. */
export function profileKey(
  model: Pick<Model, "plan" | "context">,
  machine: Machine,
  { kv, activationBits }: Pick<EngineSettings, "kv" | "activationBits">,
  wishes: Readonly<Record<string, number | undefined>>,
): ProfileKey {
  const { hyperparameters, tensors } = model.plan;
  const shape = [hyperparameters, tensors.map(({ role, tensor, columns, rows }) => [role, tensor.type, columns, rows])];
  const { platform, arch, processor, threads, usable, quota, cores } = machine;
  const said = Object.entries(wishes).filter((entry): entry is [string, number] => entry[1] !== undefined);
  return {
    version: VERSION,
    machine: {
      platform,
      arch,
      level: native().processor.level,
      processor: processor ?? null,
      threads,
      usable: usable ?? null,
      quota: quota ?? null,
      cores: cores ?? null,
    },
    model: sha256(JSON.stringify(shape)),
    wishes: { kv, activationBits, context: Math.min(model.context, chunkMost), ...Object.fromEntries(said) },
  };
}

/** Profiles in a folder. */
export class ProfileStore {
  readonly #runtime: Runtime;
  readonly #folder: string | undefined;
  readonly #why: string | undefined;

  /** `folder` is the user's cache folder, unless a test names another. */
  constructor(folder?: string, runtime: Runtime = currentRuntime()) {
    this.#runtime = runtime;
    if (folder !== undefined) this.#folder = folder;
    else {
      try {
        this.#folder = cacheDirectory(runtime);
      } catch (error) {
        this.#why = reason(error);
      }
    }
  }

  /** Where the profile of a key lies; undefined where no folder is known. */
  path(key: ProfileKey): string | undefined {
    return this.#folder &&
      node("node:path").join(this.#folder, `tuned-${sha256(JSON.stringify(key)).slice(0, 16)}.json`);
  }

  /** The profile, or a note that says why there is none; neither where none was ever kept. */
  read(key: ProfileKey): { profile?: Profile; note?: string; isDamaged?: boolean } {
    const path = this.path(key);
    if (path === undefined) return { note: `No profile can be looked up: ${this.#why}` };
    if (!this.#runtime.allows("read", path)) {
      return {
        note: `The profile ${path} may not be read; in Deno, allow --allow-read=${node("node:path").dirname(path)}.`,
      };
    }
    let text: string;
    try {
      if (node("node:fs").statSync(path).size > bytesMost) return ignored(path, `it has more than ${bytesMost} bytes`);
      text = node("node:fs").readFileSync(path, "utf8");
    } catch (error) {
      return error instanceof Error && "code" in error && error.code === "ENOENT" ? {} : ignored(path, reason(error));
    }
    const found = parseProfile(text, key);
    return typeof found === "string" ? ignored(path, found) : { profile: found };
  }

  /** Keeps a profile; returns a note where it cannot. */
  write(key: ProfileKey, profile: Profile): string | undefined {
    const path = this.path(key);
    if (path === undefined) return `The profile cannot be kept: ${this.#why}`;
    const folder = node("node:path").dirname(path);
    if (!this.#runtime.allows("write", folder)) {
      return `The profile cannot be kept in ${folder}; in Deno, allow --allow-write=${folder}.`;
    }
    const content = { format, key, profile };
    try {
      replaceFile(path, `${JSON.stringify({ ...content, sum: sha256(JSON.stringify(content)) }, null, 1)}\n`);
      return undefined;
    } catch (error) {
      return `The profile cannot be kept in ${folder} (${reason(error)}); LIGHTGPT_CACHE names another folder.`;
    }
  }
}

function ignored(path: string, why: string): { note: string; isDamaged: boolean } {
  return { note: `The profile ${path} is ignored: ${why}.`, isDamaged: true };
}

/** The profile in a text, or the reason why the text holds none. */
export function parseProfile(text: string, key: ProfileKey): Profile | string {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    return "it is no JSON";
  }
  if (!isObject(found) || found.format !== format) return `it is not of format ${format}`;
  const { sum, ...content } = found;
  if (sum !== sha256(JSON.stringify(content))) return "its sum is wrong";
  if (JSON.stringify(found.key) !== JSON.stringify(key)) {
    return "it is of another machine, model, version or number of threads";
  }
  const { profile } = found;
  if (!isObject(profile)) return "it has no profile";
  const { settings, trials, measuredAt, ms } = profile;
  const fault = settingsFault(settings, Number(key.machine.threads));
  if (fault) return fault;
  if (typeof measuredAt !== "string" || measuredAt.length > 40 || typeof ms !== "number" || !(ms >= 0)) {
    return "it does not say when it was measured";
  }
  if (!Array.isArray(trials) || !trials.every(isTrial)) return "it does not say what was measured";
  return { settings: settings as TunedSettings, trials, measuredAt, ms };
}

function settingsFault(settings: unknown, threads: number): string | undefined {
  if (!isObject(settings)) return "it has no settings";
  for (const [name, [least, most]] of Object.entries(bounds)) {
    const value = settings[name];
    const limit = name.endsWith("Threads") ? Math.min(most, threads) : most;
    if (!Number.isInteger(value) || (value as number) < least || (value as number) > limit) {
      return `${name} is not a whole number from ${least} to ${limit}`;
    }
  }
  if (settings.pageSize === 48 || Number(settings.pageSize) % 16 !== 0) return "pageSize is not 16, 32 or 64";
  const names = Object.keys(settings);
  return names.length > Object.keys(bounds).length
    ? `it has other settings than ${Object.keys(bounds).join(", ")}`
    : undefined;
}

function isTrial(trial: unknown): trial is Trial {
  return isObject(trial) && typeof trial.setting === "string" && Object.hasOwn(bounds, trial.setting) &&
    Number.isInteger(trial.from) && Number.isInteger(trial.to) && typeof trial.why === "string" &&
    trial.why.length <= textMost;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function sha256(text: string): string {
  return node("node:crypto").createHash("sha256").update(text).digest("hex"); // slow to load
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
