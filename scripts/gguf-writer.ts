/**
 * Writes GGUF files: metadata copied from one that was read, some of it replaced, or made up, and tensors in any order.
 * For the embedded model, for tests and benches; reading and checking is `src/files/gguf/read.ts`.
 *
 * @module
 */
import { writeFileSync } from "node:fs";
import type { Metadata, MetadataValue } from "../src/files/gguf/read.ts";
import { VALUE_TYPE } from "../src/files/gguf/metadata.ts";

/** A tensor to be written: `dims` as the format counts them, columns first. */
export interface NewTensor {
  readonly name: string;
  readonly type: number;
  readonly dims: readonly number[];
  readonly data: Uint8Array;
}

/** Elements of one type; a `MetadataArray` is such a thing. */
export interface NewArray extends Iterable<MetadataValue> {
  readonly elementType: number;
  readonly length: number;
}

/** A metadata value with its type, a `VALUE_TYPE`. */
export interface NewValue {
  readonly type: number;
  readonly value: MetadataValue | NewArray;
}

const versionOfFormat = 3;

/** All values of a file that was read. */
export function valuesOf(metadata: Metadata): Map<string, NewValue> {
  return new Map(Array.from(metadata.entries(), ([key, value]) => [key, { type: metadata.typeOf(key) ?? -1, value }]));
}

/** Writes the file: the keys of `metadata` in its order, then those of `changes` that it doesn't have. */
export function writeGguf(
  path: string,
  metadata: Metadata,
  changes: ReadonlyMap<string, NewValue>,
  tensors: readonly NewTensor[],
): void {
  writeFileSync(path, encodeGguf(new Map([...valuesOf(metadata), ...changes]), tensors));
}

/** The bytes of a file. */
export function encodeGguf(
  values: ReadonlyMap<string, NewValue>,
  tensors: readonly NewTensor[],
  alignment: number = 32,
): Uint8Array {
  const out = new Bytes(alignment);
  out.raw(new TextEncoder().encode("GGUF"));
  out.scalar(VALUE_TYPE.uint32, versionOfFormat);
  out.scalar(VALUE_TYPE.uint64, tensors.length);
  out.scalar(VALUE_TYPE.uint64, values.size);
  for (const [key, { type, value }] of values) {
    out.text(key);
    out.scalar(VALUE_TYPE.uint32, type);
    out.value(type, value);
  }
  let offset = 0;
  for (const { name, type, dims, data } of tensors) {
    out.text(name);
    out.scalar(VALUE_TYPE.uint32, dims.length);
    for (const size of dims) out.scalar(VALUE_TYPE.uint64, size);
    out.scalar(VALUE_TYPE.uint32, type);
    out.scalar(VALUE_TYPE.uint64, offset);
    offset += Math.ceil(data.length / alignment) * alignment;
  }
  for (const { data } of tensors) {
    out.pad();
    out.raw(data);
  }
  out.pad(); // some readers want the last tensor padded too
  return out.done();
}

/** A growing run of bytes. */
class Bytes {
  readonly #alignment: number;
  #bytes = new Uint8Array(1 << 16);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  constructor(alignment: number) {
    this.#alignment = alignment;
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  pad(): void {
    this.raw(new Uint8Array((this.#alignment - this.#length % this.#alignment) % this.#alignment));
  }

  text(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.scalar(VALUE_TYPE.uint64, bytes.length);
    this.raw(bytes);
  }

  value(type: number, value: MetadataValue | NewArray): void {
    if (typeof value === "object") {
      this.scalar(VALUE_TYPE.uint32, value.elementType);
      this.scalar(VALUE_TYPE.uint64, value.length);
      for (const element of value) this.value(value.elementType, element);
    } else if (type === VALUE_TYPE.string) {
      this.text(String(value));
    } else {
      this.scalar(type, typeof value === "bigint" ? value : Number(value));
    }
  }

  scalar(type: number, value: number | bigint): void {
    this.#reserve(8);
    this.#length += put(this.#view, this.#length, type, value);
  }

  done(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const larger = new Uint8Array(2 * (this.#length + count));
    larger.set(this.#bytes);
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }
}

function put(view: DataView, at: number, type: number, value: number | bigint): number {
  switch (type) {
    case VALUE_TYPE.uint8:
    case VALUE_TYPE.int8:
    case VALUE_TYPE.bool:
      view.setInt8(at, Number(value));
      return 1;
    case VALUE_TYPE.uint16:
    case VALUE_TYPE.int16:
      view.setInt16(at, Number(value), true);
      return 2;
    case VALUE_TYPE.uint32:
    case VALUE_TYPE.int32:
      view.setInt32(at, Number(value), true);
      return 4;
    case VALUE_TYPE.float32:
      view.setFloat32(at, Number(value), true);
      return 4;
    case VALUE_TYPE.uint64:
    case VALUE_TYPE.int64:
      view.setBigInt64(at, BigInt(value), true);
      return 8;
    case VALUE_TYPE.float64:
      view.setFloat64(at, Number(value), true);
      return 8;
    default:
      throw new Error(`no scalar type ${type}`);
  }
}
