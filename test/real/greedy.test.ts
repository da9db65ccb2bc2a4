/**
 * Real models beside exact arithmetic. With 16-bit activations a model gives its own text, to the token; with 8-bit ones,
 * the default, it leaves that text later than llama.cpp does. The references are the kit's: greedy tokens with their
 * margins, and the highest log probabilities after each prompt, in float64 over the same weights. Each prompt is read with
 * its greedy tokens, so that one pass gives the choice at every one of them. One model on each runtime: the arithmetic is the library's.
 *
 * @module
 */
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { it } from "node:test";
import { LightGPT, type LightGPTOptions } from "../../mod.ts";
import { halfOf } from "../halves.ts";
import { describeReal, type GreedyPrompt, greedyPrompts } from "./models.ts";

/** Margins below it decide nothing: llama.cpp's own GELU table moves Gemma's log probabilities by up to 0.008. */
const clearMargin = 0.02;

/** The sum over 32 log probabilities, all other tokens taken as one, that 16-bit activations may be away from exact. */
const divergenceMost = 3e-5;

/**
 * The mean KL divergence from exact that 8-bit activations may have over all prompts' greedy tokens. Measured: 0.0034 over 608
 * tokens (SmolLM2), 0.0020 over 448 (Gemma).
 */
const meanDivergenceMost = { smollm2: 0.0038, gemma3: 0.0023 } as const;

/** The logits at a prompt's end and at each of its greedy tokens but the last, one row after another. */
async function greedyRows(lm: LightGPT, { ids, greedy }: GreedyPrompt): Promise<Float32Array[]> {
  const logits = await lm.logits([...ids, ...greedy.slice(0, -1)], { all: true });
  const width = lm.model.vocabulary;
  return greedy.map((_, index) => {
    const row = ids.length - 1 + index;
    return logits.subarray(row * width, (row + 1) * width);
  });
}

function highest(logits: Float32Array): number {
  let best = 0;
  for (let token = 1; token < logits.length; token++) if (logits[token]! > logits[best]!) best = token;
  return best;
}

/** ln of the sum of the exponentials, in double precision. */
function logSum(logits: Float32Array): number {
  const most = logits[highest(logits)]!;
  let sum = 0;
  for (const value of logits) sum += Math.exp(value - most);
  return most + Math.log(sum);
}

/** How far logits are from known log probabilities of the likeliest tokens, with all others taken as one. */
function fromTop(logits: Float32Array, top: GreedyPrompt["top"]): number {
  const sum = logSum(logits);
  let kl = 0, restExact = 1, restOurs = 1;
  for (const [token, exact] of top) {
    const ours = logits[token]! - sum;
    kl += Math.exp(exact) * (exact - ours);
    restExact -= Math.exp(exact);
    restOurs -= Math.exp(ours);
  }
  return kl + (restExact > 0 && restOurs > 0 ? restExact * Math.log(restExact / restOurs) : 0);
}

/** The Kullback-Leibler divergence of one row of logits from another. */
function divergence(exact: Float32Array, other: Float32Array): number {
  const [sumExact, sumOther] = [logSum(exact), logSum(other)];
  let kl = 0;
  for (let token = 0; token < exact.length; token++) {
    const log = exact[token]! - sumExact;
    if (log > -30) kl += Math.exp(log) * (log - other[token]! + sumOther);
  }
  return kl;
}

/** How many tokens are the right ones before the first that is not. */
function leading(tokens: readonly number[], right: readonly number[]): number {
  const at = right.findIndex((token, index) => token !== tokens[index]);
  return at < 0 ? right.length : at;
}

const exactly = { activations: "int16", kv: "f32", context: 256 } as const satisfies LightGPTOptions;

for (const model of halfOf(["smollm2", "gemma3"] as const)) {
  describeReal(`${model} beside exact arithmetic`, model, (path) => {
    const prompts = greedyPrompts(model);

    it("writes its own text with 16-bit activations, wherever a margin is clear", async () => {
      assert(prompts.length > 0, "the kit has no prompts for it");
      await using lm = await LightGPT.load(path, exactly);
      for (const prompt of prompts) {
        const rows = await greedyRows(lm, prompt);
        for (const [index, row] of rows.entries()) {
          if (prompt.margins[index]! < clearMargin) continue;
          assertEquals(highest(row), prompt.greedy[index], `token ${index} after ${JSON.stringify(prompt.prompt)}`);
        }
        assertLessOrEqual(fromTop(rows[0]!, prompt.top), divergenceMost, JSON.stringify(prompt.prompt));
      }
    });

    it("reads its prompts as llama.cpp does", async () => {
      await using lm = await LightGPT.load(path, { context: 256 });
      for (const { prompt, ids } of prompts) {
        assertEquals([...lm.tokenize(prompt, { parseSpecial: true })], ids, JSON.stringify(prompt));
      }
    });

    it("follows its own text further than llama.cpp does, with 8-bit activations", async () => {
      await using exact = await LightGPT.load(path, exactly);
      await using lm = await LightGPT.load(path, { context: 256 });
      let sum = 0, count = 0, [ours, theirs] = [0, 0];
      for (const prompt of prompts) {
        const [reference, rows] = [await greedyRows(exact, prompt), await greedyRows(lm, prompt)];
        for (const [index, row] of rows.entries()) sum += divergence(reference[index]!, row);
        count += rows.length;
        ours += leading(rows.map(highest), prompt.greedy);
        theirs += leading(prompt.llamacpp_as_is, prompt.greedy);
      }
      assertLessOrEqual(theirs, ours);
      assertLessOrEqual(sum / count, meanDivergenceMost[model]);
    });
  });
}
