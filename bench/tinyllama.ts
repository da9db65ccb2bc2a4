/**
 * A GGUF file in the shape of TinyLlama-1.1B with random weights, so that anyone can measure on a model of a known size
 * without a download. Runs on Deno and on Bun and takes a few seconds.
 *
 *     bun bench/tinyllama.ts [--type q4_0|q8_0|q4_k_m|q6_k|f16|...] [--out FILE] [--force]
 *
 * It prints the path. A file that is there already, of the size it must have, is left alone.
 *
 * @module
 */

import { closeSync, existsSync, mkdirSync, openSync, renameSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { BLOCK_TYPES, type BlockTypeName, randomNorm, randomTensor } from "./blocks.ts";

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

interface TensorPlan {
  name: string;
  type: BlockTypeName;
  dims: number[];
  /** Norms are near 1. */
  isNorm?: true;
}

/** llama.cpp's mix: Q6_K for the output and for attn_v and ffn_down in the outer and every third of the inner layers. */
function matrixType(file: FileType, name: string, layer: number): BlockTypeName {
  if (file !== "q4_k_m") return file;
  if (name === "output") return "q6_k";
  if (name !== "attn_v" && name !== "ffn_down") return "q4_k";
  const eighth = Math.trunc(SHAPE.layers / 8);
  const outer = layer < eighth || layer >= Math.trunc(7 * SHAPE.layers / 8);
  return outer || (layer - eighth) % 3 === 2 ? "q6_k" : "q4_k";
}

function tensors(file: FileType): TensorPlan[] {
  const { embedding, feedForward, heads, kvHeads, vocabulary, layers } = SHAPE;
  const kv = embedding / heads * kvHeads;
  const plan: TensorPlan[] = [];
  const norm = (name: string) => plan.push({ name: `${name}.weight`, type: "f32", dims: [embedding], isNorm: true });
  const matrix = (name: string, dims: number[], layer = -1) => {
    const prefix = layer < 0 ? "" : `blk.${layer}.`;
    plan.push({ name: `${prefix}${name}.weight`, type: matrixType(file, name, layer), dims });
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

function tensorBytes({ type, dims }: TensorPlan): number {
  const { elements, bytes } = BLOCK_TYPES[type];
  return dims.reduce((a, b) => a * b, 1) / elements * bytes;
}

/**
 * Pieces of a SentencePiece vocabulary: the three special ones, the 256 bytes, then made-up ones from short to long, so
 * that each can be merged from two that come before it and score higher.
 */
function vocabulary(): { tokens: string[]; scores: Float32Array; types: Int32Array } {
  const space = "\u2581";
  const letters = [..."abcdefghijklmnopqrstuvwxyz"];
  const tokens = ["<unk>", "<s>", "</s>"];
  for (let b = 0; b < 256; b++) tokens.push(`<0x${b.toString(16).toUpperCase().padStart(2, "0")}>`);
  tokens.push(space);
  for (let c = 33; c < 127; c++) tokens.push(String.fromCharCode(c));
  const pairs = letters.flatMap((a) => letters.map((b) => a + b));
  const triples = pairs.flatMap((pair) => letters.map((c) => pair + c));
  for (const longer of [letters, pairs, triples]) {
    if (longer !== letters) tokens.push(...longer);
    for (const piece of longer) tokens.push(space + piece);
  }
  tokens.length = SHAPE.vocabulary;
  const types = Int32Array.from(tokens, (_, id) => id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1);
  const scores = Float32Array.from(tokens, (_, id) => id < 259 ? 0 : 259 - id);
  return { tokens, scores, types };
}

/** A growing little-endian buffer with GGUF's words. */
class Header {
  #bytes = new Uint8Array(1 << 20);
  #view = new DataView(this.#bytes.buffer);
  length = 0;

  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  #grow(count: number): number {
    const at = this.length;
    this.length += count;
    if (this.length > this.#bytes.length) {
      const larger = new Uint8Array(2 * this.length);
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }

  u32(value: number): void {
    this.#view.setUint32(this.#grow(4), value, true);
  }

  u64(value: number): void {
    this.#view.setBigUint64(this.#grow(8), BigInt(value), true);
  }

  raw(bytes: Uint8Array): void {
    const at = this.#grow(bytes.length);
    this.#bytes.set(bytes, at);
  }

  string(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.u64(bytes.length);
    this.raw(bytes);
  }

  key(name: string, type: number): void {
    this.string(name);
    this.u32(type);
  }

  pad(alignment: number): void {
    const spare = (alignment - this.length % alignment) % alignment;
    this.raw(new Uint8Array(spare));
  }
}

const alignment = 32;
const align = (bytes: number) => Math.ceil(bytes / alignment) * alignment;

function header(file: FileType, plan: TensorPlan[]): Uint8Array {
  const numbers: Record<string, number> = {
    "general.file_type": FILE_TYPES[file],
    "general.quantization_version": 2,
    "llama.block_count": SHAPE.layers,
    "llama.context_length": SHAPE.context,
    "llama.embedding_length": SHAPE.embedding,
    "llama.feed_forward_length": SHAPE.feedForward,
    "llama.attention.head_count": SHAPE.heads,
    "llama.attention.head_count_kv": SHAPE.kvHeads,
    "llama.rope.dimension_count": SHAPE.embedding / SHAPE.heads,
    "llama.vocab_size": SHAPE.vocabulary,
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.ggml.unknown_token_id": 0,
  };
  const strings = {
    "general.architecture": "llama",
    "general.name": `TinyLlama-1.1B shape, random weights, ${file}`,
    "tokenizer.ggml.model": "llama",
  };
  const { tokens, scores, types } = vocabulary();
  const out = new Header();
  out.u32(0x46554747);
  out.u32(3);
  out.u64(plan.length);
  out.u64(Object.keys(numbers).length + Object.keys(strings).length + 4);
  for (const [name, value] of Object.entries(strings)) {
    out.key(name, 8);
    out.string(value);
  }
  for (const [name, value] of Object.entries(numbers)) {
    out.key(name, 4);
    out.u32(value);
  }
  out.key("llama.attention.layer_norm_rms_epsilon", 6);
  out.raw(new Uint8Array(Float32Array.of(1e-5).buffer));
  const array = (name: string, type: number) => {
    out.key(name, 9);
    out.u32(type);
    out.u64(tokens.length);
  };
  array("tokenizer.ggml.tokens", 8);
  for (const token of tokens) out.string(token);
  array("tokenizer.ggml.scores", 6);
  out.raw(new Uint8Array(scores.buffer));
  array("tokenizer.ggml.token_type", 5);
  out.raw(new Uint8Array(types.buffer));
  let offset = 0;
  for (const tensor of plan) {
    out.string(tensor.name);
    out.u32(tensor.dims.length);
    for (const dim of tensor.dims) out.u64(dim);
    out.u32(BLOCK_TYPES[tensor.type].id);
    out.u64(offset);
    offset += align(tensorBytes(tensor));
  }
  out.pad(alignment);
  return out.bytes;
}

/** Where a file of this type lies unless told otherwise. */
export function defaultPath(file: FileType): string {
  return join(tmpdir(), "lightgpt-bench", `tinyllama-${file}.gguf`);
}

/** Writes the file unless it is there; returns its path. */
export function makeTinyLlama(file: FileType, path: string = defaultPath(file), force = false): string {
  const plan = tensors(file);
  const head = header(file, plan);
  const total = plan.reduce((sum, tensor) => sum + align(tensorBytes(tensor)), head.length);
  if (!force && existsSync(path) && statSync(path).size === total) return path;
  mkdirSync(dirname(path), { recursive: true });
  const part = `${path}.${process.pid}.part`;
  const fd = openSync(part, "w");
  const write = (bytes: Uint8Array) => {
    for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done);
  };
  write(head);
  for (const tensor of plan) {
    const [columns, rows = 1] = tensor.dims;
    const pieces = tensor.isNorm ? [randomNorm(columns)] : randomTensor(tensor.type, columns, rows);
    for (const piece of pieces) write(piece);
    const bytes = tensorBytes(tensor);
    write(new Uint8Array(align(bytes) - bytes));
  }
  closeSync(fd);
  renameSync(part, path); // a run that was broken off leaves no half file under the name
  return path;
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
      out: { type: "string" },
      force: { type: "boolean", default: false },
    },
  });
  const type = parseFileType(values.type);
  console.log(makeTinyLlama(type, values.out ?? defaultPath(type), values.force));
}
