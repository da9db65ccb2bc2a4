/**
 * The scheduler by simulation: thousands of schedules, each from a seed, in a world that checks every step.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import process from "node:process";
import { QueueFullError } from "../mod.ts";
import { KvStore } from "../src/batching/kv_store.ts";
import { Scheduler } from "../src/batching/scheduler.ts";
import { median } from "../src/engine/median.ts";
import { Meter } from "../src/batching/stats.ts";
import { StepTimes } from "../src/engine/step_times.ts";
import { FakeClock } from "./fake-clock.ts";
import { expected, FakeEngine, FakeSampler } from "./fake-engine.ts";
import { half } from "./halves.ts";
import { randomFrom, runSchedule, type Tally } from "./simulation.ts";
import { note, often } from "./counts.ts";

/** Deno and Bun take half of the 20 000 schedules each; Node, whose JavaScript is Deno's, a tenth of Bun's. */
const schedules = often(20_000, 100_000) / ("Deno" in globalThis || "Bun" in globalThis ? 1 : 10);

describe("the scheduler", () => {
  it("gives every request its own tokens, once, in 20 000 schedules (half of them on each runtime)", async () => {
    const tally: Tally = {
      requests: 0,
      finished: 0,
      cancelled: 0,
      refused: 0,
      failed: 0,
      preemptions: 0,
      drafted: 0,
      kept: 0,
      chained: 0,
      late: 0,
      paused: 0,
      returned: 0,
      tokensSaved: 0,
      savedByStates: 0,
      evictions: 0,
    };
    const only = process.env.LIGHTGPT_SCHEDULE;
    for (let seed = only ? Number(only) : half; seed < (only ? Number(only) + 1 : schedules); seed += 2) {
      await runSchedule(seed, tally).catch((error) => {
        throw new Error(`LIGHTGPT_SCHEDULE=${seed}: ${error.message}`, { cause: error });
      });
    }
    if (only) return;
    note(32, "schedules", schedules / 2);
    // The schedules were of all kinds.
    for (const [kind, count] of Object.entries(tally)) assert(count > schedules / 100, `${kind}: ${count}`);
  });

  /** An engine of `pages` pages that runs `sequences` at once. */
  function world(
    pages: number,
    weights: ReadonlyMap<string, number> = new Map(),
    sequences = 4,
    queueMax = 100,
    patience = 1000,
  ) {
    const clock = new FakeClock();
    const engine = new FakeEngine(
      { pages, pageSize: 16, batchTokens: 64, sequences, logitRows: 8 },
      1000,
    );
    const store = new KvStore(engine, { pageBytes: 100, statePages: 0 }, {});
    const options = { queueMax, maxWaitMs: 0, patience, weights, clock };
    return { clock, engine, store, scheduler: new Scheduler(engine, store, new StepTimes(1, 16), options) };
  }

  it("shares work between tenants by weight", async () => {
    const { clock, scheduler } = world(64, new Map([["heavy", 3]]));
    const counts: Record<string, number> = { heavy: 0, light: 0 };
    const run = async (tenant: string, id: number) => {
      for (;;) {
        const sequence = scheduler.add({
          prompt: Uint32Array.of(id),
          positions: 20,
          sample: FakeSampler.sample(1n),
          tenant,
        });
        for (let token = 0; token < 5; token++) {
          await sequence.next();
          counts[tenant] = (counts[tenant] ?? 0) + 1;
        }
        sequence.end();
      }
    };
    const all = Array.from({ length: 16 }, (_, id) => run(id % 2 ? "heavy" : "light", id).catch(() => {}));
    for (let tick = 0; tick < 400; tick++) await clock.tick();
    const share = (counts.heavy ?? 0) / (counts.light ?? 1);
    assert(share > 2.4 && share < 3.6, `three to one, was ${share}`);
    await clock.until(scheduler.dispose());
    await Promise.all(all);
  });

  it("takes no pages back and forth where many wait for longer than the patience", async () => {
    // Four have places and pages; the others wait for some 1400 steps, and are overdue after 20.
    const { clock, scheduler } = world(28, new Map(), 4, 100, 20);
    const [requests, tokens] = [60, 100];
    const all = Array.from({ length: requests }, async (_, id) => {
      const sample = FakeSampler.sample(BigInt(id));
      const sequence = scheduler.add({ prompt: Uint32Array.of(id, 1, 2), positions: 3 + tokens, sample, ahead: 4 });
      for (let token = 0; token < tokens; token++) await sequence.next();
      sequence.end();
    });
    await clock.until(Promise.all(all));
    const { preemptions, steps } = scheduler.meter;
    const figures = `${preemptions} preemptions, ${steps} steps`;
    assert(preemptions <= requests && steps < 1.2 * requests * tokens / 4, figures);
    await clock.until(scheduler.dispose());
  });

  // Readers that need longer for a token than a step takes have their sequences paused, and others get their places.
  for (const lateMs of [0, 10, 30]) {
    it(`tells a request that finds the queue full when to come again; readers need up to ${lateMs} ms a token`, async () => {
      const { clock, scheduler } = world(400, new Map(), 2, 4);
      const random = randomFrom(5);
      const told: number[] = [];
      let [taken, answered, isOver] = [0, 0, false];
      const enter = async (id: number, count: number) => {
        while (!isOver) {
          try {
            const sample = FakeSampler.sample(BigInt(id));
            return scheduler.add({ prompt: Uint32Array.of(id, 1, 2), positions: 3 + count, sample, ahead: 4 });
          } catch (error) {
            if (!(error instanceof QueueFullError)) throw error;
            told.push(error.retryAfterMs);
            await clock.sleep(error.retryAfterMs);
          }
        }
      };
      /** A client that wants one answer after the other, and comes again when it is told to. */
      const client = async (id: number) => {
        while (!isOver) {
          const count = 1 + random(60);
          const sequence = await enter(id, count);
          if (sequence) taken++;
          for (let tokens = 0; sequence && tokens < count; tokens++) {
            await sequence.next();
            await clock.sleep(random(lateMs + 1));
          }
          sequence?.end();
          answered++;
        }
      };
      const clients = Promise.all(Array.from({ length: 9 }, (_, id) => client(id)));
      // The first refused ones are told to come in a second, for nothing is known yet.
      while (answered < 40 || told.length < 12) await clock.tick();
      const [since, takenBefore, answeredBefore] = [clock.now(), taken, answered];
      told.length = 0;
      while (answered < answeredBefore + 100) await clock.tick();
      const answerMs = (clock.now() - since) / 100;
      const figures = `${told.length} refused, ${taken - takenBefore} taken; told ${
        median(told)
      } ms of ${answerMs} ms an answer`;
      // Of those that were told to come, one comes for each answer; besides it one that has its answer and wants another.
      assert(told.length < 1.1 * (taken - takenBefore), figures);
      // Of nine clients, three or a few more wait outside, one answer behind another.
      assert(told.length > 10 && median(told) > answerMs && median(told) < 6 * answerMs, figures);
      isOver = true;
      await clock.until(clients);
      await clock.until(scheduler.dispose());
    });
  }

  it("tells one that is refused how often places become free while they are short, not how often requests come", () => {
    const meter = new Meter();
    const end = { outcome: "finished", promptTokens: 1, tokens: 1, ms: 1 } as const;
    const times = { bornMs: 0, placedMs: 0, firstMs: 0, tokenMs: 0 };
    const ends = (...atMs: readonly number[]) => atMs.forEach((ms) => meter.request(ms, end, times));
    // Nothing is known: in a second, and a tenth more for the next.
    assertEquals([meter.retryMs(0), meter.retryMs(0)], [1000, 1100]);
    meter.enough();
    ends(400, 900);
    meter.short(5000);
    ends(5040, 5080, 5120);
    meter.enough();
    ends(100_000, 200_000);
    // Behind another that is refused at the same moment.
    assertEquals([meter.retryMs(300_000), meter.retryMs(300_000)], [40, 80]);
  });

  it("computes a prefix once that a hundred requests share", async () => {
    const { clock, engine, scheduler } = world(400);
    const random = randomFrom(1);
    const prefix = Array.from({ length: 1000 }, () => random(1000));
    let left = 100;
    const all = Array.from({ length: 100 }, async (_, id) => {
      const prompt = Uint32Array.from([...prefix, id, id + 1, id + 2]);
      const sequence = scheduler.add({ prompt, positions: 1010, sample: FakeSampler.sample(1n), salt: "" });
      assertEquals((await sequence.next())?.token, expected(prompt, 1n, 1, 1000)[0]);
      sequence.end();
      left--;
    });
    while (left > 0) await clock.tick();
    await Promise.all(all);
    // The prefix once, three tokens for each; and 8 at most where a page's part had not been left by the first yet.
    assert(engine.tokens <= 1000 + 100 * 3 + 4 * 8, `${engine.tokens} tokens were computed`);
  });

  it("keeps pages that are written apart, whoever reads what", async () => {
    const { clock, store, scheduler } = world(30);
    const random = randomFrom(7);
    let left = 10_000;
    let under = 0;
    const finish = async (id: number) => {
      const prompt = Uint32Array.from({ length: 1 + random(40) }, (_, index) => (index * 7 + id % 5) % 11);
      const seed = BigInt(id);
      const count = 1 + random(6);
      const sequence = scheduler.add({
        prompt,
        positions: 60,
        sample: FakeSampler.sample(seed),
        salt: `${id % 50}`,
        tenant: `${id % 50}`,
      });
      const tokens: number[] = [];
      while (tokens.length < count) tokens.push((await sequence.next())?.token ?? -1);
      sequence.end();
      assertEquals(tokens, expected(prompt, seed, count, 1000));
      under--;
      left--;
    };
    for (let id = 0; left > 0; await clock.tick()) {
      while (under < 20 && id < 10_000) {
        under++;
        void finish(id++);
      }
    }
    assertEquals([scheduler.queued, scheduler.placed, scheduler.tenants, clock.timers], [0, 0, 0, 0]);
    store.cache?.clear();
    assertEquals(store.pool.held, 0);
  });
});
