/**
 * Finding settings by measuring: on a subject made of numbers and noise with a clock of its own, where the best of a grid is
 * known, and where clocks and budgets misbehave.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { describe, it } from "node:test";
import { CancelledError, OutOfMemoryError } from "../mod.ts";
import { compareTimes } from "../src/tuning/tuner/compare.ts";
import { runRace, seededRandom } from "../src/tuning/tuner/race.ts";
import { Budget } from "../src/tuning/tuner/time_budget.ts";
import type { Subject, TunedSettings } from "../src/tuning/tuner/subject.ts";
import { tune, type TunePlan } from "../src/tuning/tuner/tuner.ts";

const defaults: TunedSettings = {
  prefillThreads: 8,
  decodeThreads: 8,
  prefillTokens: 2,
  chunkTokens: 512,
  batchSequences: 16,
  pageSize: 32,
  spinLoops: 2000,
};

/** What a step costs, in milliseconds. */
interface Costs {
  decode(settings: TunedSettings, sequences: number): number;
  prefill(settings: TunedSettings, tokens: number): number;
}

/** Steps that take no time but that of a clock, disturbed: usual noise, now and then a long pause, and a slow drift. */
class FakeSubject implements Subject {
  readonly chunkMost = 512;
  readonly sequencesMost = 64;
  readonly layers = 1;
  /** Milliseconds since the beginning. */
  time = 0;
  steps = 0;
  readonly #costs: Costs;
  readonly #random: () => number;
  readonly #noise: number;

  constructor(costs: Costs, seed: number, noise = 0.1) {
    this.#costs = costs;
    this.#random = seededRandom(seed);
    this.#noise = noise;
  }

  prefill(settings: TunedSettings, tokens: number): Promise<void> {
    return this.#pass(this.#costs.prefill(settings, tokens));
  }

  decode(settings: TunedSettings, sequences: number): Promise<void> {
    return this.#pass(this.#costs.decode(settings, sequences));
  }

  dispose(): Promise<void> {
    return Promise.resolve();
  }

  #pass(ms: number): Promise<void> {
    this.steps++;
    const pause = this.#random() < 0.03 ? 30 * ms * this.#random() : 0;
    const drift = 1 + 0.3 * Math.sin(this.time / 900);
    this.time += ms * drift * (1 + this.#noise * (this.#random() - 0.5)) + pause;
    return Promise.resolve();
  }
}

/** Memory-bound generating, compute-bound reading: the best threads, chunk and batch are known. */
function machine(cores: number, { decodeMs = 20, perTokenMs = 1.2, contention = 0.06 } = {}): Costs {
  const speedup = (threads: number, most: number) =>
    Math.min(threads, most) * (1 - contention * Math.max(0, threads - most));
  return {
    decode({ decodeThreads, pageSize, spinLoops }, sequences) {
      const one = decodeMs / speedup(decodeThreads, Math.min(4, cores)) * (pageSize === 64 ? 0.94 : 1);
      return one * (1 + 0.12 * sequences + 0.004 * Math.max(0, sequences - 16) ** 2) *
        (spinLoops === 20_000 ? 0.99 : 1);
    },
    prefill({ prefillThreads, pageSize }, tokens) {
      return (4 + tokens * perTokenMs) / speedup(prefillThreads, cores) * (pageSize === 64 ? 0.94 : 1);
    },
  };
}

function plan(subject: FakeSubject, more: Partial<TunePlan> = {}): TunePlan {
  return {
    subject,
    defaults,
    fixed: new Set(),
    threadsMost: 8,
    budgetMs: 10_000,
    now: () => subject.time,
    ...more,
  };
}

describe("tuning", () => {
  it("finds what is best of a grid under noise: nearly always within 5 %, always within 12 %", async () => {
    const exact = machine(6);
    const grid = [1, 2, 3, 4, 5, 6, 7, 8];
    const pages = [16, 32, 64] as const;
    const decode = (decodeThreads: number, pageSize: 16 | 32 | 64) =>
      exact.decode({ ...defaults, decodeThreads, pageSize }, 1);
    const prefill = (prefillThreads: number, pageSize: 16 | 32 | 64) =>
      exact.prefill({ ...defaults, prefillThreads, pageSize }, 64);
    const bestDecode = Math.min(...grid.flatMap((threads) => pages.map((page) => decode(threads, page))));
    const bestPrefill = Math.min(...grid.flatMap((threads) => pages.map((page) => prefill(threads, page))));
    assert(decode(8, 32) / bestDecode > 1.3 && prefill(8, 32) / bestPrefill > 1.15, "the defaults are worse");
    let near = 0;
    for (let seed = 1; seed <= 30; seed++) {
      const subject = new FakeSubject(exact, seed);
      const { settings, trials, ms } = await tune(plan(subject));
      const { decodeThreads, prefillThreads, pageSize } = settings;
      const share = Math.min(
        bestDecode / decode(decodeThreads, pageSize),
        bestPrefill / prefill(prefillThreads, pageSize),
      );
      assert(share >= 0.88, `seed ${seed}: ${share} ${JSON.stringify(trials)}`);
      if (share >= 0.95) near++;
      assertEquals(trials.length, 7);
      assert(ms <= 10_000 && subject.time <= 10_500, `${subject.time} ms`);
    }
    assert(near >= 25, `${near} of 30`);
  });

  it("has few threads for small steps and many for large ones, where threads cost more than they give", async () => {
    const cost = ({ decodeThreads, prefillThreads, prefillTokens }: TunedSettings, tokens: number) =>
      (tokens >= prefillTokens ? prefillThreads : decodeThreads) === 1 ? 0.07 + 0.03 * tokens : 0.8 + 0.015 * tokens;
    for (const seed of [1, 2, 3]) {
      const subject = new FakeSubject({ decode: cost, prefill: cost }, seed);
      const two = { ...defaults, prefillThreads: 2, decodeThreads: 2 };
      const { settings, trials } = await tune(plan(subject, { threadsMost: 2, defaults: two }));
      assertEquals([settings.decodeThreads, settings.prefillThreads], [1, 2], JSON.stringify(trials));
      // Those that are as good: one thread is the better one below 49 tokens.
      assert([32, 128].includes(settings.prefillTokens), JSON.stringify(trials));
    }
  });

  it("finds threads and chunk that are good only together", async () => {
    // Each thread more costs a step, and up to 4 compute their share: with small chunks 2 threads are best, and with 2 threads no
    // chunk is good. One after the other ends there; 4 threads with large chunks are 1.7 times as fast.
    const prefill = ({ prefillThreads: count }: TunedSettings, tokens: number) =>
      1.5 * (count - 1) + 0.16 * tokens / Math.min(count, 4) * (count < 4 && tokens > 32 ? 1.15 : 1);
    const rate = (prefillThreads: number, chunk: number) => prefill({ ...defaults, prefillThreads }, chunk) / chunk;
    const [threads, chunks] = [[1, 2, 3, 4, 6, 7, 8], [16, 32, 64, 128, 256]];
    const best = Math.min(...threads.flatMap((count) => chunks.map((chunk) => rate(count, chunk))));
    const first = threads.toSorted((a, b) => rate(a, 32) - rate(b, 32))[0] as number;
    const then = Math.min(...chunks.map((chunk) => rate(first, chunk)));
    assert(then / best > 1.6 && rate(8, 256) / best > 1.3, "neither one after the other nor the default");
    for (let seed = 1; seed <= 20; seed++) {
      const { settings, trials } = await tune(plan(new FakeSubject({ decode: () => 1, prefill }, seed)));
      const { prefillThreads, chunkTokens } = settings;
      const share = best / rate(prefillThreads, Math.min(256, chunkTokens)); // where it adapts, it adapts to 256 or 512
      assert(share > 0.95, `seed ${seed}: ${share}, ${JSON.stringify(trials)}`);
    }
  });

  it("finds threads for reading where no step is short, whether by the model or by the chunk that the user said", async () => {
    const costs = (tokenMs: number): Costs => ({
      decode: () => 5,
      prefill: ({ prefillThreads }, tokens) => tokens * tokenMs / (prefillThreads <= 4 ? prefillThreads : 2),
    });
    for (let seed = 1; seed <= 5; seed++) {
      const slow = await tune(plan(new FakeSubject(costs(9), seed)));
      assertEquals([slow.settings.prefillThreads, slow.settings.chunkTokens], [4, 512], JSON.stringify(slow.trials));
      const said = { fixed: new Set(["chunkTokens"] as const), defaults: { ...defaults, chunkTokens: 100 } };
      const { settings, trials } = await tune(plan(new FakeSubject(costs(2), seed), said));
      assertEquals([settings.prefillThreads, settings.chunkTokens], [4, 100], JSON.stringify(trials));
    }
  });

  it("finds threads and spin that are good only together", async () => {
    const decode = ({ decodeThreads, spinLoops }: TunedSettings) =>
      6 / decodeThreads + (decodeThreads > 1 ? { 200: 6, 2000: 5, 20000: 0.2 }[spinLoops] ?? NaN : 0);
    for (let seed = 1; seed <= 20; seed++) {
      const subject = new FakeSubject({ decode, prefill: (_, tokens) => 0.1 * tokens }, seed);
      const two = { ...defaults, prefillThreads: 2, decodeThreads: 2 };
      const { settings, trials } = await tune(plan(subject, { threadsMost: 2, defaults: two }));
      assertEquals(
        [settings.decodeThreads, settings.spinLoops],
        [2, 20_000],
        `seed ${seed}: ${JSON.stringify(trials)}`,
      );
    }
  });

  it("gives back at its end what made generating faster and everything else slower", async () => {
    // Spinning long helps a single sequence, by which it is chosen, and takes the cores that prompts need.
    const spins = ({ spinLoops }: TunedSettings) => spinLoops === 20_000;
    const costs: Costs = {
      decode: (settings, sequences) => (1 + sequences / 10) * (spins(settings) && sequences === 1 ? 0.7 : 1),
      prefill: (settings, tokens) => (0.5 + tokens / 100) * (spins(settings) ? 1.4 : 1),
    };
    for (let seed = 1; seed <= 10; seed++) {
      const { settings, trials } = await tune(plan(new FakeSubject(costs, seed)));
      assertEquals(settings.spinLoops, defaults.spinLoops, `seed ${seed}: ${JSON.stringify(trials)}`);
      const { why } = trials.find(({ setting }) => setting === "spinLoops") ?? { why: "" };
      assertMatch(why, /measured against all defaults at the end/);
    }
  });

  it("never picks what is slower than the defaults, where they are the best", async () => {
    for (let seed = 1; seed <= 30; seed++) {
      const costs: Costs = { decode: (_, sequences) => 10 + sequences, prefill: (_, tokens) => 2 + tokens / 4 };
      const perfect: Costs = {
        decode: (settings, sequences) => costs.decode(settings, sequences) * (settings.decodeThreads === 8 ? 1 : 1.04),
        prefill: (settings, tokens) => costs.prefill(settings, tokens) * (settings.prefillThreads === 8 ? 1 : 1.04),
      };
      const { settings } = await tune(plan(new FakeSubject(perfect, seed, 0.4)));
      const { decodeThreads, prefillThreads } = settings;
      assertEquals([decodeThreads, prefillThreads], [8, 8], `seed ${seed}`);
    }
  });

  it("stops early when nothing is better, and keeps within its budget on a slow model", async () => {
    const flat: Costs = { decode: () => 1, prefill: (_, tokens) => 0.1 * tokens };
    const quick = new FakeSubject(flat, 7, 0.01);
    const { settings } = await tune(plan(quick));
    assertEquals([settings.decodeThreads, settings.pageSize, settings.spinLoops], [8, 32, 2000]);
    assert(quick.time < 5000, `${quick.time} ms`);
    const slow = new FakeSubject(machine(6, { decodeMs: 3000, perTokenMs: 200 }), 8);
    const tuned = await tune(plan(slow));
    assert(slow.time <= 10_000 + 2 * 3000, `${slow.time} ms`);
    assert(tuned.trials.every(({ why }) => why !== ""));
    const tiny = new FakeSubject(machine(6), 9);
    await tune(plan(tiny, { budgetMs: 100 }));
    assert(tiny.time < 400, `${tiny.time} ms`);
  });

  it("leaves what the user said, and never has more threads than asked for", async () => {
    const subject = new FakeSubject(machine(16), 10);
    const { settings, trials } = await tune(plan(subject, {
      threadsMost: 3,
      defaults: { ...defaults, prefillThreads: 3, decodeThreads: 3, pageSize: 16, chunkTokens: 100 },
      threadsToTry: [16, 0, 2],
      fixed: new Set(["pageSize", "chunkTokens"]),
    }));
    assertEquals([settings.decodeThreads, settings.prefillThreads], [3, 3]);
    assertEquals([settings.pageSize, settings.chunkTokens], [16, 100]);
    assertMatch(trials.find(({ setting }) => setting === "pageSize")?.why ?? "", /what you said/);
  });

  it("chooses the chunk that reads fastest among those that are short enough", async () => {
    // Larger chunks are better up to 64, where a cache overflows.
    const costs: Costs = { decode: () => 1, prefill: (_, tokens) => 2 + tokens * (tokens > 64 ? 0.25 : 0.18) };
    const { settings } = await tune(plan(new FakeSubject(costs, 11)));
    assertEquals(settings.chunkTokens, 64);
    const long: Costs = { decode: () => 1, prefill: (_, tokens) => 200 + tokens };
    assertEquals((await tune(plan(new FakeSubject(long, 12)))).settings.chunkTokens, 512, "adapting does what it can");
  });

  it("keeps the defaults where the clock cannot be right", async () => {
    for (const broken of [() => 5, () => NaN, () => Infinity]) {
      const { settings, notes } = await tune(plan(new FakeSubject(machine(6), 13), { now: broken }));
      assertEquals(settings, defaults);
      assertMatch(notes.join(), /clock/);
    }
    const subject = new FakeSubject(machine(6), 14);
    let calls = 0;
    const backwards = () => subject.time - 1000 * (calls++ % 2);
    assertEquals((await tune(plan(subject, { now: backwards }))).settings, defaults);
  });

  it("bears a clock that jumps once, forwards or backwards", async () => {
    for (const jump of [3_600_000, -3_600_000]) {
      const subject = new FakeSubject(machine(6), 15);
      const { settings, ms } = await tune(
        plan(subject, { now: () => subject.time + (subject.time > 2000 ? jump : 0) }),
      );
      assert(settings.decodeThreads === 8 || settings.decodeThreads === 4, JSON.stringify(settings));
      assert(jump > 0 || ms <= 11_000);
      assert(subject.time <= 11_000, `${subject.time} ms`);
    }
  });

  it("goes on where a try needs too much memory", async () => {
    const costs = machine(6);
    const subject = new FakeSubject({
      ...costs,
      prefill(settings, tokens) {
        if (settings.pageSize === 64) throw new OutOfMemoryError("no memory", { what: "no memory" });
        return costs.prefill(settings, tokens);
      },
    }, 16);
    const { settings, trials } = await tune(plan(subject));
    assertEquals([settings.decodeThreads, settings.pageSize], [4, 32]);
    assertMatch(trials.find(({ setting }) => setting === "pageSize")?.why ?? "", /too little memory/);
  });

  it("ends at once by a signal, and passes on what a step throws", async () => {
    const controller = new AbortController();
    const subject = new FakeSubject(machine(6), 17);
    const onProgress = () => controller.abort();
    await assertRejects(() => tune(plan(subject, { signal: controller.signal, onProgress })), CancelledError);
    assert(subject.steps < 10);
    const failing = new FakeSubject({
      ...machine(6),
      decode() {
        throw new RangeError("broken");
      },
    }, 18);
    await assertRejects(() => tune(plan(failing)), RangeError, "broken");
  });

  it("tells how far it is", async () => {
    const subject = new FakeSubject(machine(6), 19);
    const heard: number[] = [];
    const settings = new Set<string>();
    const { ms } = await tune(plan(subject, {
      onProgress: ({ spentMs, budgetMs, setting }) => {
        heard.push(spentMs);
        settings.add(setting);
        assertEquals(budgetMs, 10_000);
      },
    }));
    assert(heard.every((spent, index) => spent >= (heard[index - 1] ?? 0)) && (heard.at(-1) as number) <= ms);
    assert(settings.size >= 6);
  });
});

describe("a comparison", () => {
  it("is not decided by a lucky minimum, or a few disturbed pairs", () => {
    const base = [10, 10.1, 9.9, 10, 10.05, 9.95, 10, 10.1, 9.9, 10];
    const lucky = [3, ...base.slice(1)];
    assert(compareTimes(base, lucky).low < 0.02);
    const disturbed = base.map((ms, index) => index < 2 ? 40 : 0.9 * ms);
    const { gain, low, high, pairs } = compareTimes(base, disturbed);
    assert(low > 0 && low < gain && gain < high && pairs === 10, `${low} ${gain} ${high}`);
    assert(Math.abs(gain - 1 / 9) < 0.01, `${gain}`);
  });

  it("is sure of nothing with one pair, and of little with two", () => {
    assertEquals(compareTimes([10], [5]), { gain: 0, low: -Infinity, high: Infinity, pairs: 1 });
    const { low, high } = compareTimes([10, 10], [9.8, 9.6]);
    assert(low < 0 && high > 0.1);
    assertEquals(compareTimes([NaN, 10, 0], [1, NaN, 5]).pairs, 0);
  });

  it("finds a difference of 3 % under noise of 10 %, and none where there is none", () => {
    const random = seededRandom(5);
    let found = 0;
    let wrong = 0;
    for (let trial = 0; trial < 200; trial++) {
      const noisy = (ms: number) => Array.from({ length: 60 }, () => ms * (1 + 0.1 * (random() - 0.5)));
      if (compareTimes(noisy(10.3), noisy(10)).low > 0) found++;
      if (compareTimes(noisy(10), noisy(10)).low > 0) wrong++;
    }
    assert(found >= 190 && wrong <= 4, `${found} found, ${wrong} wrong`);
  });
});

describe("a race", () => {
  it("drops who is surely slower after a few rounds", async () => {
    let time = 0;
    const runs = new Map<number, number>();
    const budget = new Budget(1e6, () => time);
    const { value, rounds } = await runRace({
      values: [10, 50, 8],
      work: (ms) => {
        runs.set(ms, (runs.get(ms) ?? 0) + 1);
        time += ms;
        return Promise.resolve();
      },
      gainLeast: () => 0.02,
      budget,
      random: seededRandom(1),
    });
    assertEquals(value, 8);
    assert((runs.get(50) as number) <= 5 && rounds <= 10);
  });

  it("begins nothing that its budget has no room for", async () => {
    let time = 0;
    const budget = new Budget(100, () => time);
    const work = (ms: number) => {
      time += ms;
      return Promise.resolve();
    };
    const { value, best } = await runRace({
      values: [30, 20],
      work,
      gainLeast: () => 0.02,
      budget,
      random: seededRandom(1),
    });
    assertEquals([value, best], [30, undefined]);
    assert(time <= 100, `${time}`);
  });
});
