/**
 * Models whose layers keep states, alone or beside attention, or have one half: what is refused of them, what becomes of a time
 * step that explodes, and the same bits with quantized weights however it is computed.
 *
 * @module
 */
import { assert, assertEquals, assertLess, assertRejects, assertThrows } from "@std/assert";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { LightGPT, LightGPTError, quantizeFile } from "../mod.ts";
import { encodeGguf } from "../scripts/gguf-writer.ts";
import { reckonProcessors } from "../src/engine/threads_option.ts";
import { writeAdapter } from "./adapter-files.ts";
import { arrayOf, f32, flag, u32 } from "./models.ts";
import {
  falconH1,
  granitehybrid,
  lfm2,
  nemotronExperts,
  nemotronH,
  planSmall,
  qwen35,
  type Shape,
  smallModel,
  withDirectory,
  withModelFile,
} from "./small-models.ts";

reckonProcessors(3);

/** A shape with other metadata; `name` is that of a key behind the architecture's. */
const withKey = (shape: Shape, name: string, value: NonNullable<Shape["values"]>[string]): Shape => ({
  ...shape,
  values: { ...shape.values, [`${shape.architecture}.${name}`]: value },
});

describe("what is refused of layers with a state", () => {
  const wrong: [what: string, shape: Shape, where: string][] = [
    ...([[granitehybrid, "ssm.conv_kernel"], [qwen35, "ssm.conv_kernel"], [lfm2, "shortconv.l_cache"]] as const)
      .flatMap((
        [shape, name],
      ) =>
        [0, 1, 17, 64].map((taps): [string, Shape, string] => [
          `${shape.architecture}: ${taps} taps`,
          withKey(shape, name, u32(taps)),
          name,
        ])
      ),
    ...([
      ["ssm.state_size", 0],
      ["ssm.state_size", 257],
      ["ssm.state_size", 2 ** 31],
      ["ssm.time_step_rank", 0],
      ["ssm.time_step_rank", 1025],
      ["ssm.group_count", 0],
      ["ssm.group_count", 5],
      ["ssm.inner_size", 0],
      ["ssm.inner_size", 97],
      ["ssm.inner_size", 2 ** 32 - 1],
    ] as const).flatMap(([name, value]) =>
      [granitehybrid, falconH1, nemotronH].map((shape): [string, Shape, string] => [
        `${shape.architecture}: ${name} of ${value}`,
        withKey(shape, name, u32(value)),
        name,
      ])
    ),
    ["too few numbers of heads", { ...granitehybrid, kvHeads: [0, 2] }, "attention.head_count_kv"],
    ["too many widths", { ...nemotronH, feedForward: [0, 128, 0, 0, 96, 0] }, "feed_forward_length"],
    ["one width for layers of one half", { ...nemotronH, feedForward: 96 }, "feed_forward_length"],
    [
      "layers named that are not there",
      withKey(qwen35, "attention.recurrent_layers", arrayOf("bool", [true, false])),
      "attention.recurrent_layers",
    ],
    [
      "numbers for the kinds of layers",
      withKey(qwen35, "attention.recurrent_layers", arrayOf("uint32", [1, 0, 1])),
      "attention.recurrent_layers",
    ],
    [
      "sections that do not cover",
      withKey(qwen35, "rope.dimension_sections", arrayOf("int32", [1, 1, 1, 0])),
      "rope.dimension_sections",
    ],
    ["a drafter that is missing", withKey(nemotronH, "nextn_predict_layers", u32(1)), "nextn_predict_layers"],
    [
      "too few widths of experts",
      withKey(nemotronExperts(), "expert_feed_forward_length", arrayOf("uint32", [0, 32, 0, 0])),
      "expert_feed_forward_length",
    ],
    [
      "no width of experts in a layer that has some",
      withKey(nemotronExperts(), "expert_feed_forward_length", arrayOf("uint32", [0, 32, 0, 0, 0])),
      "expert_feed_forward_length",
    ],
    [
      "experts of which a layer uses none",
      withKey(nemotronExperts(), "expert_used_count", arrayOf("uint32", [0, 2, 0, 0, 0])),
      "expert_used_count",
    ],
    [
      "numbers of experts for too few layers",
      withKey(nemotronExperts(), "expert_used_count", arrayOf("uint32", [0, 2, 0, 0])),
      "expert_used_count",
    ],
    ["more experts than there are", withKey(nemotronExperts(), "expert_used_count", u32(9)), "expert_used_count"],
  ];
  for (const [what, shape, where] of wrong) {
    it(what, () => {
      const error = assertThrows(() => planSmall(shape), LightGPTError, where);
      assertEquals([error.code, error.detail.where], ["modelFormat", `${shape.architecture}.${where}`]);
    });
  }

  const lacking: [what: string, shape: Shape, tensor: string][] = [
    ["a layer with neither half", {
      ...nemotronH,
      feedForward: [0, 0, 0, 0, 96],
      absent: ["blk.1.ffn_up.weight", "blk.1.ffn_down.weight"],
    }, "blk.1.ssm_in.weight"],
    ["a layer with Mamba-2 and without what its heads pass through", {
      ...granitehybrid,
      absent: ["blk.2.ssm_d"],
    }, "blk.2.ssm_d"],
    ["falcon-h1 without attention", { ...falconH1, absent: ["blk.1.attn_q.weight"] }, "blk.1.attn_q.weight"],
    ["falcon-h1 without Mamba-2", { ...falconH1, absent: ["blk.1.ssm_in.weight"] }, "blk.1.ssm_in.weight"],
    [
      "experts on a narrower row that nothing makes",
      { ...nemotronExperts(24), absent: ["blk.1.ffn_latent_down.weight"] },
      "blk.1.ffn_latent_down.weight",
    ],
  ];
  for (const [what, shape, tensor] of lacking) {
    it(what, () => {
      const error = assertThrows(() => planSmall(shape), LightGPTError, tensor);
      assertEquals([error.code, error.detail.where], ["modelFormat", tensor]);
    });
  }

  const unsupported: [what: string, shape: Shape, where: string][] = [
    ["norms of time steps", withKey(granitehybrid, "ssm.dt_b_c_rms", flag(true)), "granitehybrid.ssm.dt_b_c_rms"],
    ["a gate in a layer without", {
      ...nemotronH,
      vectors: { "blk.1.ffn_gate.weight": [0] },
    }, "blk.1.ffn_gate.weight"],
    [
      "a narrower row of experts that the architecture has not",
      withKey({ ...granitehybrid, feedForward: 32, experts: { count: 4, used: 2 } }, "moe_latent_size", u32(16)),
      "granitehybrid.moe_latent_size",
    ],
    [
      "a score that is not computed",
      withKey(nemotronExperts(), "expert_gating_func", u32(1)),
      "nemotron_h_moe.expert_gating_func",
    ],
    ["a scale of scores", withKey(falconH1, "attention.scale", f32(0.5)), "falcon-h1.attention.scale"],
    ["a tensor of an older Mamba", { ...granitehybrid, vectors: { "blk.0.ssm_x.weight": [0] } }, "blk.0.ssm_x.weight"],
  ];
  for (const [what, shape, where] of unsupported) {
    it(what, () => {
      const error = assertThrows(() => planSmall(shape), LightGPTError, where);
      assertEquals([error.code, error.detail.where], ["unsupported", where]);
    });
  }
});

/** The token whose time step is beyond all bounds, in the first layer's first head. */
const loud = 9;

/** The file of a model whose first head decays by e to the time step, which `loud` alone makes large. */
function explosive(shape: Shape): Uint8Array {
  const { values, tensors } = smallModel(shape);
  const floats = (name: string) => {
    const found = tensors.find((tensor) => tensor.name === name);
    assert(found !== undefined, name);
    return { of: new Float32Array(found.data.buffer), dims: found.dims };
  };
  const { of: embeddings, dims: [width] } = floats("token_embd.weight");
  embeddings.forEach((value, at) => {
    const isFirst = at % width === 0;
    embeddings[at] = Math.floor(at / width) === loud ? (isFirst ? 50 : 0) : isFirst ? 0 : value;
  });
  // The rows of time steps are the last of the matrix, or all of one of their own.
  const steps = floats(shape.delta ? "blk.0.ssm_alpha.weight" : "blk.0.ssm_in.weight");
  const heads = shape.delta?.heads ?? shape.mamba?.heads ?? 0;
  const first = steps.of.subarray((steps.dims[1] - heads) * width).subarray(0, width);
  first.fill(0)[0] = 100;
  floats("blk.0.ssm_a").of[0] = 1;
  floats("blk.0.ssm_dt.bias").of[0] = -4;
  return encodeGguf(values, tensors);
}

describe("a time step that explodes", () => {
  for (const shape of [granitehybrid, falconH1, nemotronH, qwen35]) {
    it(`${shape.architecture}: is nonFinite for its sequence, and harms no other`, () =>
      withDirectory(async (directory) => {
        const path = join(directory, "model.gguf");
        writeFileSync(path, explosive(shape));
        await using lm = await LightGPT.load(path, { threads: 2, cache: false });
        const quiet = Array.from({ length: 21 }, (_, at) => 10 + (at * 37) % 260);
        const alone = await lm.logits(quiet, { all: true });
        assert(alone.every(Number.isFinite));
        const [before, error, after] = await Promise.all([
          lm.logits(quiet, { all: true }),
          assertRejects(() => lm.logits([12, loud, 30], { all: true }), LightGPTError),
          lm.logits(quiet, { all: true }),
        ]);
        assertEquals(error.code, "nonFinite");
        assertEquals(before, alone);
        assertEquals(after, alone);
        // Nor what comes after it in the same pages.
        assertEquals(await lm.logits(quiet, { all: true }), alone);
      }));
  }
});

const shapes = [granitehybrid, falconH1, nemotronH, nemotronExperts(32), qwen35];

it("a model of feed-forward parts alone keeps nothing, and runs", () =>
  withModelFile({
    ...nemotronH,
    layers: 2,
    kvHeads: [0, 0],
    feedForward: [64, 32],
    mixers: ["none", "none"],
  }, async (path) => {
    await using lm = await LightGPT.load(path, { threads: 1 });
    assertEquals(await lm.logits([4, 5, 9]), await lm.logits([7, 9]), "no token sees another");
  }));

it("an adapter changes matrices of Mamba-2, and no convolution", () =>
  withModelFile(falconH1, async (path) => {
    const shape = { rank: 5, alpha: 5, seed: 3 };
    const adapter = writeAdapter(`${path}.lora`, path, { ...shape, only: /ssm_(in|out)\.weight$/ });
    const logits: Float32Array[] = [];
    for (const [threads, chunkTokens, scale] of [[1, 512, 1], [2, 1, 1], [2, 1, 0]]) {
      await using lm = await LightGPT.load(path, { threads, chunkTokens, adapters: [{ path: adapter, scale }] });
      logits.push(await lm.logits([5, 9, 77, 100, 4, 8, 99]));
    }
    assertEquals(logits[1], logits[0]);
    assert(logits[2].some((logit, at) => logit !== logits[0][at]));
    const other = writeAdapter(`${path}.lora`, path, { ...shape, only: /ssm_conv1d\.weight$/ });
    const error = await assertRejects(() => LightGPT.load(path, { adapters: [{ path: other }] }), LightGPTError);
    assertEquals([error.code, error.detail.where], ["unsupported", "blk.0.ssm_conv1d.weight.lora_a"]);
  }));

describe("quantized weights of layers with a state", () => {
  for (const [number, shape] of shapes.entries()) {
    it(`${shape.architecture} (${number}): the same bits for threads and chunks, near the floats`, () =>
      withDirectory(async (directory) => {
        const [whole, path] = ["whole.gguf", "q8_0.gguf"].map((name) => join(directory, name));
        const { values, tensors } = smallModel(shape);
        writeFileSync(whole, encodeGguf(values, tensors));
        await quantizeFile(whole, path, { type: "q8_0" });
        const tokens = Array.from({ length: 40 }, (_, at) => 1 + (at * 37) % 270);
        const read = async (file: string, options: Parameters<typeof LightGPT.load>[1]) => {
          await using lm = await LightGPT.load(file, options);
          return await lm.logits(tokens, { all: true });
        };
        for (const activations of ["int8", "int16"] as const) {
          const logits = await read(path, { activations, threads: 1 });
          for (const [threads, chunkTokens] of [[3, 7], [2, 1]]) {
            assertEquals(await read(path, { activations, threads, chunkTokens }), logits);
          }
          const floats = await read(whole, { threads: 1 });
          const mean = (values: Float32Array) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length);
          assertLess(mean(floats.map((value, at) => value - logits[at])) / mean(floats), shape.experts ? 0.3 : 0.1);
        }
      }));
  }
});
