/**
 * A GGUF file in the shape of TinyLlama-1.1B with random weights, so that anyone can measure on a model of a known size
 * without a download. Runs on Deno and on Bun and takes a few seconds.
 *
 *     bun bench/tinyllama.ts [--type q4_0|q8_0|q4_k_m|q6_k|f16|...] [--layers 22] [--out FILE] [--force]
 *
 * It prints the path. A file that is there already, of the size it must have, is left alone.
 *
 * @module
 */

import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { BlockTypeName } from "./blocks.ts";
import { type RandomModel, specialTokens, type TensorPlan, writeRandomModel } from "./random_model.ts";

/** The shape: every count that the arithmetic depends on. */
export const SHAPE = {
  layers: 22,
  embedding: 2048,
  feedForward: 5632,
  heads: 32,
  kvHeads: 4,
  vocabulary: 32000,
  context: 2048,
} as const;

/** The kinds of file, and `general.file_type` of each. Those of one type have all matrices in it. */
const FILE_TYPES = {
  f32: 0,
  f16: 1,
  bf16: 32,
  q4_0: 2,
  q4_1: 3,
  q5_0: 8,
  q5_1: 9,
  q8_0: 7,
  q2_k: 10,
  q3_k: 11,
  q4_k: 14,
  q4_k_m: 15,
  q5_k: 16,
  q6_k: 18,
  iq4_nl: 25,
  iq4_xs: 30,
  mxfp4: 38,
} as const;

/** What `--type` takes. */
export type FileType = keyof typeof FILE_TYPES;

/** llama.cpp's mix: Q6_K for the output and for attn_v and ffn_down in the outer and every third of the inner layers. */
function matrixType(file: FileType, name: string, layer: number, layers: number): BlockTypeName {
  if (file !== "q4_k_m") return file;
  if (name === "output") return "q6_k";
  if (name !== "attn_v" && name !== "ffn_down") return "q4_k";
  const eighth = Math.trunc(layers / 8);
  const outer = layer < eighth || layer >= Math.trunc(7 * layers / 8);
  return outer || (layer - eighth) % 3 === 2 ? "q6_k" : "q4_k";
}

function tensors(file: FileType, layers: number): TensorPlan[] {
  const { embedding, feedForward, heads, kvHeads, vocabulary } = SHAPE;
  const kv = embedding / heads * kvHeads;
  const plan: TensorPlan[] = [];
  const norm = (name: string) => plan.push({ name: `${name}.weight`, type: "f32", dims: [embedding], near: 1 });
  const matrix = (name: string, dims: number[], layer = -1) => {
    const prefix = layer < 0 ? "" : `blk.${layer}.`;
    plan.push({ name: `${prefix}${name}.weight`, type: matrixType(file, name, layer, layers), dims });
  };
  matrix("token_embd", [embedding, vocabulary]);
  for (let layer = 0; layer < layers; layer++) {
    norm(`blk.${layer}.attn_norm`);
    matrix("attn_q", [embedding, embedding], layer);
    matrix("attn_k", [embedding, kv], layer);
    matrix("attn_v", [embedding, kv], layer);
    matrix("attn_output", [embedding, embedding], layer);
    norm(`blk.${layer}.ffn_norm`);
    matrix("ffn_gate", [embedding, feedForward], layer);
    matrix("ffn_up", [embedding, feedForward], layer);
    matrix("ffn_down", [feedForward, embedding], layer);
  }
  norm("output_norm");
  matrix("output", [embedding, vocabulary]);
  return plan;
}

function modelOf(file: FileType, layers: number): RandomModel {
  return {
    strings: {
      "general.architecture": "llama",
      "general.name": `TinyLlama-1.1B shape, random weights, ${file}`,
      "tokenizer.ggml.model": "llama",
    },
    numbers: {
      ...specialTokens,
      "general.file_type": FILE_TYPES[file],
      "llama.block_count": layers,
      "llama.context_length": SHAPE.context,
      "llama.embedding_length": SHAPE.embedding,
      "llama.feed_forward_length": SHAPE.feedForward,
      "llama.attention.head_count": SHAPE.heads,
      "llama.attention.head_count_kv": SHAPE.kvHeads,
      "llama.rope.dimension_count": SHAPE.embedding / SHAPE.heads,
      "llama.vocab_size": SHAPE.vocabulary,
    },
    floats: { "llama.attention.layer_norm_rms_epsilon": 1e-5 },
    vocabulary: SHAPE.vocabulary,
    tensors: tensors(file, layers),
  };
}

/** Where a file of this type lies unless told otherwise. */
export function defaultPath(file: FileType, layers: number = SHAPE.layers): string {
  const cut = layers === SHAPE.layers ? "" : `-${layers}`;
  return join(tmpdir(), "lightgpt-bench", `tinyllama-${file}${cut}.gguf`);
}

/** Writes the file unless it is there, cut to so many layers; returns its path. */
export function makeTinyLlama(
  file: FileType,
  path: string = defaultPath(file),
  force = false,
  layers: number = SHAPE.layers,
): string {
  return writeRandomModel(modelOf(file, layers), path, force);
}

/** The file type that a text names; throws for any other. */
export function parseFileType(text: string): FileType {
  if (Object.hasOwn(FILE_TYPES, text)) return text as FileType;
  throw new RangeError(`--type is "${text}"; it must be one of ${Object.keys(FILE_TYPES).join(", ")}`);
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      type: { type: "string", default: "q4_0" },
      layers: { type: "string", default: String(SHAPE.layers) },
      out: { type: "string" },
      force: { type: "boolean", default: false },
    },
  });
  const type = parseFileType(values.type);
  const layers = Number(values.layers);
  if (!Number.isInteger(layers) || layers < 1) {
    throw new RangeError(`--layers is "${values.layers}"; it must be a count`);
  }
  console.log(makeTinyLlama(type, values.out ?? defaultPath(type, layers), values.force, layers));
}
