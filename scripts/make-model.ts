/**
 * Makes models/tinytales-q4_0.gguf from the F32 file: matrices as Q4_0 with a search for each block's scale, the
 * embedding, which is the output matrix too, as Q8_0, norms as they are. With a text it measures what the rounding costs.
 *
 *     deno run -A scripts/make-model.ts ../shared/tinytales/tinytales-f32.gguf models/tinytales-q4_0.gguf [TEXT]
 *
 * Plain rounding takes the block's value of largest magnitude for -8. The search tries scales around that, of both
 * signs, fits each to what it rounds to, and keeps the one with the least squared error. A value counts by its square and
 * the block's mean square, for large weights matter more than their share of the error says (as llama.cpp assumes too).
 *
 * @module
 */
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import process from "node:process";
import { native } from "../ffi/native.ts";
import { type Gguf, readGguf, type Tensor } from "../src/gguf.ts";
import { VALUE_TYPE } from "../src/gguf/metadata.ts";
import { LightGPT } from "../src/lightgpt.ts";
import { surprise } from "../src/perplexity.ts";
import { type NewTensor, type NewValue, writeGguf } from "./gguf-writer.ts";

const F32 = 0;
const Q4_0 = 2;
const Q8_0 = 8;
/** `general.file_type` of a file whose matrices are mostly Q4_0. */
const mostlyQ4_0 = 2;
const block = 32;

/** Where the levels may end: the candidate scales are the largest magnitude over these. */
const candidates = Array.from({ length: 41 }, (_, index) => 6 + index * 0.1);

/** One block of Q4_0: an f16 scale and 32 nibbles, low ones first. */
export function encodeBlock(values: Float32Array, out: Uint8Array): void {
  let most = 0;
  for (const value of values) if (Math.abs(value) > Math.abs(most)) most = value;
  const weights = values.map((value) => value * value);
  const mean = weights.reduce((sum, square) => sum + square, 0) / block;
  weights.forEach((square, i) => weights[i] = square + mean);
  let best = 0;
  let least = squaredError(values, weights, 0);
  for (const levels of candidates) {
    for (const start of [-most / levels, most / levels]) {
      const scale = fit(values, weights, start);
      const error = squaredError(values, weights, scale);
      if (error < least) [best, least] = [scale, error];
    }
  }
  const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
  view.setFloat16(0, best, true);
  for (let i = 0; i < block / 2; i++) {
    out[2 + i] = (level(values[i], best) + 8) | (level(values[i + block / 2], best) + 8) << 4;
  }
}

/** The level of a value, -8 to 7. */
function level(value: number, scale: number): number {
  return scale === 0 ? 0 : Math.max(-8, Math.min(7, Math.round(value / scale)));
}

function squaredError(values: Float32Array, weights: Float32Array, scale: number): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += weights[i] * (values[i] - scale * level(values[i], scale)) ** 2;
  return sum;
}

/** The scale that suits the levels which `start` leads to best, as an f16; twice, for the levels change with it. */
function fit(values: Float32Array, weights: Float32Array, start: number): number {
  let scale = Math.f16round(start);
  for (let round = 0; round < 2; round++) {
    let product = 0;
    let square = 0;
    for (let i = 0; i < values.length; i++) {
      const q = level(values[i], scale);
      product += weights[i] * values[i] * q;
      square += weights[i] * q * q;
    }
    if (square > 0) scale = Math.f16round(product / square);
  }
  return scale;
}

function encodeSearched(values: Float32Array): Uint8Array {
  const out = new Uint8Array(values.length / block * 18);
  for (let i = 0; i < values.length / block; i++) {
    encodeBlock(values.subarray(i * block, (i + 1) * block), out.subarray(i * 18, (i + 1) * 18));
  }
  return out;
}

function encodeNative(format: number, bytes: number, values: Float32Array): Uint8Array {
  const out = new Uint8Array(bytes);
  native().quantize(format, values, out);
  return out;
}

function readFloats(gguf: Gguf, { file, offset, bytes, type, name }: Tensor): Float32Array {
  if (type !== F32) throw new Error(`${name} is not F32; the source must be the F32 file`);
  const data = new Uint8Array(bytes);
  const handle = openSync(gguf.files[file], "r");
  try {
    if (readSync(handle, data, 0, bytes, offset) !== bytes) throw new Error(`${name}: the file ends too early`);
  } finally {
    closeSync(handle);
  }
  return new Float32Array(data.buffer);
}

function encodeTensor(gguf: Gguf, tensor: Tensor): NewTensor {
  const { name, dims } = tensor;
  const values = readFloats(gguf, tensor);
  if (dims.length < 2) return { name, dims, type: F32, data: new Uint8Array(values.buffer) };
  if (name === "token_embd.weight") {
    return { name, dims, type: Q8_0, data: encodeNative(Q8_0, values.length / block * 34, values) };
  }
  return { name, dims, type: Q4_0, data: encodeSearched(values) };
}

/** What the rounded model makes of a text, against the source: perplexity, mean KL divergence, the same first choice. */
async function compare(source: string, made: string, text: string): Promise<void> {
  await using exact = await LightGPT.load(source, { kv: "f32" });
  await using rounded = await LightGPT.load(made);
  const ids = exact.tokenize(text, { addSpecial: false });
  const bos = exact.model.tokenizer.bos ?? 0;
  let nll = 0, divergence = 0, same = 0, tokens = 0;
  for (let begin = 0; begin < ids.length; begin += 255) {
    const part = Uint32Array.of(bos, ...ids.subarray(begin, begin + 255));
    const [p, q] = await Promise.all([exact.logits(part, { all: true }), rounded.logits(part, { all: true })]);
    const { vocabulary } = exact.model;
    for (let row = 0; row + 1 < part.length; row++) {
      const a = p.subarray(row * vocabulary, (row + 1) * vocabulary);
      const b = q.subarray(row * vocabulary, (row + 1) * vocabulary);
      nll += surprise(b, part[row + 1]);
      divergence += kl(a, b);
      if (largest(a) === largest(b)) same++;
      tokens++;
    }
  }
  console.log(
    `perplexity ${Math.exp(nll / tokens).toFixed(5)}, mean KL ${(divergence / tokens).toFixed(6)}, ` +
      `same token ${(100 * same / tokens).toFixed(3)} % of ${tokens}`,
  );
}

function largest(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

function kl(exact: Float32Array, rounded: Float32Array): number {
  const p = surprise(exact, 0) + exact[0];
  const q = surprise(rounded, 0) + rounded[0];
  let sum = 0;
  for (let i = 0; i < exact.length; i++) sum += Math.exp(exact[i] - p) * ((exact[i] - p) - (rounded[i] - q));
  return sum;
}

async function main([source, target, text]: readonly string[]): Promise<void> {
  if (source === undefined || target === undefined) throw new Error("usage: make-model.ts SOURCE TARGET [TEXT]");
  const gguf = readGguf(source);
  const changes = new Map<string, NewValue>([
    ["general.file_type", { type: VALUE_TYPE.uint32, value: mostlyQ4_0 }],
    ["general.quantization_version", { type: VALUE_TYPE.uint32, value: 2 }],
    ["general.quantized_by", { type: VALUE_TYPE.string, value: "LightGPT, scripts/make-model.ts" }],
  ]);
  writeGguf(target, gguf.metadata, changes, [...gguf.tensors.values()].map((tensor) => encodeTensor(gguf, tensor)));
  if (text !== undefined) await compare(source, target, readFileSync(text, "utf8"));
}

if (import.meta.main) await main(process.argv.slice(2));
