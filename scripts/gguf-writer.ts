/**
 * Writes a GGUF file: metadata copied from one that was read, some of it replaced, and tensors in any order. Enough to
 * make the embedded model; reading and checking is `src/gguf.ts`.
 *
 * @module
 */
import { writeFileSync } from "node:fs";
import { type Metadata, MetadataArray, type MetadataValue } from "../src/gguf.ts";
import { VALUE_TYPE } from "../src/gguf/metadata.ts";

/** A tensor to be written: `dims` as the format counts them, columns first. */
export interface NewTensor {
  readonly name: string;
  readonly type: number;
  readonly dims: readonly number[];
  readonly data: Uint8Array;
}

/** A metadata value with its type, a `VALUE_TYPE`. */
export interface NewValue {
  readonly type: number;
  readonly value: MetadataValue;
}

const alignment = 32;
const versionOfFormat = 3;

/** Writes the file: the keys of `metadata` in its order, then those of `changes` that it doesn't have. */
export function writeGguf(
  path: string,
  metadata: Metadata,
  changes: ReadonlyMap<string, NewValue>,
  tensors: readonly NewTensor[],
): void {
  const values = new Map<string, NewValue>();
  for (const [key, value] of metadata.entries()) values.set(key, { type: metadata.typeOf(key) ?? -1, value });
  for (const [key, value] of changes) values.set(key, value);
  const out = new Bytes();
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
  writeFileSync(path, out.done());
}

/** A growing run of bytes. */
class Bytes {
  readonly #parts: Uint8Array[] = [];
  #length = 0;

  raw(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.#length += bytes.length;
  }

  pad(): void {
    this.raw(new Uint8Array((alignment - this.#length % alignment) % alignment));
  }

  text(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.scalar(VALUE_TYPE.uint64, bytes.length);
    this.raw(bytes);
  }

  value(type: number, value: MetadataValue): void {
    if (value instanceof MetadataArray) {
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
    const view = new DataView(new ArrayBuffer(8));
    const size = put(view, type, value);
    this.raw(new Uint8Array(view.buffer, 0, size));
  }

  done(): Uint8Array {
    const all = new Uint8Array(this.#length);
    let at = 0;
    for (const part of this.#parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
}

function put(view: DataView, type: number, value: number | bigint): number {
  switch (type) {
    case VALUE_TYPE.uint8:
    case VALUE_TYPE.int8:
    case VALUE_TYPE.bool:
      view.setInt8(0, Number(value));
      return 1;
    case VALUE_TYPE.uint16:
    case VALUE_TYPE.int16:
      view.setInt16(0, Number(value), true);
      return 2;
    case VALUE_TYPE.uint32:
    case VALUE_TYPE.int32:
      view.setInt32(0, Number(value), true);
      return 4;
    case VALUE_TYPE.float32:
      view.setFloat32(0, Number(value), true);
      return 4;
    case VALUE_TYPE.uint64:
    case VALUE_TYPE.int64:
      view.setBigInt64(0, BigInt(value), true);
      return 8;
    case VALUE_TYPE.float64:
      view.setFloat64(0, Number(value), true);
      return 8;
    default:
      throw new Error(`no scalar type ${type}`);
  }
}
