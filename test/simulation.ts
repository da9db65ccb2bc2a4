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
import type { Choice } from "../src/sampling/state.ts";
import type { StepSequence } from "../src/engine/step.ts";
import { StepTimes } from "../src/engine/step_times.ts";
import { FakeClock } from "./fake-clock.ts";
import { expected, FakeEngine, FakeSampler } from "./fake-engine.ts";

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
  chained: number;
  late: number;
  paused: number;
  returned: number;
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
  // Steps of no time run in the event loop's place, where nothing can come late; beside it, none waits for one that pauses.
  if (half % 2 === 0) Object.assign(times, { isShort: () => false, expect: () => 0 });
  const drafting = new Drafting(vocabulary);
  const scheduler = new Scheduler(engine, store, times, {
    queueMax,
    drafting,
    maxWaitMs: random(3) === 0 ? random(5) : 0,
    patience,
    weights: new Map([["b", 3]]),
    clock,
  });
  const tokensAhead = random(3) === 0 ? 0 : 1 + random(6);
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
          : {
            ...(random(5) > 0 ? { ahead: tokensAhead } : {}),
            ...(random(4) === 0 ? { ends: new Set([random(vocabulary)]) } : {}),
            ...(guesses
              ? { guesser: new FakeGuesser(random, prompt, expected(prompt, seed, count + 12, vocabulary)) }
              : {}),
          }),
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
    // A sequence that is overdue goes first; of those ahead of it one after the other keeps its place for as long: some twice what was
    // ever seen.
    const bound = patience + 2 * (40 + patience) * (1 + open.size);
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
  tally.chained += engine.chained;
  tally.late += engine.late;
  tally.paused += engine.paused;
  tally.returned += engine.returned;
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
