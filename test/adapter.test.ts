/**
 * The adapter with a made-up load on a made-up clock: it arrives at what the load wants, stays there, and gives back what it
 * took.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import { Adapter, type AdaptTarget } from "../src/tuning/adapter.ts";
import { AbTrial } from "../src/engine/ab_trial.ts";
import { randomFrom } from "./simulation.ts";

/** A batcher whose steps take what a formula says, and some noise. */
class FakeLoad implements AdaptTarget {
  sequences = 16;
  readonly sequencesMost = 16;
  stepMs: number | undefined;
  threads = 2;
  readonly threadsMost: number = 2;
  cacheBytes: number | undefined = 1000;
  readonly cacheBytesMost = 1000;
  queued = 50;
  cache = { lookups: 0, asked: 0, saved: 0, evictions: 0 };
  /** Requests that want a place. */
  wanted = 100;
  /** Milliseconds of a step: its own, for each sequence, for each token of prompt. */
  base = 4;
  each = 1;
  prompt = 0.1;
  /** Cores that neighbours take. */
  neighbours = 0;
  /** What a barrier between threads costs where a neighbour holds one of them up. */
  stall = 0;
  nowMs = 0;
  readonly told: { setting: string | undefined; from: number | undefined; to: number | undefined; text: string }[] = [];
  readonly #random: (below: number) => number;
  readonly adapter: Adapter;

  constructor(seed: number, targetTokenMs?: number, threadsMost = 2) {
    this.#random = randomFrom(seed);
    this.threadsMost = threadsMost;
    this.threads = threadsMost;
    this.adapter = new Adapter(this, {
      targetTokenMs,
      others: () => Math.min(1, this.neighbours / this.threadsMost),
      log: {
        tell: (_, text, change = {}) =>
          void this.told.push({ setting: undefined, from: undefined, to: undefined, ...change, text }),
      },
    });
  }

  /** What a step takes without noise. */
  ms(sequences: number, prompt: number): number {
    const held = this.threads > this.threadsMost - this.neighbours && this.neighbours > 0 ? 1 + this.stall : 1;
    return (this.base + this.each * sequences + this.prompt * prompt) * held / Math.max(1, this.threads) *
      this.threadsMost;
  }

  run(ms: number, chunk = 0, each: () => void = () => {}): void {
    for (const end = this.nowMs + ms; this.nowMs < end;) {
      each();
      const sequences = Math.min(this.sequences, this.wanted);
      const isReading = chunk > 0 && this.#random(4) === 0;
      // As the batcher does: a chunk that keeps the step within `stepMs`.
      const room = (this.stepMs ?? Infinity) - this.ms(sequences, 0);
      const prompt = isReading ? Math.round(Math.max(4, Math.min(chunk, room / this.prompt))) : 0;
      const took = this.ms(sequences, prompt) * (0.9 + this.#random(1000) / 5000) * (this.#random(50) === 0 ? 3 : 1);
      this.nowMs += took;
      this.adapter.step({ ms: took, tokens: sequences + prompt, prompt, sequences, running: sequences }, this.nowMs);
    }
  }
}

describe("with a target for the time of a token, the adapter", () => {
  it("lowers the batch until tokens come in time, and stays there", () => {
    for (const seed of [1, 2, 3, 4]) {
      const load = new FakeLoad(seed, 12);
      load.run(60_000);
      assert(load.ms(load.sequences, 0) <= 12.5, `${load.sequences}`);
      assert(load.sequences >= 4, `${load.sequences}`); // 4 + n <= 12
      const settled = load.told.length;
      assert(settled <= 12, `${settled} decisions`);
      load.run(600_000);
      assert(load.told.length - settled <= 6, `${load.told.length - settled} decisions in ten quiet minutes`);
      assert(load.told.every(({ text }) => /where a token should take 12 ms/.test(text)), load.told[0]?.text);
    }
  });

  it("raises it again when steps become quick and requests wait", () => {
    const load = new FakeLoad(5, 12);
    load.run(60_000);
    const low = load.sequences;
    load.each = 0.2;
    load.run(60_000);
    assert(load.sequences > low && load.sequences === 16, `${low} ${load.sequences}`);
    load.each = 1;
    load.run(60_000);
    assert(load.sequences < 12);
    load.queued = 0;
    load.wanted = 2;
    const before = load.sequences;
    load.run(60_000);
    assertEquals(load.sequences, before, "nobody waits, so there is no reason to change anything");
  });

  it("gives prompts less of a step before it lowers the batch", () => {
    const load = new FakeLoad(6, 30);
    load.prompt = 0.4;
    load.stepMs = 60;
    load.run(30_000, 400);
    assertEquals(load.sequences, 16); // 20 ms without prompts
    assert((load.stepMs as number) <= 31, `${load.stepMs}`);
  });

  it("says so once where the target cannot be met", () => {
    const load = new FakeLoad(7, 2);
    load.run(120_000);
    assertEquals(load.sequences, 1);
    assertEquals(load.told.filter(({ text }) => text.includes("cannot be met")).length, 1);
  });
});

describe("the adapter", () => {
  it("tries fewer threads when neighbours take cores, keeps what is faster, and takes them again when they leave", () => {
    const load = new FakeLoad(8, undefined, 4);
    load.run(20_000);
    assertEquals(load.threads, 4);
    load.told.length = 0;
    load.neighbours = 1;
    load.stall = 0.8;
    load.run(60_000);
    assertEquals(load.threads, 3);
    const decision = load.told.find(({ setting }) => setting === "threads");
    assertEquals([decision?.setting, decision?.from, decision?.to], ["threads", 4, 3]);
    assert(
      /others used 25 % of the cores; with 3 in place of 4, steps took 0\.\d\d of the time/i.test(decision?.text ?? ""),
      decision?.text,
    );
    load.neighbours = 0;
    load.run(120_000);
    assertEquals(load.threads, 4);
  });

  it("leaves the threads where fewer are no faster, and does not try again soon", () => {
    const load = new FakeLoad(9, undefined, 2);
    load.neighbours = 1;
    load.stall = 0.3; // two threads that are held up are still faster than one
    load.run(600_000);
    assertEquals(load.threads, 2);
    const vain = load.told.filter(({ setting }) => setting === "threads");
    assert(vain.length >= 1 && vain.length <= 8, `${vain.length} trials`);
    assert(vain.every(({ from, to }) => from === to));
  });

  it("keeps the batch where another gives no more tokens, and lowers it where it does", () => {
    const load = new FakeLoad(10);
    load.run(120_000);
    assertEquals(load.sequences, 16);
    const steep = new FakeLoad(11);
    steep.base = 0.5;
    steep.ms = (sequences, prompt) => 0.5 + 0.1 * sequences + 0.02 * sequences ** 2 + prompt; // best near 5
    steep.run(900_000);
    assert(steep.sequences <= 9 && steep.sequences >= 3, `${steep.sequences}`);
  });

  it("gives memory of a cache back that finds nothing, and lets one that finds much grow again", () => {
    const load = new FakeLoad(12, 1000);
    load.run(120_000, 0, () => {
      load.cache.lookups++;
      load.cache.asked += 100;
    });
    assertEquals(load.cacheBytes, 63); // a sixteenth is left, so that hits can be seen
    load.run(120_000, 0, () => {
      load.cache.lookups++;
      load.cache.asked += 100;
      load.cache.saved += 60;
      load.cache.evictions++;
    });
    assertEquals(load.cacheBytes, 1000);
    assert(load.told.some(({ text }) => /the cache had 0 % of the tokens/i.test(text)));
    assert(load.told.some(({ text }) => /the cache had 60 % of the tokens/i.test(text)));
  });

  it("survives a clock that jumps, stands still or is no number", () => {
    const load = new FakeLoad(13, 12);
    const step = { ms: 20, tokens: 16, prompt: 0, sequences: 16, running: 16 };
    for (const now of [0, 1e15, -1e15, 7, 7, 7, NaN, 8, Infinity, -Infinity, 9]) load.adapter.step(step, now);
    for (let index = 0; index < 1000; index++) load.adapter.step(step, 9);
    assertEquals([load.told, load.sequences], [[], 16]);
    load.nowMs = 1e6;
    load.run(60_000);
    assert(load.ms(load.sequences, 0) <= 12.5);
  });

  it("is deterministic: the same load gives the same decisions", () => {
    const run = () => {
      const load = new FakeLoad(14, 15);
      load.run(100_000, 100);
      return load.told;
    };
    assertEquals(run(), run());
  });
});

describe("a trial", () => {
  const verdictOf = (cost: (value: number, step: number) => number) => {
    let value = 2;
    const trial = new AbTrial(2, 1, (to) => value = to);
    for (let step = 0; step < 2000; step++) {
      const verdict = trial.record("a", cost(value, step));
      if (verdict) return verdict;
    }
    throw new Error("no verdict");
  };

  it("finds the ratio, whatever the load does meanwhile and however some steps are disturbed", () => {
    const drift = verdictOf((value, step) => (value === 1 ? 8 : 10) * (1 + step / 100) * (step % 13 === 0 ? 20 : 1));
    assert(Math.abs(drift.ratio - 0.8) < 0.08, `${drift.ratio}`);
    assertEquals(verdictOf(() => 5).ratio, 1);
  });

  it("comes to an end without steps that can be compared, and then nothing is better", () => {
    const trial = new AbTrial(2, 1, () => {});
    let verdict;
    for (let step = 0; !verdict; step++) verdict = trial.record(`${step}`, step % 3 === 0 ? NaN : step);
    assertEquals(verdict, { ratio: 1, steps: 0 });
  });
});
