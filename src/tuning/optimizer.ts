/**
 * The optimizer of a loaded model: it probes the machine, measures the settings that suit it or takes those that were
 * measured before, and opens the batcher with them. Its decisions change when a result is there, never the result; each
 * decision is an event, in words.
 *
 * @module
 */
import { LightGPTError } from "../../ffi/errors.ts";
import { native } from "../../ffi/native.ts";
import type { AccuracyOptions } from "../measuring/accuracy.ts";
import { Batcher, partsOf } from "../batching/batcher.ts";
import type { BatcherOptions } from "../batching/options.ts";
import { probeMachine } from "../machine/machine.ts";
import type { Machine } from "../machine/types.ts";
import { Metrics } from "../measuring/metrics/metrics.ts";
import { factsOf, Model } from "../model/model.ts";
import { showAsLine } from "../options/inspect.ts";
import type { Attendant } from "./attendant.ts";
import { memoryLimit, withinLimit } from "./memory_limit.ts";
import { EventLog, type OptimizerEvent } from "./events.ts";
import { type OptimizerOptions, splitOptimizerOptions, type SplitOptions, tuneFields } from "./options.ts";
import { assertNotAborted, checkFunction, checkInstance, refuseOption } from "../options/checks.ts";
import { given, readOptions } from "../options/schema.ts";
import { chunkMost } from "../engine/step_times.ts";
import type { Comparison } from "../measuring/comparison.ts";
import type { TunedSettings } from "./tuner/tuner.ts";
import type { Profile } from "./tuner/profile.ts";

/** Opens an optimizer as {@link Optimizer.open} does, with options that were checked and the memory that they come to. */
export let openOptimizer: (
  model: Model,
  options: SplitOptions,
  limitBytes: number | undefined,
) => Promise<Optimizer>;

/** The parts of an optimizer. */
interface Parts {
  readonly model: Model;
  readonly batching: BatcherOptions;
  readonly log: EventLog;
  readonly limitBytes: number | undefined;
  readonly serving: Pick<SplitOptions["serving"], "adapts" | "targetTokenMs">;
  readonly profile?: Profile;
  readonly machine?: Machine;
  /** The attendant of the batcher; loaded only where there is something for it to do. */
  readonly attendant: typeof Attendant | undefined;
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
  static {
    showAsLine(Optimizer, (optimizer) => ({ ...factsOf(optimizer.#model), ...optimizer.settings }));
    openOptimizer = (model, options, limitBytes) => Optimizer.#open(model, options, limitBytes);
  }
  /** What runs the requests. */
  readonly batcher: Batcher;
  /** Metrics: counts and times of steps, requests, the cache and memory. */
  readonly metrics: Metrics;
  readonly #model: Model;
  readonly #batching: BatcherOptions;
  readonly #log: EventLog;
  readonly #attendant: Attendant | undefined;
  #profile: Profile | undefined;
  #machine: Machine | undefined;

  private constructor({ model, batching, log, limitBytes, serving, profile, machine, attendant }: Parts) {
    const { pageSize, batchSequences } = profile?.settings ?? {};
    this.#model = model;
    this.#batching = batching;
    this.#log = log;
    this.#machine = machine;
    this.batcher = new Batcher(model, {
      ...given({ pageSize, batchSequences }),
      ...batching,
      // More threads than can run at once only get in each other's way, and what is asked for is the most.
      ...(machine && batching.threads !== undefined && { threads: Math.min(batching.threads, machine.threads) }),
    });
    this.metrics = new Metrics(model, this.batcher);
    if (profile) this.#apply(profile);
    const { adapts, targetTokenMs } = serving;
    if (attendant === undefined) return;
    const { context } = model;
    this.#attendant = new attendant({ batcher: this.batcher, context, log, limitBytes, adapts, targetTokenMs });
  }

  /** Opens a batcher over a model that was loaded, and measures first where that is asked for. The model stays the caller's. */
  static async open(model: Model, options: OptimizerOptions = {}): Promise<Optimizer> {
    checkInstance("model", model, Model, "a Model");
    const split = splitOptimizerOptions(options);
    return await Optimizer.#open(model, split, memoryLimit(split.serving.memory));
  }

  static async #open(model: Model, options: SplitOptions, limitBytes: number | undefined): Promise<Optimizer> {
    const { batching: asked, pages, tuning: { tune, ...rest }, serving } = options;
    const log = new EventLog();
    const batching = limitBytes === undefined
      ? asked
      : withinLimit(model, asked, pages, limitBytes, serving.memory !== undefined);
    const isAttended = serving.adapts || limitBytes !== undefined;
    const attendant = isAttended ? (await import("./attendant.ts")).Attendant : undefined;
    const parts = { model, batching, log, limitBytes, serving, attendant };
    if (tune === "off") return new Optimizer(parts);
    const { keptProfile, measureProfile } = await import("./tuned_settings.ts");
    const machine = probeMachine();
    const kept = tune === "again" ? undefined : keptProfile({ model, machine, batching });
    let profile = kept?.profile;
    if (profile) log.tell("profile", `The settings were measured on this machine at ${profile.measuredAt}.`);
    if (kept?.note && (tune === "auto" || kept.isDamaged)) log.tell("note", kept.note);
    if (!profile && tune !== "kept") {
      for (const note of machine.notes) log.tell("note", note);
      profile = await measureProfile({ model, machine, batching, log, ...rest });
    }
    // Without a profile, `kept` is what `off` is.
    return new Optimizer({
      ...parts,
      ...(profile ? { profile } : {}),
      ...(profile || tune !== "kept" ? { machine } : {}),
    });
  }

  /**
   * Measures again what suits the model, keeps it, and uses it; a page size, and a batch larger than this batcher has, from the
   * next time on. Throws an error of the code `invalidArgument` while requests are open. Returns undefined where measuring failed,
   * which an event tells.
   */
  async tune(options: Pick<OptimizerOptions, "tuneMs" | "onTune" | "signal"> = {}): Promise<Profile | undefined> {
    const rest = readOptions(tuneFields, options);
    assertNotAborted(rest.signal);
    const { measureProfile } = await import("./tuned_settings.ts");
    const { running, queued, paused } = this.batcher.stats(); // at last, so that nothing begins before the measurement
    if (running + queued + paused > 0) {
      throw new LightGPTError(
        "invalidArgument",
        "tune: expected no open requests, which would disturb the measurement.",
      );
    }
    const request = { model: this.#model, machine: this.machine, batching: this.#batching, log: this.#log };
    const profile = await measureProfile({ ...request, ...rest });
    if (profile) this.#apply(profile);
    return profile;
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
    const { prefillThreads, decodeThreads, prefillTokens, chunkTokens, sequences } = partsOf(this.batcher).settings;
    return { prefillThreads, decodeThreads, prefillTokens, chunkTokens, batchSequences: sequences };
  }

  /** What was decided and what could not be done, the oldest first. */
  get events(): readonly OptimizerEvent[] {
    return this.#log.events;
  }

  #apply(profile: Profile): void {
    const { prefillThreads, decodeThreads, prefillTokens, chunkTokens, batchSequences, spinLoops } = profile.settings;
    const settings = partsOf(this.batcher).settings;
    Object.assign(settings, { prefillThreads, decodeThreads, prefillTokens, sequences: batchSequences });
    if (chunkTokens < chunkMost) settings.chunkTokens = chunkTokens;
    native().spin(spinLoops);
    this.#profile = profile;
    this.#attendant?.rebase();
  }

  /** Calls `listener` of each event to come; the function it returns ends that. */
  listen(listener: (event: OptimizerEvent) => void): () => void {
    if (listener === undefined) refuseOption("listener", "a function", listener);
    checkFunction("listener", listener);
    return this.#log.listen(listener);
  }

  /**
   * How near the model, as it runs, is to a reference on a text: KL divergence, equal choices, ratio of perplexities. The
   * reference is the file that it was made from, which is loaded for it and freed again, or another model that runs.
   * {@link Optimizer.metrics} tells the figures from then on.
   */
  async accuracy(options: AccuracyOptions): Promise<Comparison> {
    const { measureAccuracy } = await import("../measuring/accuracy.ts");
    return this.metrics.accuracy = await measureAccuracy(this.#model, this.batcher, options);
  }

  /** Ends all requests with an error of the code `closed` and frees the pages. Again is fine. */
  dispose(): Promise<void> {
    this.#attendant?.dispose();
    return this.batcher.dispose();
  }

  /** {@link Optimizer.dispose}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}
