/**
 * Sequences for which no page is free: one waits for pages that are kept for a while, and ends only where none can ever come.
 *
 * @module
 */
import { assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "node:test";
import { type CacheIdentity, LightGPTError } from "../mod.ts";
import { PageTable } from "../src/batching/page_table.ts";
import { KvStore } from "../src/batching/kv_store.ts";
import { Scheduler } from "../src/batching/scheduler.ts";
import { StepTimes } from "../src/engine/step_times.ts";
import { FakeClock } from "./fake-clock.ts";
import { expected, FakeEngine, FakeSampler } from "./fake-engine.ts";

const settings = { pages: 6, pageSize: 16, batchTokens: 96, sequences: 4, logitRows: 8 };
const vocabulary = 1000;
/** A request that needs all pages. */
const large = Uint32Array.from({ length: 90 }, (_, index) => index);

/** A scheduler whose cache has two pages: a prefix of 32 tokens. */
function world({ window = 0 } = {}) {
  const clock = new FakeClock();
  const engine = new FakeEngine(settings, vocabulary, undefined, { window });
  const codec = { identity: {} as CacheIdentity, encode: () => scheduler.betweenSteps(() => [new Uint8Array(4)]) };
  const sizes = { pageBytes: 100, statePages: 0, windows: { window, behind: window > 0 ? 0 : 1 } };
  const store = new KvStore(engine, sizes, { codec: { ...codec, decode: () => undefined } });
  const options = { queueMax: 100, maxWaitMs: 0, patience: 1000, weights: new Map(), clock };
  const scheduler: Scheduler = new Scheduler(engine, store, new StepTimes(1, 16), options);
  const prefix = Uint32Array.from({ length: 32 }, (_, index) => 500 + index);
  const table = new PageTable(store, "");
  table.cover(prefix.length);
  table.publish(prefix);
  table.close();
  const ask = (prompt: Uint32Array) => {
    const sequence = scheduler.add({ prompt, positions: 96, sample: FakeSampler.sample(1n), salt: "" });
    const answer = sequence.next().then((choice) => {
      assertEquals(choice?.token, expected(prompt, 1n, 1, vocabulary)[0]);
      return "answered" as const;
    }).finally(() => sequence.end());
    answer.catch(() => {});
    return answer;
  };
  return { clock, engine, store, scheduler, prefix, ask };
}

describe("a sequence for which no page is free", () => {
  it("waits while a cache is saved, whose pages are kept until they are written, and does nothing meanwhile", async () => {
    const { clock, store, scheduler, ask } = world();
    const { promise: gate, resolve: write } = Promise.withResolvers<void>();
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const stream = new WritableStream({
      write: () => {
        begin();
        return gate;
      },
    });
    const saved = store.cache?.save(stream) as Promise<{ pages: number }>;
    await begun;
    const answer = ask(large);
    let outcome = "waits";
    answer.then(() => outcome = "answered", () => outcome = "failed");
    let turns = 0;
    const { turn } = clock;
    clock.turn = () => {
      turns++;
      return turn.call(clock);
    };
    for (let tick = 0; tick < 50; tick++) await clock.tick();
    assertEquals(outcome, "waits");
    assertEquals(turns < 5, true, `${turns} turns of an event loop without anything to do`);
    write();
    const ticks = setInterval(() => clock.tick(), 1);
    try {
      assertEquals((await saved).pages, 2);
      assertEquals(await answer, "answered");
      await scheduler.dispose();
    } finally {
      clearInterval(ticks);
    }
  });

  it("waits while jobs between steps take pages and give them to the cache", async () => {
    const { clock, store, scheduler, ask } = world();
    store.cache?.clear();
    const answer = ask(large);
    let taken = 0;
    for (let tick = 0; tick < 20; tick++) {
      // As a cache that is loaded: a page is on its way from a job to the tree.
      void scheduler.betweenSteps(() => store.takeUnused()).then((page) => {
        if (page !== undefined) store.pool.release(page);
        if (page !== undefined) taken++;
      });
      await clock.tick();
    }
    for (let tick = 0; tick < 20; tick++) await clock.tick();
    assertEquals(await answer, "answered");
    assertEquals(taken > 1, true);
    await clock.until(scheduler.dispose());
  });

  it("ends where a caller has pinned what it would need", async () => {
    const { clock, store, scheduler, prefix, ask } = world();
    const pin = store.cache?.pin(prefix);
    const answer = ask(large);
    const other = ask(large.subarray(0, 20));
    for (let tick = 0; tick < 50; tick++) await clock.tick();
    await assertRejects(() => answer, LightGPTError, "pinned");
    assertEquals(await other, "answered", "one that needs less goes on");
    pin?.release();
    const again = ask(large);
    for (let tick = 0; tick < 50; tick++) await clock.tick();
    assertEquals(await again, "answered");
    await clock.until(scheduler.dispose());
  });

  it("has all pages that the cache keeps before its own, also where another has read one of them again", () => {
    const { engine, store, prefix } = world({ window: 8 });
    store.cache?.clear();
    const [ahead, again] = [new PageTable(store, ""), new PageTable(store, "")];
    const tokens = Uint32Array.from([...prefix, ...prefix]);
    ahead.cover(64);
    ahead.publish(tokens);
    ahead.leaveBehind(64);
    store.discardLeft();
    again.cover(16);
    again.publish(tokens.subarray(0, 16)); // the cache has no windowed part of it any more, and gets one
    assertEquals(again.pages[0], ahead.pages[0]);
    assertEquals(store.tree?.match("", tokens).pages[0]?.value.hasWindow, true);
    again.close();
    // Four are in use, and nothing in the cache stands in the way of the other two.
    assertEquals([store.take(), store.take()].includes(undefined), false);
    assertEquals([store.take(), engine.steps], [undefined, 0]);
    ahead.close();
  });
});
