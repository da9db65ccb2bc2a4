/**
 * Experts whose numbers are broken: a router with NaN is refused by name when it is loaded; one that gives no number ends a sequence
 * with `nonFinite`, that one alone. Windows that can be none are refused, of hybrids, too.
 *
 * @module
 */
import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { LightGPT, type LightGPTError, ModelFormatError } from "../mod.ts";
import { encodeGguf } from "../scripts/gguf-writer.ts";
import { u32 } from "./models.ts";
import { gemma4, lfm2, planSmall, type Shape, smallModel, withDirectory } from "./small-models.ts";

const shapes: Record<string, Shape> = {
  softmax: { architecture: "qwen3moe", headNorms: true, experts: { count: 6, used: 2, width: 32 } },
  "sigmoid, a choice with biases": {
    architecture: "lfm2moe",
    kvHeads: [0, 2, 0],
    headNorms: true,
    taps: 3,
    outputNorm: "token_embd_norm",
    experts: { count: 6, used: 2, width: 32, choiceBias: true },
    values: {
      "lfm2moe.shortconv.l_cache": u32(3),
      "lfm2moe.leading_dense_block_count": u32(0),
      "lfm2moe.expert_gating_func": u32(2),
    },
  },
};
const greedy = { maxTokens: 4, sampling: { temperature: 0 } } as const;
const ids = (...more: number[]) => Uint32Array.of(5, 9, 12, ...more, 7, 30);

/** Numbers of a tensor that are another: `count` of them from `at` on. */
interface Fault {
  readonly tensor: string;
  readonly at: number;
  readonly count: number;
  readonly value: number;
}

/** A model of `shape` with faults. */
function withFaults<T>(shape: Shape, faults: readonly Fault[], body: (lm: LightGPT) => Promise<T>): Promise<T> {
  return withDirectory(async (directory) => {
    const path = join(directory, "model.gguf");
    const { values, tensors } = smallModel(shape);
    for (const { tensor, at, count, value } of faults) {
      const data = tensors.find(({ name }) => name === tensor)?.data;
      if (!data) throw new Error(`There is no ${tensor}.`);
      new Float32Array(data.buffer, data.byteOffset, data.length / 4).fill(value, at, at + count);
    }
    writeFileSync(path, encodeGguf(values, tensors));
    await using lm = await LightGPT.load(path, { context: 64 });
    return await body(lm);
  });
}

async function nonFinite(work: Promise<unknown>): Promise<void> {
  const error = await assertRejects(() => work) as LightGPTError;
  assertEquals(error.code, "nonFinite");
}

/** Token 50 lies along one axis, for which expert 3 has so large a weight that the sum overflows for that token alone. */
const faults: Fault[] = [
  { tensor: "token_embd.weight", at: 64 * 50, count: 64, value: 0 },
  { tensor: "token_embd.weight", at: 64 * 50 + 9, count: 1, value: 1000 },
  { tensor: "blk.0.ffn_gate_inp.weight", at: 64 * 3 + 9, count: 1, value: 6e37 },
];

describe("experts whose numbers are broken", () => {
  for (const [name, shape] of Object.entries(shapes)) {
    for (const value of [NaN, Infinity, -Infinity]) {
      it(`are refused where the router has ${value}, with its place: ${name}`, async () => {
        const fault = { tensor: "blk.1.ffn_gate_inp.weight", at: 64 * 3 + 5, count: 1, value };
        const error = await assertRejects(() => withFaults(shape, [fault], () => Promise.resolve())) as LightGPTError;
        assertEquals(error.code, "nonFinite");
        assertStringIncludes(error.message, "ffn_gate_inp, layer 1, row 3");
      });
    }

    it(`end the sequence with nonFinite where the router's sums overflow: ${name}`, () =>
      withFaults(shape, [{ tensor: "blk.1.ffn_gate_inp.weight", at: 64 * 3, count: 64, value: 3e38 }], async (lm) => {
        await nonFinite(lm.complete(ids(), greedy));
        await nonFinite(lm.logits(ids(40)));
      }));

    it(`end that sequence alone, in a batch with others: ${name}`, () =>
      withFaults({ ...shape, untied: true }, faults, async (lm) => {
        const good = [ids(1), ids(2, 3), ids(4, 4, 4)];
        const alone = [];
        for (const prompt of good) alone.push([...(await lm.complete(prompt, { ...greedy, cache: false })).tokens]);
        const bad = nonFinite(lm.complete(ids(50), greedy));
        const together = await Promise.all(good.map((prompt) => lm.complete(prompt, { ...greedy, cache: false })));
        await bad;
        assertEquals(together.map(({ tokens }) => [...tokens]), alone);
        await nonFinite(lm.complete(ids(50), greedy));
        assertEquals([...(await lm.complete(good[0] as Uint32Array, greedy)).tokens], alone[0]);
      }));
  }
});

describe("embeddings whose squares are beyond all floats", () => {
  for (const shape of [{ architecture: "llama" }, { architecture: "stablelm", layerNorms: "biases" }] as Shape[]) {
    it(`end their sequence with nonFinite, that one alone: ${shape.architecture}`, () =>
      withFaults(
        { ...shape, untied: true },
        [{ tensor: "token_embd.weight", at: 64 * 50, count: 32, value: 3e38 }],
        async (lm) => {
          const alone = [...(await lm.complete(ids(1), greedy)).tokens];
          const bad = nonFinite(lm.complete(ids(50), greedy));
          assertEquals([...(await lm.complete(ids(1), { ...greedy, cache: false })).tokens], alone);
          await bad;
        },
      ));
  }
});

describe("windows that can be none", () => {
  const cases: [what: string, shape: Shape, key: string, window: number][] = [
    ["0 in gemma4", gemma4, "gemma4.attention.sliding_window", 0],
    ["2^31 in gemma4", gemma4, "gemma4.attention.sliding_window", 2 ** 31],
    ["2^31 in a hybrid", lfm2, "lfm2.attention.sliding_window", 2 ** 31],
    ["2^32 - 1 in a hybrid", lfm2, "lfm2.attention.sliding_window", 2 ** 32 - 1],
  ];
  for (const [what, shape, key, window] of cases) {
    it(`are refused by key and value: ${what}`, () => {
      const error = assertThrows(
        () => planSmall({ ...shape, values: { ...shape.values, [key]: u32(window) } }),
        ModelFormatError,
        `${window}`,
      );
      assertEquals(error.detail.where, key);
    });
  }

  it("may be left out of a hybrid, or be 0: its attention sees everything", () => {
    for (const values of [lfm2.values, { ...lfm2.values, "lfm2.attention.sliding_window": u32(0) }]) {
      assertEquals(planSmall({ ...lfm2, values }).hyperparameters.perLayer.map(({ window }) => window), [0, 0, 0]);
    }
  });
});
