/**
 * A model in the words that native code reads (`MODEL` in `ffi/abi.ts`): sizes and traits, layers, where each tensor lies
 * in which file. Everything was checked by `planModel`; the library checks all of it again.
 *
 * @module
 */
import { MODEL, ROLES } from "../../ffi/abi.ts";
import type { ModelPlan } from "./architectures/architectures.ts";

/** Little-endian words in a buffer that grows. */
class Words {
  #view = new DataView(new ArrayBuffer(4096));
  #at = 0;

  u32(...values: number[]): void {
    for (const value of values) {
      this.#grow(4);
      this.#view.setUint32(this.#at, value, true);
      this.#at += 4;
    }
  }

  f32(...values: number[]): void {
    for (const value of values) {
      this.#grow(4);
      this.#view.setFloat32(this.#at, value, true);
      this.#at += 4;
    }
  }

  f64(...values: number[]): void {
    for (const value of values) {
      this.#grow(8);
      this.#view.setFloat64(this.#at, value, true);
      this.#at += 8;
    }
  }

  /** A file offset or size, which an f64 holds exactly, as 64 bits. */
  u64(value: number): void {
    this.#grow(8);
    this.#view.setBigUint64(this.#at, BigInt(value), true);
    this.#at += 8;
  }

  /** A word of length, then UTF-8 padded to whole words. */
  text(value: string): void {
    const bytes = new TextEncoder().encode(value);
    this.u32(bytes.length);
    const padded = Math.ceil(bytes.length / 4) * 4;
    this.#grow(padded);
    new Uint8Array(this.#view.buffer, this.#at, padded).set(bytes);
    this.#at += padded;
  }

  bytes(): Uint8Array {
    return new Uint8Array(this.#view.buffer, 0, this.#at);
  }

  /** Makes room for `bytes` more. A statement of its own: an argument is evaluated after the view it goes to. */
  #grow(bytes: number): void {
    if (this.#at + bytes <= this.#view.byteLength) return;
    const larger = new Uint8Array(2 * (this.#at + bytes));
    larger.set(new Uint8Array(this.#view.buffer, 0, this.#at));
    this.#view = new DataView(larger.buffer);
  }
}

/** The description of a planned model whose tensors lie in `files`. */
export function describeModel(plan: ModelPlan, files: readonly string[]): Uint8Array {
  const h = plan.hyperparameters;
  const words = new Words();
  words.u32(MODEL.version, files.length, plan.tensors.length, h.layers, h.embedding, h.vocabulary);
  words.u32(h.kDim, h.vDim, h.ropeDim, h.ropeStyle, h.activation);
  words.f32(h.epsilon, h.embeddingScale, h.attentionScale, h.attentionSoftcap, h.logitSoftcap, h.ropeMagnitude);
  words.u32(0);
  words.f64(h.ropeBase, h.ropeScale, h.ropeLocalBase);
  for (const { heads, kvHeads, feedForward, window, ropeLocal } of h.perLayer) {
    words.u32(heads, kvHeads, feedForward, window, ropeLocal ? 1 : 0, 0);
  }
  for (const { role, layer, tensor, columns, rows, offset, bytes } of plan.tensors) {
    words.u32(ROLES.indexOf(role), layer, tensor.type, tensor.file, columns, rows);
    words.u64(offset);
    words.u64(bytes);
  }
  for (const file of files) words.text(file);
  return words.bytes();
}
