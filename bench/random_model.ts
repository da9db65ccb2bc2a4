/**
 * Writes GGUF files with random weights, of any shape and mix of types: metadata, a made-up vocabulary, and tensors that are
 * filled from pools of blocks (`blocks.ts`). What a shape is made of, its own file says.
 *
 * @module
 */
import { closeSync, existsSync, mkdirSync, openSync, renameSync, statSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import process from "node:process";
import { BLOCK_TYPES, type BlockTypeName, randomNorm, randomTensor } from "./blocks.ts";

/** A tensor of a file. */
export interface TensorPlan {
  readonly name: string;
  readonly type: BlockTypeName;
  readonly dims: readonly number[];
  /** Numbers near 1, or, for what states decay by, near -1; absent: random weights. */
  readonly near?: 1 | -1;
}

/** What a file holds. */
export interface RandomModel {
  /** Metadata, by type; a list is one of i32. */
  readonly strings: Readonly<Record<string, string>>;
  readonly numbers: Readonly<Record<string, number>>;
  readonly floats: Readonly<Record<string, number>>;
  readonly lists?: Readonly<Record<string, readonly number[]>>;
  readonly vocabulary: number;
  readonly tensors: readonly TensorPlan[];
}

/** `general.file_type` of llama.cpp's mix of Q4_K and Q6_K. */
export const q4KM = 15;

/** What every file states beside its shape: which tokens are special. */
export const specialTokens = {
  "general.quantization_version": 2,
  "tokenizer.ggml.bos_token_id": 1,
  "tokenizer.ggml.eos_token_id": 2,
  "tokenizer.ggml.unknown_token_id": 0,
} as const;

function tensorBytes({ type, dims }: TensorPlan): number {
  const { elements, bytes } = BLOCK_TYPES[type];
  return dims.reduce((a, b) => a * b, 1) / elements * bytes;
}

/**
 * Pieces of a SentencePiece vocabulary: the three special ones, the 256 bytes, then made-up ones from short to long, so
 * that each can be merged from two that come before it and score higher.
 */
function vocabulary(count: number): { tokens: string[]; scores: Float32Array; types: Int32Array } {
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
  tokens.length = count;
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

function header({ strings, numbers, floats, lists = {}, vocabulary: count, tensors }: RandomModel): Uint8Array {
  const { tokens, scores, types } = vocabulary(count);
  const out = new Header();
  out.u32(0x46554747);
  out.u32(3);
  out.u64(tensors.length);
  out.u64([strings, numbers, floats, lists].reduce((sum, table) => sum + Object.keys(table).length, 3));
  for (const [name, value] of Object.entries(strings)) {
    out.key(name, 8);
    out.string(value);
  }
  for (const [name, value] of Object.entries(numbers)) {
    out.key(name, 4);
    out.u32(value);
  }
  for (const [name, value] of Object.entries(floats)) {
    out.key(name, 6);
    out.raw(new Uint8Array(Float32Array.of(value).buffer));
  }
  const array = (name: string, type: number, length: number) => {
    out.key(name, 9);
    out.u32(type);
    out.u64(length);
  };
  for (const [name, list] of Object.entries(lists)) {
    array(name, 5, list.length);
    out.raw(new Uint8Array(Int32Array.from(list).buffer));
  }
  array("tokenizer.ggml.tokens", 8, count);
  for (const token of tokens) out.string(token);
  array("tokenizer.ggml.scores", 6, count);
  out.raw(new Uint8Array(scores.buffer));
  array("tokenizer.ggml.token_type", 5, count);
  out.raw(new Uint8Array(types.buffer));
  let offset = 0;
  for (const tensor of tensors) {
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

function* piecesOf({ type, dims, near }: TensorPlan): Generator<Uint8Array> {
  const [columns, ...rows] = dims as readonly [number, ...number[]];
  const count = rows.reduce((a, b) => a * b, 1);
  if (near === undefined) return yield* randomTensor(type, columns, count);
  const numbers = new Float32Array(randomNorm(columns * count).buffer);
  yield new Uint8Array(numbers.map((number) => near * number).buffer);
}

/** Writes the file unless one of the size that it must have is there; returns its path. */
export function writeRandomModel(model: RandomModel, path: string, force = false): string {
  const head = header(model);
  const total = model.tensors.reduce((sum, tensor) => sum + align(tensorBytes(tensor)), head.length);
  if (!force && existsSync(path) && statSync(path).size === total) return path;
  mkdirSync(dirname(path), { recursive: true });
  const part = `${path}.${process.pid}.part`;
  const fd = openSync(part, "w");
  const write = (bytes: Uint8Array) => {
    for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done);
  };
  write(head);
  for (const tensor of model.tensors) {
    for (const piece of piecesOf(tensor)) write(piece);
    const bytes = tensorBytes(tensor);
    write(new Uint8Array(align(bytes) - bytes));
  }
  closeSync(fd);
  renameSync(part, path); // a run that was broken off leaves no half file under the name
  return path;
}
