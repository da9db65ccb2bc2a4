/**
 * Finds the settings that make a model run fastest on the machine at hand, by measuring instead of guessing: threads for
 * reading prompts and for generating apart, the chunk of prompt, the batch, the page size, and how long threads spin. One
 * setting after the other races against what there is (`tuner/race.ts`), within a share of the time; at the end what was
 * chosen is measured against the defaults once more, and what is not better falls back to them.
 *
 * @module
 */
import { Budget } from "./tuner/budget.ts";
import { compareTimes, type Comparison } from "./tuner/compare.ts";
import { runRace, seededRandom } from "./tuner/race.ts";
import { isTooLarge, type Subject, type TunedSettings } from "./tuner/subject.ts";

export type { Comparison } from "./tuner/compare.ts";
export type { TunedSettings } from "./tuner/subject.ts";

/**
 * What became of one setting, and why.
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
  /** What it was, */
  readonly from: number;
  /** and what it is now: the same, unless another was measurably better. */
  readonly to: number;
  /** The reason, in a sentence. */
  readonly why: string;
}

/** How far tuning is. */
export interface TuneProgress {
  /** What is being measured. */
  readonly setting: keyof TunedSettings;
  /** Milliseconds that were spent, */
  readonly spentMs: number;
  /** and the most that will be. */
  readonly budgetMs: number;
}

/** What tuning came to. */
export interface Tuning {
  /** What to use. */
  readonly settings: TunedSettings;
  /** What became of each setting. */
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
  /** Settings that the user has said: they stay. */
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
  /** Hears how far it is. */
  readonly onProgress?: ((progress: TuneProgress) => void) | undefined;
}

/** A step of a chunk should take no longer, so that cancelling is prompt (DESIGN 5). */
const chunkMs = 50;
/** A sample of steps that are shorter has several of them. */
const sampleMs = 4;
const stepsMost = 64;

/** What each setting is worth of the time, and what gain is worth changing it: more where others pay for it. */
const stages = [
  { setting: "decodeThreads", share: 25, gainLeast: 0.02 },
  { setting: "prefillThreads", share: 20, gainLeast: 0.02 },
  { setting: "chunkTokens", share: 15, gainLeast: 0.02 },
  { setting: "batchSequences", share: 12, gainLeast: 0.05 },
  { setting: "pageSize", share: 8, gainLeast: 0.02 },
  { setting: "spinLoops", share: 8, gainLeast: 0.05 },
] as const satisfies readonly { setting: keyof TunedSettings; share: number; gainLeast: number }[];
/** What is left for measuring the choice against the defaults once more. */
const checkShare = 12;

/** Tunes; only what the user's signal says ends it with an error. */
export async function tune(plan: TunePlan): Promise<Tuning> {
  return await new Tuner(plan).run();
}

class Tuner {
  readonly #plan: TunePlan;
  readonly #budget: Budget;
  readonly #random = seededRandom(1);
  readonly #trials: Trial[] = [];
  readonly #notes: string[] = [];
  #settings: TunedSettings;

  constructor(plan: TunePlan) {
    const { budgetMs, now = () => performance.now(), signal, defaults } = plan;
    this.#plan = plan;
    this.#budget = new Budget(budgetMs, now, signal);
    this.#settings = defaults;
  }

  async run(): Promise<Tuning> {
    const { fixed } = this.#plan;
    let shares = stages.reduce((sum, { share }) => sum + share, checkShare);
    for (const { setting, share, gainLeast } of stages) {
      const ms = this.#budget.leftMs * share / shares;
      shares -= share;
      if (fixed.has(setting)) this.#keep(setting, "it is what you said");
      else await this.#attempt(setting, () => this.#race(setting, ms, gainLeast));
    }
    await this.#check();
    if (this.#budget.isClockBroken) {
      this.#notes.push("The clock runs backwards: what was measured counts for nothing, and the defaults stay.");
      this.#trials.length = 0;
      this.#settings = this.#plan.defaults;
    }
    return { settings: this.#settings, trials: this.#trials, ms: this.#budget.spentMs, notes: this.#notes };
  }

  /** Measures the candidates of a setting; one that needs too much memory is no reason to fail. */
  async #attempt(setting: keyof TunedSettings, race: () => Promise<void>): Promise<void> {
    try {
      await race();
    } catch (error) {
      if (!isTooLarge(error)) throw error;
      this.#keep(setting, "there is too little memory to try others");
    }
  }

  async #race(setting: (typeof stages)[number]["setting"], ms: number, gainLeast: number): Promise<void> {
    const { onProgress, budgetMs } = this.#plan;
    const budget = this.#budget.share(ms);
    const from = this.#settings[setting];
    onProgress?.({ setting, spentMs: this.#budget.spentMs, budgetMs });
    const values = await this.#candidates(setting, budget);
    const [base] = values;
    if (values.length < 2) return this.#keep(setting, "there is nothing else to try");
    const work = await this.#workOf(setting, budget);
    const { value, best, rounds } = await runRace({
      values,
      work: async (value) => {
        onProgress?.({ setting, spentMs: this.#budget.spentMs, budgetMs });
        await work({ ...this.#settings, [setting]: value });
      },
      units: (value) => setting === "chunkTokens" || setting === "batchSequences" ? value : 1,
      gainLeast,
      budget,
      random: this.#random,
    });
    if (value !== base && best) {
      this.#settings = { ...this.#settings, [setting]: value };
      const why = `${value} instead of ${base} is ${percent(best.comparison)} faster, in ${rounds} rounds`;
      this.#trials.push({ setting, from, to: value, why });
    } else if (best) {
      const why = `none of ${values.slice(1).join(", ")} is measurably better; the best, ${best.value}, makes a ` +
        `difference of ${percent(best.comparison)}`;
      this.#keep(setting, why);
    } else this.#keep(setting, "there was no time to compare others");
  }

  #keep(setting: keyof TunedSettings, why: string): void {
    const value = this.#settings[setting];
    this.#trials.push({ setting, from: value, to: value, why });
  }

  /** The values to try, the present one first. */
  async #candidates(setting: keyof TunedSettings, budget: Budget): Promise<number[]> {
    const { subject } = this.#plan;
    const present = this.#settings[setting];
    if (setting === "chunkTokens") return await this.#chunks(budget);
    const others = setting === "decodeThreads" || setting === "prefillThreads"
      ? this.#threadCounts()
      : setting === "batchSequences"
      ? [8, 16, 32, 64].filter((count) => count <= subject.sequencesMost)
      : setting === "pageSize"
      ? [16, 32, 64]
      : [200, 2000, 20_000];
    return [present, ...others.filter((value) => value !== present)];
  }

  /** One to four by one, then in steps of a half, up to the most; on large machines few of many. */
  #threadCounts(): number[] {
    const { threadsMost, threadsToTry = [] } = this.#plan;
    const counts = new Set<number>();
    for (let count = 1; count <= threadsMost; count = count < 4 ? count + 1 : Math.round(count * 1.5)) {
      counts.add(count);
    }
    for (const count of [...threadsToTry, threadsMost - 1, threadsMost]) {
      if (count >= 1 && count <= threadsMost) counts.add(count);
    }
    return [...counts].sort((a, b) => a - b);
  }

  /** Chunks whose steps are short enough, first the one that adapting by itself (`pace.ts`) would arrive at. */
  async #chunks(budget: Budget): Promise<number[]> {
    const { subject } = this.#plan;
    const times = new Map<number, number>();
    for (let chunk = 16; chunk <= subject.chunkMost; chunk *= 2) {
      const ms = await budget.time(() => subject.prefill(this.#settings, chunk));
      if (ms === undefined || ms > chunkMs) break;
      times.set(chunk, ms);
      if (budget.isOver(2 * ms) || 1.5 * ms > chunkMs) break;
    }
    const chunks = [...times.keys()];
    const base = chunks.find((chunk) => chunk >= 64 && (times.get(chunk) as number) >= chunkMs / 3) ?? chunks.at(-1);
    return base === undefined ? [] : [base, ...chunks.filter((chunk) => chunk !== base)];
  }

  /** The work by which values of a setting are compared: so many steps that the clock is exact enough. */
  async #workOf(setting: keyof TunedSettings, budget: Budget): Promise<(settings: TunedSettings) => Promise<void>> {
    const { subject } = this.#plan;
    const prompt = Math.min(subject.chunkMost, this.#settings.chunkTokens, 64);
    const step = (settings: TunedSettings): Promise<void> => {
      if (setting === "decodeThreads") return subject.decode(settings, 1);
      if (setting === "prefillThreads") return subject.prefill(settings, prompt);
      if (setting === "chunkTokens") return subject.prefill(settings, settings.chunkTokens);
      if (setting === "batchSequences") return subject.decode(settings, settings.batchSequences);
      return this.#both(settings, prompt);
    };
    const steps = await this.#stepsOf(() => step(this.#settings), budget);
    return async (settings) => {
      for (let count = 0; count < steps; count++) await step(settings);
    };
  }

  /** Reads and generates, far into the context. */
  async #both(settings: TunedSettings, prompt: number): Promise<void> {
    const { subject } = this.#plan;
    await subject.prefill(settings, Math.min(16, prompt), subject.chunkMost);
    await subject.decode(settings, 1);
    await subject.decode(settings, 1);
  }

  async #stepsOf(step: () => Promise<void>, budget: Budget): Promise<number> {
    await budget.time(step); // the first is slower
    const ms = await budget.time(step);
    return ms === undefined ? 1 : Math.max(1, Math.min(stepsMost, Math.ceil(sampleMs / ms)));
  }

  /** Measures what was chosen against the defaults; what is not better for both kinds of steps falls back. */
  async #check(): Promise<void> {
    const { subject, defaults, onProgress, budgetMs } = this.#plan;
    const chosen = this.#settings;
    const parts = [
      { settings: ["decodeThreads", "spinLoops", "pageSize"], kind: "decode" },
      { settings: ["prefillThreads", "pageSize"], kind: "prefill" },
    ] as const;
    for (const { settings, kind } of parts) {
      if (settings.every((setting) => chosen[setting] === defaults[setting])) continue;
      const prompt = Math.min(subject.chunkMost, chosen.chunkTokens, 64);
      const step = (settings: TunedSettings) =>
        kind === "decode" ? subject.decode(settings, 1) : subject.prefill(settings, prompt);
      const steps = await this.#stepsOf(() => step(chosen), this.#budget);
      const times: [number[], number[]] = [[], []];
      let ms = 0;
      for (let pair = 0; pair < 15 && !this.#budget.isOver(ms); pair++) {
        const begin = this.#budget.spentMs;
        onProgress?.({ setting: settings[0], spentMs: begin, budgetMs });
        const order = this.#random() < 0.5 ? [0, 1] as const : [1, 0] as const;
        const found: (number | undefined)[] = [];
        for (const which of order) {
          found[which] = await this.#budget.time(async () => {
            for (let count = 0; count < steps; count++) await step(which === 0 ? defaults : chosen);
          });
        }
        ms = this.#budget.spentMs - begin;
        if (found[0] === undefined || found[1] === undefined) continue;
        times[0].push(found[0]);
        times[1].push(found[1]);
        if (compareTimes(times[0], times[1]).low > 0) break;
      }
      const comparison = compareTimes(times[0], times[1]);
      if (comparison.gain >= 0 || comparison.pairs < 2) continue;
      for (const setting of settings) this.#revert(setting, comparison);
    }
  }

  #revert(setting: keyof TunedSettings, comparison: Comparison): void {
    const from = this.#plan.defaults[setting];
    if (this.#settings[setting] === from) return;
    this.#settings = { ...this.#settings, [setting]: from };
    const index = this.#trials.findIndex((trial) => trial.setting === setting);
    const why = `measured against all defaults at the end, the choice made a difference of ${percent(comparison)}`;
    this.#trials[index] = { setting, from, to: from, why };
  }
}

function percent({ gain, low, high }: Comparison): string {
  const show = (share: number) => Number.isFinite(share) ? `${(100 * share).toFixed(1)} %` : "any";
  return `${show(gain)} (${show(low)} to ${show(high)})`;
}
