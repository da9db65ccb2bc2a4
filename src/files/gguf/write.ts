/**
 * Writes a GGUF file while its tensors are made: header and table first, since all sizes are known, then the data of one
 * tensor after the other. It writes to a partial file, which gets the target's name when it is complete and on the disk,
 * so that a killed process or a full disk leaves no broken file under that name.
 *
 * @module
 */
import { LightGPTError } from "../../../ffi/errors.ts";
import { node } from "../../../ffi/runtime/builtins.ts";
import { beginPartial, endPartial, heedFileLimit } from "../partial.ts";
import { MetadataArray, type MetadataValue } from "./read.ts";
import { VALUE_TYPE } from "./metadata.ts";

/** A metadata value with its type, a `VALUE_TYPE`; of an array of that type, the elements. */
export interface NewValue {
  readonly type: number;
  readonly value: MetadataValue | readonly MetadataValue[];
}

/** A tensor to be written: `dims` as the format counts them, columns first. */
export interface NewTensor {
  readonly name: string;
  readonly type: number;
  readonly dims: readonly number[];
  readonly bytes: number;
}

const alignment = 32;
const versionOfFormat = 3;
const encoder = new TextEncoder();

/** A file being written. */
export class GgufWriter {
  /** Where it will lie. */
  readonly path: string;
  readonly #partial: string;
  readonly #tensors: readonly NewTensor[];
  #descriptor: number | undefined;
  #index = 0;
  readonly #fs = node("node:fs");
  #inTensor = 0;
  /** Bytes written so far. */
  bytes = 0;

  /** Begins the file: writes header, metadata and table. */
  constructor(path: string, metadata: ReadonlyMap<string, NewValue>, tensors: readonly NewTensor[]) {
    this.path = path;
    this.#tensors = tensors;
    const there = this.#attempt(() => this.#fs.statSync(path, { throwIfNoEntry: false }));
    if (there !== undefined && !there.isFile()) this.#fail("NOTFILE");
    heedFileLimit();
    this.#partial = this.#attempt(() => beginPartial(path));
    try {
      const header = headerBytes(metadata, tensors);
      this.#descriptor = this.#attempt(() => this.#fs.openSync(this.#partial, "wx"));
      this.#askForLength(tensors.reduce((sum, { bytes }) => sum + aligned(bytes), aligned(header.length)));
      this.#put(header);
      this.#pad();
    } catch (error) {
      this.abort();
      throw error;
    }
  }

  /** The next bytes of the tensor at hand. */
  write(data: Uint8Array): void {
    const tensor = this.#tensors[this.#index];
    if (tensor === undefined || this.#inTensor + data.length > tensor.bytes) {
      throw new Error(`${data.length} bytes too many for ${tensor?.name ?? "the file"}`);
    }
    this.#put(data);
    this.#inTensor += data.length;
    if (this.#inTensor < tensor.bytes) return;
    this.#pad(); // the last one too: some readers want it
    this.#index++;
    this.#inTensor = 0;
  }

  /** Brings everything to the disk and gives the file its name. */
  finish(): void {
    if (this.#index !== this.#tensors.length) throw new Error(`${this.#tensors[this.#index]?.name} is not whole`);
    const descriptor = this.#descriptor as number;
    this.#attempt(() => this.#fs.fsyncSync(descriptor));
    this.#descriptor = undefined;
    this.#attempt(() => this.#fs.closeSync(descriptor));
    this.#attempt(() => this.#fs.renameSync(this.#partial, this.path));
    endPartial(this.#partial);
  }

  /** Removes what was written. Again, or after the end, is fine. */
  abort(): void {
    if (this.#descriptor !== undefined) {
      this.#fs.closeSync(this.#descriptor);
      this.#descriptor = undefined;
    }
    this.#fs.rmSync(this.#partial, { force: true });
    endPartial(this.#partial);
  }

  /** Throws where a file of this length can't be written: now, and not after hours of work. */
  #askForLength(bytes: number): void {
    this.#attempt(() => this.#fs.ftruncateSync(this.#descriptor as number, bytes));
    this.#attempt(() => this.#fs.ftruncateSync(this.#descriptor as number, 0));
  }

  #pad(): void {
    this.#put(new Uint8Array((alignment - this.bytes % alignment) % alignment));
  }

  #put(data: Uint8Array): void {
    for (let done = 0; done < data.length;) {
      done += this.#attempt(() => this.#fs.writeSync(this.#descriptor as number, data, done, data.length - done));
    }
    this.bytes += data.length;
  }

  #attempt<T>(call: () => T): T {
    try {
      return call();
    } catch (cause) {
      this.#fail(codeOf(cause), cause);
    }
  }

  #fail(code: string, cause?: unknown): never {
    throw new LightGPTError("io", `${this.path}: ${reasons[code] ?? `it cannot be written (${code})`}.`, {
      what: "a file that cannot be written",
      where: this.path,
      expected: "a folder that exists, with room for the file",
      got: code,
    }, { cause });
  }
}

function codeOf(cause: unknown): string {
  if (cause instanceof Error && "code" in cause) return String(cause.code);
  return /\(os error 27\)/.test(String(cause)) ? "EFBIG" : String(cause); // Deno has no code for this one
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / alignment) * alignment;
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "its folder does not exist; make it first",
  ENOTDIR: "its folder is a file; expected the path of a file to be made",
  NOTFILE: "it is a folder or a device; expected the path of a file to be made",
  ENOSPC: "the disk is full; nothing was left behind",
  EFBIG:
    "it would be larger than the system or the file system allows a file to be (ulimit -f); nothing was left behind",
  EACCES: "writing there is not allowed",
  EROFS: "the file system is read-only",
};

/** Everything before the data, without the padding behind it. */
export function headerBytes(metadata: ReadonlyMap<string, NewValue>, tensors: readonly NewTensor[]): Uint8Array {
  const out = new Bytes();
  out.raw(encoder.encode("GGUF"));
  out.scalar(VALUE_TYPE.uint32, versionOfFormat);
  out.scalar(VALUE_TYPE.uint64, tensors.length);
  out.scalar(VALUE_TYPE.uint64, metadata.size);
  for (const [key, { type, value }] of metadata) {
    out.text(key);
    if (value instanceof MetadataArray || Array.isArray(value)) {
      const elementType = value instanceof MetadataArray ? value.elementType : type;
      out.scalar(VALUE_TYPE.uint32, VALUE_TYPE.array);
      out.scalar(VALUE_TYPE.uint32, elementType);
      out.scalar(VALUE_TYPE.uint64, value.length);
      for (const element of value) out.value(elementType, element);
    } else {
      out.scalar(VALUE_TYPE.uint32, type);
      out.value(type, value as MetadataValue);
    }
  }
  let offset = 0;
  for (const { name, type, dims, bytes } of tensors) {
    out.text(name);
    out.scalar(VALUE_TYPE.uint32, dims.length);
    for (const size of dims) out.scalar(VALUE_TYPE.uint64, size);
    out.scalar(VALUE_TYPE.uint32, type);
    out.scalar(VALUE_TYPE.uint64, offset);
    offset += aligned(bytes);
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

  value(type: number, value: MetadataValue): void {
    if (type === VALUE_TYPE.string) this.text(String(value));
    else this.scalar(type, typeof value === "bigint" ? value : Number(value));
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
