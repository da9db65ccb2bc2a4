/**
 * Where an optimizer's settings come from: the profile that was kept, or one that is measured now and kept for the next time.
 *
 * @module
 */
import { CancelledError, LightGPTError } from "../../ffi/errors.ts";
import { native } from "../../ffi/native.ts";
import { LIMITS } from "../../ffi/wire.ts";
import { type BatcherOptions, resolveBatcherOptions } from "../batching/options.ts";
import { prefillTokensDefault } from "../engine/engine.ts";
import type { Machine } from "../machine/types.ts";
import { LoadMeter } from "../machine/load.ts";
import type { Model } from "../model/model.ts";
import { chunkMost } from "../engine/step_times.ts";
import { tune, type TuneProgress } from "./tuner/tuner.ts";
import { type Profile, profileKey, ProfileStore } from "./tuner/profile.ts";
import { ModelSubject } from "./tuner/subject.ts";
import type { EventLog } from "./events.ts";

/** Others that want to use more of the machine than this disturb: what is measured then is not kept. */
const disturbedShare = 0.15;

/** For what a profile is looked up. */
export interface ProfileSubject {
  /** The model; its weights are not needed. */
  readonly model: Pick<Model, "plan" | "context">;
  readonly machine: Machine;
  /** What the user said. */
  readonly batching: BatcherOptions;
}

/** How a profile is measured. */
export interface MeasureRequest extends ProfileSubject {
  readonly model: Model;
  readonly log: EventLog;
  readonly tuneMs: number;
  readonly onTune: ((progress: TuneProgress) => void) | undefined;
  readonly signal: AbortSignal | undefined;
}

function keyOf({ model, machine, batching }: ProfileSubject) {
  const { chunkTokens, batchSequences, pageSize, threads = Infinity } = batching;
  const threadsMost = Math.min(threads, machine.threads);
  const { settings } = resolveBatcherOptions(batching);
  return profileKey(model, machine, settings, { threadsMost, chunkTokens, batchSequences, pageSize });
}

/** The profile that was kept, and where it would be; a note where there is one that cannot be used. */
export function keptProfile(subject: ProfileSubject, store: ProfileStore = new ProfileStore()): {
  readonly profile?: Profile;
  readonly note?: string;
  readonly isDamaged?: boolean;
  readonly path: string | undefined;
} {
  const key = keyOf(subject);
  return { ...store.read(key), path: store.path(key) };
}

/** Measures a profile and keeps it; undefined where measuring failed, which the log tells. */
export async function measureProfile(
  request: MeasureRequest,
  store: ProfileStore = new ProfileStore(),
): Promise<Profile | undefined> {
  const { log, machine } = request;
  const load = new LoadMeter();
  const profile = await measure(request);
  if (!profile) return undefined;
  const others = load.share(machine);
  if (others !== undefined && others > disturbedShare) {
    const text =
      `Other programs used ${Math.round(100 * others)} % of this machine meanwhile, so what was measured is ` +
      "used now and not kept; `lightgpt tune` at a quiet hour keeps it.";
    log.tell("note", text);
    return profile;
  }
  const failure = store.write(keyOf(request), profile);
  if (failure) log.tell("note", failure);
  return profile;
}

async function measure({ model, machine, batching, log, tuneMs, onTune, signal }: MeasureRequest) {
  const { settings, sequences, chunk } = resolveBatcherOptions(batching);
  const threadsMost = Math.min(settings.threads, machine.threads);
  const subject = new ModelSubject(model, { ...settings, threads: threadsMost });
  const before = native().spin(LIMITS.spinsDefault);
  try {
    const { cores, efficiency = 0 } = machine;
    const tuning = await tune({
      subject,
      defaults: {
        prefillThreads: threadsMost,
        decodeThreads: threadsMost,
        prefillTokens: prefillTokensDefault,
        chunkTokens: chunk ?? chunkMost,
        batchSequences: sequences,
        pageSize: settings.pageSize,
        spinLoops: LIMITS.spinsDefault,
      },
      fixed: new Set(
        (["chunkTokens", "batchSequences", "pageSize"] as const).filter((name) => batching[name] !== undefined),
      ),
      threadsMost,
      threadsToTry: [cores ?? threadsMost, threadsMost - efficiency],
      budgetMs: tuneMs,
      onProgress: onTune,
      signal,
    });
    for (const note of tuning.notes) log.tell("note", note);
    for (const { setting, from, to, why } of tuning.trials) {
      log.tell("tune", `${setting}: ${to === from ? `${to} stays` : to}; ${why}.`, { setting, from, to });
    }
    return { settings: tuning.settings, trials: tuning.trials, measuredAt: new Date().toISOString(), ms: tuning.ms };
  } catch (error) {
    if (!(error instanceof LightGPTError) || error instanceof CancelledError) throw error;
    log.tell("note", `Measuring failed, so the default settings are used: ${error.message}`);
    return undefined;
  } finally {
    native().spin(before);
    await subject.dispose();
  }
}
