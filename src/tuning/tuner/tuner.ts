/**
 * Finds the settings that make a model run fastest on the machine at hand, by measuring instead of guessing: threads for
 * reading prompts and for generating apart, the chunk of prompt, the batch, the page size, and how long threads spin. One
 * stage after the other (`stages.ts`) races against what there is (`race.ts`), within a share of the time; at the
 * end what was chosen is measured against the defaults once more, and what is not better falls back to them.
 *
 * @module
 */
import { Budget } from "./time_budget.ts";
import type { TimeComparison } from "./compare.ts";
import { runHeats } from "./heats.ts";
import type { Trial, TunePlan, Tuning } from "./plan.ts";
import { type Outcome, type Race, runRace, seededRandom } from "./race.ts";
import { type Stage, type StageContext, stages, type TriedSettings } from "./stages.ts";
import { isTooLarge, type TunedSettings } from "./subject.ts";
import { Works } from "./workload.ts";

export type { Trial, TunePlan, TuneProgress, Tuning } from "./plan.ts";
export type { TunedSettings } from "./subject.ts";

/** A smaller loss against the defaults counts as none. */
const noDifference = 0.015;
/** The most that tuning may cost. */
const realLoss = 0.05;
const checkPairs = 5;
/** Of a stage's time, what choosing the few that race may take. */
const heatShare = 0.6;
/** A step that is disturbed takes longer than was to be expected: this share of the time is kept for it. */
const reserve = 0.03;
/** What is left for measuring the choice against the defaults once more. */
const checkShare = 12;

/** Tunes; only the user's signal ends it with an error. */
export async function tune(plan: TunePlan): Promise<Tuning> {
  return await new Tuner(plan).run();
}

class Tuner {
  readonly #plan: TunePlan;
  readonly #budget: Budget;
  readonly #works: Works;
  readonly #random = seededRandom(1);
  readonly #trials = new Map<keyof TunedSettings, Trial>();
  readonly #notes: string[] = [];
  #settings: TunedSettings;

  constructor(plan: TunePlan) {
    const { budgetMs, now = () => performance.now(), signal, defaults } = plan;
    this.#plan = plan;
    this.#budget = new Budget(budgetMs * (1 - reserve), now, signal);
    this.#works = new Works(plan.subject, this.#budget);
    this.#settings = defaults;
  }

  async run(): Promise<Tuning> {
    let shares = stages.reduce((sum, { share }) => sum + share, checkShare);
    const undecided: Stage[] = [];
    this.#tell("decodeThreads");
    await this.#works.begin(this.#settings);
    for (const stage of stages) {
      const ms = this.#budget.leftMs * stage.share / shares;
      shares -= stage.share;
      if (!await this.#attempt(stage, ms)) undecided.push(stage);
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

  /** Races a stage; false where there was too little time. One that needs too much memory is no reason to fail. */
  async #attempt(stage: Stage, ms: number): Promise<boolean> {
    const { fixed } = this.#plan;
    const open = stage.settings.filter((setting) => !fixed.has(setting));
    for (const setting of stage.settings) if (fixed.has(setting)) this.#keep(setting, "it is what you said");
    if (open.length === 0) return true;
    try {
      return await this.#race(stage, open, this.#budget.share(ms));
    } catch (error) {
      if (!isTooLarge(error)) throw error;
      for (const setting of open) this.#keep(setting, "there is too little memory to try others");
      return true;
    }
  }

  async #race(stage: Stage, open: readonly (keyof TunedSettings)[], budget: Budget): Promise<boolean> {
    for (const setting of open) this.#tell(setting);
    const context: StageContext = { plan: this.#plan, works: this.#works, settings: this.#settings, budget };
    const values = await stage.candidates(context);
    const [first] = values;
    if (first === undefined || values.length < 2) {
      for (const setting of open) this.#keep(setting, "there is nothing else to try");
      return true;
    }
    const of = (choice: TriedSettings): TunedSettings => ({ ...this.#settings, ...choice });
    const base = of(first);
    const estimate = (choice: TriedSettings) => stage.estimate(context, of(choice));
    const work = (choice: TriedSettings) => stage.work(context, of(choice));
    const count = await this.#works.samplesOf(() => work(first), () => estimate(first), budget);
    const race: Race<TriedSettings> = {
      values,
      work: async (choice) => {
        for (const setting of open) this.#tell(setting);
        for (let step = 0; step < count; step++) await work(choice);
      },
      estimate: (choice) => count * estimate(choice),
      units: (choice) => stage.units?.(of(choice)) ?? 1,
      gainLeast: (choice) => stage.gainLeast(of(choice), base),
      isAllowed: (choice) => stage.isAllowed?.(context, of(choice)) ?? true,
      budget,
      random: this.#random,
    };
    const few = await runHeats({ ...race, budget: budget.share(heatShare * budget.leftMs) });
    const outcome = await runRace({ ...race, values: few });
    this.#accept(open, values, outcome);
    return outcome.isDecided || outcome.best !== undefined;
  }

  /** Takes the winner of each setting and records why. */
  #accept(
    open: readonly (keyof TunedSettings)[],
    values: readonly TriedSettings[],
    { value, best, rounds, isDecided }: Outcome<TriedSettings>,
  ): void {
    const base = values[0] as TriedSettings;
    const show = (choice: TriedSettings) => open.map((setting) => choice[setting]).join(" and ");
    if (value === base || !best) {
      const why = best
        ? `no other value is measurably faster (tried: ${values.length - 1}; the nearest, ${show(best.value)}, was ` +
          `${differenceText(best.comparison)})`
        : isDecided
        ? "all other values take far longer"
        : "there was no time to try others";
      for (const setting of open) this.#keep(setting, why);
      return;
    }
    const together = open.length > 1 ? `, measured together as ${open.join(" and ")}` : "";
    const why = `${show(value)} was ${differenceText(best.comparison)} than ${
      show(base)
    } in ${rounds} rounds${together}`;
    for (const setting of open) {
      const from = this.#settings[setting];
      const to = value[setting] === base[setting] ? from : value[setting] as number;
      this.#trials.set(setting, { setting, from, to, why });
    }
    const changed = open.filter((setting) => value[setting] !== base[setting]);
    this.#settings = { ...this.#settings, ...Object.fromEntries(changed.map((setting) => [setting, value[setting]])) };
  }

  #tell(setting: keyof TunedSettings): void {
    const { onProgress, budgetMs } = this.#plan;
    onProgress?.({ setting, spentMs: this.#budget.spentMs, budgetMs });
  }

  #keep(setting: keyof TunedSettings, why: string): void {
    const value = this.#settings[setting];
    this.#trials.set(setting, { setting, from: value, to: value, why });
  }

  /** Measures what was chosen against the defaults; what is not better for both kinds of steps falls back. */
  async #check(): Promise<void> {
    const works = this.#works;
    const { defaults } = this.#plan;
    const sequences = Math.min(defaults.batchSequences, this.#settings.batchSequences);
    const { chunkBase, promptTokens } = works;
    // The default itself means that it adapts.
    const chunkOf = ({ chunkTokens }: TunedSettings) => chunkTokens === defaults.chunkTokens ? chunkBase : chunkTokens;
    const parts: Part[] = [
      {
        settings: ["decodeThreads", "spinLoops", "pageSize"],
        tokens: 1,
        step: (settings) => works.decode(settings, 1),
      },
      {
        settings: ["prefillThreads", "prefillTokens", "chunkTokens", "pageSize"],
        tokens: chunkBase,
        step: (settings) => works.readPrompt({ ...settings, chunkTokens: chunkOf(settings) }, promptTokens),
      },
      {
        settings: ["prefillTokens"], // the default leaves batches to the threads of prompts
        tokens: sequences,
        step: (settings) => works.decode(settings, sequences),
      },
    ];
    const same = ({ pageSize, spinLoops, chunkTokens, ...settings }: TunedSettings, tokens: number) =>
      `${threadsFor(settings, tokens)} ${pageSize} ${spinLoops} ${tokens === chunkBase ? chunkTokens : ""}`;
    for (const { settings, tokens, step } of parts) {
      if (same(this.#settings, tokens) === same(defaults, tokens)) continue;
      const chosen = this.#settings;
      const count = await works.samplesOf(() => step(chosen), () => 0, this.#budget);
      let ms = 0;
      const { best, value, isDecided } = await runRace({
        values: [defaults, chosen],
        work: async (value) => {
          this.#tell(settings[0] as keyof TunedSettings);
          const begin = this.#budget.spentMs;
          for (let sample = 0; sample < count; sample++) await step(value);
          ms = this.#budget.spentMs - begin;
        },
        estimate: () => ms,
        gainLeast: () => 0,
        budget: this.#budget,
        random: this.#random,
      });
      // What is surely slower drops out of a race after few pairs; without that, few pairs say little.
      if (value === chosen || !best || (!isDecided && best.comparison.pairs < checkPairs)) continue;
      if (best.comparison.gain >= -noDifference || best.comparison.high > noDifference) continue;
      for (const setting of settings) this.#revert(setting, best.comparison);
      // It was chosen by generating; no gain there is worth a real loss elsewhere.
      if (best.comparison.gain < -realLoss) this.#revert("spinLoops", best.comparison);
    }
  }

  #revert(setting: keyof TunedSettings, comparison: TimeComparison): void {
    const from = this.#plan.defaults[setting];
    if (this.#settings[setting] === from) return;
    this.#settings = { ...this.#settings, [setting]: from };
    const why = `measured against all defaults at the end, another choice was ${differenceText(comparison)}`;
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

/** How much faster something was, and between what it lies with 99 % certainty. */
function differenceText({ gain, low, high }: TimeComparison): string {
  const range = Number.isFinite(low) && Number.isFinite(high)
    ? `, surely between ${shareText(low)} and ${shareText(high)}`
    : "";
  return shareText(gain) + range;
}

function shareText(share: number): string {
  return `${Math.abs(100 * share).toFixed(1)} % ${share < 0 ? "slower" : "faster"}`;
}
