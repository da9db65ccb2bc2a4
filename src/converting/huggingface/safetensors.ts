/**
 * Reads safetensors files: eight bytes with the length of a JSON header, the header (for each tensor its type, shape and
 * bytes), the data. The header is untrusted: tensors must lie inside the file, apart from each other, and have the bytes
 * that their shapes need.
 *
 * @module
 */
import { ModelFormatError } from "../../../ffi/errors.ts";
import type { SteadyFile } from "../weight_source.ts";
import { isObject } from "./json.ts";

/** A tensor of such a file. */
export interface SafeTensor {
  readonly file: SteadyFile;
  readonly name: string;
  /** Such as `BF16`. */
  readonly type: string;
  /** Its sizes, the slowest first. */
  readonly shape: readonly number[];
  /** Its first byte in the file. */
  readonly offset: number;
  readonly bytes: number;
}

/** Bytes of a value by the name of its type. */
const VALUE_BYTES: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
};
const lengthBytes = 8;
/** The format's own limit is 100 MB; a header of 64 Ki tensors has less than 16. */
const headerMost = 16 << 20;
const tensorsMost = 1 << 16;
const dimensionsMost = 8;

/** The tensors of an opened file, in the order of their bytes. */
export function readSafetensors(file: SteadyFile): SafeTensor[] {
  const start = new Uint8Array(lengthBytes);
  const fail = (field: string, what: string, expected: string): never => {
    throw new ModelFormatError(`${file.path}: ${what}; expected ${expected}`, { field, expected });
  };
  if (file.size < lengthBytes) fail("header", `it has ${file.size} bytes`, "a safetensors file");
  file.read(start, 0);
  const length = Number(new DataView(start.buffer).getBigUint64(0, true));
  if (length < 2 || length > headerMost || length > file.size - lengthBytes) {
    const most = Math.min(headerMost, file.size - lengthBytes);
    fail(
      "header",
      `its header would have ${length} bytes`,
      `2 to ${most}: this is no safetensors file, or a part of one`,
    );
  }
  const bytes = new Uint8Array(length);
  file.read(bytes, lengthBytes);
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    fail("header", `its header is no JSON (${cause})`, "a safetensors file");
  }
  if (!isObject(header)) return fail("header", "its header is no object", "a safetensors file");
  const entries = Object.entries(header).filter(([name]) => name !== "__metadata__");
  if (entries.length > tensorsMost) fail("header", `it has ${entries.length} tensors`, `at most ${tensorsMost}`);
  const data = lengthBytes + length;
  const tensors = entries.map(([name, entry]) => readEntry(file, name, entry, data, fail));
  tensors.sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  let end = data;
  for (const tensor of tensors) {
    if (tensor.offset < end) {
      fail(tensor.name, `${tensor.name} shares bytes with another tensor`, "tensors that lie apart");
    }
    end = tensor.offset + tensor.bytes;
  }
  if (end !== file.size) {
    fail(
      "header",
      `it has ${file.size} bytes, of which its tensors end at ${end}`,
      "a file that ends with its last tensor",
    );
  }
  return tensors;
}

function readEntry(
  file: SteadyFile,
  name: string,
  entry: unknown,
  data: number,
  fail: (field: string, what: string, expected: string) => never,
): SafeTensor {
  const { dtype, shape, data_offsets: offsets } = isObject(entry) ? entry : {};
  if (typeof dtype !== "string" || !Object.hasOwn(VALUE_BYTES, dtype)) {
    return fail(name, `${name} has the type ${JSON.stringify(dtype)}`, `one of ${Object.keys(VALUE_BYTES).join(", ")}`);
  }
  const isSize = (size: unknown): size is number => typeof size === "number" && Number.isSafeInteger(size) && size >= 0;
  if (!Array.isArray(shape) || shape.length > dimensionsMost || !shape.every(isSize)) {
    return fail(name, `${name} has the shape ${JSON.stringify(shape)}`, `at most ${dimensionsMost} whole numbers`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize) || offsets[0] > offsets[1]) {
    return fail(
      name,
      `${name} has the data_offsets ${JSON.stringify(offsets)}`,
      "its first byte, and that after its last",
    );
  }
  const [begin, end] = offsets as number[];
  if (end > file.size - data) {
    return fail(name, `${name} ends at byte ${end} of ${file.size - data} bytes of data`, "a whole file");
  }
  const bytes = shape.reduce((product, size) => product * size, VALUE_BYTES[dtype]);
  if (bytes !== end - begin) {
    return fail(name, `${name} has ${end - begin} bytes`, `${bytes}, for ${dtype} of the shape ${shape.join(" x ")}`);
  }
  return { file, name, type: dtype, shape, offset: data + begin, bytes };
}

/** The error about a tensor that has no use as it is. */
export function refused({ file, name }: SafeTensor, expected: string, got: string): ModelFormatError {
  return new ModelFormatError(`${file.path}: the tensor ${name} cannot be used, ${got}; expected ${expected}`, {
    field: name,
    expected,
    got,
  });
}
