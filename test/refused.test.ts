/**
 * Models that are refused: what an architecture does not have is named with its key and the file, never computed otherwise.
 *
 * @module
 */
import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import { LightGPTError } from "../ffi/errors.ts";
import { ARCHITECTURES } from "../src/model/architectures/table.ts";
import { expertRefusals } from "./expert-shapes.ts";
import { arrayOf, f32, flag, text, u32 } from "./models.ts";
import { gemma3, gemma4, llama, phi3, planSmall as plan, type Shape, yarn } from "./small-models.ts";

/** What makes layer 1 of a llama one without some part. */
const without = (key: string, numbers: number[], tensor: string): Partial<Shape> => ({
  values: { [`llama.${key}`]: arrayOf("uint32", numbers) },
  absent: [`blk.1.${tensor}.weight`],
});
const qwen3vl: Shape = { architecture: "qwen3vl", headNorms: true };
const sections = (sizes: number[]) => ({ "qwen3vl.rope.dimension_sections": arrayOf("int32", sizes) });

describe("what is refused", () => {
  const refused: [what: string, shape: Shape, type: string, where: string][] = [
    [
      "another architecture",
      { architecture: "falcon" },
      "UnsupportedError",
      "general.architecture",
    ],
    ...expertRefusals,
    [
      "experts in an architecture without",
      {
        architecture: "qwen2",
        values: { "qwen2.expert_count": u32(8) },
        vectors: { "blk.0.ffn_gate_inp.weight": [0] },
      },
      "UnsupportedError",
      "qwen2.expert_count",
    ],
    ...([
      ["positions of several dimensions", "rope.dimension_sections", arrayOf("int32", [8, 8, 0, 0]), []],
      ["a scale of the logits", "logit_scale", f32(0.5), []],
      ["a scale of the residual stream", "residual_scale", f32(2), []],
      ["a cap of scores", "attn_logit_softcapping", f32(50), []],
      ["a cap of logits", "final_logit_softcapping", f32(30), []],
      ["alibi", "attention.max_alibi_bias", f32(8), []],
      ["clamped attention", "attention.clamp_kqv", f32(8), []],
      ["an unknown scaling of positions", "rope.scaling.type", text("nosuch"), []],
      ["a scale of embeddings", "embedding_scale", f32(3), []],
      ["a scale of scores", "attention.scale", f32(0.5), []],
      ["heads rotated in part", "rope.dimension_count", u32(8), []],
      ["a cap of a router's logits", "router_logit_softcapping", f32(30), []],
      ["clamped experts in one layer", "swiglu_clamp_exp", arrayOf("float32", [0, 7, 0]), []],
      ["a layer that is not rotated", "attention.rope_pattern", arrayOf("uint32", [1, 1, 0]), []],
      ["an index of keys", "attention.indexer.top_k", u32(2048), []],
      ["latent keys", "attention.kv_lora_rank", u32(512), []],
      ["halves side by side", "use_parallel_residual", flag(true), []],
      ["layers that are gone through twice", "num_loops", u32(2), []],
      ["several streams", "hyper_connection.count", u32(4), []],
      ["experts on a narrower row", "expert_latent_length", u32(16), []],
      ["adapters that tokens choose", "adapters.count", u32(3), []],
      ["rows of another length in the end", "embedding_length_out", u32(32), []],
      ["a tensor that nothing uses", "blk.0.attn_sinks.weight", undefined, ["blk.0.attn_sinks.weight"]],
    ] as const).map(([what, key, value, extra]): [string, Shape, string, string] => [
      what,
      {
        ...llama,
        values: { [`llama.${key}`]: value },
        vectors: Object.fromEntries(extra.map((name) => [name, [0]])),
      },
      "UnsupportedError",
      value === undefined ? key : `llama.${key}`,
    ]),
    ...([
      ["olmo2", "rope.freq_base_swa", f32(500)],
      ["cohere2", "rope.freq_base_swa", f32(500)],
      ["gemma3", "rope.dimension_count_swa", u32(8)],
      ["gemma3", "attention.key_length_swa", u32(8)],
      ["gemma2", "attention.value_length_swa", u32(8)],
    ] as const).map(([architecture, key, value]): [string, Shape, string, string] => [
      `${key} in ${architecture}, which has none of its windows`,
      { architecture, values: { [`${architecture}.${key}`]: value } },
      "UnsupportedError",
      `${architecture}.${key}`,
    ]),
    ...([
      ["values of another length than keys", { keyLength: 24, valueLength: 40 }, "llama.attention.value_length"],
      ["olmo2 with a norm before", {
        architecture: "olmo2",
        headNorms: "rows",
        postNorms: true,
      }, "blk.0.attn_norm.weight"],
      ["head norms in a llama", { headNorms: true }, "blk.0.attn_q_norm.weight"],
      ["a layer without attention", without("attention.head_count", [4, 0, 4], "attn_q"), "llama.attention.head_count"],
      [
        "a layer without keys",
        without("attention.head_count_kv", [2, 0, 2], "attn_k"),
        "llama.attention.head_count_kv",
      ],
      [
        "a layer without feed-forward",
        without("feed_forward_length", [96, 0, 96], "ffn_up"),
        "llama.feed_forward_length",
      ],
    ] as const).map(([what, shape, where]): [string, Shape, string, string] => [
      what,
      { ...llama, ...shape },
      "UnsupportedError",
      where,
    ]),
    ...([
      [
        "sections that leave out a pair",
        { ...qwen3vl, values: sections([3, 3, 1, 0]) },
        "qwen3vl.rope.dimension_sections",
      ],
      ["sections beyond the pairs", { ...qwen3vl, values: sections([3, 3, 3, 0]) }, "qwen3vl.rope.dimension_sections"],
      ["a fourth section", { ...qwen3vl, values: sections([3, 3, 2, 1]) }, "qwen3vl.rope.dimension_sections"],
      ["sections below 0", { ...qwen3vl, values: sections([9, -1, 0, 0]) }, "qwen3vl.rope.dimension_sections"],
      ["no sections", { ...qwen3vl, values: {} }, "qwen3vl.rope.dimension_sections"],
      ["a window of 0", {
        ...gemma3,
        architecture: "gemma2",
        headNorms: false,
        values: { "gemma2.attention.sliding_window": u32(0) },
      }, "gemma2.attention.sliding_window"],
      ["a window above 2^31", {
        ...gemma3,
        values: { "gemma3.attention.sliding_window": u32(2 ** 31) },
      }, "gemma3.attention.sliding_window"],
      ["gemma4 without a window", {
        ...gemma4,
        values: { ...gemma4.values, "gemma4.attention.sliding_window": undefined },
      }, "gemma4.attention.sliding_window"],
      ["gemma4 without a pattern", {
        ...gemma4,
        values: { ...gemma4.values, "gemma4.attention.sliding_window_pattern": undefined },
      }, "gemma4.attention.sliding_window_pattern"],
      ["more shared layers than there are before", {
        ...gemma4,
        values: { ...gemma4.values, "gemma4.attention.shared_kv_layers": u32(6) },
      }, "gemma4.attention.shared_kv_layers"],
      ["shared layers without one to share with", {
        ...gemma4,
        values: { ...gemma4.values, "gemma4.attention.shared_kv_layers": u32(5) },
      }, "gemma4.attention.shared_kv_layers"],
      ["inputs of layers without their tensors", {
        ...gemma4,
        layerInputs: undefined,
      }, "per_layer_token_embd.weight"],
      ["experts beside a dense part without a norm of theirs", {
        ...gemma4,
        experts: { count: 6, used: 2, width: 40, beside: true },
        absent: ["blk.0.pre_ffw_norm_2.weight"],
      }, "blk.0.pre_ffw_norm_2.weight"],
      ["inputs of layers beyond the limit", {
        ...gemma4,
        values: { ...gemma4.values, "gemma4.embedding_length_per_layer_input": u32(4097) },
      }, "gemma4.embedding_length_per_layer_input"],
      ["a rotation longer than the keys of windows", {
        ...gemma4,
        values: { ...gemma4.values, "gemma4.rope.dimension_count_swa": u32(32) },
      }, "gemma4.rope.dimension_count_swa"],
      ["a pattern of words", {
        ...gemma3,
        layers: 1,
        values: { ...gemma3.values, "gemma3.attention.sliding_window_pattern": arrayOf("string", ["local"]) },
      }, "gemma3.attention.sliding_window_pattern"],
      [
        "granite without a scale of logits",
        { ...llama, architecture: "granite" },
        "granite.logit_scale",
      ],
      ["YaRN with a base of 1", {
        ...llama,
        values: { ...yarn("llama"), "llama.rope.freq_base": f32(1) },
      }, "llama.rope.freq_base"],
      ["qwen2 without biases", { architecture: "qwen2" }, "blk.0.attn_q.bias"],
      ["qwen3 without norms of heads", { architecture: "qwen3" }, "blk.0.attn_q_norm.weight"],
      ["gemma2 without norms behind", { architecture: "gemma2" }, "blk.0.post_attention_norm.weight"],
      [
        "longrope without factors",
        { ...llama, values: { "llama.rope.scaling.type": text("longrope") } },
        "llama.rope.scaling.type",
      ],
      ["factors for one kind of context only", {
        ...phi3,
        vectors: { "rope_factors_short.weight": [1, 1, 1, 1, 1, 1] },
      }, "rope_factors_long.weight"],
      ["too few factors", { ...llama, vectors: { "rope_freqs.weight": [1, 1] } }, "rope_freqs.weight"],
      ["too few layers in an array", {
        ...llama,
        feedForward: [96, 96],
        layers: 2,
        values: { "llama.block_count": u32(3) },
      }, "llama.feed_forward_length"],
      [
        "an array with 0 for a layer that has the tensor",
        { ...llama, values: { "llama.attention.head_count": arrayOf("uint32", [4, 0, 4]) } },
        "llama.attention.head_count",
      ],
      ["a pattern that is too short", {
        ...gemma3,
        values: { ...gemma3.values, "gemma3.attention.sliding_window_pattern": arrayOf("bool", [true]) },
      }, "gemma3.attention.sliding_window_pattern"],
      [
        "a base that is not finite",
        { ...llama, values: { "llama.rope.freq_base": f32(Infinity) } },
        "llama.rope.freq_base",
      ],
      [
        "more dimensions rotated than there are",
        { ...llama, values: { "llama.rope.dimension_count": u32(18) } },
        "llama.rope.dimension_count",
      ],
      [
        "a key that is too long",
        { ...llama, values: { "llama.attention.key_length": u32(1025) } },
        "llama.attention.key_length",
      ],
      ["a context of more than 16 Mi", { ...llama, context: 2 ** 24 + 1 }, "llama.context_length"],
      ["layers without end", { ...llama, values: { "llama.block_count": u32(513) } }, "llama.block_count"],
    ] as [string, Shape, string][]).map(([what, shape, where]): [string, Shape, string, string] => [
      what,
      shape,
      "ModelFormatError",
      where,
    ]),
  ];
  for (const [what, shape, type, where] of refused) {
    it(what, () => {
      const error = assertThrows(() => plan(shape), LightGPTError, where);
      assertEquals([error.name, error.detail.where], [type, where]);
      assertEquals(error.message.startsWith("small"), true, `${error.message} names no file`);
    });
  }

  it("those that are not there are refused by their names", () => {
    for (
      const architecture of ["gemma3n", "mamba", "mamba2", "jamba", "plamo2", "kimi-linear", "deepseek32", "nosuch"]
    ) {
      const error = assertThrows(() => plan({ architecture }), LightGPTError, `'${architecture}'`);
      assertEquals([error.code, error.detail.where], ["unsupported", "general.architecture"]);
    }
  });

  it("another architecture is named, and those that there are", () => {
    const { message } = assertThrows(() => plan({ architecture: "falcon" }));
    for (const name of ["falcon", ...ARCHITECTURES.keys()]) assertEquals(message.includes(name), true, name);
  });
});
