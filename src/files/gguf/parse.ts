/**
 * Parses one GGUF file: header, metadata, tensor table, with every check that can be made without knowing the model
 * (`docs/design/gguf.md`). Everything is linear in the bytes read. Which tensors a model needs, `planModel` says.
 *
 * @module
 */
import { UnsupportedError } from "../../../ffi/errors.ts";
import { LIMITS as LIBRARY } from "../../../ffi/wire.ts";
import { formatInstead, formatName, FORMATS } from "../formats.ts";
import { Metadata, VALUE_BYTES, VALUE_TYPE, valueTypeName } from "./metadata.ts";
import { type ByteSource, HeaderReader } from "./reader.ts";

/**
 * A tensor as the file describes it.
 *
 * @example
 * ```ts
 * import { readGguf, type Tensor } from "@lightgpt/lightgpt";
 *
 * const tensor: Tensor | undefined = readGguf("model.gguf").tensors.get("token_embd.weight");
 * console.log(tensor?.typeName, tensor?.dims, tensor?.bytes);
 * ```
 */
export interface Tensor {
  /** Its name, such as `blk.0.attn_q.weight`. */
  readonly name: string;
  /** The number of its type. */
  readonly type: number;
  /** The name of its type. */
  readonly typeName: string;
  /** Its sizes; the first is the length of a row. */
  readonly dims: readonly number[];
  /** Which of the model's files holds it. */
  readonly file: number;
  /** The first byte of its data in that file. */
  readonly offset: number;
  /** The bytes of its data. */
  readonly bytes: number;
  /** Where the file describes it, for messages. */
  readonly infoOffset: number;
}

/** One parsed file. */
export interface GgufPart {
  readonly version: number;
  readonly alignment: number;
  readonly metadata: Metadata;
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** Bytes of header, metadata and tensor table. */
  readonly headerBytes: number;
}

const MAGIC = 0x46554747;
const LIMITS = {
  metadata: 65_536,
  tensors: LIBRARY.tensorsMax,
  keyBytes: 65_535,
  nameBytes: 64,
  stringBytes: 1 << 24,
  arrayLength: 1 << 24,
  alignment: 1 << 20,
} as const;
/** The least bytes of a metadata entry and of a tensor's. */
const LEAST = { metadata: 14, tensor: 33 } as const;
/** Bytes that an entry takes in a JavaScript engine, estimated: a slot of a Map, a string, numbers, an object. */
const COST = { metadata: 56, tensor: 120 } as const;

interface TensorInfo {
  name: string;
  type: number;
  dims: number[];
  offset: number;
  bytes: number;
  infoOffset: number;
}

/** Versions that may be right, but that are none of ours: an old one, those to come, and both in the other order of bytes. */
function refuseVersion(reader: HeaderReader, file: string, version: number): never {
  const swapped = version % (1 << 24) === 0 && version >> 24 > 0;
  const got = swapped ? "that of a big-endian file" : `${version}`;
  const expected = "2 or 3, little-endian";
  if (swapped || version > 0 && version < 1 << 8) {
    throw new UnsupportedError(
      `${file}: the version of GGUF is ${got}, which is not supported; expected ${expected} (byte 4)`,
      {
        what: "a version that is not supported",
        where: "version",
        expected,
        got,
      },
    );
  }
  reader.fail(`version ${version} of GGUF cannot be read`, { at: 4, expected, got });
}

/** Parses one file; `file` is its number among the model's files. */
export function parsePart(source: ByteSource, file: number): GgufPart {
  const reader = new HeaderReader(source);
  reader.field = "magic";
  if (reader.u32() !== MAGIC) {
    reader.fail("the magic of a GGUF file is not there", { at: 0, expected: "the first four bytes to be GGUF" });
  }
  reader.field = "version";
  const version = reader.u32();
  if (version !== 2 && version !== 3) refuseVersion(reader, source.name, version);
  const tensorCount = readCount(reader, "tensor_count", LIMITS.tensors, LEAST.tensor);
  const metadataCount = readCount(reader, "metadata_kv_count", LIMITS.metadata, LEAST.metadata);
  const metadata = new Metadata(source.name);
  for (let entry = 0; entry < metadataCount; entry++) readEntry(reader, metadata);
  // The tensor table refers to nothing in the metadata but the alignment; seal early so that it can be read.
  metadata.seal(reader.bytes);
  const alignment = readAlignment(metadata);
  const infos = readTensorInfos(reader, tensorCount);
  metadata.seal(reader.bytes.subarray(0, reader.position));
  return {
    version,
    alignment,
    metadata,
    tensors: placeTensors(reader, infos, alignment, file),
    headerBytes: reader.position,
  };
}

function readCount(reader: HeaderReader, field: string, most: number, leastBytes: number): number {
  reader.field = field;
  const count = reader.u64();
  if (count > most || count * leastBytes > reader.remaining) {
    reader.fail(`${field} is larger than the file can hold`, {
      at: reader.position - 8,
      expected: `at most ${Math.min(most, Math.floor(reader.remaining / leastBytes))}`,
      got: `${count}`,
    });
  }
  return count;
}

function readEntry(reader: HeaderReader, metadata: Metadata): void {
  const start = reader.position;
  reader.field = "metadata key";
  const length = reader.u64();
  if (length === 0 || length > LIMITS.keyBytes) {
    reader.fail("the length of a metadata key is wrong", {
      at: start,
      expected: `1 to ${LIMITS.keyBytes} bytes`,
      got: `${length}`,
    });
  }
  reader.need(length);
  reader.allocate(COST.metadata + length);
  const key = reader.text(length);
  reader.field = key;
  if (metadata.has(key)) reader.fail(`the metadata key ${key} is there twice`, { at: start });
  const type = reader.u32();
  const offset = reader.position;
  metadata.add(key, type, offset, type === VALUE_TYPE.array ? skipArray(reader) : skipValue(reader, type));
}

/** Walks over one value that is not an array. */
function skipValue(reader: HeaderReader, type: number): undefined {
  const bytes = VALUE_BYTES[type];
  if (bytes !== undefined) reader.skip(bytes);
  else if (type === VALUE_TYPE.string) reader.strings(1, LIMITS.stringBytes);
  else failOfType(reader, type);
}

function failOfType(reader: HeaderReader, type: number): never {
  reader.fail(`the type of ${reader.field} is unknown`, {
    at: reader.position - 4,
    expected: "a value type from 0 to 12",
    got: `${type}`,
  });
}

/** Passes over an array; returns where its strings are, if it has strings. */
function skipArray(reader: HeaderReader): Uint32Array | undefined {
  const elementType = reader.u32();
  const elementBytes = elementType === VALUE_TYPE.string ? 8 : VALUE_BYTES[elementType];
  if (elementBytes === undefined) {
    reader.fail(`the array ${reader.field} has elements of type ${valueTypeName(elementType)}`, {
      at: reader.position - 4,
      expected: "numbers, bools or strings",
      got: valueTypeName(elementType),
    });
  }
  const length = reader.u64();
  if (length > LIMITS.arrayLength || length * elementBytes > reader.remaining) {
    reader.fail(`the array ${reader.field} is longer than the file allows`, {
      at: reader.position - 8,
      expected: `at most ${Math.min(LIMITS.arrayLength, Math.floor(reader.remaining / elementBytes))} elements`,
      got: `${length}`,
    });
  }
  if (elementType === VALUE_TYPE.string) return reader.strings(length, LIMITS.stringBytes);
  reader.skip(length * elementBytes);
}

function readAlignment(metadata: Metadata): number {
  const key = "general.alignment";
  const type = metadata.typeOf(key);
  if (type === undefined) return 32;
  if (type !== VALUE_TYPE.uint32) throw metadata.wrongType(key, "a uint32");
  const alignment = metadata.count(key, { least: 0 });
  if (alignment < 8 || alignment > LIMITS.alignment || (alignment & (alignment - 1)) !== 0) {
    throw metadata.wrong(key, `a power of two from 8 to ${LIMITS.alignment}`, `${alignment}`);
  }
  return alignment;
}

function readTensorInfos(reader: HeaderReader, count: number): TensorInfo[] {
  const infos: TensorInfo[] = [];
  const names = new Set<string>();
  for (let index = 0; index < count; index++) {
    const info = readTensorInfo(reader, index);
    if (names.has(info.name)) reader.fail(`the tensor ${info.name} is there twice`, { at: info.infoOffset });
    names.add(info.name);
    infos.push(info);
  }
  return infos;
}

function readTensorInfo(reader: HeaderReader, index: number): TensorInfo {
  const infoOffset = reader.position;
  reader.field = `tensor ${index}`;
  const length = reader.u64();
  if (length === 0 || length > LIMITS.nameBytes) {
    reader.fail(`the length of the name of ${reader.field} is wrong`, {
      at: infoOffset,
      expected: `1 to ${LIMITS.nameBytes} bytes`,
      got: `${length}`,
    });
  }
  reader.need(length);
  reader.allocate(COST.tensor + length);
  const name = reader.text(length);
  reader.field = name;
  const dimensions = reader.u32();
  if (dimensions < 1 || dimensions > 4) {
    reader.fail(`the tensor ${name} has ${dimensions} dimensions`, {
      at: reader.position - 4,
      expected: "1 to 4",
      got: `${dimensions}`,
    });
  }
  const dims: number[] = [];
  for (let dimension = 0; dimension < dimensions; dimension++) {
    const size = reader.u64();
    if (size === 0 || !Number.isSafeInteger(size)) {
      reader.fail(`dimension ${dimension} of the tensor ${name} is wrong`, {
        at: reader.position - 8,
        expected: "at least 1, and no more than the file holds",
        got: `${size}`,
      });
    }
    dims.push(size);
  }
  const type = reader.u32();
  const bytes = tensorBytes(reader, name, type, dims);
  return { name, type, dims, bytes, offset: reader.u64(), infoOffset };
}

function tensorBytes(reader: HeaderReader, name: string, type: number, dims: readonly number[]): number {
  const at = reader.position - 4;
  const format = FORMATS.get(type);
  if (format === undefined) {
    const [got, instead] = [formatName(type), formatInstead(type)];
    reader.fail(`the tensor ${name} has the type ${got}, which is unknown or was removed from GGUF; use ${instead}`, {
      at,
      expected: instead,
      got,
    });
  }
  if (dims[0] % format.blockElements !== 0) {
    reader.fail(`the rows of the tensor ${name} are not whole blocks of ${format.name}`, {
      at,
      expected: `a multiple of ${format.blockElements} elements`,
      got: `${dims[0]}`,
    });
  }
  let bytes = dims[0] / format.blockElements * format.blockBytes;
  for (const size of dims.slice(1)) {
    bytes *= size;
    // Stop at the first product that is too large: past 2^53 it would no longer be exact.
    if (bytes > Number.MAX_SAFE_INTEGER) break;
  }
  if (bytes > reader.source.size) {
    reader.fail(`the tensor ${name} is larger than the file`, {
      at,
      expected: `at most ${reader.source.size} bytes`,
      got: `${bytes}`,
    });
  }
  return bytes;
}

/** Checks that every tensor lies where it may: aligned, inside the file, and apart from the others. */
function placeTensors(
  reader: HeaderReader,
  infos: readonly TensorInfo[],
  alignment: number,
  file: number,
): ReadonlyMap<string, Tensor> {
  const base = Math.ceil(reader.position / alignment) * alignment;
  const size = reader.source.size;
  if (infos.length > 0 && base > size) {
    reader.field = "tensor data";
    reader.fail("the file ends before the tensor data", { expected: `more than ${base} bytes`, got: `${size}` });
  }
  for (const { name, offset, bytes, infoOffset } of infos) {
    reader.field = name;
    if (offset > size - base || bytes > size - base - offset) {
      reader.fail(`the data of the tensor ${name} ends behind the end of the file`, {
        at: infoOffset,
        expected: `at most ${size - base} bytes of tensor data`,
        got: `${bytes} bytes at ${offset}`,
      });
    }
    if (offset % alignment !== 0) {
      reader.fail(`the data of the tensor ${name} is not aligned`, {
        at: infoOffset,
        expected: `a multiple of ${alignment}`,
        got: `${offset}`,
      });
    }
  }
  const sorted = [...infos].sort((left, right) => left.offset - right.offset);
  for (let index = 1; index < sorted.length; index++) {
    const [before, after] = [sorted[index - 1], sorted[index]];
    if (before.offset + before.bytes <= after.offset) continue;
    reader.field = after.name;
    reader.fail(`the data of the tensors ${before.name} and ${after.name} overlap`, { at: after.infoOffset });
  }
  return new Map(infos.map(({ name, type, dims, offset, bytes, infoOffset }) => [
    name,
    { name, type, typeName: formatName(type), dims, file, offset: base + offset, bytes, infoOffset },
  ]));
}
