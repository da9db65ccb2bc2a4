/**
 * A world for the scheduler in which everything is known: a clock that ticks when told to, an engine whose keys and values are
 * numbers that say what they were computed from, and readers with habits. A schedule is made from one seed alone, so that
 * a failing one can be run again.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { CancelledError, ClosedError, LightGPTError, QueueFullError } from "../mod.ts";
import { Drafting } from "../src/batching/drafting/drafting.ts";
import type { Guesser } from "../src/batching/drafting/types.ts";
import { KvStore } from "../src/batching/kv_store.ts";
import { weightSlack } from "../src/engine/page_pool.ts";
import { Scheduler } from "../src/batching/scheduler.ts";
import type { Sequence } from "../src/batching/sequence.ts";
import { evictionPolicies } from "../src/cache/evict.ts";
import type { Choice, SamplerState } from "../src/sampling/state.ts";
import type { StepResult, StepRunner, StepSequence } from "../src/engine/engine.ts";
import { StepTimes } from "../src/engine/step_times.ts";
import { FakeClock } from "./fake-clock.ts";

/** Random integers from a seed (mulberry32). */
export function randomFrom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** What a token at the end of `before` computes to: a number that depends on all of them. */
function mix(before: number, token: number): number {
  const mixed = Math.imul(before ^ (token + 0x9e3779b9), 0x85ebca6b);
  return (mixed ^ (mixed >>> 13)) >>> 0;
}

function choose(state: number, seed: bigint, choice: number, vocabulary: number): number {
  return mix(mix(state, Number(seed)), choice) % vocabulary;
}

/** What a request must give: the tokens of an engine that serves nobody else. */
export function expected(prompt: ArrayLike<number>, seed: bigint, count: number, vocabulary: number): number[] {
  let state = 0;
  for (let index = 0; index < prompt.length; index++) state = mix(state, prompt[index] as number);
  const tokens: number[] = [];
  for (let choice = 0; choice < count; choice++) {
    const token = choose(state, seed, choice, vocabulary);
    tokens.push(token);
    state = mix(state, token);
  }
  return tokens;
}

/** How tokens are chosen there: by a seed and the number of the choice. */
export class FakeSampler {
  readonly seed: bigint;
  choices = 0;

  constructor(seed: bigint) {
    this.seed = seed;
  }

  accept(): void {
    this.choices++;
  }

  acceptAhead(): void {
    this.accept();
  }

  assertChoice(): void {
    // Nothing is kept from it.
  }

  lookahead(): undefined {}

  /** As a sequence wants it. */
  static sample(seed: bigint): { sampler: SamplerState; top: undefined } {
    return { sampler: new FakeSampler(seed) as unknown as SamplerState, top: undefined };
  }
}

/** Guesses what a request must give, or something else, as it happens. */
class FakeGuesser implements Guesser {
  readonly isWeighed: boolean;
  readonly #random: (below: number) => number;
  readonly #given: number;
  readonly #all: readonly number[];
  #next = 0;

  constructor(random: (below: number) => number, prompt: Uint32Array, all: readonly number[]) {
    this.#random = random;
    this.isWeighed = random(2) === 0;
    this.#given = prompt.length;
    this.#all = all;
  }

  chances(tokens: Uint32Array, most: number): number[] {
    this.#next = tokens.length - this.#given;
    return Array.from({ length: Math.min(most, this.#random(12)) }, () => this.#random(10) / 10);
  }

  guesses(count: number): number[] {
    return Array.from({ length: count }, (_, index) => {
      const right = this.#all[this.#next + index] as number;
      return this.#random(4) === 0 ? (right + 1) % vocabulary : right;
    });
  }

  verified(guessed: number, kept: number): void {
    assert(guessed > 0 && kept <= guessed, "kept more than was guessed");
  }
}

/** An engine that computes numbers and checks all that it is told. */
export class FakeEngine implements StepRunner {
  readonly settings: StepRunner["settings"];
  readonly #vocabulary: number;
  readonly #memory: Uint32Array;
  /** What windowed layers keep: the same, until it is left behind. */
  readonly #windowed: Uint32Array;
  readonly #both: readonly [Uint32Array, Uint32Array];
  /** Positions that windowed layers see, the query's included; 0: there are none. */
  readonly window: number;
  /** Pages that hold the state of a sequence: it must be right as well as the keys, and is read instead of them. */
  readonly statePages: number;
  readonly #fault: (sequence: StepSequence | undefined) => Error | undefined;
  #isBusy = false;
  steps = 0;
  tokens = 0;

  /** `fault` is asked for each sequence of a step, and once for the step. */
  constructor(
    settings: StepRunner["settings"],
    vocabulary: number,
    fault: (sequence: StepSequence | undefined) => Error | undefined = () => undefined,
    { statePages = 0, window = 0 }: { readonly statePages?: number; readonly window?: number } = {},
  ) {
    this.settings = settings;
    this.statePages = statePages;
    this.window = window;
    this.#vocabulary = vocabulary;
    const floats = settings.pages * settings.pageSize;
    [this.#memory, this.#windowed] = this.#both = [new Uint32Array(floats), new Uint32Array(floats)];
    this.#fault = fault;
  }

  /** What the scheduler did wrong first: it takes what is thrown for a failure of the engine. */
  broken: unknown;

  async run(sequences: readonly StepSequence[]): Promise<StepResult[]> {
    const refused = this.#fault(undefined);
    if (refused) throw refused;
    try {
      return await this.#run(sequences);
    } catch (error) {
      this.broken ??= error;
      throw error;
    }
  }

  async #run(sequences: readonly StepSequence[]): Promise<StepResult[]> {
    assert(!this.#isBusy, "two steps at once");
    const { batchTokens, logitRows } = this.settings;
    assert(sequences.length > 0 && sequences.length <= this.settings.sequences, "sequences of a step");
    assertEquals(new Set(sequences.map(({ id }) => id)).size, sequences.length);
    const tokens = sequences.reduce((sum, { tokens }) => sum + tokens.length, 0);
    assert(tokens <= batchTokens, "tokens of a step");
    const rows = sequences.reduce(
      (sum, { logits, tokens, drafts = 0 }) => sum + (logits === "all" ? tokens.length : 1 + drafts),
      0,
    );
    assert(rows <= logitRows, "rows of a step");
    this.steps++;
    this.tokens += tokens;
    this.#isBusy = true;
    const written = new Map<number, number>();
    const results = sequences.map((sequence) => this.#one(sequence, written));
    await undefined;
    this.#isBusy = false;
    return results;
  }

  cancel(): void {}

  dispose(): Promise<void> {
    return Promise.resolve();
  }

  copyPage(from: number, to: number): void {
    assert(!this.#isBusy, "a page was copied during a step");
    const { pageSize } = this.settings;
    for (const memory of this.#both) memory.copyWithin(to * pageSize, from * pageSize, (from + 1) * pageSize);
  }

  leavePage(page: number): void {
    assert(!this.#isBusy, "a page was left behind during a step");
    const { pageSize } = this.settings;
    this.#windowed.fill(0xdead, page * pageSize, (page + 1) * pageSize);
  }

  discardPages(first: number, count: number): number {
    assert(!this.#isBusy, "pages were given back during a step");
    const { pageSize } = this.settings;
    for (const memory of this.#both) memory.fill(0xdead, first * pageSize, (first + count) * pageSize);
    return count;
  }

  #one(step: StepSequence, written: Map<number, number>): StepResult {
    const { pageSize } = this.settings;
    const at = (position: number) =>
      (step.pages[this.statePages + Math.floor(position / pageSize)] as number) * pageSize + position % pageSize;
    const statePlaces = Array.from({ length: this.statePages }, (_, index) => (step.pages[index] as number) * pageSize);
    const error = this.#fault(step);
    if (error) {
      // What a step that failed leaves of a state is not one.
      for (const place of statePlaces) this.#memory[place] = 0xbad;
      return { error, logits: new Float32Array(0) };
    }
    let state = 0;
    const drafts = step.drafts ?? 0;
    const states: number[] = [];
    if (step.hidden) {
      assertEquals(step.tokens.length, 0);
      const [high, low] = step.hidden as unknown as [number, number];
      state = high * 65_536 + low;
    } else {
      assert(step.tokens.length > 0, "nothing to read");
      const capacity = (step.pages.length - this.statePages) * pageSize;
      assert(step.position + step.tokens.length <= capacity, "too few pages");
      state = step.position === 0 ? 0 : this.#memory[at(step.position - 1)] as number;
      if (step.position > 0) {
        statePlaces.forEach((place, index) => assertEquals(this.#memory[place], (state ^ index) >>> 0, "the state"));
      }
      const seen = this.window === 0 ? step.position : Math.max(0, step.position - this.window + 1);
      for (let position = seen; position < step.position; position++) {
        assert(this.#windowed[at(position)] === this.#memory[at(position)], "what the window shows is gone");
      }
      for (let index = 0; index < step.tokens.length; index++) {
        state = mix(state, step.tokens[index] as number);
        const place = at(step.position + index);
        assert(!written.has(place), "two sequences write to one place");
        written.set(place, step.id);
        this.#memory[place] = this.#windowed[place] = state;
        states.push(state);
      }
    }
    const result: { -readonly [Key in keyof StepResult]: StepResult[Key] } = {
      logits: new Float32Array(step.logits === "none" ? 0 : step.logits === "last" ? 1 : step.tokens.length),
    };
    if (step.sample) {
      const { seed, choices } = step.sample.sampler as unknown as FakeSampler;
      const chosen: Choice[] = [];
      for (let index = 0; index <= drafts; index++) {
        const at = states[states.length - 1 - drafts + index] ?? state;
        const token = choose(at, seed, choices + index, this.#vocabulary);
        chosen.push({ token });
        if (token !== step.tokens[step.tokens.length - drafts + index]) break;
      }
      result.choices = chosen;
    }
    // Of the drafts, the state takes those that were right.
    const kept = states[states.length - 1 - drafts + Math.max(0, (result.choices?.length ?? 1) - 1)];
    if (kept !== undefined) {
      statePlaces.forEach((place, index) => {
        assert(!written.has(place), "two sequences write to one state");
        written.set(place, step.id);
        this.#memory[place] = (kept ^ index) >>> 0;
      });
    }
    assert(drafts === 0 || !step.keep, "a state behind a guess");
    if (step.keep) result.hidden = Float32Array.of(Math.floor(state / 65_536), state % 65_536);
    return result;
  }
}

/** What a schedule came to. */
export interface Tally {
  requests: number;
  finished: number;
  cancelled: number;
  refused: number;
  failed: number;
  preemptions: number;
  drafted: number;
  kept: number;
  tokensSaved: number;
  savedByStates: number;
  evictions: number;
}

const vocabulary = 3;
const thrown = new RangeError("a processor threw");

/** Runs one schedule; throws where something is wrong. */
export async function runSchedule(seed: number, tally: Tally): Promise<void> {
  const random = randomFrom(seed);
  const clock = new FakeClock();
  const pageSize = 16;
  const positionsMax = 80;
  const half = Math.floor(seed / 2);
  const statePages = half % 4 === 3 ? 1 + Math.floor(half / 4) % 3 : 0;
  // A third of the models have windowed layers, all of them or half.
  const windows = half % 3 === 1
    ? { window: 3 + Math.floor(half / 3) % 30, behind: Math.floor(half / 3) % 2 / 2 }
    : undefined;
  const least = positionsMax / pageSize + statePages;
  const pages = least + random(12);
  const [queueMax, patience] = [2 + random(12), 4 + random(40)];
  const isFaulty = random(5) === 0;
  const fault = (step: StepSequence | undefined) => {
    if (!isFaulty || random(150) > 0) return undefined;
    return step ? new LightGPTError("nonFinite", "one") : new LightGPTError("outOfMemory", "step");
  };
  const engine = new FakeEngine(
    { pages, pageSize, batchTokens: 8 + random(60), sequences: 1 + random(6), logitRows: 8 },
    vocabulary,
    fault,
    { statePages, window: windows?.window ?? 0 },
  );
  const cache = random(6) === 0 ? undefined : {
    policy: evictionPolicies[random(3)] ?? "cost",
    hashBits: random(2) === 0 ? 8 : 32,
    ...(random(3) === 0 ? { bytesMax: 100 * (1 + random(pages)) } : {}),
  };
  const store = new KvStore(engine, { pageBytes: 100, statePages, ...(windows ? { windows } : {}) }, cache);
  const times = new StepTimes(1, random(2) === 0 ? undefined : 1 + random(40));
  const drafting = new Drafting(vocabulary);
  const scheduler = new Scheduler(engine, store, times, {
    queueMax,
    drafting,
    maxWaitMs: random(3) === 0 ? random(5) : 0,
    patience,
    weights: new Map([["b", 3]]),
    clock,
  });
  const stem = Array.from({ length: 48 }, () => random(vocabulary));
  const requests = 2 + random(12);
  const open = new Set<Sequence>();
  let ends = 0;

  const request = async () => {
    await clock.sleep(random(30));
    const prompt = Uint32Array.from([
      ...stem.slice(0, random(stem.length)),
      ...Array.from({ length: 1 + random(12) }, () => random(vocabulary)),
    ]);
    const count = 1 + random(Math.min(20, positionsMax - prompt.length));
    const seed = BigInt(random(4));
    const pauseMs = random(4) === 0 ? 1 + random(20) : 0;
    const throwsAt = random(12) === 0 ? random(count) : -1;
    let rows = 0;
    const processor = random(6) === 0 || throwsAt >= 0;
    const guesses = random(3) > 0;
    const tenant = "abc".charAt(random(3));
    let sequence: Sequence;
    try {
      sequence = scheduler.add({
        prompt,
        positions: prompt.length + count - 1,
        sample: FakeSampler.sample(seed),
        tenant,
        priority: random(10),
        salt: random(8) > 0 ? tenant : undefined,
        ...(random(10) === 0 ? { deadlineMs: 1 + random(60) } : {}),
        ...(processor
          ? {
            logits: {
              rows: "last" as const,
              receive: () => {
                if (rows++ === throwsAt) throw thrown;
              },
            },
          }
          : guesses
          ? { guesser: new FakeGuesser(random, prompt, expected(prompt, seed, count + 12, vocabulary)) }
          : {}),
      });
    } catch (error) {
      if (!(error instanceof QueueFullError)) throw error;
      assert(scheduler.queued + scheduler.paused >= queueMax, "refused though there was room");
      assert(error.retryAfterMs >= 1);
      tally.refused++;
      return;
    }
    open.add(sequence);
    if (random(8) === 0) clock.after(random(50), () => sequence.end(new CancelledError("cancelled")));
    const tokens: number[] = [];
    let failure: unknown;
    try {
      while (tokens.length < count) {
        if (pauseMs > 0) await clock.sleep(random(pauseMs));
        tokens.push((await sequence.next() as Choice).token);
      }
    } catch (error) {
      failure = error;
    }
    ends++;
    sequence.end();
    open.delete(sequence);
    assertEquals(tokens, expected(prompt, seed, tokens.length, vocabulary));
    if (failure === undefined) tally.finished++;
    else if (failure === thrown) assertEquals(tokens.length, throwsAt);
    else if (failure instanceof CancelledError) tally.cancelled++;
    else if (failure instanceof ClosedError || (isFaulty && failure instanceof LightGPTError)) tally.failed++;
    else throw failure;
  };

  const work = Array.from({ length: requests }, request);
  let left = requests;
  const fates = Promise.allSettled(work.map((one) => one.finally(() => left--)));
  const closesAt = random(25) === 0 ? random(60) : Infinity;
  const turns = random(2) === 0;
  for (let ticks = 0; left > 0; ticks++) {
    assert(ticks < 20_000, "a request never ended");
    await clock.tick();
    if (engine.broken) throw engine.broken;
    if (ticks === closesAt) void scheduler.dispose();
    if (turns && random(16) === 0) {
      times.stepMs = random(2) === 0 ? undefined : random(5);
      const limit = least + random(pages - least + 1);
      void scheduler.betweenSteps(() => {
        scheduler.limitPages(limit);
        assert(store.pool.weight <= Math.max(limit, least) + weightSlack, "more pages were held than may be");
      }).catch((error: unknown) => {
        if (!(error instanceof ClosedError)) throw error;
      });
    }
    assert(scheduler.queued <= queueMax + engine.settings.sequences + open.size, "the queue grew");
    let held = 0;
    for (let page = 0; page < pages; page++) if (store.pool.references(page) > 0) held++;
    assertEquals(held, store.pool.held);
    // A sequence that is overdue goes first; each that is ahead of it keeps its place for a while: twice what was ever seen.
    const bound = patience + 40 * (1 + open.size);
    for (const { isAsked, askedAt, servedAt } of open) {
      if (isAsked) assert(scheduler.meter.steps - Math.max(askedAt, servedAt) <= bound, "somebody waited too long");
    }
  }
  for (const fate of await fates) {
    if (fate.status === "rejected" && !(fate.reason instanceof ClosedError)) throw fate.reason;
  }
  tally.requests += requests;
  tally.drafted += drafting.drafted;
  tally.kept += drafting.kept;
  tally.preemptions += scheduler.meter.preemptions;
  tally.tokensSaved += store.cache?.stats().tokensSaved ?? 0;
  if (statePages > 0) tally.savedByStates += store.cache?.stats().tokensSaved ?? 0;
  tally.evictions += store.cache?.stats().evictions ?? 0;
  await clock.until(scheduler.dispose());
  assert(ends <= requests);
  assertEquals([scheduler.queued, scheduler.placed, scheduler.tenants], [0, 0, 0]);
  const { pages: kept = 0, states = 0 } = store.cache?.stats() ?? {};
  assertEquals(store.pool.held, kept + states * statePages);
  store.cache?.clear();
  assertEquals([store.pool.held, store.cache?.stats().bytes ?? 0], [0, 0]);
}
