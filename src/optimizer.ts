/**
 * The all-in-one over a loaded model: it looks at the machine, finds the settings that suit it or takes those that were
 * found before, and opens the batcher with them. What it decides never changes a result, only when it is there; every
 * decision is an event, in words.
 *
 * @module
 */
import { CancelledError, LightGPTError } from "../ffi/errors.ts";
import { native } from "../ffi/native.ts";
import { type AccuracyOptions, measureAccuracy } from "./accuracy.ts";
import { Batcher, batcherOptionNames, type BatcherOptions, knobsOf, resolveBatcherOptions } from "./batcher.ts";
import { LoadMeter } from "./machine/load.ts";
import { type Machine, probeMachine } from "./machine.ts";
import { Metrics } from "./metrics.ts";
import type { Model } from "./model.ts";
import { EventLog, type OptimizerEvent } from "./optimizer/events.ts";
import { checkFunction, checkKeys, checkSignal, choiceOption, integerOption } from "./options.ts";
import { chunkMost } from "./pace.ts";
import type { Comparison } from "./perplexity.ts";
import { tune, type TunedSettings, type TuneProgress } from "./tuner.ts";
import { type Profile, profileKey, ProfileStore } from "./tuner/profile.ts";
import { ModelSubject } from "./tuner/subject.ts";

/**
 * What may be said about optimizing.
 *
 * @example
 * ```ts
 * import { LightGPT, type OptimizerOptions } from "@lightgpt/lightgpt";
 *
 * const options: OptimizerOptions = { tune: "auto", tuneMs: 3000, threads: 4 }; // at most 4 threads
 * await using lm = await LightGPT.load("model.gguf", options);
 * ```
 */
export interface OptimizerOptions extends BatcherOptions {
  /**
   * `auto`: use the settings that were measured for this machine and model before, and measure them where there are none, in at
   * most `tuneMs`; `again`: measure them in any case. `threads` is the most then; other settings that are said stay.
   * Results do not depend on it. Default `off`.
   */
  readonly tune?: "off" | "auto" | "again";
  /** The time that measuring may take, 100 to 10 000 milliseconds. Default 10 000. */
  readonly tuneMs?: number;
  /** Hears how far measuring is. */
  readonly onTune?: (progress: TuneProgress) => void;
  /** Ends loading, and measuring. */
  readonly signal?: AbortSignal;
}

/** The names of {@link OptimizerOptions}. */
export const optimizerOptionNames = [
  ...batcherOptionNames,
  "tune",
  "tuneMs",
  "onTune",
  "signal",
] as const satisfies readonly (keyof OptimizerOptions)[];

/** A batcher that others want to use more of the machine than this is disturbed: what is measured then is not kept. */
const disturbedShare = 0.15;
const spinDefault = 2000;
const tuneMsMost = 10_000;

/** Checks options, before a model is loaded; returns those of the batcher, and the others. */
export function splitOptimizerOptions(
  options: OptimizerOptions,
): {
  batching: BatcherOptions;
  rest: Pick<OptimizerOptions, "onTune" | "signal"> & { tune: "off" | "auto" | "again"; tuneMs: number };
} {
  checkKeys("options", options, optimizerOptionNames);
  const { tune, tuneMs, onTune, signal, ...batching } = options;
  resolveBatcherOptions(batching);
  checkFunction("onTune", onTune);
  checkSignal(signal);
  return {
    batching,
    rest: {
      tune: choiceOption("tune", tune, ["off", "auto", "again"], "off"),
      tuneMs: integerOption("tuneMs", tuneMs, 100, tuneMsMost, tuneMsMost),
      ...(onTune === undefined ? {} : { onTune }),
      ...(signal === undefined ? {} : { signal }),
    },
  };
}

/**
 * Runs a model as fast as the machine allows. `LightGPT` has one.
 *
 * @example
 * ```ts
 * import { Model, Optimizer } from "@lightgpt/lightgpt";
 *
 * await using model = await Model.load("model.gguf");
 * await using optimizer = await Optimizer.open(model, { tune: "auto" });
 * console.log(optimizer.machine.threads, optimizer.settings, optimizer.events.map(({ text }) => text));
 * console.log((await optimizer.batcher.complete("Once upon a time", { maxTokens: 20 })).text);
 * ```
 */
export class Optimizer {
  /** What runs the requests. */
  readonly batcher: Batcher;
  /** What it does, in figures. */
  readonly metrics: Metrics;
  readonly #model: Model;
  readonly #log: EventLog;
  readonly #profile: Profile | undefined;
  #machine: Machine | undefined;

  private constructor(
    model: Model,
    batcher: Batcher,
    log: EventLog,
    profile: Profile | undefined,
    machine: Machine | undefined,
  ) {
    this.batcher = batcher;
    this.metrics = new Metrics(model, batcher);
    this.#model = model;
    this.#log = log;
    this.#profile = profile;
    this.#machine = machine;
  }

  /** Opens a batcher over a model that was loaded, and measures first where that is asked for. The model stays the caller's. */
  static async open(model: Model, options: OptimizerOptions = {}): Promise<Optimizer> {
    const { batching, rest } = splitOptimizerOptions(options);
    const log = new EventLog();
    if (rest.tune === "off") return new Optimizer(model, new Batcher(model, batching), log, undefined, undefined);
    const machine = probeMachine();
    for (const note of machine.notes) log.tell("note", note);
    const profile = await obtainProfile({ model, machine, batching, log, ...rest });
    if (!profile) return new Optimizer(model, new Batcher(model, batching), log, undefined, machine);
    const { prefillThreads, decodeThreads, chunkTokens, batchSequences, pageSize, spinLoops } = profile.settings;
    const batcher = new Batcher(model, {
      batchSequences,
      pageSize,
      ...batching,
      threads: Math.max(prefillThreads, decodeThreads),
    });
    const knobs = knobsOf(batcher);
    Object.assign(knobs, { prefillThreads, decodeThreads });
    if (chunkTokens < chunkMost) knobs.chunkTokens = chunkTokens;
    native().spin(spinLoops);
    return new Optimizer(model, batcher, log, profile, machine);
  }

  /** The machine, as it was when first asked for. */
  get machine(): Machine {
    return this.#machine ??= probeMachine();
  }

  /** What was measured for this machine and model; undefined where nothing was, or nothing could be. */
  get profile(): Profile | undefined {
    return this.#profile;
  }

  /** What the batcher works with now. */
  get settings(): Omit<TunedSettings, "pageSize" | "spinLoops"> {
    const { prefillThreads, decodeThreads, chunkTokens, sequences } = knobsOf(this.batcher);
    return { prefillThreads, decodeThreads, chunkTokens, batchSequences: sequences };
  }

  /** What was decided and what could not be done, the oldest first. */
  get events(): readonly OptimizerEvent[] {
    return this.#log.events;
  }

  /** Calls `listener` of each event to come; the function it returns ends that. */
  listen(listener: (event: OptimizerEvent) => void): () => void {
    checkFunction("listener", listener);
    return this.#log.listen(listener);
  }

  /**
   * How near the model, as it runs, is to the file that it was made from, on a text: KL divergence, equal choices, ratio of
   * perplexities. {@link Optimizer.metrics} tells the figures from then on. The reference is loaded for it and freed again.
   */
  async accuracy(options: AccuracyOptions): Promise<Comparison> {
    return this.metrics.accuracy = await measureAccuracy(this.#model, this.batcher, options);
  }

  /** Ends all requests with an error of the code `closed` and frees the pages. Again is fine. */
  dispose(): Promise<void> {
    return this.batcher.dispose();
  }

  /** {@link Optimizer.dispose}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

/** Where a profile comes from. */
interface ProfileRequest {
  readonly model: Model;
  readonly machine: Machine;
  readonly batching: BatcherOptions;
  readonly log: EventLog;
  readonly tune: "off" | "auto" | "again";
  readonly tuneMs: number;
  readonly onTune?: (progress: TuneProgress) => void;
  readonly signal?: AbortSignal;
}

/** The profile that was kept, or a new one; undefined where measuring failed. */
async function obtainProfile(request: ProfileRequest): Promise<Profile | undefined> {
  const { model, machine, batching, log } = request;
  const { settings } = resolveBatcherOptions(batching);
  const threadsMost = Math.min(batching.threads ?? Infinity, machine.threads);
  const { chunkTokens, batchSequences, pageSize } = batching;
  const key = profileKey(model, machine, settings, { threadsMost, chunkTokens, batchSequences, pageSize });
  const store = new ProfileStore();
  const { profile, note } = request.tune === "again" ? {} : store.read(key);
  if (note) log.tell("note", note);
  if (profile) {
    log.tell("profile", `The settings were measured on this machine at ${profile.measuredAt}.`);
    return profile;
  }
  const load = new LoadMeter();
  const measured = await measure(request, threadsMost);
  if (!measured) return undefined;
  const others = load.share(machine);
  if (others !== undefined && others > disturbedShare) {
    const text = `Others used ${Math.round(100 * others)} % of this machine meanwhile, so the profile is not kept.`;
    log.tell("note", text);
    return measured;
  }
  const failure = store.write(key, measured);
  if (failure) log.tell("note", failure);
  return measured;
}

async function measure(request: ProfileRequest, threadsMost: number): Promise<Profile | undefined> {
  const { model, machine, batching, log, tuneMs, onTune, signal } = request;
  const { settings, sequences, chunk } = resolveBatcherOptions(batching);
  const subject = new ModelSubject(model, { ...settings, threads: threadsMost });
  const before = native().spin(spinDefault);
  try {
    const { cores, efficiency = 0 } = machine;
    const tuning = await tune({
      subject,
      defaults: {
        prefillThreads: threadsMost,
        decodeThreads: threadsMost,
        chunkTokens: chunk ?? chunkMost,
        batchSequences: sequences,
        pageSize: settings.pageSize,
        spinLoops: spinDefault,
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
