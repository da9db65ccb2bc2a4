/**
 * The conformance kit: logits of small models of every architecture and every format, within the tolerances that the kit
 * states, and greedy continuations as far as their margins carry.
 *
 * @module
 */
import { assertEquals, assertLessOrEqual } from "@std/assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { LightGPT, type LightGPTOptions } from "../mod.ts";
import { readGguf } from "../src/files/gguf/read.ts";
import { describeKit, describeWholeKit, type KitSequence, readJson } from "./kit.ts";

interface KitModel {
  name: string;
  file: string;
  n_vocab: number;
  sequences: KitSequence[];
}

interface QuantModel extends KitModel {
  /** Of models with experts: how near the router's choice ever comes to another one. */
  router_min_gap?: number;
  tolerance: { must_be_below_rms: number; must_be_below_max: number };
}

/**
 * Deviations from the exact logits over the stored positions, in units of their standard deviation: the greatest, and the mean of a
 * sequence. With `spares` the mean leaves out the position of all that is farthest off.
 */
async function deviations(lm: LightGPT, directory: string, model: KitModel, spares = false) {
  const sequences: { squares: number; max: number }[][] = [];
  for (const { ids, positions, logits_exact, logits_std } of model.sequences) {
    const bytes = readFileSync(join(directory, logits_exact));
    const exact = new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
    const logits = await lm.logits(ids, { all: true });
    sequences.push(positions.map((position, row) => {
      let [squares, max] = [0, 0];
      for (let token = 0; token < model.n_vocab; token++) {
        const off = (logits[position * model.n_vocab + token] - exact[row * model.n_vocab + token]) / logits_std;
        max = Math.max(max, Math.abs(off));
        squares += off ** 2 / model.n_vocab;
      }
      return { squares, max };
    }));
  }
  const all = sequences.flat();
  const farthest = spares ? all.reduce((most, place) => place.squares > most.squares ? place : most) : undefined;
  const means = sequences.map((places) => places.filter((place) => place !== farthest)).filter(({ length }) =>
    length > 0
  )
    .map((places) => Math.sqrt(places.reduce((sum, { squares }) => sum + squares, 0) / places.length));
  return { rms: Math.max(...means), max: Math.max(...all.map(({ max }) => max)) };
}

/** Greedy continuations equal the exact ones up to the first margin that `slack` could overcome. */
async function checkGreedy(lm: LightGPT, model: KitModel, slack: number): Promise<void> {
  for (const { name, ids, greedy_exact, greedy_exact_margins, logits_std } of model.sequences) {
    const tokens: number[] = [];
    // Token by token: the continuations go on after the end of a text.
    while (tokens.length < greedy_exact.length && (greedy_exact_margins[tokens.length] ?? 0) > 2 * slack * logits_std) {
      const logits = await lm.logits([...ids, ...tokens]);
      tokens.push(logits.indexOf(logits.reduce((most, logit) => Math.max(most, logit), -Infinity)));
    }
    assertEquals(tokens, greedy_exact.slice(0, tokens.length), `${model.name} ${name}`);
  }
}

async function withModel(path: string, options: LightGPTOptions, body: (lm: LightGPT) => Promise<void>): Promise<void> {
  const lm = await LightGPT.load(path, { context: 256, ...options });
  try {
    await body(lm);
  } finally {
    await lm.dispose();
  }
}

describeKit("architectures", "archs", (directory) => {
  for (const model of readJson<{ models: KitModel[] }>(directory, "manifest.json").models) {
    const path = join(directory, model.file);

    it(`${model.name}: exact logits and continuations with f32 keys and values`, () =>
      withModel(path, { kv: "f32" }, async (lm) => {
        assertLessOrEqual((await deviations(lm, directory, model)).max, 2e-5);
        await checkGreedy(lm, model, 2e-5);
      }));

    it(`${model.name}: near with f16 keys and values`, () =>
      withModel(path, {}, async (lm) => assertLessOrEqual((await deviations(lm, directory, model)).max, 2e-2)));
  }
});

/** A format's models; `slack` is what the kit grants beyond llama.cpp's own deviations, of the mean and of the greatest. */
function checkFormats(directory: string, slack: { rms: number; max: number }): void {
  for (const model of readJson<{ models: QuantModel[] }>(directory, "manifest.json").models) {
    const path = join(directory, model.file);
    const types = new Set([...readGguf(path).tensors.values()].map(({ type }) => type));
    const isQuantized = [...types].some((type) => type !== 0 && type !== 1 && type !== 30);
    const { must_be_below_rms, must_be_below_max } = model.tolerance;

    it(`${model.name}: within tolerance`, async () => {
      await withModel(path, { kv: "f32" }, async (lm) => {
        // Where two experts are as near as activations of 8 bits are off, the other one may be chosen, as by llama.cpp.
        const { rms, max } = await deviations(lm, directory, model, model.router_min_gap !== undefined);
        assertLessOrEqual(rms, isQuantized ? slack.rms * must_be_below_rms : 2e-5);
        assertLessOrEqual(max, isQuantized ? slack.max * must_be_below_max : 2e-5);
        await checkGreedy(lm, model, max);
      });
    });

    if (!isQuantized) continue;
    it(`${model.name}: a fiftieth of that with 16-bit activations`, () =>
      withModel(path, { kv: "f32", activations: "int16" }, async (lm) => {
        assertLessOrEqual((await deviations(lm, directory, model)).rms, must_be_below_rms / 50);
      }));
  }
}

describeWholeKit("formats", "quants", (directory) => checkFormats(directory, { rms: 1.1, max: 1.3 }));
describeWholeKit("formats of few bits", "quants2", (directory) => checkFormats(directory, { rms: 1, max: 1 }));
