/**
 * The prefix cache of models whose layers keep a state: a prompt is found up to the last copy of a state that there is, at the ends
 * of prompts and turns and where prompts part; the bits are those of a cold run, in little memory and from a saved cache, too.
 *
 * @module
 */
import { assert, assertEquals, assertGreater, assertLessOrEqual } from "@std/assert";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { LightGPT, type LightGPTOptions, Model, readGguf } from "../mod.ts";
import { planModel } from "../src/model/architectures/architectures.ts";
import { partsOf } from "../src/batching/batcher.ts";
import { kvCodec } from "../src/batching/codec.ts";
import { KvStore } from "../src/batching/kv_store.ts";
import { PageTable } from "../src/batching/page_table.ts";
import type { Scheduler } from "../src/batching/scheduler.ts";
import { lastOf } from "../src/lightgpt/cut.ts";
import { Engine, kvSizes } from "../src/engine/engine.ts";
import { repositoryUrl, runChild } from "./child.ts";
import { u32 } from "./models.ts";
import { falconH1, lfm2, qwen35, type Shape, smallModelBytes, withDirectory, withModelFile } from "./small-models.ts";

const context = 400;
const window = 40;
/** One of each kind of state, and one whose attention sees a window. */
const shapes: Record<string, Shape> = {
  lfm2: { ...lfm2, context },
  qwen35: { ...qwen35, context },
  falconH1: { ...falconH1, context },
  windowed: {
    ...lfm2,
    context,
    layers: 5,
    kvHeads: [0, 2, 0, 2, 0],
    values: { ...lfm2.values, "lfm2.attention.sliding_window": u32(window) },
  },
};
const usual: LightGPTOptions = { pageSize: 16, context, threads: 2 };
const ids = (count: number, salt = 0) =>
  Uint32Array.from({ length: count }, (_, index) => 3 + (index * 37 + index * index * 3 + salt * 101) % 250);
const joined = (...parts: ArrayLike<number>[]) => Uint32Array.from(parts.flatMap((part) => Array.from(part)));
const sampling = { temperature: 1, seed: 7 };
/** What the model answers, and how much of the prompt it found. */
async function ask(lm: LightGPT, prompt: Uint32Array, maxTokens = 12) {
  const { tokens, cachedTokens } = await lm.complete(prompt, { maxTokens, sampling });
  return { tokens: [...tokens], cachedTokens };
}

/** Calls `body` with a model that has a cache, and one without: what a cold run gives. */
function withBoth(
  shape: Shape,
  options: LightGPTOptions,
  body: (lm: LightGPT, cold: LightGPT, path: string) => Promise<void>,
): Promise<void> {
  return withModelFile(shape, async (path) => {
    await using lm = await LightGPT.load(path, { ...usual, ...options });
    await using cold = await LightGPT.load(path, { ...usual, cache: false });
    await body(lm, cold, path);
  });
}

for (const [name, shape] of Object.entries(shapes)) {
  describe(`a prefix of ${name}`, () => {
    for (const chunkTokens of [1, 7, 64]) {
      it(`is found at the ends of prompts and turns, with the bits of a cold run: chunks of ${chunkTokens}`, () =>
        withBoth(shape, { chunkTokens }, async (lm, cold) => {
          const prompt = ids(75);
          const first = await ask(lm, prompt);
          assertEquals(first, await ask(cold, prompt));
          assertEquals(await ask(lm, prompt), { ...first, cachedTokens: 75 }, "the same prompt");
          assertEquals(await lm.logits(prompt), await cold.logits(prompt));
          // Once more what was said, and a new message.
          let turn = prompt;
          for (let round = 0, length = 75; round < 4; round++) {
            const { tokens, cachedTokens, stopReason } = await lm.complete(turn, { maxTokens: 12, sampling });
            assertEquals({ tokens: [...tokens], cachedTokens }, { ...(await ask(cold, turn)), cachedTokens: length });
            // The last token of an answer was read only to find its end.
            length = turn.length + tokens.length - (stopReason === "endOfText" ? 0 : 1);
            turn = joined(turn, tokens, ids(9, 2 + round));
          }
          // Back to the first answer, which another message follows.
          const other = joined(prompt, first.tokens.slice(0, 5), ids(20, 8));
          assertEquals(await ask(lm, other), { ...(await ask(cold, other)), cachedTokens: 75 });
        }));

      it(`is found where prompts part, once a second has parted there: chunks of ${chunkTokens}`, () =>
        withBoth(shape, { chunkTokens }, async (lm, cold) => {
          const found: number[] = [];
          for (let user = 0; user < 4; user++) {
            const prompt = joined(ids(75), ids(20 + user, 30 + user));
            const { tokens, cachedTokens } = await ask(lm, prompt);
            assertEquals(tokens, (await ask(cold, prompt)).tokens);
            found.push(cachedTokens);
          }
          assertEquals(found, [0, 0, 64, 64], "the whole pages of what they have in common");
        }));

      it(`is read once by prompts that come together: chunks of ${chunkTokens}`, () =>
        withBoth(shape, { chunkTokens }, async (lm, cold) => {
          const prompts = Array.from({ length: 5 }, (_, user) => joined(ids(75), ids(20 + user, 30 + user)));
          prompts.push(ids(75), ids(75));
          const answers = await Promise.all(prompts.map((prompt) => ask(lm, prompt)));
          const read = lm.metrics.report().promptTokens;
          for (const [index, prompt] of prompts.entries()) {
            assertEquals(answers[index]?.tokens, (await ask(cold, prompt)).tokens);
          }
          // The beginning once, to where all part; what each has of its own; the shortest prompt once for two.
          const own = prompts.slice(0, 5).reduce((sum, { length }) => sum + length - 64, 0);
          assertLessOrEqual(read, 75 + own + 11);
        }));
    }

    it("is not found where there are pages and no state", () =>
      withBoth(shape, {}, async (lm, cold) => {
        await ask(lm, ids(75));
        const near = joined(ids(70), ids(4, 5));
        assertEquals(await ask(lm, near), await ask(cold, near));
      }));

    it("is given back: what is evicted for room leaves no page and no state behind", () =>
      withBoth(shape, {}, async (_, cold, path) => {
        const { pageBytes, statePages } = kvSizes(planModel(readGguf(path)), "f16", 16);
        const pages = 2 * statePages + context / 16;
        await using lm = await LightGPT.load(path, { ...usual, kvBytesMax: pages * pageBytes });
        const { pool } = partsOf(lm.batcher).scheduler.store;
        for (let round = 0; round < 30; round++) {
          const prompt = joined(ids(60 + 16 * (round % 3)), ids(40, round % 7));
          assertEquals((await ask(lm, prompt)).tokens, (await ask(cold, prompt)).tokens);
          const { states = 0, pages: kept = 0, bytes = 0 } = lm.cache?.stats() ?? {};
          assertEquals(pool.held, kept + statePages * states);
          assertLessOrEqual(bytes, pages * pageBytes + 30 * 4 * 64);
        }
        const { evictions = 0, tokensSaved = 0, states = 0 } = lm.cache?.stats() ?? {};
        for (const figure of [evictions, tokensSaved, states]) assertGreater(figure, 0);
        assertEquals(lm.metrics.report().cache?.states, states);
        lm.cache?.clear();
        assertEquals([pool.held, lm.cache?.stats().states, lm.cache?.stats().bytes], [0, 0, 0]);
      }));

    it("keeps its bytes within those that the cache may have", () =>
      withBoth(shape, {}, async (_, cold, path) => {
        const { pageBytes, statePages } = kvSizes(planModel(readGguf(path)), "f16", 16);
        const bytesMax = pageBytes * (8 + 2 * statePages);
        await using lm = await LightGPT.load(path, { ...usual, cache: { bytesMax } });
        for (let round = 0; round < 12; round++) {
          const prompt = joined(ids(40), ids(30, round % 5));
          assertEquals((await ask(lm, prompt)).tokens, (await ask(cold, prompt)).tokens);
          assertLessOrEqual(lm.cache?.stats().bytes ?? Infinity, bytesMax);
        }
        assertGreater(lm.cache?.stats().states ?? 0, 0);
      }));

    it("is the same for many requests in little memory, of which some are given up", () =>
      withBoth(shape, {}, async (_, cold, path) => {
        const { pageBytes, statePages } = kvSizes(planModel(readGguf(path)), "f16", 16);
        const kvBytesMax = (2 * statePages + context / 16) * pageBytes;
        const options = { chunkTokens: 32, batchSequences: 8, kvBytesMax };
        await using lm = await LightGPT.load(path, { ...usual, ...options });
        const prompts = Array.from({ length: 12 }, (_, index) => joined(ids(32 * (index % 3)), ids(90, index)));
        const given = new AbortController();
        const streams = prompts.map((prompt, index) =>
          lm.generate(prompt, { maxTokens: 40, sampling, ...(index % 4 === 3 ? { signal: given.signal } : {}) })
        );
        // Each has its place until it ends, and they don't fit side by side: by the time that all have a token, some gave up their pages.
        for (const { done } of await Promise.all(streams.map((stream) => stream.next()))) assertEquals(done, false);
        assertGreater(lm.batcher.stats().preemptions, 0);
        const answers = Promise.all(
          streams.map((stream, index) => index % 4 === 3 ? stream.next().then(() => {}, () => {}) : lastOf(stream)),
        );
        given.abort();
        for (const [index, answer] of (await answers).entries()) {
          if (!answer) continue;
          assertEquals(answer.tokens, (await ask(cold, prompts[index] as Uint32Array, 40)).tokens);
        }
        for (const prompt of prompts) {
          assertEquals((await ask(lm, prompt, 40)).tokens, (await ask(cold, prompt, 40)).tokens);
        }
      }));

    it("stays where it is pinned", () =>
      withBoth(shape, {}, async (_, __, path) => {
        const { pageBytes, statePages } = kvSizes(planModel(readGguf(path)), "f16", 16);
        const kvBytesMax = (3 * statePages + context / 16 + 4) * pageBytes;
        await using lm = await LightGPT.load(path, { ...usual, kvBytesMax });
        const system = ids(50);
        await lm.logits(system);
        const pin = lm.cache?.pin(joined(system, ids(9, 4)));
        assertEquals(pin?.tokens, 50);
        for (let round = 0; round < 20; round++) await ask(lm, ids(200, round), 2);
        assertGreater(lm.cache?.stats().evictions ?? 0, 20);
        assertEquals((await ask(lm, joined(system, ids(9, 4)))).cachedTokens, 50);
        pin?.release();
        for (let round = 0; round < 20; round++) await ask(lm, ids(200, 30 + round), 2);
        assertEquals((await ask(lm, joined(system, ids(9, 4)))).cachedTokens, 0);
      }));

    it("comes back in a new process from a cache that was saved, with a key", () =>
      withDirectory(async (directory) => {
        const [path, saved] = [join(directory, "model.gguf"), join(directory, "saved.cache")];
        writeFileSync(path, smallModelBytes(shape));
        const key = Uint8Array.from({ length: 32 }, (_, index) => index);
        const prompt = ids(75);
        await using lm = await LightGPT.load(path, usual);
        const { tokens } = await ask(lm, prompt);
        const turn = joined(prompt, tokens, ids(9, 1));
        const { tokens: answer, cachedTokens } = await ask(lm, turn);
        lm.cache?.clear();
        await ask(lm, prompt);
        const chunks: Uint8Array[] = [];
        await lm.cache?.save(new WritableStream({ write: (chunk) => void chunks.push(chunk.slice()) }), { key });
        writeFileSync(saved, joined8(chunks));
        const { code, stdout, stderr } = await runChild(`
          import { readFileSync } from "node:fs";
          import { LightGPT } from "${repositoryUrl}mod.ts";
          await using lm = await LightGPT.load(${JSON.stringify(path)}, ${JSON.stringify(usual)});
          const key = Uint8Array.from({ length: 32 }, (_, index) => index);
          await lm.cache.load(new Blob([readFileSync(${JSON.stringify(saved)})]).stream(), { key });
          const { states } = lm.cache.stats();
          const prompt = Uint32Array.from(${JSON.stringify([...turn])});
          const { tokens, cachedTokens } = await lm.complete(prompt, ${JSON.stringify({ maxTokens: 12, sampling })});
          console.log(JSON.stringify({ states, tokens: [...tokens], cachedTokens }));
        `);
        assertEquals([code, stderr], [0, ""]);
        assertEquals(JSON.parse(stdout), { states: 2, tokens: answer, cachedTokens });
      }));
  });
}

function joined8(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(chunks.flatMap((chunk) => [...chunk]));
}

describe("states in a saved cache that was changed", () => {
  it("are left out, with their page where they are no states", () =>
    withModelFile(shapes.qwen35 as Shape, async (path) => {
      const model = await Model.load(path, { context });
      const settings = { kv: "f16", pageSize: 16, pages: 64, batchTokens: 128, sequences: 4, threads: 1 } as const;
      const engine = new Engine(model, { ...settings, activationBits: 8, logitRows: 64 });
      const store = new KvStore(engine, kvSizes(model.plan, "f16", 16), {});
      const scheduler = { store, betweenSteps: <T>(job: () => T) => Promise.resolve(job()) } as unknown as Scheduler;
      const codec = kvCodec({ model, engine, scheduler: () => scheduler });
      const table = new PageTable(store, "");
      assert(table.cover(16));
      await engine.run([{ id: 1, position: 0, tokens: ids(16), pages: table.pages, logits: "none" }], true);
      table.publishTail(ids(16), { state: "leaves" });
      table.close();
      const value = store.tree?.pages()[0]?.value;
      assert(value);
      const parts = await codec.encode(value, 16);
      const [at, state] = [1, parts[1] as Uint8Array];
      assertEquals(parts.length, 2);
      const { pool } = store;
      const { held } = pool;
      const withState = (...states: Uint8Array[]) => [...parts.slice(0, at), ...states];
      const word = (offset: number, value: number) => {
        const part = state.slice();
        new DataView(part.buffer).setUint32(offset, value, true);
        return part;
      };
      const refused: Record<string, Uint8Array[]> = {
        "no kind": withState(word(0, 0)),
        "another kind": withState(word(0, 7)),
        "a hidden state of its length": withState(word(0, 1)),
        "before the first token": withState(word(4, 0)),
        "after more tokens than there are": withState(word(4, 17)),
        "cut": withState(state.subarray(0, state.length - 4)),
        "nothing": withState(new Uint8Array(0)),
        "a head": withState(state.subarray(0, 8)),
      };
      for (const [name, changed] of Object.entries(refused)) {
        assertEquals(await codec.decode(changed, 16), undefined, name);
        assertEquals(pool.held, held, name);
      }
      // One whose sum is wrong is left out, the page is not; one that is there twice is taken once.
      const flipped = state.slice();
      flipped[100] = (flipped[100] as number) ^ 1;
      for (const [parts, count] of [[withState(flipped), 0], [withState(state, state), 1]] as const) {
        const value = await codec.decode(parts, 16);
        assert(value);
        assertEquals(value.copies.size, count);
        assertEquals(pool.held, held + 1 + count * store.statePages);
        store.tree?.options.dropped(value);
        assertEquals(pool.held, held);
      }
      await engine.dispose();
      model.dispose();
    }));
});
