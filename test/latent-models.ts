/**
 * Models with latent attention (deepseek2) of made-up sizes, with random weights, and the same in the form of older files.
 *
 * @module
 */
import type { NewTensor } from "../scripts/gguf-writer.ts";
import { native } from "../ffi/native.ts";
import { f32, randomNumbers, spm, text, u32, type Values } from "./models.ts";

/** What a model is like; all of its layers are dense. */
export interface LatentShape {
  readonly heads?: number;
  readonly rank?: number;
  readonly plain?: number;
  readonly rotated?: number;
  readonly vDim?: number;
  /** 0: queries are made from the stream. */
  readonly queryRank?: number;
  /** ggml's number of the type of the matrices; F32 unless given. */
  readonly type?: number;
  /** Metadata besides, or instead; `undefined` leaves a key out. */
  readonly values?: Record<string, Values[string] | undefined>;
}

const [embedding, layers, feedForward] = [64, 2, 96];

/** Metadata and tensors; `older`: keys and values of all heads have one matrix. */
export function latentModel(
  shape: LatentShape,
  older = false,
): { values: Map<string, Values[string]>; tensors: NewTensor[] } {
  const { heads = 3, rank = 32, plain = 32, rotated = 8, vDim = 16, queryRank = 32, type = 0 } = shape;
  const k = plain + rotated;
  const vocabulary = spm();
  const count = (vocabulary["tokenizer.ggml.tokens"].value as { length: number } & object).length;
  const key = (name: string) => `deepseek2.${name}`;
  const lengths = older
    ? { key_length: k, value_length: vDim, head_count_kv: heads }
    : { key_length: rank + rotated, value_length: rank, head_count_kv: 1, key_length_mla: k, value_length_mla: vDim };
  const values: Record<string, Values[string] | undefined> = {
    "general.architecture": text("deepseek2"),
    [key("block_count")]: u32(layers),
    [key("context_length")]: u32(256),
    [key("embedding_length")]: u32(embedding),
    [key("feed_forward_length")]: u32(feedForward),
    [key("attention.head_count")]: u32(heads),
    [key("attention.layer_norm_rms_epsilon")]: f32(1e-6),
    ...Object.fromEntries(Object.entries(lengths).map(([name, value]) => [key(`attention.${name}`), u32(value)])),
    [key("attention.kv_lora_rank")]: u32(rank),
    ...(queryRank > 0 ? { [key("attention.q_lora_rank")]: u32(queryRank) } : {}),
    [key("rope.dimension_count")]: u32(rotated),
    [key("leading_dense_block_count")]: u32(layers),
    [key("expert_count")]: u32(2),
    [key("expert_used_count")]: u32(1),
    [key("expert_feed_forward_length")]: u32(32),
    ...vocabulary,
    ...shape.values,
  };
  const random = randomNumbers(29);
  const bell = () => (random(1 << 16) + random(1 << 16) + random(1 << 16) - 3 * 2 ** 15) / 2 ** 15;
  const tensors: NewTensor[] = [];
  const add = (name: string, dims: number[], data: Float32Array) => {
    const isMatrix = dims.length > 1 && type !== 0;
    tensors.push({
      name: `${name}.weight`,
      type: isMatrix ? type : 0,
      dims,
      data: isMatrix ? encoded(data, type) : bytesOf(data),
    });
  };
  const matrix = (columns: number, rows: number) =>
    Float32Array.from({ length: columns * rows }, () => bell() / Math.sqrt(columns));
  const norm = (name: string, length: number) =>
    add(name, [length], Float32Array.from({ length }, () => 1 + bell() / 4));
  add("token_embd", [embedding, count], matrix(embedding, count));
  for (let layer = 0; layer < layers; layer++) {
    const block = (part: string) => `blk.${layer}.${part}`;
    norm(block("attn_norm"), embedding);
    if (queryRank > 0) {
      add(block("attn_q_a"), [embedding, queryRank], matrix(embedding, queryRank));
      norm(block("attn_q_a_norm"), queryRank);
      add(block("attn_q_b"), [queryRank, heads * k], matrix(queryRank, heads * k));
    } else add(block("attn_q"), [embedding, heads * k], matrix(embedding, heads * k));
    add(block("attn_kv_a_mqa"), [embedding, rank + rotated], matrix(embedding, rank + rotated));
    norm(block("attn_kv_a_norm"), rank);
    // Rows of a head's keys, then rows of its values, each as long as the latent row.
    const joined = matrix(rank, heads * (plain + vDim));
    if (older) add(block("attn_kv_b"), [rank, heads * (plain + vDim)], joined);
    else {
      const at = (head: number, row: number, column: number) =>
        joined[(head * (plain + vDim) + row) * rank + column] as number;
      const keys = Float32Array.from({ length: heads * rank * plain }, (_, index) => {
        const [head, row, column] = [
          Math.floor(index / (rank * plain)),
          Math.floor(index / plain) % rank,
          index % plain,
        ];
        return at(head, column, row);
      });
      const own = Float32Array.from({ length: heads * vDim * rank }, (_, index) => {
        const [head, row, column] = [Math.floor(index / (vDim * rank)), Math.floor(index / rank) % vDim, index % rank];
        return at(head, plain + row, column);
      });
      add(block("attn_k_b"), [plain, rank, heads], keys);
      add(block("attn_v_b"), [rank, vDim, heads], own);
    }
    add(block("attn_output"), [heads * vDim, embedding], matrix(heads * vDim, embedding));
    norm(block("ffn_norm"), embedding);
    add(block("ffn_gate"), [embedding, feedForward], matrix(embedding, feedForward));
    add(block("ffn_up"), [embedding, feedForward], matrix(embedding, feedForward));
    add(block("ffn_down"), [feedForward, embedding], matrix(feedForward, embedding));
  }
  norm("output_norm", embedding);
  return {
    values: new Map(
      Object.entries(values).filter((entry): entry is [string, Values[string]] => entry[1] !== undefined),
    ),
    tensors,
  };
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer);
}

function encoded(values: Float32Array, format: number): Uint8Array {
  const { blockElements, blockBytes } = native().formats.find(({ id }) => id === format) as {
    blockElements: number;
    blockBytes: number;
  };
  const blocks = new Uint8Array(values.length / blockElements * blockBytes);
  native().quantize({
    format,
    source: "f32",
    rounding: "nearest",
    outliers: "keep",
    threshold: 0,
    columns: blockElements,
    threads: 1,
    values,
    importance: new Float32Array(0),
    mask: new Uint32Array(0),
    blocks,
  });
  return blocks;
}
