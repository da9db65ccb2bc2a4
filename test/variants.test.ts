/**
 * Variants of every architecture, as small models made here: what the plan says of each, and the library's logits against
 * a forward pass in float64.
 *
 * @module
 */
import { assertEquals, assertLess, assertRejects } from "@std/assert";
import { describe, it } from "node:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { LightGPTError } from "../ffi/errors.ts";
import { LightGPT } from "../mod.ts";
import { ARCHITECTURES } from "../src/model/architectures/table.ts";
import { ln, pow } from "../src/model/architectures/elementary.ts";
import type { Hyperparameters } from "../src/model/architectures/types.ts";
import { reckonProcessors } from "../src/engine/threads_option.ts";
import { bpe, f32, text } from "./models.ts";
import { referenceLogits } from "./reference.ts";
import { halfOf } from "./halves.ts";
import { repository, textArchitectures } from "./kit.ts";
import { gemma3, gemma4, llama, phi3, planSmall as plan, withModelFile } from "./small-models.ts";
import type { Expected } from "./expert-shapes.ts";
import { variants } from "./variants.ts";

reckonProcessors(3);

const windows = ({ perLayer }: Hyperparameters) => perLayer.map(({ window }) => window);

function checkPlan(plan: Hyperparameters, expected: Expected): void {
  const { windows: ofLayers, turns, keys, first, rotation, windowRotation, ...others } = expected;
  const parts = (part: object, whole: object | undefined) => {
    for (const [key, value] of Object.entries(part)) {
      assertEquals(whole?.[key as keyof typeof whole], value, key);
    }
  };
  parts(others, plan);
  parts(first ?? {}, plan.perLayer[0]);
  parts(rotation ?? {}, plan.rotations[0]);
  parts(windowRotation ?? {}, plan.rotations[1]);
  if (ofLayers !== undefined) assertEquals(windows(plan), ofLayers);
  if (keys !== undefined) assertEquals(plan.perLayer.map((layer) => [layer.keys, layer.keysLayer]), keys);
  if (turns !== undefined) assertEquals(plan.perLayer.map((layer) => layer.rotation), turns);
}

const tokens = Array.from({ length: 34 }, (_, at) => 1 + (at * 37) % 270);

describe("variants of architectures", () => {
  for (const [name, shape, expected] of halfOf(variants)) {
    it(`${name}: the plan, and the logits of a forward pass in float64`, async () => {
      const { hyperparameters } = plan(shape);
      checkPlan(hyperparameters, expected);
      await withModelFile(shape, async (path) => {
        const ids = tokens.slice(0, Math.min(tokens.length, hyperparameters.context));
        const reference = referenceLogits(path, ids);
        await using lm = await LightGPT.load(path, { kv: "f32", threads: 1 });
        const logits = await lm.logits(ids, { all: true });
        const exact = reference.flatMap((row) => [...row]);
        const mean = exact.reduce((sum, logit) => sum + logit, 0) / exact.length;
        const deviation = Math.sqrt(exact.reduce((sum, logit) => sum + (logit - mean) ** 2, 0) / exact.length);
        const worst = exact.reduce((most, logit, at) => Math.max(most, Math.abs(logit - logits[at])), 0);
        assertLess(worst / deviation, 2e-5);
      });
    });
  }

  it("the bits do not depend on threads, chunks or pages", async () => {
    const mixed = variants.map(([, shape]) => shape).filter(({ heads, experts, mamba }) =>
      Array.isArray(heads) || experts?.beside || mamba
    );
    for (const shape of halfOf([gemma3, gemma4, phi3, ...mixed])) {
      await withModelFile(shape, async (path) => {
        const logits: Float32Array[] = [];
        for (
          const options of [{ threads: 1 }, { threads: 3, chunkTokens: 7, pageSize: 16 }, {
            threads: 2,
            chunkTokens: 1,
          }] as const
        ) {
          await using lm = await LightGPT.load(path, options);
          logits.push(await lm.logits(tokens, { all: true }));
        }
        for (const other of logits.slice(1)) assertEquals(other, logits[0]);
      });
    }
  });

  it("every architecture of the table is among them", () => {
    // latent.test.ts has the one whose keys and values are one row, embedding_kit.test.ts those that generate nothing.
    const tested = new Set([
      ...variants.map(([, { architecture }]) => architecture),
      "deepseek2",
      ...textArchitectures,
    ]);
    assertEquals([...ARCHITECTURES.keys()].filter((name) => !tested.has(name)), []);
  });

  it("factors are chosen by the context that is used", () => {
    const factors = (context: number) =>
      plan(phi3, context).tensors.find(({ role }) => role === "rope_freqs")?.tensor.name;
    assertEquals(factors(32), "rope_factors_short.weight");
    assertEquals(factors(33), "rope_factors_long.weight");
  });

  it("fused tensors are taken apart in the order q, k, v and gate, up", () => {
    const { tensors } = plan(phi3);
    const parts = (name: string) =>
      tensors.filter(({ tensor }) => tensor.name === name).map(({ role, rows, offset, tensor }) => [
        role,
        rows,
        (offset - tensor.offset) / 256,
      ]);
    assertEquals(parts("blk.1.attn_qkv.weight"), [["attn_q", 64, 0], ["attn_k", 32, 64], ["attn_v", 32, 96]]);
    assertEquals(parts("blk.1.ffn_up.weight"), [["ffn_gate", 96, 0], ["ffn_up", 96, 96]]);
  });

  it("the logarithm and the power are right to the last digits", () => {
    for (const x of [1e-300, 0.1, 0.7, 1, 1.5, 2, 32.125, 4096, 1e6, 1e300]) {
      assertLess(Math.abs(ln(x) - Math.log(x)), 1e-15 * Math.max(1, Math.abs(Math.log(x))), `ln ${x}`);
    }
    for (const [base, y] of [[1000, 128 / 126], [0.5, 3], [2, -1], [1e4, 2.5], [7, 0]] as const) {
      assertLess(Math.abs(pow(base, y) / base ** y - 1), 1e-14, `${base}^${y}`);
    }
    const { rotations: [{ base }] } = plan({
      architecture: "hunyuan-dense",
      headNorms: true,
      values: { "hunyuan-dense.rope.scaling.alpha": f32(1000) },
    }).hyperparameters;
    assertLess(Math.abs(base / (10_000 * 1000 ** (16 / 14)) - 1), 1e-14);
  });

  it("a deeper gemma is scaled by embedding / heads", () => {
    const deep = (architecture: string, layers: number) =>
      plan({
        architecture,
        layers,
        embedding: 32,
        heads: 4,
        keyLength: 16,
        feedForward: 16,
        headNorms: architecture === "gemma3",
        postNorms: true,
      })
        .hyperparameters.attentionScale;
    assertEquals([deep("gemma2", 46), deep("gemma3", 62)], [1 / Math.sqrt(8), 1 / Math.sqrt(8)]);
    assertEquals(deep("gemma2", 45), 1 / 4);
  });
});

it("an unknown pre-tokenizer keeps a model from loading, unless the default may stand for it", async () => {
  const shape = { ...llama, vocabulary: bpe({ "tokenizer.ggml.pre": text("nosuch") }) };
  await withModelFile(shape, async (path) => {
    await assertRejects(() => LightGPT.load(path), LightGPTError, "'nosuch', which is not supported");
    await using lm = await LightGPT.load(path, { allowUnknownPreTokenizer: true });
    assertEquals(lm.detokenize(lm.tokenize("a text")), "a text");
    // A mistake of a caller in JavaScript.
    const options = { allowUnknownPreTokenizer: 1 as unknown as boolean };
    await assertRejects(() => LightGPT.load(path, options), LightGPTError, "expected a boolean");
  });
});

it("no code asks for an architecture by its name, but the table", () => {
  for (
    const file of [
      "src/model/architectures/rope.ts",
      "src/model/architectures/tensors.ts",
      "src/model/model.ts",
      "src/engine/engine.ts",
      "src/model/encode_model.ts",
    ]
  ) {
    const source = readFileSync(join(repository, file), "utf8");
    for (const name of ARCHITECTURES.keys()) assertEquals(source.includes(`"${name}"`), false, `${name} in ${file}`);
  }
});
