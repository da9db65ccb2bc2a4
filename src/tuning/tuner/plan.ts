/**
 * The options of tuning and the records of what it measured.
 *
 * @module
 */
import type { Subject, TunedSettings } from "./subject.ts";

/**
 * The decision on one setting, and why.
 *
 * @example
 * ```ts
 * import { LightGPT, type Trial } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load(undefined, { tune: "auto" });
 * lm.optimizer.profile?.trials.forEach(({ setting, to, why }: Trial) => console.log(setting, to, why));
 * ```
 */
export interface Trial {
  /** The setting. */
  readonly setting: keyof TunedSettings;
  /** The value before. */
  readonly from: number;
  /** The value now: the same, unless another was measurably better. */
  readonly to: number;
  /** The reason, in a sentence. */
  readonly why: string;
}

/**
 * How far tuning is.
 *
 * @example
 * ```ts
 * import { LightGPT, type TuneProgress } from "@lightgpt/lightgpt";
 *
 * const onTune = ({ setting, spentMs, budgetMs }: TuneProgress) => console.error(setting, spentMs, "of", budgetMs);
 * await using lm = await LightGPT.load(undefined, { tune: "kept", onTune });
 * ```
 */
export interface TuneProgress {
  /** What is being measured. */
  readonly setting: keyof TunedSettings;
  /** Milliseconds spent so far. */
  readonly spentMs: number;
  /** The most milliseconds that tuning takes. */
  readonly budgetMs: number;
}

/** The result of tuning. */
export interface Tuning {
  /** The settings to use. */
  readonly settings: TunedSettings;
  /** The decision on each setting. */
  readonly trials: readonly Trial[];
  /** How long it took. */
  readonly ms: number;
  /** What went wrong on the way. */
  readonly notes: readonly string[];
}

/** What to tune, and how. */
export interface TunePlan {
  /** What is measured. */
  readonly subject: Subject;
  /** The settings that there would be without tuning. */
  readonly defaults: TunedSettings;
  /** Settings that the user gave: they stay. */
  readonly fixed: ReadonlySet<keyof TunedSettings>;
  /** The most threads, which is what the user said or the machine can run. */
  readonly threadsMost: number;
  /** Other numbers of threads that are worth a try, such as that of the cores. */
  readonly threadsToTry?: readonly number[];
  /** The time that it may take. */
  readonly budgetMs: number;
  /** A clock that does not run backwards. */
  readonly now?: () => number;
  /** Ends it with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Called with the progress. */
  readonly onProgress?: ((progress: TuneProgress) => void) | undefined;
}
