/**
 * TinyTales against what PyTorch computed with the same weights: tokens, logits, greedy continuations, and perplexity as both
 * of its records have it.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals, assertLess } from "@std/assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { LightGPT } from "../mod.ts";
import { surprise } from "../src/measuring/log_probabilities.ts";
import { halfOf } from "./halves.ts";
import { describeTales, readJson } from "./kit.ts";

interface Golden {
  prompts: { text: string; ids: number[]; logits: string; greedy: number[]; margins: number[] }[];
  valid_slice: { perplexity: number; predicted: number; tokens: number };
}

/** What llama.cpp measured over windows of 256 (the README of TinyTales). */
const windowPerplexity = 2.47115;
const windowTokens = 20_189;

describeTales("TinyTales in F32", (tales) => {
  const golden = readJson<Golden>(tales, "golden", "manifest.json");
  let lm: LightGPT;
  before(async () => {
    lm = await LightGPT.load(join(tales, "tinytales-f32.gguf"), { kv: "f32" });
  });
  after(() => lm.dispose());

  it("reads prompts as the same tokens, and gives the same logits", async () => {
    for (const { text, ids, logits } of golden.prompts) {
      assertEquals([...lm.tokenize(text)], ids);
      const bytes = readFileSync(join(tales, "golden", logits));
      const expected = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
      const actual = await lm.logits(ids);
      const worst = actual.reduce((most, logit, token) => Math.max(most, Math.abs(logit - expected[token])), 0);
      assertLess(worst, 2e-4, text);
    }
  });

  it("continues prompts with the same tokens", async () => {
    await Promise.all(golden.prompts.map(async ({ ids, greedy, margins }) => {
      const { tokens } = await lm.complete(ids, { maxTokens: greedy.length, sampling: { temperature: 0 } });
      // PyTorch went on after the end of a text; and a near tie may fall either way.
      const compared = tokens.slice(0, margins.findIndex((margin) => margin < 1e-3) >>> 0);
      assert(compared.length > 0);
      assertEquals(compared, greedy.slice(0, compared.length));
    }));
  });

  /** One record on each runtime. */
  const records: readonly (readonly [string, () => Promise<void>])[] = [
    ["story by story", async () => {
      const bytes = readFileSync(join(tales, "golden", "valid-slice.u16"));
      const all = Array.from(new Uint16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)));
      assertEquals(all.length, golden.valid_slice.tokens);
      const stories: number[][] = [];
      for (const token of all) token === 1 ? stories.push([token]) : stories.at(-1)?.push(token);
      let nll = 0;
      let predicted = 0;
      await Promise.all(stories.map(async (story) => {
        const logits = await lm.logits(story, { all: true });
        for (let position = 1; position < story.length; position++) {
          nll += surprise(logits.subarray((position - 1) * 2048, position * 2048), story[position]);
          predicted++;
        }
      }));
      assertEquals(predicted, golden.valid_slice.predicted);
      assertAlmostEquals(
        Math.exp(nll / predicted),
        golden.valid_slice.perplexity,
        golden.valid_slice.perplexity / 1000,
      );
    }],
    ["by windows of 256", async () => {
      const text = readFileSync(join(tales, "valid-window.txt"), "utf8");
      const seen: number[] = [];
      const { perplexity, tokens, nll } = await lm.perplexity(text, {
        window: 256,
        onProgress: (done) => seen.push(done),
      });
      assertEquals(tokens, windowTokens);
      assertAlmostEquals(perplexity, windowPerplexity, windowPerplexity / 1000);
      assertAlmostEquals(Math.log(perplexity), nll / tokens, 1e-12);
      assertEquals([seen[0], seen.at(-1)], [0, windowTokens]);
    }],
  ];
  for (const [how, test] of halfOf(records)) it(`has the recorded perplexity, ${how}`, test);
});
