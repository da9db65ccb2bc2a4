/**
 * Finds the settings that make a model run fastest on the machine at hand, by measuring instead of guessing: threads for
 * reading prompts and for generating apart, the chunk of prompt, the batch, the page size, and how long threads spin. One
 * setting after the other races against what there is (`tuner/race.ts`), within a share of the time; at the end what was
 * chosen is measured against the defaults once more, and what is not better falls back to them.
 *
 * @module
 */
import { Budget } from "./tuner/budget.ts";
import type { Comparison } from "./tuner/compare.ts";
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
/** Prompts by which threads are compared. */
const promptLeast = 16;
const promptMs = 20;

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
  readonly #trials = new Map<keyof TunedSettings, Trial>();
  readonly #notes: string[] = [];
  #settings: TunedSettings;
  /** Of one token, generated or of a prompt, as far as that is known. */
  #decodeMs: number | undefined;
  #promptTokenMs: number | undefined;

  constructor(plan: TunePlan) {
    const { budgetMs, now = () => performance.now(), signal, defaults } = plan;
    this.#plan = plan;
    this.#budget = new Budget(budgetMs, now, signal);
    this.#settings = defaults;
  }

  async run(): Promise<Tuning> {
    const { fixed } = this.#plan;
    let shares = stages.reduce((sum, { share }) => sum + share, checkShare);
    const undecided: (typeof stages)[number][] = [];
    for (const stage of stages) {
      const ms = this.#budget.leftMs * stage.share / shares;
      shares -= stage.share;
      if (fixed.has(stage.setting)) this.#keep(stage.setting, "it is what you said");
      else if (!await this.#attempt(stage, ms)) undecided.push(stage);
    }
    // What others left of their time is for those that had too little.
    const leftShare = checkShare / 100 * this.#plan.budgetMs;
    for (const stage of undecided) await this.#attempt(stage, this.#budget.leftMs - leftShare);
    await this.#check();
    if (this.#budget.isClockBroken) {
      this.#notes.push("The clock is not to be trusted: what was measured counts for nothing, and the defaults stay.");
      this.#trials.clear();
      this.#settings = this.#plan.defaults;
    }
    return {
      settings: this.#settings,
      trials: [...this.#trials.values()],
      ms: this.#budget.spentMs,
      notes: this.#notes,
    };
  }

  /** Races a setting; false where there was too little time. One that needs too much memory is no reason to fail. */
  async #attempt(stage: (typeof stages)[number], ms: number): Promise<boolean> {
    try {
      return await this.#race(stage, this.#budget.share(ms));
    } catch (error) {
      if (!isTooLarge(error)) throw error;
      this.#keep(stage.setting, "there is too little memory to try others");
      return true;
    }
  }

  async #race({ setting, gainLeast }: (typeof stages)[number], budget: Budget): Promise<boolean> {
    this.#tell(setting);
    const values = await this.#candidates(setting, budget);
    const [base] = values;
    if (base === undefined || values.length < 2) {
      this.#keep(setting, "there is nothing else to try");
      return base !== undefined;
    }
    const count = await this.#samples(setting, base, budget);
    const { value, best, rounds, isDecided } = await runRace({
      values,
      work: async (value) => {
        this.#tell(setting);
        for (let step = 0; step < count; step++) await this.#work(setting, value);
      },
      estimate: (value) => count * this.#estimate(setting, value),
      units: (value) => setting === "chunkTokens" || setting === "batchSequences" ? value : 1,
      gainLeast,
      budget,
      random: this.#random,
    });
    const from = this.#settings[setting];
    if (value !== base && best) {
      this.#settings = { ...this.#settings, [setting]: value };
      const why = `${value} instead of ${base} is ${percent(best.comparison)} faster, in ${rounds} rounds`;
      this.#trials.set(setting, { setting, from, to: value, why });
    } else if (best) {
      const why = `none of ${values.slice(1).join(", ")} is measurably better; the best, ${best.value}, makes a ` +
        `difference of ${percent(best.comparison)}`;
      this.#keep(setting, why);
    } else this.#keep(setting, "there was no time to compare others");
    return isDecided;
  }

  #tell(setting: keyof TunedSettings): void {
    const { onProgress, budgetMs } = this.#plan;
    onProgress?.({ setting, spentMs: this.#budget.spentMs, budgetMs });
  }

  #keep(setting: keyof TunedSettings, why: string): void {
    const value = this.#settings[setting];
    this.#trials.set(setting, { setting, from: value, to: value, why });
  }

  /** The values to try, the present one first; none where there is no time to find out. */
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
      let ms = Infinity;
      // One of two may be disturbed.
      for (let count = 0; count < 2 && !budget.isOver(this.#estimate("chunkTokens", chunk)); count++) {
        ms = Math.min(ms, await budget.time(() => this.#prefill(this.#settings, chunk)) ?? Infinity);
      }
      if (ms > chunkMs) break;
      times.set(chunk, ms);
    }
    const chunks = [...times.keys()];
    const base = chunks.find((chunk) => chunk >= 64 && (times.get(chunk) as number) >= chunkMs / 3) ?? chunks.at(-1);
    return base === undefined ? [] : [base, ...chunks.filter((chunk) => chunk !== base)];
  }

  /** The work by which values of a setting are compared. */
  async #work(setting: keyof TunedSettings, value: number): Promise<void> {
    const settings = { ...this.#settings, [setting]: value };
    if (setting === "decodeThreads") return await this.#decode(settings, 1);
    if (setting === "batchSequences") return await this.#decode(settings, value);
    if (setting === "prefillThreads") return await this.#prefill(settings, this.#promptTokens());
    if (setting === "chunkTokens") return await this.#prefill(settings, value);
    // Far into the context, where pages count.
    await this.#prefill(settings, promptLeast, this.#plan.subject.chunkMost);
    await this.#decode(settings, 1);
    await this.#decode(settings, 1);
  }

  /** What that may take: as long as so many tokens took before, or, before anything is known, no time. */
  #estimate(setting: keyof TunedSettings, value: number): number {
    const tokens = setting === "decodeThreads"
      ? 0
      : setting === "batchSequences" || setting === "chunkTokens"
      ? value
      : setting === "prefillThreads"
      ? this.#promptTokens()
      : promptLeast;
    const steps = setting === "pageSize" || setting === "spinLoops" ? 3 : 1;
    // A token of a prompt takes no longer than one that is generated.
    return steps * (this.#decodeMs ?? 0) + tokens * (this.#promptTokenMs ?? this.#decodeMs ?? 0);
  }

  /** A prompt whose reading takes some milliseconds, in tokens. */
  #promptTokens(): number {
    const { subject } = this.#plan;
    const ms = this.#promptTokenMs ?? Infinity;
    return Math.min(subject.chunkMost, ms * promptLeast < promptMs / 4 ? 4 * promptLeast : promptLeast);
  }

  async #decode(settings: TunedSettings, sequences: number): Promise<void> {
    const ms = await this.#budget.time(() => this.#plan.subject.decode(settings, sequences));
    if (sequences === 1) this.#decodeMs = smoothed(this.#decodeMs, ms);
  }

  async #prefill(settings: TunedSettings, tokens: number, at?: number): Promise<void> {
    const ms = await this.#budget.time(() => this.#plan.subject.prefill(settings, tokens, at));
    this.#promptTokenMs = smoothed(this.#promptTokenMs, ms === undefined ? undefined : ms / tokens);
  }

  /** How many steps make a sample that is long enough for the clock. */
  async #samples(setting: keyof TunedSettings, value: number, budget: Budget): Promise<number> {
    let ms: number | undefined;
    for (let count = 0; count < 2 && (ms ?? 0) < sampleMs && !budget.isOver(this.#estimate(setting, value)); count++) {
      ms = await budget.time(() => this.#work(setting, value)); // the first of two is the slower
    }
    return ms === undefined ? 1 : Math.max(1, Math.min(stepsMost, Math.ceil(sampleMs / ms)));
  }

  /** Measures what was chosen against the defaults; what is not better for both kinds of steps falls back. */
  async #check(): Promise<void> {
    const { defaults } = this.#plan;
    const chosen = this.#settings;
    const parts = [
      { settings: ["decodeThreads", "spinLoops", "pageSize"], kind: "decode" },
      { settings: ["prefillThreads", "pageSize"], kind: "prefill" },
    ] as const;
    for (const { settings, kind } of parts) {
      if (settings.every((setting) => chosen[setting] === defaults[setting])) continue;
      const step = (settings: TunedSettings) =>
        kind === "decode" ? this.#decode(settings, 1) : this.#prefill(settings, this.#promptTokens());
      const count = await this.#samples(settings[0], chosen[settings[0]], this.#budget);
      const { best, value } = await runRace({
        values: [defaults, chosen],
        work: async (settings) => {
          this.#tell(parts[0].settings[0]);
          for (let sample = 0; sample < count; sample++) await step(settings);
        },
        estimate: () => count * this.#estimate(settings[0], 1),
        gainLeast: 0,
        budget: this.#budget,
        random: this.#random,
      });
      if (value === chosen || !best || best.comparison.gain >= 0) continue;
      for (const setting of settings) this.#revert(setting, best.comparison);
    }
  }

  #revert(setting: keyof TunedSettings, comparison: Comparison): void {
    const from = this.#plan.defaults[setting];
    if (this.#settings[setting] === from) return;
    this.#settings = { ...this.#settings, [setting]: from };
    const why = `measured against all defaults at the end, the choice made a difference of ${percent(comparison)}`;
    this.#trials.set(setting, { setting, from, to: from, why });
  }
}

/** Half of what was known, half of what is new. */
function smoothed(known: number | undefined, ms: number | undefined): number | undefined {
  return ms === undefined || known === undefined ? ms ?? known : (known + ms) / 2;
}

function percent({ gain, low, high }: Comparison): string {
  const show = (share: number) => Number.isFinite(share) ? `${(100 * share).toFixed(1)} %` : "any";
  return `${show(gain)} (${show(low)} to ${show(high)})`;
}
