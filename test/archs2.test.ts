/**
 * The second set of the conformance kit: for each model every logit of every sequence near the exact ones, the exact
 * greedy continuations, and the ids of its texts. Each sequence is computed once, its continuation with it.
 *
 * @module
 */
import { assertEquals, assertLessOrEqual } from "@std/assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { LightGPT } from "../mod.ts";
import { describeWholeKit, type KitSequence, readJson } from "./kit.ts";

interface KitModel {
  name: string;
  file: string;
  arch: string;
  n_vocab: number;
  n_ctx: number;
  sequences: KitSequence[];
  texts: { text: string; ids: number[] }[];
}

/** The most that a logit may be off, in standard deviations: the smallest named mistake moves them by 5.7e-5. */
const TOLERANCE = 4e-5;
/** Of these the products take activations of 8 bits: what llama.cpp is off by, which does the same. */
const TOLERANCES: ReadonlyMap<string, number> = new Map([["gptoss_mxfp4", 0.0694]]);

const indexOfMost = (row: Float32Array) => row.indexOf(row.reduce((most, logit) => Math.max(most, logit), -Infinity));

/** Reads a sequence and its exact continuation at once, and compares what comes after each position. */
async function checkSequence(lm: LightGPT, directory: string, model: KitModel, sequence: KitSequence) {
  const { ids, positions, logits_exact, logits_std, greedy_exact, greedy_exact_margins } = sequence;
  const bytes = readFileSync(join(directory, logits_exact));
  const exact = new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  const tokens = [...ids, ...greedy_exact.slice(0, -1)];
  const logits = await lm.logits(tokens, { all: true });
  const rowOf = (position: number) => logits.subarray(position * model.n_vocab, (position + 1) * model.n_vocab);
  const tolerance = TOLERANCES.get(model.name) ?? TOLERANCE;
  positions.forEach((position, index) => {
    const off = rowOf(position).reduce(
      (most, logit, token) => Math.max(most, Math.abs(logit - exact[index * model.n_vocab + token])),
      0,
    );
    assertLessOrEqual(off / logits_std, tolerance, `${sequence.name} after position ${position}`);
  });
  // Where the margin is within the tolerance of both, either token is right.
  greedy_exact.forEach((token, index) => {
    if (greedy_exact_margins[index] <= 2 * tolerance * logits_std) return;
    assertEquals(indexOfMost(rowOf(ids.length - 1 + index)), token, `${sequence.name}: continuation, token ${index}`);
  });
  return { tokens, logits };
}

describeWholeKit("architectures of the second set", "archs2", (directory) => {
  const { models } = readJson<{ models: KitModel[] }>(directory, "manifest.json");
  const load = (model: KitModel) => LightGPT.load(join(directory, model.file), { kv: "f32", context: model.n_ctx });

  for (const model of models) {
    it(`${model.name}: exact logits and continuations, token by token and at once; texts`, async () => {
      await using lm = await load(model);
      for (const sequence of model.sequences) {
        const { tokens, logits } = await checkSequence(lm, directory, model, sequence);
        if (sequence !== model.sequences[0]) continue;
        const rows = [];
        for (const position of tokens.keys()) rows.push(...await lm.logits(tokens.slice(0, position + 1)));
        assertEquals(new Float32Array(rows), logits, `${sequence.name} token by token`);
      }
      for (const { text, ids } of model.texts) assertEquals([...lm.tokenize(text)], ids, text);
    });
  }
});
