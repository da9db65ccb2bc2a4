/**
 * Larger models' shapes, cut to eight layers so that they fit: a mixture of 128 experts of which a token goes to eight (Qwen3
 * 30B-A3B), and a hybrid of the gated delta rule and attention (Qwen 3.5 9B). Random weights in llama.cpp's Q4_K_M mix, and a
 * vocabulary of 32 000, where theirs is five to eight times as large: the output matrix counts for less than in a whole model anyway.
 *
 *     bun bench/shapes.ts a3b|hybrid [--layers 8] [--out FILE]
 *
 * @module
 */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { q4KM, type RandomModel, specialTokens, type TensorPlan, writeRandomModel } from "./random_model.ts";
import { type FileType, makeTinyLlama } from "./tinyllama.ts";

/** The shapes by name. */
export const SHAPES = { a3b, hybrid } as const;
/** The name of a shape. */
export type ShapeName = keyof typeof SHAPES;

const layersUsual = 8;
const vocabulary = 32_000;
const context = 8192;

/** Adds tensors of one layer, or of none. */
class Tensors {
  readonly list: TensorPlan[] = [];

  matrix(name: string, dims: readonly number[], type: TensorPlan["type"] = "q4_k"): void {
    this.list.push({ name: `${name}.weight`, type, dims });
  }

  norm(name: string, length: number): void {
    this.list.push({ name: `${name}.weight`, type: "f32", dims: [length], near: 1 });
  }

  vector(name: string, length: number, near: 1 | -1): void {
    this.list.push({ name, type: "f32", dims: [length], near });
  }
}

/** Q4_K_M has Q6_K for values and down in every second layer of a model of few layers. */
const wide = (layer: number) => layer % 2 === 1 ? "q6_k" : "q4_k";

function whole(tensors: Tensors, embedding: number, layers: number, layer: (number: number) => void): TensorPlan[] {
  tensors.matrix("token_embd", [embedding, vocabulary]);
  for (let number = 0; number < layers; number++) layer(number);
  tensors.norm("output_norm", embedding);
  tensors.matrix("output", [embedding, vocabulary], "q6_k");
  return tensors.list;
}

/** Attention of grouped heads, with norms of heads; `gated`: queries bring a gate. */
function attention(
  tensors: Tensors,
  at: (part: string) => string,
  { embedding, heads, kvHeads, length, gated }:
    & Readonly<Record<"embedding" | "heads" | "kvHeads" | "length", number>>
    & {
      readonly gated: boolean;
    },
  values: TensorPlan["type"],
): void {
  tensors.matrix(at("attn_q"), [embedding, (gated ? 2 : 1) * heads * length]);
  tensors.matrix(at("attn_k"), [embedding, kvHeads * length]);
  tensors.matrix(at("attn_v"), [embedding, kvHeads * length], values);
  tensors.matrix(at("attn_output"), [heads * length, embedding]);
  tensors.norm(at("attn_q_norm"), length);
  tensors.norm(at("attn_k_norm"), length);
}

function a3b(layers: number): RandomModel {
  const [embedding, experts, width] = [2048, 128, 768];
  const sizes = { embedding, heads: 32, kvHeads: 4, length: 128, gated: false };
  const tensors = new Tensors();
  whole(tensors, embedding, layers, (layer) => {
    const at = (part: string) => `blk.${layer}.${part}`;
    tensors.norm(at("attn_norm"), embedding);
    attention(tensors, at, sizes, wide(layer));
    tensors.norm(at("ffn_norm"), embedding);
    tensors.matrix(at("ffn_gate_inp"), [embedding, experts], "f32");
    tensors.matrix(at("ffn_gate_exps"), [embedding, width, experts]);
    tensors.matrix(at("ffn_up_exps"), [embedding, width, experts]);
    tensors.matrix(at("ffn_down_exps"), [width, embedding, experts], wide(layer));
  });
  return {
    strings: {
      "general.architecture": "qwen3moe",
      "general.name": `Qwen3 30B-A3B shape, ${layers} layers, random weights`,
      "tokenizer.ggml.model": "llama",
    },
    numbers: {
      ...specialTokens,
      "general.file_type": q4KM,
      "qwen3moe.block_count": layers,
      "qwen3moe.context_length": context,
      "qwen3moe.embedding_length": embedding,
      "qwen3moe.feed_forward_length": 6144,
      "qwen3moe.attention.head_count": sizes.heads,
      "qwen3moe.attention.head_count_kv": sizes.kvHeads,
      "qwen3moe.attention.key_length": sizes.length,
      "qwen3moe.attention.value_length": sizes.length,
      "qwen3moe.expert_count": experts,
      "qwen3moe.expert_used_count": 8,
      "qwen3moe.expert_feed_forward_length": width,
    },
    floats: { "qwen3moe.attention.layer_norm_rms_epsilon": 1e-6, "qwen3moe.rope.freq_base": 1e6 },
    vocabulary,
    tensors: tensors.list,
  };
}

function hybrid(layers: number): RandomModel {
  const [embedding, feedForward, interval] = [4096, 12_288, 4];
  const sizes = { embedding, heads: 16, kvHeads: 4, length: 256, gated: true };
  const state = { heads: 32, groups: 16, size: 128, taps: 4 };
  const [inner, channels] = [state.heads * state.size, (state.heads + 2 * state.groups) * state.size];
  const tensors = new Tensors();
  whole(tensors, embedding, layers, (layer) => {
    const at = (part: string) => `blk.${layer}.${part}`;
    tensors.norm(at("attn_norm"), embedding);
    if ((layer + 1) % interval === 0) attention(tensors, at, sizes, wide(layer));
    else {
      tensors.matrix(at("attn_qkv"), [embedding, channels]);
      tensors.matrix(at("attn_gate"), [embedding, inner]);
      tensors.matrix(at("ssm_beta"), [embedding, state.heads]);
      tensors.matrix(at("ssm_alpha"), [embedding, state.heads]);
      tensors.matrix(at("ssm_conv1d"), [state.taps, channels], "f32");
      tensors.vector(at("ssm_a"), state.heads, -1);
      tensors.vector(at("ssm_dt.bias"), state.heads, 1);
      tensors.norm(at("ssm_norm"), state.size);
      tensors.matrix(at("ssm_out"), [inner, embedding]);
    }
    tensors.norm(at("post_attention_norm"), embedding);
    tensors.matrix(at("ffn_gate"), [embedding, feedForward]);
    tensors.matrix(at("ffn_up"), [embedding, feedForward]);
    tensors.matrix(at("ffn_down"), [feedForward, embedding], wide(layer));
  });
  return {
    strings: {
      "general.architecture": "qwen35",
      "general.name": `Qwen 3.5 9B shape, ${layers} layers, random weights`,
      "tokenizer.ggml.model": "llama",
    },
    numbers: {
      ...specialTokens,
      "general.file_type": q4KM,
      "qwen35.block_count": layers,
      "qwen35.context_length": context,
      "qwen35.embedding_length": embedding,
      "qwen35.feed_forward_length": feedForward,
      "qwen35.attention.head_count": sizes.heads,
      "qwen35.attention.head_count_kv": sizes.kvHeads,
      "qwen35.attention.key_length": sizes.length,
      "qwen35.attention.value_length": sizes.length,
      "qwen35.rope.dimension_count": 64,
      "qwen35.full_attention_interval": interval,
      "qwen35.ssm.conv_kernel": state.taps,
      "qwen35.ssm.inner_size": inner,
      "qwen35.ssm.state_size": state.size,
      "qwen35.ssm.time_step_rank": state.heads,
      "qwen35.ssm.group_count": state.groups,
    },
    floats: { "qwen35.attention.layer_norm_rms_epsilon": 1e-6, "qwen35.rope.freq_base": 1e7 },
    lists: { "qwen35.rope.dimension_sections": [11, 11, 10, 0] },
    vocabulary,
    tensors: tensors.list,
  };
}

/** Writes the file of a shape unless it is there; returns its path. */
export function makeShape(name: ShapeName, layers: number = layersUsual, path?: string): string {
  const usual = join(tmpdir(), "lightgpt-bench", `${name}-${layers}.gguf`);
  return writeRandomModel(SHAPES[name](layers), path ?? usual);
}

/** Writes the file that an experiment names, unless it is there; returns its path. */
export function makeModel(model: FileType | ShapeName): string {
  return Object.hasOwn(SHAPES, model) ? makeShape(model as ShapeName) : makeTinyLlama(model as FileType);
}

if (import.meta.main) {
  const { values, positionals: [name = ""] } = parseArgs({
    allowPositionals: true,
    options: { layers: { type: "string", default: String(layersUsual) }, out: { type: "string" } },
  });
  if (!Object.hasOwn(SHAPES, name)) {
    throw new RangeError(`the shape is "${name}"; it must be one of ${Object.keys(SHAPES).join(", ")}`);
  }
  console.log(makeShape(name as ShapeName, Number(values.layers), values.out));
}
