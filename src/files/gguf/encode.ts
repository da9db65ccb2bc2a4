/**
 * The bytes of a GGUF file before its tensors' data: header, metadata and table. The data behind it
 * is written elsewhere.
 *
 * @module
 */
import { MetadataArray, type MetadataValue, VALUE_TYPE } from "./metadata.ts";

/** Elements of one type; a `MetadataArray` is such a thing. */
export interface NewArray extends Iterable<MetadataValue> {
  readonly elementType: number;
  readonly length: number;
}

/** A metadata value with its type, a `VALUE_TYPE`; of a plain array, the type of its elements. */
export interface NewValue {
  readonly type: number;
  readonly value: MetadataValue | NewArray | readonly MetadataValue[];
}

/** A tensor to be written: `dims` as the format counts them, columns first. */
export interface NewTensor {
  readonly name: string;
  readonly type: number;
  readonly dims: readonly number[];
  readonly bytes: number;
}

/** Bytes to whose multiples a tensor's data is padded, where a file says nothing else. */
export const alignmentByDefault = 32;
const versionOfFormat = 3;
const encoder = new TextEncoder();

/** Bytes with the padding behind them. */
export function aligned(bytes: number, alignment: number = alignmentByDefault): number {
  return Math.ceil(bytes / alignment) * alignment;
}

/** Everything before the data, without the padding behind it. */
export function headerBytes(
  metadata: ReadonlyMap<string, NewValue>,
  tensors: readonly NewTensor[],
  alignment: number = alignmentByDefault,
): Uint8Array {
  const out = new Bytes();
  out.raw(encoder.encode("GGUF"));
  out.scalar(VALUE_TYPE.uint32, versionOfFormat);
  out.scalar(VALUE_TYPE.uint64, tensors.length);
  out.scalar(VALUE_TYPE.uint64, metadata.size);
  for (const [key, { type, value }] of metadata) {
    out.text(key);
    out.scalar(VALUE_TYPE.uint32, Array.isArray(value) ? VALUE_TYPE.array : type);
    out.value(type, value);
  }
  let offset = 0;
  for (const { name, type, dims, bytes } of tensors) {
    out.text(name);
    out.scalar(VALUE_TYPE.uint32, dims.length);
    for (const size of dims) out.scalar(VALUE_TYPE.uint64, size);
    out.scalar(VALUE_TYPE.uint32, type);
    out.scalar(VALUE_TYPE.uint64, offset);
    offset += aligned(bytes, alignment);
  }
  return out.done();
}

/** A growing run of bytes. */
class Bytes {
  #bytes = new Uint8Array(1 << 16);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  raw(bytes: Uint8Array): void {
    this.#grow(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  text(text: string): void {
    const bytes = encoder.encode(text);
    this.scalar(VALUE_TYPE.uint64, bytes.length);
    this.raw(bytes);
  }

  value(type: number, value: NewValue["value"]): void {
    if (typeof value === "object") {
      const elementType = "elementType" in value ? value.elementType : type;
      this.scalar(VALUE_TYPE.uint32, elementType);
      this.scalar(VALUE_TYPE.uint64, value.length);
      if (value instanceof MetadataArray) this.raw(value.encoded());
      else for (const element of value) this.value(elementType, element);
    } else if (type === VALUE_TYPE.string) {
      this.text(String(value));
    } else {
      this.scalar(type, typeof value === "bigint" ? value : Number(value));
    }
  }

  scalar(type: number, value: number | bigint): void {
    this.#grow(8);
    this.#length += put(this.#view, this.#length, type, value);
  }

  done(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #grow(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(2 * this.#bytes.length, this.#length + more));
    grown.set(this.#bytes);
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
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
