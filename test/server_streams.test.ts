/**
 * How a stream is written: all that is there goes together, each token as an event of its own; what comes slowly goes at once; what
 * came before a fault is told before it; a reader that is slow pauses its own answers.
 *
 * @module
 */
import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { after, before, describe, it } from "node:test";
import { type Completion, LightGPTError, Piece } from "../mod.ts";
import type { Job } from "../src/server/types.ts";
import { Run } from "../src/server/run.ts";
import { streamBody, tellRun } from "../src/server/stream.ts";
import { serveStories, type SmallServer } from "./small-server.ts";
import { workedMs } from "./worked.ts";

const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));
const completion = { text: "", tokens: [], promptTokens: 1, generatedTokens: 0, stopReason: "maxTokens" };

/** A run whose answers come as `made` says, by their numbers. */
async function running(made: (index: number) => AsyncGenerator<Piece, Completion, void>, answers = 1): Promise<Run> {
  let index = 0;
  const backend = { submit: () => Promise.resolve(made(index++)) };
  return await Run.begin(backend, new Array(answers).fill({} as Job), new AbortController().signal);
}

const writer = {
  begin: () => "begin\n",
  piece: (index: number, { text }: Piece) => `${index} ${text}\n`,
  end: (index: number) => `${index} end\n`,
  finish: () => "finish\n",
};
const piece = (number: number) => new Piece(`${number}`, { token: number });

async function* pieces(count: number, ms: number): AsyncGenerator<Piece, Completion, void> {
  for (let number = 0; number < count; number++) {
    if (ms > 0) await pause(ms);
    yield piece(number);
  }
  return completion as unknown as Completion;
}

async function writes(run: Run): Promise<string[]> {
  const found: string[] = [];
  for await (const text of tellRun(run, writer)) found.push(text);
  return found;
}

describe("a stream", () => {
  it("has an event for each token, however many are written together", async () => {
    for (const ms of [0, 1]) {
      const begin = performance.now();
      const found = await writes(await running(() => pieces(300, ms)));
      const most = 20 + (performance.now() - begin) / 15;
      const lines = found.join("").trimEnd().split("\n");
      const tokens = Array.from({ length: 300 }, (_, number) => `0 ${number}`);
      assertEquals(lines, ["begin", ...tokens, "0 end", "finish"]);
      // Sixty times a second at most where few are open, and as often as what may be ahead is full.
      assertLess(found.length, most, `${ms} ms: ${found.length} writes`);
    }
  });

  it("gives what comes slowly at once", async () => {
    // A piece comes when what was told before it has been read, and a while later.
    const reads = Array.from({ length: 5 }, () => Promise.withResolvers<void>());
    const run = await running(async function* () {
      for (let number = 0; number < 4; number++) {
        await reads[number].promise;
        await pause(20);
        yield piece(number);
      }
      return completion as unknown as Completion;
    });
    const found: string[] = [];
    for await (const text of tellRun(run, writer)) {
      found.push(text);
      reads[found.length - 1]?.resolve();
    }
    assertEquals(found.slice(0, 4), ["begin\n", "0 0\n", "0 1\n", "0 2\n"]);
    assertEquals(found.slice(4).join(""), "0 3\n0 end\nfinish\n");
  });

  it("waits longer for more to write together where many streams are open, and no longer once they have left", async () => {
    /** A stream that has begun, and how long it waits for more after it has told something. */
    const opened = async () => {
      const run = await running(() => pieces(Infinity, 0));
      const frames = tellRun(run, writer);
      await frames.next();
      await frames.next();
      const waits = async () => {
        let most = -Infinity;
        run.fill = (ms) => Promise.resolve(void (most = ms));
        await frames.next();
        return most;
      };
      const leave = async () => {
        run.end();
        await frames.return();
      };
      return { waits, leave };
    };
    const one = await opened();
    for (let turns = 0; turns < 20; turns++) assert(await one.waits() <= 16);
    const others = await Promise.all(Array.from({ length: 30 }, opened));
    // On a busy machine time goes by between two reads.
    let longest = 0;
    for (let turns = 0; longest <= 16 && turns < 10_000; turns++) longest = Math.max(longest, await one.waits());
    assert(longest > 16 && longest <= 33, `${longest} ms`);
    for (const { leave } of others) await leave();
    for (let turns = 0; turns < 20; turns++) assert(await one.waits() <= 16);
    await one.leave();
  });

  it("is over where its reader leaves between two writes", async () => {
    const over = Promise.withResolvers<void>();
    const frames = (async function* () {
      try {
        for (;;) yield "more";
      } finally {
        over.resolve();
      }
    })();
    const reader = streamBody({ frames, failed: () => "", left: () => {}, ended: () => {} }).getReader();
    assertEquals(new TextDecoder().decode((await reader.read()).value), "more");
    await reader.cancel();
    await over.promise;
  });

  it("gives the pieces of all answers in the order in which they come", async () => {
    const lines = (await writes(await running((index) => pieces(20, index), 3))).join("").split("\n");
    for (const index of [0, 1, 2]) {
      const own = lines.filter((line) => line.startsWith(`${index} `));
      assertEquals(own, [...Array.from({ length: 20 }, (_, number) => `${index} ${number}`), `${index} end`]);
    }
  });

  it("tells what came before a fault, then the fault, and ends the other answers", async () => {
    let ended = 0;
    const run = await running(async function* (index) {
      try {
        for (let number = 0; number < 5; number++) yield piece(number);
        await pause(index === 0 ? 5 : 20);
        if (index === 0) throw new LightGPTError("nonFinite", "no number", { what: "not finite" });
        for (;;) {
          await pause(1);
          yield piece(9);
        }
      } finally {
        ended++;
      }
    }, 2);
    const found: string[] = [];
    await assertRejects(async () => {
      for await (const text of tellRun(run, writer)) found.push(text);
    }, LightGPTError);
    for (const index of [0, 1]) assert(found.join("").includes(`${index} 4\n`));
    assert(!found.join("").includes("finish"));
    while (ended < 2) await pause(1);
    assertEquals(ended, 2);
  });

  it("reads no further than a little ahead of its reader, and is over once it is ended", async () => {
    let made = 0;
    let ended = false;
    const run = await running(async function* () {
      try {
        for (;;) {
          made++;
          yield piece(made);
        }
      } finally {
        ended = true;
      }
    });
    const frames = tellRun(run, writer);
    await frames.next();
    await frames.next();
    // On a busy machine what may be ahead takes its time, too.
    let ahead = -1;
    while (made !== ahead && made < 100) {
      ahead = made;
      await pause(30);
    }
    assertLess(made, 100);
    run.end();
    run.end();
    await assertRejects(async () => {
      for (;;) if ((await frames.next()).done) return;
    });
    while (!ended) await pause(1);
  });

  it("says that it is alive while nothing comes", async () => {
    const found: string[] = [];
    const run = await running(() => pieces(2, 60));
    for await (const text of tellRun(run, writer, { ms: 20, alive: "alive\n" })) found.push(text);
    assert(found.filter((text) => text === "alive\n").length >= 2, found.join(""));
    assertEquals(found.filter((text) => text !== "alive\n").join(""), "begin\n0 0\n0 1\n0 end\nfinish\n");
  });
});

describe("a server's streams", () => {
  let small: SmallServer;
  before(async () => {
    small = await serveStories({}, { cache: false, queueMax: 1000 });
  });
  after(() => small[Symbol.asyncDispose]());
  const body = (seed: number, most: number) => {
    const ends = [...small.lm.model.tokenizer.endOfGeneration];
    const logit_bias = Object.fromEntries(ends.map((token) => [token, -100]));
    return { prompt: "The fox", max_tokens: most, stream: true, seed, logit_bias };
  };

  it("are served five hundred at once: all come to their end, none is starved", async () => {
    const begin = workedMs();
    const times = await Promise.all(Array.from({ length: 500 }, async (_, seed) => {
      const text = await (await small.post("/v1/completions", body(seed, 12))).text();
      assert(text.endsWith("data: [DONE]\n\n"), text.slice(-200));
      return workedMs() - begin;
    }));
    const sorted = times.toSorted((a, b) => a - b);
    assertEquals([small.server.open, small.lm.batcher.stats().pages.held], [0, 0]);
    // First come, first served: the last one waits for all others, and no longer.
    assertLess(sorted[499], 4 * sorted[250]);
  });

  it("whose model is disposed of fail, each after what it had told", async () => {
    await using other = await serveStories({}, { cache: false });
    const responses = await Promise.all([1, 2, 3].map((seed) => other.post("/v1/completions", body(seed, 400))));
    const readers = responses.map((response) => (response.body as ReadableStream<Uint8Array>).getReader());
    await Promise.all(readers.map((reader) => reader.read()));
    await other.lm.dispose();
    for (const reader of readers) {
      const texts: string[] = [];
      await assertRejects(async () => {
        for (let part = await reader.read(); !part.done; part = await reader.read()) {
          texts.push(new TextDecoder().decode(part.value));
        }
      });
      const last = texts.join("").trimEnd().split("\n\n").at(-1) ?? "";
      assertEquals(JSON.parse(last.slice(6)).error.code, "shutting_down");
    }
    assertEquals(other.server.open, 0);
  });

  it("that are not read hold up no other, and go on from where they were", async () => {
    const stalled = await Promise.all(
      Array.from({ length: 4 }, (_, seed) => small.post("/v1/completions", body(seed, 100))),
    );
    const fast = await Promise.all(Array.from({ length: 15 }, async (_, seed) => {
      return await (await small.post("/v1/completions", body(seed, 60))).text();
    }));
    for (const text of fast) assert(text.endsWith("data: [DONE]\n\n"));
    const { running, paused, queued } = small.lm.batcher.stats();
    assertEquals([running + paused + queued, small.server.open], [4, 4], "the others wait for their readers");
    const told = (text: string) =>
      text.trimEnd().split("\n\n").slice(0, -1).map((event) => JSON.parse(event.slice(6)).choices[0].text).join("");
    for (const [seed, response] of stalled.entries()) {
      assert(told(await response.text()).startsWith(told(fast[seed])));
    }
    assertEquals(small.server.open, 0);
  });
});
