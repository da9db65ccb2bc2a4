/**
 * Batcher and the prefix cache with the small model: every stream equals the same request alone without a cache, whatever
 * goes on beside it; nothing is left behind; wrong input is refused in a sentence.
 *
 * @module
 */
import { assert, assertEquals, assertGreater, assertLessOrEqual, assertRejects, assertThrows } from "@std/assert";
import { after, before, describe, it } from "node:test";
import process from "node:process";
import {
  type Batcher,
  type BatcherOptions,
  type BatchRequest,
  CancelledError,
  ClosedError,
  type Completion,
  InvalidArgumentError,
  LightGPT,
  type MapOptions,
  QueueFullError,
} from "../mod.ts";
import { native } from "../ffi/native.ts";
import { partsOf } from "../src/batching/batcher.ts";
import { randomFrom } from "./simulation.ts";
import { contextBytes, open, stem, useModel } from "./small-batcher.ts";
import { note, often } from "./counts.ts";

useModel();

async function drain(pieces: AsyncGenerator<unknown, Completion, void>): Promise<Completion> {
  for (;;) {
    const { done, value } = await pieces.next();
    if (done) return value as Completion;
  }
}

async function until(holds: () => boolean): Promise<void> {
  const begin = performance.now();
  while (!holds()) {
    assert(performance.now() - begin < 200_000, "it never came");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

describe("streams", () => {
  it("equal solo runs without a cache: arrivals, cancels, pauses, preemptions, hits, evictions", async () => {
    const random = randomFrom(3);
    const requests = Array.from({ length: often(60, 500) }, (_, index): BatchRequest => ({
      prompt: stem.slice(0, random(stem.length)) + ["The fox", "The owl", "A boat", ""][random(4)],
      maxTokens: 1 + random(30),
      sampling: { temperature: random(3) / 2, seed: index },
      tenant: "ab".charAt(random(2)),
      priority: random(10),
    }));
    const solo = open({ cache: false });
    const expected: number[][] = [];
    for (const { prompt, ...options } of requests) expected.push((await solo.complete(prompt, options)).tokens);
    await solo.dispose();

    let preemptions = 0;
    let evictions = 0;
    let hits = 0;
    for (
      const options of [
        { kvBytesMax: contextBytes },
        { kvBytesMax: 2 * contextBytes, cache: { policy: "lru", hashBits: 8 }, threads: 1, patienceSteps: 20 },
        { kvBytesMax: 3 * contextBytes, cache: { bytesMax: contextBytes, policy: "lfu" }, chunkTokens: 7 },
        { cache: false, pageSize: 64, maxWaitMs: 2 },
      ] as const
    ) {
      const batcher = open(options);
      await Promise.all(requests.map(async (request, index) => {
        await new Promise((resolve) => setTimeout(resolve, random(60)));
        const pieces = batcher.submit({ ...request, readAhead: 1 + random(4) });
        const cutAt = random(5) === 0 ? random(10) : Infinity;
        const tokens: number[] = [];
        let isWhole = true;
        for await (const { token } of pieces) {
          tokens.push(token);
          if (random(20) === 0) await new Promise((resolve) => setTimeout(resolve, random(20)));
          if (tokens.length < cutAt) continue;
          isWhole = false;
          break;
        }
        const wanted = expected[index] as number[];
        // A token that ends the text may come with the last piece of it.
        assertEquals(tokens.slice(0, wanted.length), isWhole ? wanted : wanted.slice(0, tokens.length));
      }));
      const { queued, running, paused, pages, cache, ...stats } = batcher.stats();
      assertEquals([queued, running, paused], [0, 0, 0]);
      assertEquals(pages.held, cache?.pages ?? 0);
      preemptions += stats.preemptions;
      evictions += cache?.evictions ?? 0;
      hits += cache?.hits ?? 0;
      batcher.cache?.clear();
      assertEquals(batcher.stats().pages.held, 0);
      await batcher.dispose();
    }
    for (const figure of [preemptions, evictions, hits]) assertGreater(figure, 0);
    for (const row of [19, 20]) note(row, "requests beside others", 4 * requests.length);
  });

  it("begin when there are pages for their prompts: nobody computes what must be given up", async () => {
    const batcher = open({ kvBytesMax: 3 * contextBytes, cache: false, chunkTokens: 16 });
    const prompts = Array.from({ length: 9 }, (_, index) => new Uint32Array(120).fill(300 + index));
    await Promise.all(
      prompts.map((prompt) => batcher.complete(prompt, { maxTokens: 3, sampling: { temperature: 0 } })),
    );
    assertEquals(batcher.stats().preemptions, 0);
    await batcher.dispose();
  });

  it("run a few pieces ahead of their reader, and no further", async () => {
    const batcher = open();
    const pieces = batcher.submit({ prompt: stem, maxTokens: 50, sampling: { temperature: 0 }, readAhead: 3 });
    await until(() => batcher.stats().tokens === 3);
    // Another one is served meanwhile, alone.
    const other = await batcher.complete(stem, { maxTokens: 40, sampling: { temperature: 0 } });
    assertEquals(batcher.stats().tokens, 3 + other.generatedTokens);
    assertEquals(batcher.stats().paused, 1);
    assertEquals(
      (await drain(pieces)).text,
      (await batcher.complete(stem, { maxTokens: 50, sampling: { temperature: 0 } })).text,
    );
    await batcher.dispose();
  });

  it("end before the next step when they are cancelled, and leave the others alone", async () => {
    const batcher = open();
    const controller = new AbortController();
    const first = batcher.submit({ prompt: stem, signal: controller.signal });
    const second = batcher.submit({ prompt: "The owl" });
    await first.next();
    await second.next();
    controller.abort(new Error("enough"));
    assertEquals(batcher.stats().running + batcher.stats().paused, 1);
    await assertRejects(() => drain(first), CancelledError);
    await second.return(undefined as unknown as Completion);
    assertEquals(batcher.stats().running + batcher.stats().paused, 0);
    assertEquals(await second.next(), { done: true, value: undefined as unknown as Completion });
    const third = batcher.submit({ prompt: stem, deadlineMs: 1, maxTokens: 120 });
    const error = await assertRejects(() => drain(third), CancelledError);
    assert(error.message.includes("deadline of 1 ms"));
    await batcher.dispose();
  });

  it("end with `closed` when the batcher is disposed of", async () => {
    const batcher = open();
    const running = Array.from({ length: 20 }, () => batcher.submit({ prompt: stem }));
    await running[0]?.next();
    const ends = running.map((pieces) => assertRejects(() => drain(pieces), ClosedError));
    await batcher.dispose();
    await Promise.all(ends);
    assertThrows(() => batcher.submit({ prompt: stem }), ClosedError);
    await batcher.dispose();
  });
});

describe("map", () => {
  it("gives results in order, takes prompts as there is room, and reports", async () => {
    const batcher = open();
    let taken = 0;
    let given = 0;
    async function* prompts() {
      for (let index = 0; index < 100; index++) {
        // 8 run, 8 are finished, or wait behind one that is not; and the one that is asked for.
        assertLessOrEqual(taken - given, 17);
        taken++;
        yield index === 50 ? [99_999_999] : await Promise.resolve(`Number ${index} `);
      }
    }
    const seen: number[] = [];
    const options: MapOptions = { maxTokens: 3, ahead: 8, bufferMax: 8, onProgress: ({ done }) => seen.push(done) };
    for await (const { index, completion, error } of batcher.map(prompts(), options)) {
      assertEquals(index, given++);
      if (index === 50) assert(error instanceof InvalidArgumentError);
      else assertLessOrEqual(completion?.generatedTokens ?? 99, 3);
    }
    assertEquals(seen, Array.from({ length: 100 }, (_, index) => index + 1));
    await batcher.dispose();
  });

  it("waits where the queue is full, and ends all when it is left or cancelled", async () => {
    const batcher = open({ queueMax: 2 });
    const prompts = Array.from({ length: 12 }, (_, index) => `Number ${index} `);
    const results = await Array.fromAsync(batcher.map(prompts, { maxTokens: 2, ahead: 12 }));
    assertEquals(results.map(({ error }) => error), prompts.map(() => undefined));
    for await (const _ of batcher.map(prompts, { maxTokens: 50 })) break;
    assertEquals([batcher.stats().queued, batcher.stats().running, batcher.stats().paused], [0, 0, 0]);
    const signal = AbortSignal.timeout(5);
    await assertRejects(() => Array.fromAsync(batcher.map(prompts, { signal })), Error);
    assertEquals([batcher.stats().queued, batcher.stats().running, batcher.stats().paused], [0, 0, 0]);
    await batcher.dispose();
  });
});

describe("nothing is left", () => {
  it("of 2000 requests of random kinds: no page, handle, timer or listener; memory stays flat", async () => {
    const random = randomFrom(11);
    const { handles, kv } = native().memory();
    const batcher = open({ kvBytesMax: 3 * contextBytes, queueMax: 40 });
    let listeners = 0;
    const signal = new AbortController().signal;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...all: Parameters<typeof addEventListener>) => {
      listeners++;
      addEventListener.apply(signal, all);
    };
    signal.removeEventListener = (...all: Parameters<typeof removeEventListener>) => {
      listeners--;
      removeEventListener.apply(signal, all);
    };
    const one = async (index: number) => {
      const kind = random(10);
      const request: BatchRequest = {
        prompt: kind === 0 ? [random(2000), -1] : stem.slice(random(90)),
        maxTokens: random(4),
        sampling: { seed: index },
        tenant: `${random(300)}`,
        signal,
        ...(kind === 1 ? { deadlineMs: 0.01 + random(3) } : {}),
      };
      try {
        const pieces = batcher.submit(request);
        if (kind === 2) await pieces.return(undefined as unknown as Completion);
        else if (kind === 3) await pieces.throw(new RangeError("mine"));
        else await drain(pieces);
      } catch (error) {
        const isExpected = error instanceof InvalidArgumentError || error instanceof CancelledError ||
          error instanceof QueueFullError || error instanceof RangeError;
        if (!isExpected) throw error;
      }
    };
    const round = async (requests: number) => {
      for (let index = 0; index < requests; index += 50) {
        await Promise.all(Array.from({ length: 50 }, (_, offset) => one(index + offset)));
      }
    };
    await round(500);
    let grown = Infinity;
    // JavaScript's heap comes and goes, in a process of many tests by more than this; what leaks grows at each try.
    for (let tries = 0; tries < 3 && grown > 64 * 2 ** 20; tries++) {
      const before = process.memoryUsage().rss;
      await round(often(1500, 100_000));
      grown = process.memoryUsage().rss - before;
    }
    note(29, "requests", often(2000, 100_500));
    const { queued, running, paused, pages, cache } = batcher.stats();
    assertEquals([queued, running, paused, listeners], [0, 0, 0, 0]);
    assertEquals(partsOf(batcher).scheduler.tenants, 0);
    assertEquals(pages.held, cache?.pages);
    assertLessOrEqual(grown, 64 * 2 ** 20);
    await batcher.dispose();
    await until(() => native().memory().kv === kv);
    assertEquals(native().memory().handles, handles);
  });
});

describe("a batcher refuses", () => {
  let batcher: Batcher;
  before(() => {
    batcher = open({ queueMax: 3 });
  });
  after(() => batcher.dispose());

  for (
    const [name, request, where] of [
      ["no request", undefined, "request"],
      ["a prompt that is none", { prompt: 5 }, "prompt"],
      ["a prompt longer than the context", { prompt: new Array(161).fill(5) }, "context of 160"],
      ["a negative priority", { prompt: "x", priority: -1 }, "priority"],
      ["a priority that is no integer", { prompt: "x", priority: 1.5 }, "priority"],
      ["a deadline in the past", { prompt: "x", deadlineMs: 0 }, "deadlineMs"],
      ["a deadline that is no number", { prompt: "x", deadlineMs: NaN }, "deadlineMs"],
      ["a tenant that is no string", { prompt: "x", tenant: 7 }, "tenant"],
      ["a cache that is neither on nor off", { prompt: "x", cache: "yes" }, "cache"],
      ["reading nothing ahead", { prompt: "x", readAhead: 0 }, "readAhead"],
      ["an unknown option", { prompt: "x", priorty: 1 }, "priorty"],
    ] as const
  ) {
    it(name, () => {
      assertThrows(() => batcher.submit(request as unknown as BatchRequest), InvalidArgumentError, where);
      assertEquals(batcher.stats().queued, 0);
    });
  }

  it("a signal that was aborted already", () => {
    assertThrows(() => batcher.submit({ prompt: "x", signal: AbortSignal.abort() }), CancelledError);
  });

  it("an empty prompt only where no token begins a text", async () => {
    assertEquals((await drain(batcher.submit({ prompt: "", maxTokens: 2 }))).promptTokens, 1);
    assertEquals((await drain(batcher.submit({ prompt: [], maxTokens: 2 }))).promptTokens, 1);
  });

  it("more than may wait, with a time to come again; readers that never read hold up nobody", async () => {
    const lazy = Array.from({ length: 3 }, () => batcher.submit({ prompt: stem }));
    await until(() => batcher.stats().paused === 3);
    const error = assertThrows(() => batcher.submit({ prompt: "x" }), QueueFullError);
    assertEquals(error.code, "queueFull");
    assertGreater(error.retryAfterMs, 0);
    await lazy[0]?.return(undefined as unknown as Completion);
    assertLessOrEqual((await drain(batcher.submit({ prompt: "The owl", maxTokens: 9 }))).generatedTokens, 9);
    for (const pieces of lazy) await pieces.return(undefined as unknown as Completion);
  });

  for (
    const [options, where] of [
      [{ kvBytesMax: 1000 }, "kvBytesMax: expected at least"],
      [{ queueMax: 0 }, "queueMax"],
      [{ maxWaitMs: -1 }, "maxWaitMs"],
      [{ patienceSteps: 0 }, "patienceSteps"],
      [{ tenants: { one: 0 } }, "tenants.one"],
      [{ tenants: { one: Infinity } }, "tenants.one"],
      [{ cache: { policy: "fifo" } }, "policy"],
      [{ cache: { bytes: 5 } }, "bytes"],
      [{ cache: { bytesMax: -5 } }, "bytesMax"],
      [{ threads: 0 }, "threads"],
      [{ pagesize: 16 }, "pagesize"],
    ] as const
  ) {
    it(`the options ${JSON.stringify(options)}`, async () => {
      assertThrows(() => open(options as unknown as BatcherOptions), InvalidArgumentError, where);
      await assertRejects(
        () => LightGPT.load(undefined, options as unknown as BatcherOptions),
        InvalidArgumentError,
        where,
      );
    });
  }
});
