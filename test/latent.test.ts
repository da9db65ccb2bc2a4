/**
 * Latent attention (MLA): both forms of files give the same bits, as do threads, chunks, pages, neighbours and cache hits; blocks
 * come near floats; a page holds one latent row of a position; what a file may not say.
 *
 * @module
 */
import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { LightGPT, type LightGPTError, type LightGPTOptions, readGguf } from "../mod.ts";
import { native } from "../ffi/native.ts";
import { kvSizes } from "../src/engine/engine.ts";
import { planModel } from "../src/model/architectures/architectures.ts";
import { encodeGguf, type NewTensor } from "../scripts/gguf-writer.ts";
import { latentModel, type LatentShape } from "./latent-models.ts";
import { f32, text, u32, type Values } from "./models.ts";
import { withDirectory } from "./small-models.ts";

const ids = Uint32Array.from({ length: 150 }, (_, index) => 3 + (index * 37 + index * index) % 250);

async function logitsOf(path: string, options: LightGPTOptions = {}): Promise<Float32Array> {
  await using lm = await LightGPT.load(path, { kv: "f32", cache: false, ...options });
  return await lm.logits(ids, { all: true });
}

function withModel<T>(shape: LatentShape, older: boolean, body: (path: string) => Promise<T>): Promise<T> {
  return withDirectory((directory) => {
    const path = join(directory, "model.gguf");
    const { values, tensors } = latentModel(shape, older);
    writeFileSync(path, encodeGguf(values, tensors));
    return body(path);
  });
}

/** The largest difference, in units of the standard deviation. */
function distance(a: Float32Array, b: Float32Array): number {
  const deviation = Math.sqrt(b.reduce((sum, value) => sum + value ** 2, 0) / b.length);
  return a.reduce((most, value, index) => Math.max(most, Math.abs(value - (b[index] as number))), 0) / deviation;
}

function decoded({ type, dims, data }: NewTensor): Uint8Array {
  if (type === 0) return data;
  const values = new Float32Array(dims.reduce((product, size) => product * size, 1));
  native().dequantize({ format: type, blocks: data, values, threads: 1 });
  return new Uint8Array(values.buffer);
}

const shapes: Record<string, LatentShape> = {
  "queries from a narrow row": {},
  "queries from the stream": { queryRank: 0, heads: 5 },
  "a query of odd length": { plain: 19, rotated: 6, heads: 2 },
  yarn: {
    values: {
      "deepseek2.rope.scaling.type": text("yarn"),
      "deepseek2.rope.scaling.factor": f32(4),
      "deepseek2.rope.scaling.original_context_length": u32(32),
      "deepseek2.rope.scaling.yarn_log_multiplier": f32(0.0707),
    },
  },
};

describe("latent attention", () => {
  for (const [name, shape] of Object.entries(shapes)) {
    it(`gives the same bits in both forms of files: ${name}`, async () => {
      const newer = await withModel(shape, false, (path) => logitsOf(path));
      assertEquals(await withModel(shape, true, (path) => logitsOf(path)), newer);
    });
  }

  for (const [name, type] of [["F32", 0], ["Q8_0", 8], ["Q4_0", 2]] as const) {
    for (const kv of ["f32", "f16", "q8_0"] as const) {
      it(`gives the same bits whatever the threads, chunks, pages and neighbours: ${name}, ${kv}`, () =>
        withModel({ type, heads: 6, rotated: 32 }, false, async (path) => {
          const expected = await logitsOf(path, { kv, threads: 1 });
          for (
            const options of [
              { threads: 3, chunkTokens: 7, pageSize: 16 },
              { threads: 2, chunkTokens: 1, pageSize: 64 },
              { threads: 2, chunkTokens: 64 },
            ] as const
          ) assertEquals(await logitsOf(path, { kv, ...options }), expected);
          await using lm = await LightGPT.load(path, { kv, threads: 2 });
          const row = (count: number) =>
            expected.subarray((count - 1) * lm.model.vocabulary, count * lm.model.vocabulary);
          const counts = [150, 20, 63, 97, 97];
          const together = await Promise.all(counts.map((count) => lm.logits(ids.slice(0, count))));
          counts.forEach((count, index) => assertEquals(together[index], row(count)));
          assertEquals(await lm.logits(ids.slice(0, 130)), row(130));
        }));
    }
  }

  for (const older of [false, true]) {
    it(`comes near the same weights as floats with blocks, ${older ? "older" : "newer"} form`, () =>
      withDirectory(async (directory) => {
        const { values, tensors } = latentModel({ heads: 6, rotated: 32, type: 8 }, older);
        const floats = tensors.map((tensor) => ({ ...tensor, type: 0, data: decoded(tensor) }));
        const [blocks, same] = ["blocks", "floats"].map((name) => join(directory, name)) as [string, string];
        writeFileSync(blocks, encodeGguf(values, tensors));
        writeFileSync(same, encodeGguf(values, floats));
        const expected = await logitsOf(same);
        assertLess(distance(await logitsOf(blocks, { activations: "int16" }), expected), 2e-3);
        assertLess(distance(await logitsOf(blocks), expected), 0.3);
      }));
  }

  it("keeps one latent row of a position", () =>
    withModel({ rank: 48, rotated: 8 }, false, (path) => {
      assertEquals(kvSizes(planModel(readGguf(path)), "f16", 32).pageBytes, 2 * 32 * (48 + 8) * 2);
      return Promise.resolve();
    }));

  it("scales what yarn changes: scores, by the file's multiplier or without one", () => {
    const yarn = (multiplier: number | undefined) => ({
      "deepseek2.rope.scaling.type": text("yarn"),
      "deepseek2.rope.scaling.factor": f32(40),
      "deepseek2.rope.scaling.original_context_length": u32(64),
      "deepseek2.rope.scaling.yarn_log_multiplier": multiplier === undefined ? undefined : f32(multiplier),
    });
    const planned = (values: LatentShape["values"]) =>
      withModel({ values: values ?? {} }, false, (path) => Promise.resolve(planModel(readGguf(path)).hyperparameters));
    return Promise.all([planned({}), planned(yarn(0.0707)), planned(yarn(undefined))]).then(
      ([plain, stated, silent]) => {
        const near = (a: number, b: number) => assertLess(Math.abs(a / b - 1), 1e-6);
        near(plain.attentionScale, 1 / Math.sqrt(40));
        near(stated.attentionScale, (1 + 0.0707 * Math.log(40)) ** 2 / Math.sqrt(40));
        near(silent.attentionScale, (1 + 0.1 * Math.log(40)) ** 2 / Math.sqrt(40));
        near(stated.rotations[0]?.magnitude ?? 0, 1);
        near(silent.rotations[0]?.magnitude ?? 0, 1 + 0.1 * Math.log(40));
      },
    );
  });
});

describe("a file with latent attention is refused", () => {
  const refused = (
    change: LatentShape & { tensors?: (tensors: NewTensor[]) => NewTensor[] },
    code: string,
    message: RegExp,
  ) =>
    withDirectory(async (directory) => {
      const path = join(directory, "model.gguf");
      const { values, tensors } = latentModel(change);
      writeFileSync(path, encodeGguf(values, change.tensors?.(tensors) ?? tensors));
      const error = await assertRejects(() => LightGPT.load(path)) as LightGPTError;
      assertEquals([error.code, message.test(error.message)], [code, true], error.message);
      assert(error.message.includes(path), error.message);
    });
  const keys = (values: Record<string, Values[string] | undefined>) => ({ values });

  it("without a rank", () =>
    refused(keys({ "deepseek2.attention.kv_lora_rank": undefined }), "modelFormat", /kv_lora_rank/));
  it("with a rank of 0", () =>
    refused(keys({ "deepseek2.attention.kv_lora_rank": u32(0) }), "modelFormat", /kv_lora_rank/));
  it("with a rank that is no whole vector", () => refused({ rank: 40 }, "unsupported", /kv_lora_rank is 40/));
  it("with values that are no whole vectors", () => refused({ vDim: 24 }, "unsupported", /value_length_mla is 24/));
  it("with a key that is rotated as a whole", () =>
    refused(keys({ "deepseek2.rope.dimension_count": u32(40) }), "modelFormat", /dimension_count/));
  it("with a key that nothing of is rotated", () =>
    refused(keys({ "deepseek2.rope.dimension_count": undefined }), "modelFormat", /dimension_count/));
  it("with latent rows that are too long", () =>
    refused(keys({ "deepseek2.attention.kv_lora_rank": u32(2048) }), "modelFormat", /kv_lora_rank/));
  it("without the matrix of its keys", () =>
    refused({ tensors: (all) => all.filter(({ name }) => !name.includes("attn_k_b")) }, "modelFormat", /attn_k_b/));
  it("with heads of another number", () =>
    refused(keys({ "deepseek2.attention.head_count": u32(4) }), "modelFormat", /attn_q_b/));
  it("with q8_0 keys where a latent row is no whole block", () =>
    withModel({ rotated: 8 }, false, async (path) => {
      const error = await assertRejects(() => LightGPT.load(path, { kv: "q8_0" })) as LightGPTError;
      assertEquals(error.code, "unsupported");
    }));
});
