/**
 * Many requests at once, in a world where steps and tokens are counted: whose turn it is to read, and what is read only once.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import { KvStore } from "../src/batching/kv_store.ts";
import { Scheduler } from "../src/batching/scheduler.ts";
import type { SequenceOptions } from "../src/batching/sequence_options.ts";
import { StepTimes } from "../src/engine/step_times.ts";
import { FakeClock } from "./fake-clock.ts";
import { expected, FakeEngine, FakeSampler } from "./fake-engine.ts";
import { randomFrom } from "./simulation.ts";

const vocabulary = 1000;
const pageSize = 32;

/** A batch of 16 with room for all. */
function world(chunk: number, weights: ReadonlyMap<string, number> = new Map(), times = new StepTimes(1, chunk)) {
  const clock = new FakeClock();
  const settings = { pages: 1000, pageSize, batchTokens: 600, sequences: 16, logitRows: 64 };
  const engine = new FakeEngine(settings, vocabulary);
  const store = new KvStore(engine, { pageBytes: 100, statePages: 0 }, {});
  const options = { queueMax: 1000, maxWaitMs: 0, patience: 512, weights, clock };
  const scheduler = new Scheduler(engine, store, times, options);
  /** Reads a prompt and chooses `count` tokens; tells the steps until the first. */
  const run = async (prompt: readonly number[], count: number, options: Partial<SequenceOptions> = {}) => {
    const sequence = scheduler.add({
      prompt: Uint32Array.from(prompt),
      positions: prompt.length + count,
      sample: FakeSampler.sample(1n),
      ...options,
    });
    const begin = engine.steps;
    const tokens: number[] = [];
    let first = 0;
    while (tokens.length < count) {
      tokens.push((await sequence.next())?.token ?? -1);
      if (tokens.length === 1) first = engine.steps - begin;
    }
    sequence.end();
    assertEquals(tokens, expected(prompt, 1n, count, vocabulary));
    return { first, saved: sequence.saved };
  };
  return { clock, engine, store, scheduler, run };
}

/** Runs until all is done. */
async function settle<T>(clock: FakeClock, work: readonly Promise<T>[]): Promise<T[]> {
  const all = Promise.all(work);
  await clock.until(all);
  return await all;
}

async function settleOne<T>(clock: FakeClock, work: Promise<T>): Promise<T> {
  await clock.until(work);
  return await work;
}

function promptOf(seed: number, length: number): number[] {
  const random = randomFrom(seed);
  return Array.from({ length }, () => random(vocabulary));
}

describe("prompts that begin alike and come together", () => {
  for (const chunk of [4, 16, 24, 64, 256]) {
    for (const besideStream of [false, true]) {
      it(`read their beginning once, chunk ${chunk}${besideStream ? ", beside a stream" : ""}`, async () => {
        const { clock, scheduler, run } = world(chunk);
        const common = promptOf(1, 631);
        const stream = besideStream ? run(promptOf(2, 9), 2000, { salt: "" }) : undefined;
        for (let tick = 0; tick < 9; tick++) await clock.tick();
        const before = scheduler.meter.promptTokens;
        const results = await settle(
          clock,
          Array.from({ length: 8 }, (_, user) => run([...common, ...promptOf(100 + user, 20)], 3, { salt: "" })),
        );
        const read = scheduler.meter.promptTokens - before;
        const saved = 8 * (631 + 20) - read;
        assert(saved >= 0.95 * 7 * 631, `${saved} of ${7 * 631} saved`);
        assertEquals(results.reduce((sum, result) => sum + result.saved, 0), saved);
        await clock.until(scheduler.dispose());
        await stream?.catch(() => {});
      });
    }
  }

  it("take over the middle of a page, and a whole prompt with its state", async () => {
    const { clock, scheduler, run } = world(16);
    const common = promptOf(1, 45);
    await settle(clock, [
      run(common, 1, { salt: "" }),
      run([...common, 1, 2, 3], 1, { salt: "" }),
      run(common, 1, { salt: "" }),
    ]);
    // 45 tokens once, three of the second's own; the third reads nothing.
    assertEquals(scheduler.meter.promptTokens, 48);
    await clock.until(scheduler.dispose());
  });

  it("are not waited for by another salt", async () => {
    const { clock, scheduler, run } = world(16);
    const common = promptOf(1, 64);
    await settle(clock, ["a", "b"].map((salt) => run(common, 1, { salt })));
    assertEquals(scheduler.meter.promptTokens, 128);
    await clock.until(scheduler.dispose());
  });

  it("hand their turn to the one that reads for them", async () => {
    const { clock, scheduler, run } = world(16);
    const common = promptOf(1, 200);
    const low = run([...common, 1], 1, { salt: "", priority: 0 });
    await clock.tick();
    const others = Array.from({ length: 6 }, (_, index) => run(promptOf(9 + index, 200), 1, { priority: 5 }));
    const high = run([...common, 2], 1, { salt: "", priority: 9 });
    await settle(clock, [low, high, ...others]);
    const alone = Math.ceil(201 / 16);
    assert((await high).first <= alone + 2, `${(await high).first} steps, alone ${alone}`);
    assertEquals((await low).saved + (await high).saved, 200, "each token of the beginning was read by one of them");
    await clock.until(scheduler.dispose());
  });
});

describe("the chunk of a step", () => {
  for (const chunk of [16, 64]) {
    const alone = Math.ceil(145 / chunk);
    const crowd = (run: ReturnType<typeof world>["run"], options: Partial<SequenceOptions>) =>
      Array.from({ length: 12 }, (_, index) => run(promptOf(index, 145), 20, options));

    it(`goes to a higher priority first, chunk ${chunk}`, async () => {
      const { clock, scheduler, run } = world(chunk);
      const others = crowd(run, { priority: 0 });
      for (let tick = 0; tick < 3; tick++) await clock.tick();
      const { first } = await settleOne(clock, run(promptOf(50, 145), 2, { priority: 9 }));
      assert(first <= 1.5 * alone, `${first} steps, alone ${alone}`);
      await settle(clock, others);
      await clock.until(scheduler.dispose());
    });

    it(`goes to tenants by weight, chunk ${chunk}`, async () => {
      const { clock, scheduler, run } = world(chunk, new Map([["paying", 4]]));
      const others = crowd(run, { tenant: "crowd" });
      for (let tick = 0; tick < 3; tick++) await clock.tick();
      const { first } = await settleOne(clock, run(promptOf(50, 145), 2, { tenant: "paying" }));
      assert(first <= 1.5 * alone, `${first} steps, alone ${alone}`);
      await settle(clock, others);
      await clock.until(scheduler.dispose());
    });

    it(`goes to prompts of one tenant one after the other, chunk ${chunk}`, async () => {
      const { clock, scheduler, run } = world(chunk);
      const firsts = (await settle(clock, crowd(run, {}))).map(({ first }) => first);
      const mean = firsts.reduce((sum, first) => sum + first, 0) / firsts.length;
      assert(mean <= 0.6 * Math.max(...firsts), `mean ${mean} of ${Math.max(...firsts)}`);
      assertEquals([...firsts].sort((a, b) => a - b), firsts, "in the order of arrival");
      await clock.until(scheduler.dispose());
    });
  }
});

describe("tokens of prompts", () => {
  for (const chunk of [4, 16, 128]) {
    it(`are counted as such, chunk ${chunk}`, async () => {
      const { clock, scheduler, run } = world(chunk);
      const prompts = Array.from({ length: 16 }, (_, index) => promptOf(index, 100 + index));
      await settle(clock, prompts.map((prompt) => run(prompt, 4)));
      const given = prompts.reduce((sum, { length }) => sum + length, 0);
      assertEquals(scheduler.meter.promptTokens, given);
      await clock.until(scheduler.dispose());
    });
  }
});

it("a step's time is promised to requests of every priority: a prompt of a higher one is read in parts beside a lower one", async () => {
  const steps: number[] = [];
  for (const stepMs of [undefined, 1]) {
    // Of weights so large each step is expected to take far longer than that.
    const times = new StepTimes(1e13, undefined);
    times.stepMs = stepMs;
    const { clock, scheduler, run } = world(512, new Map(), times);
    const low = run(promptOf(1, 9), 400, { priority: 0 });
    for (let tick = 0; tick < 9; tick++) await clock.tick();
    steps.push((await settleOne(clock, run(promptOf(2, 200), 1, { priority: 9 }))).first);
    await settleOne(clock, low);
    await clock.until(scheduler.dispose());
  }
  const [whole = 0, inParts = 0] = steps;
  assert(whole <= 4 && inParts > 2 * whole, `${whole} and ${inParts} steps`);
});
