/**
 * Windowed layers give back what they keep of pages that no query sees any more: how much a sequence holds, and that neither the
 * bits, nor cache hits, preemption and saved caches change; what fits follows from it.
 *
 * @module
 */
import { assert, assertEquals, assertGreater, assertLess, assertLessOrEqual } from "@std/assert";
import { describe, it } from "node:test";
import { LightGPT, type LightGPTOptions, readGguf } from "../mod.ts";
import { planModel } from "../src/model/architectures/architectures.ts";
import { partsOf } from "../src/batching/batcher.ts";
import { needOf } from "../src/batching/memory_budget.ts";
import { firstSeen, weightOf, windowsOf } from "../src/batching/windows.ts";
import { kvSizes } from "../src/engine/engine.ts";
import { half } from "./halves.ts";
import { arrayOf, u32 } from "./models.ts";
import { gemma3, gemma4, lfm2, type Shape, withModelFile } from "./small-models.ts";

const window = 40;
/** Of seven layers the sixth sees all positions. */
const mixed: Shape = {
  ...gemma3,
  embedding: 32,
  feedForward: 48,
  context: 4352,
  values: { ...gemma3.values, "gemma3.attention.sliding_window": u32(window) },
};
/** All layers see a window. */
const all: Shape = {
  ...mixed,
  layers: 2,
  values: { ...mixed.values, "gemma3.attention.sliding_window_pattern": arrayOf("bool", [true, true]) },
};

/** Some layers read the keys of others, and of two sizes. */
const shared: Shape = {
  ...gemma4,
  context: 4352,
  values: { ...gemma4.values, "gemma4.attention.sliding_window": u32(window) },
};
/** Layers with attention see a window; the others have a state. */
const hybrid: Shape = {
  ...lfm2,
  layers: 4,
  kvHeads: [0, 2, 2, 0],
  context: 4352,
  values: { ...lfm2.values, "lfm2.attention.sliding_window": u32(window) },
};

const ids = (count: number, salt = 0) =>
  Uint32Array.from({ length: count }, (_, index) => 3 + (index * 37 + index * index * 3 + salt) % 250);

/** The most pages with a windowed part that were held at once. */
function watch(lm: LightGPT): { most: number } {
  const { pool } = partsOf(lm.batcher).scheduler.store;
  const seen = { most: 0 };
  const take = pool.take.bind(pool);
  pool.take = () => {
    const page = take();
    seen.most = Math.max(seen.most, pool.windowed);
    return page;
  };
  return seen;
}

const greedy = { temperature: 0 };

describe("4096 tokens of a windowed model", () => {
  const kinds = Object.entries({ mixed, all, shared, hybrid });
  for (const [index, [chunkTokens, pageSize]] of ([[64, 16], [512, 32], [7, 64]] as const).entries()) {
    // Every second kind on this runtime, with other pieces the others.
    for (const [name, shape] of kinds.filter((_, kind) => (index + kind) % 2 === half)) {
      it(`hold a window, a chunk and two pages: ${name}, chunks of ${chunkTokens}, pages of ${pageSize}`, () =>
        withModelFile(shape, async (path) => {
          await using lm = await LightGPT.load(path, { cache: false, chunkTokens, pageSize, context: 4200 });
          const seen = watch(lm);
          await lm.complete(ids(4000), { maxTokens: 96, sampling: greedy });
          assertGreater(seen.most, 0);
          const { statePages } = partsOf(lm.batcher).scheduler.store;
          assertLessOrEqual((seen.most - statePages) * pageSize, window + chunkTokens + 2 * pageSize);
          assertEquals(lm.batcher.stats().pages, { ...lm.batcher.stats().pages, held: 0, windowed: 0 });
        }));
    }
  }

  it("hold as much with a prefix cache, and what the cache keeps of the end of the prompt", () =>
    withModelFile(mixed, async (path) => {
      const options = { chunkTokens: 64, pageSize: 16, context: 4200 } as const;
      await using lm = await LightGPT.load(path, options);
      const seen = watch(lm);
      await lm.complete(ids(4000), { maxTokens: 96, sampling: greedy });
      assertLessOrEqual(seen.most * 16, 2 * window + window + 64 + 4 * 16);
      assertLess(lm.batcher.stats().pages.windowed * 16, 4 * window + 4 * 16);
      assertGreater(lm.batcher.stats().pages.held, 4000 / 16 - 1);
    }));
});

describe("bits of a windowed model", () => {
  const settings: LightGPTOptions[] = [
    { chunkTokens: 512, pageSize: 64, threads: 1 },
    { chunkTokens: 7, pageSize: 16, threads: 2 },
    { chunkTokens: 64, pageSize: 32, threads: 3 },
    { chunkTokens: 1, pageSize: 16, threads: 1 },
  ];
  for (const [name, shape] of Object.entries({ mixed, all, shared, hybrid })) {
    it(`are the same whether pages were left behind or not: ${name}`, () =>
      withModelFile(shape, async (path) => {
        let first: Float32Array | undefined;
        for (const options of settings) {
          await using lm = await LightGPT.load(path, { ...options, context: 512 });
          const logits = await lm.logits(ids(450), { all: true });
          first ??= logits;
          assertEquals(logits, first);
        }
      }));

    it(`are the same from the cache: ${name}`, () =>
      withModelFile(shape, async (path) => {
        const options = { pageSize: 16, context: 512, chunkTokens: 64 } as const;
        await using cold = await LightGPT.load(path, { ...options, cache: false });
        await using lm = await LightGPT.load(path, options);
        const prompt = ids(300);
        const answer = (lm: LightGPT, prompt: Uint32Array) => lm.complete(prompt, { maxTokens: 60, sampling: greedy });
        const near = Uint32Array.of(...prompt.slice(0, 280), ...ids(30, 5));
        const far = Uint32Array.of(...prompt.slice(0, 100), ...ids(30, 9));
        const { tokens, stopReason } = await answer(cold, prompt);
        const turn = Uint32Array.of(...prompt, ...tokens, ...ids(20, 11));
        const found: number[] = [];
        for (const asked of [prompt, prompt, near, far, turn, near, far, prompt]) {
          const { tokens, cachedTokens } = await answer(lm, asked);
          assertEquals(tokens, (await answer(cold, asked)).tokens);
          found.push(cachedTokens);
        }
        const [first, again, ofNear, , ofTurn, nearAgain, farAgain, last] = found;
        assertEquals([first, again, nearAgain, farAgain, last], [0, 300, near.length, far.length, 300]);
        // Of a hybrid, where there is a state.
        assert(name === "hybrid" || (ofNear ?? 0) >= 272, "what differs behind the last two windows is found");
        const read = 300 + tokens.length - (stopReason === "endOfText" ? 0 : 1);
        assertEquals(ofTurn, read, "a turn that ended is found");
      }));

    it(`are the same for many sequences in little memory: ${name}`, () =>
      withModelFile(shape, async (path) => {
        const context = 700;
        const options = { pageSize: 16, context, chunkTokens: 32, batchSequences: 8 } as const;
        const plan = planModel(readGguf(path), { context });
        const { kv } = needOf(plan, { kv: "f16", pageSize: 16, context }, 0);
        await using lm = await LightGPT.load(path, { ...options, kvBytesMax: kv });
        await using cold = await LightGPT.load(path, { ...options, cache: false });
        const prompts = Array.from({ length: 8 }, (_, index) => ids(40 + 90 * index, index % 3));
        const answer = (lm: LightGPT, prompt: Uint32Array) =>
          lm.complete(prompt, { maxTokens: Math.min(100, context - prompt.length), sampling: greedy });
        const together = await Promise.all(prompts.map((prompt) => answer(lm, prompt)));
        for (const [index, prompt] of prompts.entries()) {
          assertEquals(together[index]?.tokens, (await answer(cold, prompt)).tokens);
        }
        const { weight, limit } = partsOf(lm.batcher).scheduler.store.pool;
        assertLessOrEqual(weight, limit + 1e-6);
      }));

    it(`are the same from a cache that was saved: ${name}`, () =>
      withModelFile(shape, async (path) => {
        const options = { pageSize: 16, context: 512 } as const;
        const chunks: Uint8Array[] = [];
        const prompt = ids(300);
        const answer = (lm: LightGPT) => lm.complete(prompt, { maxTokens: 20, sampling: greedy });
        await using saved = await LightGPT.load(path, options);
        const { tokens } = await answer(saved);
        await saved.cache?.save(new WritableStream({ write: (chunk) => void chunks.push(chunk) }));
        await using lm = await LightGPT.load(path, options);
        await lm.cache?.load(new Blob(chunks as Uint8Array<ArrayBuffer>[]).stream());
        const again = await answer(lm);
        assertEquals([again.cachedTokens, again.tokens], [300, tokens]);
      }));
  }
});

describe("what a windowed model needs", () => {
  it("is a window of most layers, and of all positions what the others keep", () =>
    withModelFile(mixed, (path) => {
      const plan = planModel(readGguf(path));
      const sizes = kvSizes(plan, "f16", 32);
      const windows = windowsOf(plan.hyperparameters.perLayer, sizes);
      assertEquals(windows, { window, behind: 1 / 7 });
      assertEquals([0, 39, 40, 70, 71, 72].map((position) => firstSeen(position, windows, 32)), [0, 0, 0, 0, 1, 1]);
      assertEquals(weightOf(64, windows, 32), 2);
      const { kv } = needOf(plan, { kv: "f16", pageSize: 32, context: 4352 }, 0);
      const seen = Math.ceil((window + 512) / 32) + 2;
      assertEquals(kv, Math.ceil(sizes.pageBytes * (136 / 7 + seen * 6 / 7)));
      return Promise.resolve();
    }));

  it("has nothing for layers that read the keys of others", () =>
    withModelFile(shared, (path) => {
      const plan = planModel(readGguf(path));
      const sizes = kvSizes(plan, "f16", 32);
      // Two windowed layers of two heads of 16, and two of one head of 32 that see all; the last two layers have none of their own.
      const bytes = (heads: number, length: number) => 2 * 2 * 32 * heads * length;
      assertEquals([sizes.pageBytes, sizes.behindBytes], [2 * bytes(2, 16) + 2 * bytes(1, 32), 2 * bytes(1, 32)]);
      assertEquals(windowsOf(plan.hyperparameters.perLayer, sizes), { window, behind: 1 / 2 });
      return Promise.resolve();
    }));

  it("is enough for a whole context", () =>
    withModelFile(mixed, async (path) => {
      const context = 4300;
      const plan = planModel(readGguf(path), { context });
      const { kv } = needOf(plan, { kv: "f16", pageSize: 16, context }, 0);
      await using lm = await LightGPT.load(path, { pageSize: 16, context, kvBytesMax: kv, chunkTokens: 512 });
      const { generatedTokens, stopReason } = await lm.complete(ids(4200), { sampling: greedy });
      assert(generatedTokens === 100 || stopReason === "endOfText", `${generatedTokens} ${stopReason}`);
    }));
});
