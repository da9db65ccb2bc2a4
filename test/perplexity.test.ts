/**
 * Perplexity and comparison against plain loops over logits; that neither holds the event loop, and that both end by their
 * signal; and what begins a window.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals, assertLess, assertRejects } from "@std/assert";
import { describe, it } from "node:test";
import { CancelledError } from "../ffi/errors.ts";
import { partsOf } from "../src/batching/batcher.ts";
import { LightGPT } from "../src/lightgpt/lightgpt.ts";
import { windowsOf } from "../src/measuring/text_windows.ts";
import { byteLevel, flag, u32 } from "./models.ts";
import { type Shape, withModelFile } from "./small-models.ts";
import { leastOf, longestStall } from "./stall.ts";
import { workedMs } from "./worked.ts";

const words = Array.from({ length: 60_000 }, (_, index) => `w${index}`);
/** So many tokens that a row takes milliseconds. */
const wide: Shape = {
  architecture: "llama",
  layers: 1,
  embedding: 32,
  heads: 1,
  kvHeads: 1,
  context: 400,
  vocabulary: byteLevel([], words),
};
const text = "Once upon a time there was a fox. ".repeat(12);

/** The surprises at `ids` after the first, from rows of logits. */
function surprisesOf(logits: Float32Array, ids: Uint32Array): number[] {
  const vocabulary = logits.length / ids.length;
  return Array.from(ids.subarray(1), (next, position) => {
    const row = logits.subarray(position * vocabulary, (position + 1) * vocabulary);
    const most = row.reduce((a, b) => Math.max(a, b));
    return Math.log(row.reduce((sum, logit) => sum + Math.exp(logit - most), 0)) + most - row[next];
  });
}

describe("perplexity", () => {
  for (const addBos of [true, false]) {
    it(`is that of the logits; each window ${addBos ? "begins with BOS" : "begins with the text"}`, async () => {
      const values = { "tokenizer.ggml.add_bos_token": flag(addBos), "tokenizer.ggml.bos_token_id": u32(300) };
      await withModelFile(
        { architecture: "llama", vocabulary: byteLevel([], words.slice(0, 100)), values },
        async (path) => {
          await using lm = await LightGPT.load(path, { threads: 1 });
          const ids = lm.tokenize(text.slice(0, 400), { addSpecial: false });
          const window = 120;
          const parts: Uint32Array[] = [];
          const step = window - (addBos ? 1 : 0);
          for (let begin = 0; begin < ids.length; begin += step) {
            parts.push(Uint32Array.of(...addBos ? [300] : [], ...ids.subarray(begin, begin + step)));
          }
          assertEquals(
            (await windowsOf(lm.model, text.slice(0, 400), window, undefined)).map(({ tokens }) => tokens.join()),
            parts.map((part) => part.join()),
          );
          const expected: number[] = [];
          for (const part of parts) expected.push(...surprisesOf(await lm.logits(part, { all: true }), part));
          const { nll, tokens, perplexity } = await lm.perplexity(text.slice(0, 400), { window });
          assertEquals(tokens, expected.length);
          assertAlmostEquals(nll, expected.reduce((a, b) => a + b), 1e-6 * nll);
          assertAlmostEquals(perplexity, Math.exp(nll / tokens), 1e-9 * perplexity);
          const same = await lm.accuracy({ reference: lm, text: text.slice(0, 400), window });
          assertEquals([same.tokens, same.same, same.ratio], [tokens, 1, 1]);
          assertAlmostEquals(same.nll, nll, 1e-9 * nll);
          assertAlmostEquals(same.divergence, 0, 1e-9);
        },
      );
    });
  }
});

describe("perplexity and comparison with a large vocabulary", () => {
  it("let the event loop turn, and end by their signal", async () => {
    await withModelFile(wide, async (path) => {
      await using lm = await LightGPT.load(path, { threads: 1 });
      for (
        const measure of [
          (signal?: AbortSignal) => lm.perplexity(text, { window: 400, ...(signal ? { signal } : {}) }),
          (signal?: AbortSignal) => lm.accuracy({ reference: lm, text, window: 400, ...(signal ? { signal } : {}) }),
          (signal?: AbortSignal) => lm.accuracy({ reference: path, text, window: 400, ...(signal ? { signal } : {}) }),
        ]
      ) {
        // Reading 139 rows of 60 000 takes a part of it: native code, and a copy.
        assertLess(await longestStall(() => measure(), 250), 250);
        for (const ms of [5, 150]) {
          const ending = async () => {
            const controller = new AbortController();
            const measuring = measure(controller.signal);
            let begin = 0;
            setTimeout(() => {
              begin = workedMs();
              controller.abort();
            }, ms);
            await assertRejects(() => measuring, CancelledError);
            return workedMs() - begin;
          };
          assertLess(await leastOf(ending, 200), 200);
        }
      }
      const { running, queued } = lm.batcher.stats();
      assertEquals([running, queued], [0, 0]);
    });
  });

  it("measure the same beside other requests that take their pages", async () => {
    await withModelFile({ ...wide, context: 200 }, async (path) => {
      await using lm = await LightGPT.load(path, { threads: 1, batchSequences: 2, kvBytesMax: 32_000, cache: false });
      const alone = await lm.perplexity(text, { window: 200 });
      // The first comes when a step has read a part of the first window: there is no room for the rest of it beside a request.
      const requests: Promise<unknown>[] = [];
      partsOf(lm.batcher).scheduler.meter.listeners.add({
        step: () => {
          if (requests.length === 6) return;
          const sampling = { seed: requests.length };
          requests.push(lm.complete(text.slice(0, 90), { maxTokens: 60, priority: 9, sampling }));
        },
      });
      const beside = await lm.perplexity(text, { window: 200 });
      assertEquals(requests.length, 6);
      await Promise.all(requests);
      assertEquals([beside.tokens, beside.nll], [alone.tokens, alone.nll]);
      assert(lm.batcher.stats().preemptions > 0);
      assert(alone.tokens > 400);
    });
  });
});
