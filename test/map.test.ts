/**
 * `map`: a full batch behind a slow answer, nothing lost at an abort or an error of the source, results as they are finished,
 * requests with ids, options and conversations of their own, other tries of what failed.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import {
  CancelledError,
  type Completion,
  InvalidArgumentError,
  LightGPTError,
  type MapOptions,
  type MapRequest,
  type MapResult,
  type MapSource,
  type Prompt,
} from "../mod.ts";
import { KvStore } from "../src/batching/kv_store.ts";
import { type CompleteOne, mapPrompts } from "../src/batching/map.ts";
import { mapFields } from "../src/batching/map_options.ts";
import { Scheduler } from "../src/batching/scheduler.ts";
import { readOptions } from "../src/options/schema.ts";
import { StepTimes } from "../src/engine/step_times.ts";
import { FakeClock } from "./fake-clock.ts";
import { FakeEngine, FakeSampler } from "./fake-engine.ts";
import { open, useModel } from "./small-batcher.ts";

useModel();

function mapFake(complete: CompleteOne, prompts: MapSource, options: MapOptions = {}) {
  const { ahead = 4, ...read } = readOptions(mapFields, options);
  return mapPrompts(complete, prompts, options, { ...read, ahead });
}

/** Completes a request when it is told to. */
class Desk {
  readonly open = new Map<string, { finish(): void; fail(error: unknown): void; request: MapRequest }>();
  most = 0;

  readonly complete = (request: MapRequest): Promise<Completion> => {
    const name = request.prompt as string;
    return new Promise((resolve, reject) => {
      const end = (settle: () => void) => () => {
        this.open.delete(name);
        settle();
      };
      const fail = (error: unknown) => end(() => reject(error))();
      this.open.set(name, { finish: end(() => resolve({ text: name } as Completion)), fail, request });
      this.most = Math.max(this.most, this.open.size);
      request.signal?.addEventListener("abort", () => fail(new CancelledError("cancelled")));
    });
  };

  map(prompts: MapSource, options: MapOptions = {}) {
    return mapFake(this.complete, prompts, options);
  }

  async finish(...names: string[]): Promise<void> {
    for (const name of names) {
      while (!this.open.has(name)) await new Promise((resolve) => setTimeout(resolve));
      this.open.get(name)?.finish();
    }
    await new Promise((resolve) => setTimeout(resolve));
  }
}

/** Reads all results, and the error at the end. */
async function read(results: AsyncIterable<MapResult>) {
  const all: MapResult[] = [];
  let error: unknown;
  try {
    for await (const result of results) all.push(result);
  } catch (thrown) {
    error = thrown;
  }
  return { texts: all.map(({ completion }) => completion?.text), all, error };
}

const names = Array.from({ length: 12 }, (_, index) => `${index}`);

describe("map", () => {
  it("keeps the batch full behind a slow answer", async () => {
    const clock = new FakeClock();
    const engine = new FakeEngine({ pages: 400, pageSize: 32, batchTokens: 600, sequences: 16, logitRows: 64 }, 1000);
    const options = { queueMax: 1000, maxWaitMs: 0, patience: 512, weights: new Map<string, number>(), clock };
    const scheduler = new Scheduler(
      engine,
      new KvStore(engine, { pageBytes: 1, statePages: 0 }),
      new StepTimes(1, 64),
      options,
    );
    let begun = 0;
    const complete = async ({ prompt }: MapRequest) => {
      const [first] = prompt as number[];
      begun++;
      const sequence = scheduler.add({
        prompt: Uint32Array.from(prompt as number[]),
        positions: 2000,
        sample: FakeSampler.sample(1n),
      });
      for (let token = 0; token < (first === 0 ? 800 : 20); token++) await sequence.next();
      sequence.end();
      return { text: `${first}` } as Completion;
    };
    const running: number[] = [];
    scheduler.meter.listeners.add({ step: (step) => begun < 150 && running.push(step.running) });
    const prompts = Array.from({ length: 150 }, (_, index) => [index, 1, 2, 3]);
    const work = read(mapFake(complete, prompts, { ahead: 32 }));
    await clock.until(work);
    assertEquals((await work).texts, prompts.map(([first]) => `${first}`), "in their order");
    const fill = running.reduce((sum, count) => sum + count, 0) / (16 * running.length);
    assert(running.length > 100 && fill >= 0.9, `${fill} full over ${running.length} steps`);
    await clock.until(scheduler.dispose());
  });

  it("stops taking prompts when too much waits behind a slow one", async () => {
    const desk = new Desk();
    const work = read(desk.map(names, { ahead: 2, bufferMax: 3 }));
    await desk.finish("1", "2", "3");
    assertEquals([...desk.open.keys()], ["0"]);
    await desk.finish("0");
    assertEquals([...desk.open.keys()], ["4", "5"]);
    await desk.finish(...names.slice(4));
    assertEquals((await work).texts, names);
    assertEquals(desk.most, 2);
  });

  it("gives results as they are finished where that is asked for", async () => {
    const desk = new Desk();
    const seen: unknown[] = [];
    const work = read(
      desk.map(names.slice(0, 4), { order: "finished", onProgress: (progress) => seen.push(progress) }),
    );
    await desk.finish("2", "0", "3", "1");
    const { texts, all } = await work;
    assertEquals(texts, ["2", "0", "3", "1"]);
    assertEquals(all.map(({ index }) => index), [2, 0, 3, 1]);
    assertEquals(seen, [1, 2, 3, 4].map((done) => ({ done, failed: 0 })));
  });

  it("hands over what is finished when it is aborted, then throws", async () => {
    const desk = new Desk();
    const controller = new AbortController();
    const work = read(desk.map(names, { signal: controller.signal }));
    await desk.finish("1", "3", "2");
    controller.abort();
    const { all, error } = await work;
    assertEquals(all.map(({ index, completion }) => [index, completion?.text]), [[1, "1"], [2, "2"], [3, "3"]]);
    assert(error instanceof CancelledError, String(error));
    assertEquals(desk.open.size, 0);
  });

  for (const kind of ["a generator", "an async generator"]) {
    it(`hands over all that was begun when its source, ${kind}, fails, then throws`, async () => {
      const desk = new Desk();
      const fail = () => {
        throw new TypeError("no more lines");
      };
      const source = kind === "a generator"
        ? (function* () {
          yield* ["0", "1", "2"];
          fail();
        })()
        : (async function* () {
          yield* ["0", "1", "2"];
          await Promise.resolve();
          fail();
        })();
      const work = read(desk.map(source, { ahead: 8 }));
      await desk.finish("2", "1", "0");
      const { texts, error } = await work;
      assertEquals(texts, ["0", "1", "2"]);
      assert(error instanceof TypeError, String(error));
    });
  }

  it("hands results over while its source waits, and can be left then", async () => {
    const desk = new Desk();
    async function* source() {
      yield "0";
      await new Promise(() => {});
    }
    const results = desk.map(source());
    const first = results.next();
    await desk.finish("0");
    assertEquals((await first).value?.completion?.text, "0");
    await results.return();
  });

  it("tries again what may come to something, and nothing else", async () => {
    let tries = 0;
    const complete = () => {
      tries++;
      if (tries < 3) return Promise.reject(new LightGPTError("nonFinite", "once more"));
      return Promise.resolve({ text: "at last" } as Completion);
    };
    assertEquals((await read(mapFake(complete, ["x"], { retries: 2 }))).texts, ["at last"]);
    assertEquals(tries, 3);
    tries = 1;
    const [once] = (await read(mapFake(complete, ["x"]))).all;
    assert(once?.error instanceof LightGPTError);
    let refused = 0;
    const refuse = () => {
      refused++;
      return Promise.reject(new InvalidArgumentError("never"));
    };
    const [never] = (await read(mapFake(refuse, ["x"], { retries: 5 }))).all;
    assert(never?.error instanceof InvalidArgumentError);
    assertEquals(refused, 1);
  });

  it("takes requests with ids, options, signals and conversations of their own", async () => {
    const batcher = open();
    const template = "{% for message in messages %}{{ message.content }}{% endfor %}";
    const own = AbortSignal.abort();
    const { all } = await read(batcher.map([
      { id: "a", prompt: "The fox", maxTokens: 2 },
      { id: 7, messages: [{ role: "user", content: "The fox" }] },
      { prompt: "Once upon a time", maxTokens: 3 },
      { id: "aborted", prompt: "The fox", signal: own },
      { id: "neither", maxTokens: 2 },
      { id: "slip", prompt: "The fox", maxtokens: 2 } as MapRequest,
      9 as unknown as Prompt,
    ], { maxTokens: 4, template, sampling: { temperature: 0 }, retries: 3 }));
    assertEquals(all.map(({ id }) => id), ["a", 7, undefined, "aborted", "neither", "slip", undefined]);
    assertEquals(all.slice(0, 3).map(({ completion }) => completion?.tokens.length), [2, 4, 3]);
    assertEquals(all[1]?.completion?.tokens.slice(0, 2), all[0]?.completion?.tokens);
    assert(all[3]?.error instanceof CancelledError);
    for (const { error } of all.slice(4)) assert(error instanceof InvalidArgumentError, String(error));
    await batcher.dispose();
  });

  it("refuses options that it does not have", async () => {
    const batcher = open();
    const wrong = { order: "random", retries: -1, bufferMax: 0, ahead: 0, signal: 1, onProgress: 1, retry: 2 };
    for (const [name, value] of Object.entries(wrong)) {
      assertThrows(() => batcher.map(["x"], { [name]: value } as MapOptions), InvalidArgumentError, name);
    }
    assertEquals(batcher.stats().steps, 0);
    await batcher.dispose();
  });
});
