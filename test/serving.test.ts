/**
 * A model that is served while its settings change, within a budget of memory, and by a target of latency: the results are those
 * of one that is left alone.
 *
 * @module
 */
import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { describe, it } from "node:test";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { ClosedError, InvalidArgumentError, LightGPT, Optimizer, OutOfMemoryError } from "../mod.ts";
import { native } from "../ffi/native.ts";
import { partsOf } from "../src/batching/batcher.ts";
import { reckonProcessors } from "../src/engine/threads_option.ts";
import { Attendant } from "../src/tuning/attendant.ts";
import { EventLog } from "../src/tuning/events.ts";
import { repository } from "./kit.ts";
import { randomFrom } from "./simulation.ts";

reckonProcessors(3);

const mib = 2 ** 20;
/** Bun itself needs more than such a limit allows; other systems have no such command. */
const isLimited = "Deno" in globalThis && spawnSync("prlimit", ["--version"]).status === 0;
const skipLimit = isLimited ? false : "needs Deno and prlimit";

/** Prompts of many lengths, some of which begin alike. */
function promptsOf(count: number, longest: number): number[][] {
  const random = randomFrom(7);
  const stem = Array.from({ length: longest }, () => 3 + random(1900));
  return Array.from({ length: count }, () => [
    ...stem.slice(0, random(longest >> 1)),
    ...Array.from({ length: 1 + random(longest >> 1) }, () => 3 + random(1900)),
  ]);
}

async function complete(lm: LightGPT, prompts: readonly number[][]): Promise<unknown[]> {
  return await Promise.all(prompts.map(async (prompt) => {
    const pieces: unknown[] = [];
    const options = { maxTokens: 12, logprobs: 1, sampling: { temperature: 0.8, seed: 5 } };
    for await (const { token, logprob } of lm.generate(prompt, options)) pieces.push([token, logprob]);
    return pieces;
  }));
}

it("results are the same, bit for bit, while batch, threads, chunk, pages and cache change under way", async () => {
  const prompts = promptsOf(30, 300);
  await using plain = await LightGPT.load(undefined, { threads: 1, cache: false });
  const expected = await complete(plain, prompts);
  await using lm = await LightGPT.load(undefined, { threads: 3, kvBytesMax: 8 * mib });
  const scheduler = partsOf(lm.batcher).scheduler;
  const settings = partsOf(lm.batcher).settings;
  const { pool, tree } = scheduler.store;
  const random = randomFrom(3);
  let changes = 0;
  const turn = () => {
    changes++;
    settings.sequences = 1 + random(16);
    settings.prefillThreads = 1 + random(3);
    settings.decodeThreads = 1 + random(3);
    settings.chunkTokens = 4 + random(200);
    settings.stepMs = random(2) === 0 ? undefined : 1 + random(20);
    if (random(4) > 0) return;
    void scheduler.betweenSteps(() => {
      scheduler.limitPages(16 + random(pool.size - 15)); // 16 pages are one context
      tree?.limit(random(pool.size) * scheduler.store.pageBytes);
      scheduler.store.discardFree();
    }).catch((error: unknown) => {
      if (!(error instanceof ClosedError)) throw error; // the last one may come after the end
    });
  };
  scheduler.meter.listeners.add({ step: turn });
  assertEquals(await complete(lm, prompts), expected);
  assertEquals(await complete(lm, prompts), expected);
  assert(changes > 100 && scheduler.meter.preemptions > 0, `${changes} changes, ${scheduler.meter.preemptions}`);
});

it("the memory of pages that are given up goes back to the system", async () => {
  await using lm = await LightGPT.load(undefined, { kvBytesMax: 96 * mib });
  const scheduler = partsOf(lm.batcher).scheduler;
  const { store } = scheduler;
  const random = randomFrom(1);
  while (store.pool.resident * store.pageBytes < 64 * mib) {
    const prompt = Array.from({ length: 480 }, () => 3 + random(1900));
    await Promise.all(Array.from({ length: 8 }, (_, index) => lm.complete([...prompt, 3 + index], { maxTokens: 1 })));
    await lm.complete(prompt, { maxTokens: 1 });
  }
  const before = process.memoryUsage.rss();
  const warm = store.pool.resident;
  await scheduler.betweenSteps(() => scheduler.limitPages(16));
  const given = (warm - store.pool.resident) * store.pageBytes;
  assert(given >= 60 * mib && store.pool.held <= 16);
  const fallen = before - process.memoryUsage.rss();
  assert(fallen > 0.8 * given, `${fallen / mib} of ${given / mib} MiB`);
});

describe("a budget of memory", () => {
  it("refuses a model that does not fit before its weights are loaded, with the figures", async () => {
    const before = native().memory();
    const refused = await assertRejects(
      () => LightGPT.load(undefined, { memory: "10MiB" }),
      OutOfMemoryError,
      "memory:",
    );
    for (const part of ["weights 2.7 MiB", "512 positions", "10.0 MiB may be used"]) {
      assert(refused.message.includes(part), refused.message);
    }
    assertEquals(native().memory().weights, before.weights);
    assertEquals(native().memory().handles, before.handles);
    assertLess(native().memory().allocations - before.allocations, 10); // reading the description, and nothing for weights
  });

  it("refuses options that contradict it, and each other", async () => {
    const memory = process.memoryUsage.rss() + 150 * mib;
    const wrong: [object, string][] = [
      [{ memory, kvBytesMax: 4 * 2 ** 30 }, "kvBytesMax: expected at most"],
      [{ memory, cache: { bytesMax: 4 * 2 ** 30 } }, "cache.bytesMax: expected at most"],
      [{ targetTokenMs: 20, adapt: false }, "adapt: expected true beside targetTokenMs"],
      [{ targetTokenMs: 20, chunkTokens: 64 }, "chunkTokens: expected to be absent"],
      [{ targetTokenMs: 0 }, "targetTokenMs"],
      [{ targetTokenMs: NaN }, "targetTokenMs"],
      [{ adapt: 1 }, "adapt: expected a boolean"],
      [{ memory: "lots" }, "memory: expected bytes"],
    ];
    for (const [options, message] of wrong) {
      await assertRejects(() => LightGPT.load(undefined, options), InvalidArgumentError, message);
    }
    await using lm = await LightGPT.load();
    await assertRejects(() => Optimizer.open(lm.model, { memory: "" }), InvalidArgumentError, "memory");
  });

  it("of the system's own (RLIMIT_DATA) is an error, too, and the process goes on", { skip: skipLimit }, () => {
    const code = `
      import { LightGPT } from "./mod.ts";
      const refused = await LightGPT.load(undefined, { kvBytesMax: 2 ** 30 }).catch((error) => error);
      await using lm = await LightGPT.load();
      console.log(refused.code, refused.message, (await lm.complete("Once", { maxTokens: 3 })).generatedTokens);`;
    const words = ["--data=1000000000", process.execPath, "run", "--allow-all", "--no-check", "-"];
    const { stdout, stderr } = spawnSync("prlimit", words, { cwd: repository, input: code, encoding: "utf8" });
    assert(/^outOfMemory .*KV pages.*10\d{8} bytes of memory.* 3$/m.test(stdout), stdout + stderr);
  });

  it("is used for keys and values up to what it leaves", async () => {
    await using lm = await LightGPT.load(undefined, { memory: process.memoryUsage.rss() + 300 * mib });
    const bytes = lm.metrics.report().kv.pages * partsOf(lm.batcher).scheduler.store.pageBytes;
    assert(bytes > 150 * mib && bytes < 300 * mib, `${bytes / mib}`);
    await using share = await LightGPT.load(undefined, { memory: "50%" });
    assert(share.metrics.report().kv.pages > 256);
    await using all = await LightGPT.load(undefined, { memory: "1000TiB" }); // more than there is: what there is
    assertEquals(all.metrics.report().kv.pages, 1 << 16);
  });

  it("is kept by giving up the cache, then by refusing; requests go on and get their results, and later all is as before", async () => {
    const prompts = promptsOf(40, 300);
    await using plain = await LightGPT.load(undefined, { cache: false });
    const expected = await complete(plain, prompts);
    await using lm = await LightGPT.load(undefined, { kvBytesMax: 40 * mib });
    const scheduler = partsOf(lm.batcher).scheduler;
    const { pool, pageBytes } = scheduler.store;
    const log = new EventLog();
    // A process whose other memory is what the test says.
    let others = 100 * mib;
    const options = { batcher: lm.batcher, context: lm.context, log, adapts: false, targetTokenMs: undefined };
    const attendant = new Attendant({
      ...options,
      limitBytes: 150 * mib,
      resident: () => others + pool.resident * pageBytes,
    });
    const look = () => new Promise((done) => setTimeout(done, 150));
    try {
      assertEquals(await complete(lm, prompts), expected);
      others = 136 * mib;
      assertEquals(await complete(lm, prompts), expected);
      // It looks while steps run, and once a second while none does.
      for (let tries = 0; others + pool.resident * pageBytes > 150 * mib; tries++) {
        assert(tries < 100, `it kept ${pool.resident} pages`);
        await look();
      }
      assert(
        log.events.some(({ kind, setting }) => kind === "memory" && setting === "kvPages"),
        JSON.stringify(log.events),
      );
      others = 155 * mib;
      for (let tries = 0; scheduler.refusal === undefined; tries++) {
        assert(tries < 100, "it never refused");
        await lm.complete("Once upon a time", { maxTokens: 20 }).catch(() => {});
        await look();
      }
      const refused = await assertRejects(() => lm.complete("Once"), OutOfMemoryError, "no request is taken");
      assert(refused.message.includes("of 150.0 MiB are in use"), refused.message);
      others = 60 * mib;
      for (let tries = 0; scheduler.refusal !== undefined; tries++) {
        assert(tries < 100, "it refused for ever");
        await look();
      }
      assertEquals(await complete(lm, prompts), expected);
    } finally {
      attendant.dispose();
    }
  });
});

it("a target of latency lowers the batch of a real load, says why, and changes no result", async () => {
  const prompts = promptsOf(60, 60);
  await using plain = await LightGPT.load(undefined, { cache: false });
  const expected = await complete(plain, prompts);
  await using lm = await LightGPT.load(undefined, { targetTokenMs: 0.02 }); // less than any step takes
  const heard: string[] = [];
  lm.optimizer.listen(({ kind, text }) => kind === "adapt" && heard.push(text));
  for (let round = 0; round < 40 && lm.optimizer.settings.batchSequences > 8; round++) {
    assertEquals(await complete(lm, prompts), expected);
  }
  assert(lm.optimizer.settings.batchSequences <= 8, `${lm.optimizer.settings.batchSequences}`);
  assert(
    heard.some((text) => /where a token should take 0.02 ms, so fewer requests share a step/.test(text)),
    heard.join(),
  );
  assertEquals(lm.optimizer.events.filter(({ kind }) => kind === "adapt").length, heard.length);
});
