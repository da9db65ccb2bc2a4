/**
 * Follows the load while requests run. It changes the batch and the prompt's share of a step, for the latency that the user asks
 * for or for throughput; the number of threads, when other programs take cores; and the size of the cache, by its hits. It makes
 * one small change at a time and measures it. A change that is no better is undone and not tried again soon. Results do not
 * depend on any of it.
 *
 * @module
 */
import type { StepRecord } from "../batching/stats.ts";
import type { EventLog } from "./events.ts";
import { AbTrial } from "../engine/ab_trial.ts";
import { median } from "../engine/median.ts";

/** The settings that an adapter changes, each within bounds that the user, the tuner or memory sets. */
export interface AdaptTarget {
  /** Sequences of a step, and the most of them. */
  sequences: number;
  readonly sequencesMost: number;
  /** Milliseconds that a step with prompts may take for sequences that wait; undefined: the batcher's own rule. */
  stepMs: number | undefined;
  /** Threads of both kinds of step, and the most of them. */
  threads: number;
  readonly threadsMost: number;
  /** Bytes that the prefix cache may take, and the most of them; undefined without a cache. */
  cacheBytes: number | undefined;
  readonly cacheBytesMost: number;
  /** Requests that wait for a place. */
  readonly queued: number;
  /** What the cache has been asked and has given so far. */
  readonly cache: {
    readonly lookups: number;
    readonly asked: number;
    readonly saved: number;
    readonly evictions: number;
  };
}

/** Options for an adapter. */
export interface AdapterOptions {
  /** Milliseconds between two tokens of a request that 95 % should not exceed; undefined: throughput counts. */
  readonly targetTokenMs?: number | undefined;
  /** The share of the process's cores that others took since the last call; undefined where it is not known. */
  readonly others: () => number | undefined;
  /** Hears every decision. */
  readonly log: Pick<EventLog, "tell">;
}

/** The adapter looks at the steps' times after so many milliseconds and so many steps. */
const periodMs = 250;
const periodSteps = 20;
/** A period longer than this, in milliseconds, is dropped: the process slept, or the clock jumped. */
const periodMsMost = 60_000;
/** Within this share below the target nothing changes. */
const comfort = 0.75;
/** The fewest steps whose 95th percentile is used: of fewer, a few disturbed steps are more than 5 %. */
const latencySteps = 200;
/** Looks in a row that must agree before a change. */
const agreeing = 2;
/** A value must be so much faster to replace another. */
const better = 0.97;
/** Shares of a core that other programs take: above the first fewer threads are tried, below the second more. */
const othersMost = 0.4;
const othersLeast = 0.1;
/** Periods between looks at other programs, and before a change that was no better is tried again; the latter doubles. */
const othersEvery = 4;
const holdLeast = 40;
const holdMost = 4000;
/** Look-ups between two looks at the cache. */
const cacheLookups = 64;
const worthless = 0.01;
const valuable = 0.05;
const cacheStep = 0.25;
const cacheLeast = 1 / 16;

/** Counts the periods before the next trial: twice as many after each trial that changed nothing. */
class Hold {
  #periods = holdLeast;
  #until = 0;

  isOver(period: number): boolean {
    return period >= this.#until;
  }

  after(period: number, wasWorthIt: boolean): void {
    this.#periods = wasWorthIt ? holdLeast : Math.min(holdMost, 2 * this.#periods);
    this.#until = period + this.#periods;
  }
}

/** A trial under way, and the reason for it. */
interface Running {
  readonly setting: "threads" | "batchSequences";
  readonly trial: AbTrial;
  readonly why: string;
}

/** Adapts one batcher. */
export class Adapter {
  readonly #target: AdaptTarget;
  readonly #options: AdapterOptions;
  readonly #holds = { threads: new Hold(), batchSequences: new Hold() };
  #begin: number | undefined;
  /** The times of steps in which a sequence waited for a token, without prompts and with, since the last look at them. */
  #alone: number[] = [];
  #beside: number[] = [];
  #steps = 0;
  #full = 0;
  #period = 0;
  #over = 0;
  #under = 0;
  #isHopeless = false;
  #direction = -1;
  #running: Running | undefined;
  #cache: AdaptTarget["cache"];

  /** Changes `target` by the steps that {@link Adapter.step} reports. */
  constructor(target: AdaptTarget, options: AdapterOptions) {
    this.#target = target;
    this.#options = options;
    this.#cache = { ...target.cache };
    if (options.targetTokenMs !== undefined) target.stepMs = options.targetTokenMs;
  }

  /** A step has ended at `now`. */
  step(step: StepRecord, now: number): void {
    const elapsed = now - (this.#begin ?? now);
    if (this.#begin === undefined || !(elapsed >= 0 && elapsed <= periodMsMost)) {
      this.#forget(now);
      return;
    }
    const decoders = step.tokens - step.prompt;
    if (decoders > 0) (step.prompt > 0 ? this.#beside : this.#alone).push(step.ms);
    if (step.running >= this.#target.sequences) this.#full++;
    this.#steps++;
    if (this.#running) this.#try(this.#running, step);
    if (elapsed < periodMs || this.#steps < periodSteps) return;
    this.#period++;
    const isFull = this.#full > 0.8 * this.#steps;
    if (!this.#running) this.#decide(isFull);
    this.#forget(now);
  }

  #forget(now: number): void {
    this.#begin = now;
    this.#steps = 0;
    this.#full = 0;
  }

  /** At most one change. */
  #decide(isFull: boolean): void {
    const { targetTokenMs } = this.#options;
    if (targetTokenMs !== undefined && this.#byLatency(targetTokenMs, isFull)) return;
    if (this.#period % othersEvery === 0 && this.#byOthers()) return;
    if (targetTokenMs === undefined && this.#byThroughput(isFull)) return;
    this.#byHits();
  }

  /** Fewer sequences or less prompt in a step where tokens come too late; more where they come early and requests wait. */
  #byLatency(targetMs: number, isFull: boolean): boolean {
    const target = this.#target;
    const all = [...this.#alone, ...this.#beside];
    const ms = high(all);
    const alone = high(this.#alone);
    // Where most steps take too long there is no need for many.
    const hasPrompts = this.#beside.length > 0;
    const isFar = all.length >= periodSteps && median(all) > targetMs;
    if (all.length < latencySteps && !isFar) return false;
    this.#alone = [];
    this.#beside = [];
    this.#over = isFar ? agreeing : ms > targetMs ? this.#over + 1 : 0;
    this.#under = ms < comfort * targetMs ? this.#under + 1 : 0;
    const { sequences } = target;
    const stepMs = target.stepMs ?? targetMs;
    const took = `95 % of the steps took up to ${ms.toFixed(1)} ms, where a token should take ${targetMs} ms`;
    if (this.#over >= agreeing) {
      this.#over = 0;
      if (hasPrompts && !(alone > targetMs) && stepMs > targetMs / 8) {
        return this.#turn(
          "stepMs",
          stepMs,
          Math.max(targetMs / 8, stepMs * Math.max(0.6, targetMs / ms)),
          `${took}, so prompts get less of a step`,
        );
      }
      if (sequences > 1) {
        const to = Math.max(1, Math.min(sequences - 1, Math.floor(sequences * Math.max(0.6, targetMs / ms))));
        return this.#turn("batchSequences", sequences, to, `${took}, so fewer requests share a step`);
      }
      if (!this.#isHopeless) {
        this.#options.log.tell("adapt", `${took}; one request alone takes longer, so the target cannot be met.`);
      }
      this.#isHopeless = true;
      return false;
    }
    if (this.#under < agreeing) return false;
    this.#isHopeless = false;
    if (stepMs < targetMs && hasPrompts) {
      this.#under = 0;
      return this.#turn("stepMs", stepMs, Math.min(targetMs, stepMs * 1.15), `${took}, so prompts get more of a step`);
    }
    // One more makes a step at most as much longer as there are more of them.
    const to = sequences + Math.max(1, sequences >> 3);
    const fits = ms * to / sequences < 0.95 * targetMs;
    if (!isFull || target.queued === 0 || sequences >= target.sequencesMost || !fits) return false;
    this.#under = 0;
    return this.#turn(
      "batchSequences",
      sequences,
      Math.min(to, target.sequencesMost),
      `${took}, and requests wait, so more share a step`,
    );
  }

  /** Fewer threads where others take cores, more where they no longer do; the steps' times decide. */
  #byOthers(): boolean {
    const { threads, threadsMost } = this.#target;
    if (threadsMost < 2) return false;
    const share = this.#options.others();
    if (share === undefined || !this.#holds.threads.isOver(this.#period)) return false;
    const cores = share * threadsMost;
    const percent = `others used ${Math.round(100 * share)} % of the cores`;
    if (cores > othersMost && threads > 1) return this.#begins("threads", threads, threads - 1, percent);
    if (cores < othersLeast && threads < threadsMost) return this.#begins("threads", threads, threads + 1, percent);
    return false;
  }

  /** Where more requests wait than have a place: whether another batch gives more tokens. */
  #byThroughput(isFull: boolean): boolean {
    const { sequences, sequencesMost, queued } = this.#target;
    if (!isFull || queued === 0 || !this.#holds.batchSequences.isOver(this.#period)) return false;
    // On in the direction that was worth it, else in the other.
    if (sequences >= sequencesMost) this.#direction = -1;
    else if (sequences === 1) this.#direction = 1;
    const to = Math.min(sequencesMost, sequences + this.#direction * Math.max(1, sequences >> 2));
    return this.#begins("batchSequences", sequences, to, `${queued} requests wait`);
  }

  /** A smaller cache where it finds nothing, a larger one where it finds much and must evict. */
  #byHits(): boolean {
    const target = this.#target;
    const { cacheBytes, cacheBytesMost } = target;
    const now = { ...target.cache };
    const lookups = now.lookups - this.#cache.lookups;
    if (cacheBytes === undefined || lookups < cacheLookups) return false;
    const share = (now.saved - this.#cache.saved) / Math.max(1, now.asked - this.#cache.asked);
    const evictions = now.evictions - this.#cache.evictions;
    this.#cache = now;
    const found = `the cache had ${(100 * share).toFixed(0)} % of the tokens of ${lookups} requests`;
    const least = Math.ceil(cacheBytesMost * cacheLeast);
    if (share < worthless && cacheBytes > least) {
      const to = Math.max(least, Math.floor(cacheBytes * (1 - cacheStep)));
      return this.#turn("cacheBytes", cacheBytes, to, `${found}, so it gives memory back`);
    }
    if (share > valuable && evictions > 0 && cacheBytes < cacheBytesMost) {
      const to = Math.min(cacheBytesMost, Math.ceil(cacheBytes * (1 + cacheStep)));
      return this.#turn(
        "cacheBytes",
        cacheBytes,
        to,
        `${found} and had to evict ${evictions} pages, so it may keep more`,
      );
    }
    return false;
  }

  #begins(setting: "threads" | "batchSequences", from: number, to: number, why: string): boolean {
    this.#running = { setting, trial: new AbTrial(from, to, (value) => this.#set(setting, value)), why };
    return true;
  }

  #try(running: Running, step: StepRecord): void {
    const { setting, trial, why } = running;
    // Steps of as many sequences compare by their time; batches of different sizes by the time of a token.
    const kind = setting === "threads"
      ? `${step.sequences}:${step.prompt > 0 ? 32 - Math.clz32(step.tokens) : 0}`
      : `${step.prompt > 0}`;
    const verdict = trial.record(kind, setting === "threads" ? step.ms : step.ms / step.tokens);
    if (!verdict) return;
    this.#running = undefined;
    const isBetter = verdict.ratio < better;
    this.#holds[setting].after(this.#period, isBetter);
    if (isBetter) this.#set(setting, trial.to);
    else trial.revert();
    if (setting === "batchSequences" && !isBetter) this.#direction = -this.#direction;
    const { from, to } = trial;
    const result = `with ${to} in place of ${from}, steps took ${
      verdict.ratio.toFixed(2)
    } of the time (${verdict.steps} steps, by turns)`;
    this.#tell(
      setting,
      from,
      isBetter ? to : from,
      `${why}; ${result}, so ${isBetter ? to : from} ${isBetter ? "it is" : "stays"}`,
    );
  }

  #turn(setting: "stepMs" | "batchSequences" | "cacheBytes", from: number, to: number, why: string): boolean {
    if (to === from) return false;
    this.#set(setting, to);
    this.#tell(setting, from, to, why);
    return true;
  }

  #set(setting: "stepMs" | "batchSequences" | "cacheBytes" | "threads", value: number): void {
    if (setting === "batchSequences") this.#target.sequences = value;
    else this.#target[setting] = value;
  }

  #tell(setting: string, from: number, to: number, text: string): void {
    this.#options.log.tell("adapt", `${text[0]?.toUpperCase()}${text.slice(1)}.`, { setting, from, to });
  }
}

/** What 95 % do not exceed; NaN of none. */
function high(values: readonly number[]): number {
  if (values.length < 3) return median(values);
  return [...values].sort((a, b) => a - b)[Math.ceil(0.95 * values.length) - 1] as number;
}
