/**
 * Finds the settings that make a model run fastest on the machine at hand, by measuring instead of guessing: threads for
 * reading prompts and for generating apart, the chunk of prompt, the batch, the page size, and how long threads spin. One
 * setting after the other races against what there is (`tuner/race.ts`), within a share of the time; at the end what was
 * chosen is measured against the defaults once more, and what is not better falls back to them.
 *
 * @module
 */
import { prefillTokensDefault } from "./engine.ts";
import { Budget } from "./tuner/budget.ts";
import type { Comparison } from "./tuner/compare.ts";
import type { Trial, TunePlan, Tuning } from "./tuner/plan.ts";
import { runRace, seededRandom } from "./tuner/race.ts";
import { isTooLarge, type TunedSettings } from "./tuner/subject.ts";

export type { Trial, TunePlan, TuneProgress, Tuning } from "./tuner/plan.ts";
export type { TunedSettings } from "./tuner/subject.ts";

/** A step of a chunk should take no longer, so that cancelling is prompt (DESIGN 5). */
const chunkMs = 50;
const warmUpMs = 200;
/** A sample of steps that are shorter has several of them. */
const sampleMs = 4;
const stepsMost = 64;
/** The least prompt that is measured. */
const promptLeast = 16;
/** Threads are compared by chunks that are read within this time, so that one thread of many is not too slow. */
const promptMs = 12;
/** Where adapting by itself begins, and the time below which it goes on to more (`pace.ts`). */
const chunkFirst = 64;
const chunkShortMs = 50 / 3;

/** What each setting is worth of the time, and what gain is worth changing it: more where others pay for it. */
const stages = [
  { setting: "decodeThreads", share: 20, gainLeast: 0.02 },
  { setting: "prefillThreads", share: 20, gainLeast: 0.02 },
  { setting: "prefillTokens", share: 8, gainLeast: 0 },
  { setting: "chunkTokens", share: 15, gainLeast: 0.02 },
  { setting: "batchSequences", share: 12, gainLeast: 0.05 },
  { setting: "pageSize", share: 8, gainLeast: 0.02 },
  { setting: "spinLoops", share: 8, gainLeast: 0.05 },
] as const satisfies readonly { setting: keyof TunedSettings; share: number; gainLeast: number }[];
/** Against the defaults, a loss of this is none. */
const noDifference = 0.015;
const checkPairs = 5;
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
  /** Milliseconds of chunks with the default settings, and the chunk that adapting would arrive at. */
  #chunkTimes: ReadonlyMap<number, number> = new Map();
  #chunkBase = promptLeast;

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
    this.#tell("decodeThreads");
    await this.#warmUp();
    this.#chunkTimes = await this.#timeChunks(this.#budget.share(this.#budget.leftMs / 20));
    const { chunkTokens } = this.#plan.defaults;
    this.#chunkBase = fixed.has("chunkTokens") ? chunkTokens : arrivesAt(this.#chunkTimes);
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

  /** Until the runtime has compiled what runs between steps, which of small models takes longer than the steps. */
  async #warmUp(): Promise<void> {
    const budget = this.#budget.share(Math.min(warmUpMs, this.#budget.leftMs / 20));
    do await this.#decode(this.#settings, 1); while (!budget.isOver(this.#decodeMs));
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
    const estimate = (value: number) => this.#estimate(setting, value);
    const count = await this.#samplesOf(() => this.#work(setting, base), () => estimate(base), budget);
    const { value, best, rounds, isDecided } = await runRace({
      values,
      work: async (value) => {
        this.#tell(setting);
        for (let step = 0; step < count; step++) await this.#work(setting, value);
      },
      estimate: (value) => count * estimate(value),
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
    } else this.#keep(setting, isDecided ? "all others take far longer" : "there was no time to compare others");
    return isDecided || best !== undefined;
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
    if (setting === "chunkTokens") {
      const chunks = [...(await this.#timeChunks(budget)).keys()];
      // The default itself means that it adapts.
      return [this.#chunkBase, ...chunks.filter((chunk) => chunk !== this.#chunkBase && chunk < present)];
    }
    if (setting === "prefillTokens") return this.#crossings();
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

  /** Milliseconds of chunks whose steps are short enough. */
  async #timeChunks(budget: Budget): Promise<Map<number, number>> {
    const { subject } = this.#plan;
    const times = new Map<number, number>();
    for (let chunk = promptLeast; chunk <= subject.chunkMost; chunk *= 2) {
      let ms = Infinity;
      // One of two may be disturbed.
      for (let count = 0; count < 2 && !budget.isOver(this.#estimate("chunkTokens", chunk)); count++) {
        ms = Math.min(ms, await budget.time(() => this.#prefill(this.#settings, chunk)) ?? Infinity);
      }
      if (ms > chunkMs) break;
      times.set(chunk, ms);
    }
    return times;
  }

  /** From how many tokens on the threads of prompts may be the better ones; nothing where they are those of generating. */
  #crossings(): number[] {
    const { decodeThreads, prefillThreads } = this.#settings;
    if (decodeThreads === prefillThreads) return [];
    return [prefillTokensDefault, ...[8, 32, 128].filter((tokens) => tokens <= 2 * this.#chunkBase)];
  }

  /** The work by which values of a setting are compared. */
  async #work(setting: keyof TunedSettings, value: number): Promise<void> {
    const settings = { ...this.#settings, [setting]: value };
    if (setting === "decodeThreads") return await this.#decode(settings, 1);
    if (setting === "batchSequences") return await this.#decode(settings, value);
    if (setting === "prefillThreads") return await this.#prefill(settings, this.#promptTokens());
    if (setting === "chunkTokens") return await this.#prefill(settings, value);
    if (setting === "prefillTokens") {
      // Batches and short prompts of all sizes that it decides about.
      for (const tokens of [4, 16, 64]) if (tokens <= this.#chunkBase) await this.#prefill(settings, tokens);
      return;
    }
    // Far into the context, where pages count.
    await this.#prefill(settings, promptLeast, this.#plan.subject.chunkMost);
    await this.#decode(settings, 1);
    await this.#decode(settings, 1);
  }

  /** What that may take: as long as so many tokens took before, or, before anything is known, no time. */
  #estimate(setting: keyof TunedSettings, value: number): number {
    const tokens = setting === "decodeThreads"
      ? 0
      : setting === "prefillTokens"
      ? 84
      : setting === "batchSequences" || setting === "chunkTokens"
      ? value
      : setting === "prefillThreads"
      ? this.#promptTokens()
      : promptLeast;
    const steps = setting === "pageSize" || setting === "spinLoops" ? 3 : 1;
    // A token of a prompt takes no longer than one that is generated.
    return steps * (this.#decodeMs ?? 0) + tokens * (this.#promptTokenMs ?? this.#decodeMs ?? 0);
  }

  /** A prompt whose reading takes some milliseconds, at most the chunk that adapting arrives at. */
  #promptTokens(): number {
    let tokens = Math.min(promptLeast, this.#plan.subject.chunkMost);
    for (const [chunk, ms] of this.#chunkTimes) if (chunk <= this.#chunkBase && ms <= promptMs) tokens = chunk;
    return tokens;
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
  async #samplesOf(step: () => Promise<void>, estimate: () => number, budget: Budget): Promise<number> {
    let ms: number | undefined;
    for (let count = 0; count < 2 && (ms ?? 0) < sampleMs && !budget.isOver(estimate()); count++) {
      ms = await budget.time(step); // the first of two is the slower
    }
    return ms === undefined ? 1 : Math.max(1, Math.min(stepsMost, Math.ceil(sampleMs / ms)));
  }

  /** Measures what was chosen against the defaults; what is not better for both kinds of steps falls back. */
  async #check(): Promise<void> {
    const { defaults } = this.#plan;
    const sequences = Math.min(defaults.batchSequences, this.#settings.batchSequences);
    const parts: Part[] = [
      {
        settings: ["decodeThreads", "spinLoops", "pageSize"],
        tokens: 1,
        step: (settings) => this.#decode(settings, 1),
      },
      {
        settings: ["prefillThreads", "prefillTokens", "chunkTokens", "pageSize"],
        tokens: this.#chunkBase,
        step: (settings) => this.#readPrompt(settings),
      },
      {
        settings: ["prefillTokens"], // the default leaves batches to the threads of prompts
        tokens: sequences,
        step: (settings) => this.#decode(settings, sequences),
      },
    ];
    const same = ({ pageSize, spinLoops, chunkTokens, ...settings }: TunedSettings, tokens: number) =>
      `${threadsFor(settings, tokens)} ${pageSize} ${spinLoops} ${tokens === this.#chunkBase ? chunkTokens : ""}`;
    for (const { settings, tokens, step } of parts) {
      if (same(this.#settings, tokens) === same(defaults, tokens)) continue;
      const chosen = this.#settings;
      const count = await this.#samplesOf(() => step(chosen), () => 0, this.#budget);
      let ms = 0;
      const { best, value } = await runRace({
        values: [defaults, chosen],
        work: async (value) => {
          this.#tell(settings[0] as keyof TunedSettings);
          const begin = this.#budget.spentMs;
          for (let sample = 0; sample < count; sample++) await step(value);
          ms = this.#budget.spentMs - begin;
        },
        estimate: () => ms,
        gainLeast: 0,
        budget: this.#budget,
        random: this.#random,
      });
      if (value === chosen || !best || best.comparison.pairs < checkPairs) continue;
      if (best.comparison.gain >= -noDifference || best.comparison.high > noDifference) continue;
      for (const setting of settings) this.#revert(setting, best.comparison);
    }
  }

  /** Reads a prompt in chunks as large as the settings have them, or as adapting has them. */
  async #readPrompt(settings: TunedSettings): Promise<void> {
    const { defaults } = this.#plan;
    const chunkOf = ({ chunkTokens }: TunedSettings) =>
      Math.min(this.#plan.subject.chunkMost, chunkTokens === defaults.chunkTokens ? this.#chunkBase : chunkTokens);
    const tokens = Math.max(chunkOf(defaults), chunkOf(this.#settings));
    const chunk = chunkOf(settings);
    for (let at = 0; at < tokens; at += chunk) await this.#prefill(settings, Math.min(chunk, tokens - at), at);
  }

  #revert(setting: keyof TunedSettings, comparison: Comparison): void {
    const from = this.#plan.defaults[setting];
    if (this.#settings[setting] === from) return;
    this.#settings = { ...this.#settings, [setting]: from };
    const why = `measured against all defaults at the end, the choice made a difference of ${percent(comparison)}`;
    this.#trials.set(setting, { setting, from, to: from, why });
  }
}

/** Work by which the choice is measured against the defaults: steps of `tokens` tokens, and the settings that it decides about. */
interface Part {
  readonly settings: readonly (keyof TunedSettings)[];
  readonly tokens: number;
  readonly step: (settings: TunedSettings) => Promise<void>;
}

/** Threads of a step of so many tokens. */
function threadsFor(
  { prefillTokens, prefillThreads, decodeThreads }: Pick<
    TunedSettings,
    "prefillTokens" | "prefillThreads" | "decodeThreads"
  >,
  tokens: number,
): number {
  return tokens >= prefillTokens ? prefillThreads : decodeThreads;
}

/** The chunk that `pace.ts` would settle on with steps of these times. */
function arrivesAt(times: ReadonlyMap<number, number>): number {
  if (!times.has(chunkFirst)) return Math.max(promptLeast, ...times.keys());
  let chunk = chunkFirst;
  while (times.has(2 * chunk) && (times.get(chunk) as number) < chunkShortMs) chunk *= 2;
  return chunk;
}

/** Half of what was known, half of what is new. */
function smoothed(known: number | undefined, ms: number | undefined): number | undefined {
  return ms === undefined || known === undefined ? ms ?? known : (known + ms) / 2;
}

function percent({ gain, low, high }: Comparison): string {
  const show = (share: number) => Number.isFinite(share) ? `${(100 * share).toFixed(1)} %` : "any";
  return `${show(gain)} (${show(low)} to ${show(high)})`;
}
