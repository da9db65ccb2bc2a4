/**
 * Reads model files: `readGguf` opens a GGUF file, and all parts of a split one, and gives metadata and tensor table. It
 * reads headers only and calls nothing native, so a damaged file meets memory-safe code first. What the
 * model is made of, `planModel` in `model/architectures/architectures.ts` says; the vocabulary, `loadTokenizer`.
 *
 * @module
 */
import { LIMITS } from "../../../ffi/wire.ts";
import { LightGPTError, ModelFormatError } from "../../../ffi/errors.ts";
import { currentRuntime } from "../../../ffi/runtime/pick.ts";
import { checkObject, guarded, refuseOption } from "../../options/checks.ts";
import { pathOf } from "../../options/paths.ts";
import { Metadata } from "./metadata.ts";
import { type GgufPart, parsePart, type Tensor } from "./parse.ts";
import type { ByteSource } from "./reader.ts";

export { LENGTH_BYTES, Metadata, MetadataArray, type MetadataValue } from "./metadata.ts";
export type { NumberRules, StringTable } from "./metadata.ts";
export type { Tensor } from "./parse.ts";

/**
 * A model file, or all parts of a split one.
 *
 * @example
 * ```ts
 * import { type Gguf, readGguf } from "@lightgpt/lightgpt";
 *
 * const gguf: Gguf = readGguf("model.gguf");
 * console.log(gguf.files, gguf.bytes, gguf.tensors.size);
 * ```
 */
export interface Gguf {
  /** The paths; a tensor's `file` is an index into them. */
  readonly files: readonly string[];
  /** The version of the format. */
  readonly version: number;
  /** What the offsets of the tensors are multiples of. */
  readonly alignment: number;
  /** The metadata, of the first part. */
  readonly metadata: Metadata;
  /** All tensors by name. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** The bytes of all files. */
  readonly bytes: number;
}

/** Throws unless `value` is what {@link readGguf} gives. */
export function checkGguf(name: string, value: unknown): asserts value is Gguf {
  const isGguf = guarded(name, () => {
    checkObject(name, value);
    const { metadata, tensors } = value as Partial<Gguf>;
    return metadata instanceof Metadata && tensors instanceof Map;
  });
  if (!isGguf) refuseOption(name, "what readGguf gives", value);
}

const SPLIT_NAME = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/s;

/**
 * Reads the headers of a model file, and of the other parts if it is the first of a split one.
 *
 * @example
 * ```ts
 * import { readGguf } from "@lightgpt/lightgpt";
 *
 * const gguf = readGguf("model.gguf");
 * console.log(gguf.metadata.text("general.architecture"), gguf.tensors.size);
 * ```
 */
export function readGguf(file: string | URL): Gguf {
  const path = pathOf("path", file, "a GGUF file");
  const first = readPart(path, 0);
  const count = splitCount(first.part.metadata);
  const paths = count === 1 ? [path] : partPaths(path, count, first.part.metadata);
  const parts = [first, ...paths.slice(1).map((path, index) => readPart(path, index + 1))];
  parts.forEach(({ part }, index) => checkPart(part, paths[index], index, count));
  const gguf = assemble(paths, parts);
  identities.set(gguf, parts.map(({ identity }) => identity));
  return gguf;
}

/** Of files that were opened by name: what they were when their headers were read. */
const identities = new WeakMap<Gguf, readonly string[]>();

/** What the files were when their headers were read, as {@link lastingIdentity} gives it. */
export function identitiesOf(gguf: Gguf): string[] {
  return (identities.get(gguf) ?? []).map(lastingIdentity);
}

/**
 * What of an identity is the same after another start of the machine, which may number devices otherwise, and on every runtime,
 * some of which know parts of milliseconds.
 */
export function lastingIdentity(identity: string): string {
  return identity.slice(identity.indexOf(":") + 1).replace(/\.\d+$/, "");
}

/** Throws unless the names still mean the files whose headers were read, and nothing has written to them. */
export function assertUnchanged(gguf: Gguf): void {
  for (const [index, identity] of (identities.get(gguf) ?? []).entries()) assertSame(gguf.files[index], identity);
}

function assertSame(path: string, identity: string): void {
  const now = attempt(path, () => currentRuntime().files.identity(path));
  if (now === identity) return;
  const what = now === undefined ? "was removed" : "was replaced or written to";
  throw new LightGPTError("io", `${path} ${what} while it was loaded; expected a file that stays as it is.`, {
    what: `it ${what} while it was loaded`,
    where: path,
    expected: "a file that stays as it is",
  });
}

/** The bytes of a small tensor; those of a model's weights are native code's to read. */
export function readTensor(gguf: Gguf, { name, file, offset, bytes }: Tensor): Uint8Array<ArrayBuffer> {
  const path = gguf.files[file] as string;
  const opened = attempt(path, () => currentRuntime().files.open(path));
  if (opened === undefined) throw notAFile(path);
  const target = new Uint8Array(bytes);
  try {
    for (let done = 0; done < bytes;) {
      const count = attempt(path, () => opened.read(target.subarray(done), offset + done));
      if (count === 0) throw new ModelFormatError(`${path} ends within the tensor ${name}`, { field: name, offset });
      done += count;
    }
  } finally {
    opened.close();
  }
  return target;
}

/** Parses a single, whole file from any source: what the tests of damaged files use. */
export function parseGguf(source: ByteSource): Gguf {
  const part = parsePart(source, 0);
  if (splitCount(part.metadata) !== 1) throw notAPart(part.metadata, source.name);
  return assemble([source.name], [{ part, size: source.size }]);
}

/** Parses all files of a model from any sources: what is done where only their headers are. */
export function parseGgufParts(sources: readonly ByteSource[]): Gguf {
  const parts = sources.map((source, index) => ({ part: parsePart(source, index), size: source.size }));
  parts.forEach(({ part }, index) => checkPart(part, sources[index].name, index, parts.length));
  return assemble(sources.map(({ name }) => name), parts);
}

interface SizedPart {
  part: GgufPart;
  size: number;
}

function assemble(files: readonly string[], parts: readonly SizedPart[]): Gguf {
  const [{ part: { version, alignment, metadata } }] = parts;
  const bytes = parts.reduce((sum, { size }) => sum + size, 0);
  if (parts.length === 1) return { files, version, alignment, metadata, tensors: parts[0].part.tensors, bytes };
  const tensors = new Map<string, Tensor>();
  for (const { part } of parts) {
    for (const [name, tensor] of part.tensors) {
      if (tensors.has(name)) {
        throw new ModelFormatError(`${files[tensor.file]}: the tensor ${name} is in another part of the model too`, {
          field: name,
          offset: tensor.infoOffset,
        });
      }
      tensors.set(name, tensor);
    }
  }
  const expected = metadata.count("split.tensors.count", { least: 0, fallback: tensors.size });
  if (tensors.size !== expected) {
    throw metadata.wrong("split.tensors.count", `${tensors.size}, the tensors in all parts`, `${expected}`);
  }
  return { files, version, alignment, metadata, tensors, bytes };
}

function splitCount(metadata: Metadata): number {
  return Math.max(1, metadata.count("split.count", { least: 0, most: LIMITS.filesMax, fallback: 1 }));
}

/** The paths of all parts, from the name of the first. */
function partPaths(path: string, count: number, metadata: Metadata): string[] {
  const [, prefix, number, of] = SPLIT_NAME.exec(path) ?? [];
  if (prefix === undefined || Number(of) !== count) throw notAPart(metadata, path);
  if (Number(number) !== 1) {
    throw new ModelFormatError(`${path}: this is part ${Number(number)} of ${count} of a model; open the first part`, {
      field: "split.no",
      offset: metadata.offsetOf("split.no"),
      expected: `the path of ${partPath(prefix, 0, count)}`,
    });
  }
  return Array.from({ length: count }, (_, index) => partPath(prefix, index, count));
}

function partPath(prefix: string, index: number, count: number): string {
  const digits = (number: number) => String(number).padStart(5, "0");
  return `${prefix}-${digits(index + 1)}-of-${digits(count)}.gguf`;
}

function notAPart(metadata: Metadata, path: string): ModelFormatError {
  const count = splitCount(metadata);
  return metadata.wrong(
    "split.count",
    `the name of the file to end in ${partPath("", 0, count)}, with the other parts beside it`,
    `${count}, but the file is ${path}`,
  );
}

function checkPart({ metadata }: GgufPart, path: string, index: number, count: number): void {
  if (count === 1) return;
  if (splitCount(metadata) !== count) {
    throw metadata.wrong("split.count", `${count}, as in the first part`, `${splitCount(metadata)} in ${path}`);
  }
  const number = metadata.count("split.no", { least: 0, most: LIMITS.filesMax });
  if (number !== index) throw metadata.wrong("split.no", `${index} in ${path}`, `${number}`);
}

function readPart(path: string, file: number): SizedPart & { identity: string } {
  const opened = attempt(path, () => currentRuntime().files.open(path));
  if (opened === undefined) throw notAFile(path);
  const { bytes: size, identity } = opened;
  try {
    const read = (target: Uint8Array, offset: number) => attempt(path, () => opened.read(target, offset));
    return { part: parsePart({ name: path, size, read }, file), size, identity };
  } catch (error) {
    assertSame(path, identity); // a file that changes under the parser is not damaged
    throw error;
  } finally {
    opened.close();
  }
}

function notAFile(path: string): LightGPTError {
  return new LightGPTError("io", `${path} is not a regular file; expected the path of a GGUF file`, {
    what: "not a regular file",
    where: path,
    expected: "the path of a GGUF file",
  });
}

/** Runs a call of the runtime's; what it throws becomes an error of ours. */
function attempt<T>(path: string, call: () => T): T {
  try {
    return call();
  } catch (cause) {
    if (cause instanceof Error && cause.name === "NotCapable") {
      const expected = `--allow-read=${path}`;
      throw new LightGPTError("io", `${path}: it may not be read; allow it with ${expected}.`, {
        what: "it may not be read",
        where: path,
        expected,
      }, { cause });
    }
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    const what = code === "ENOENT" ? "there is no such file" : `it cannot be read (${code})`;
    throw new LightGPTError("io", `${path}: ${what}; expected the path of a GGUF file`, {
      what,
      where: path,
      expected: "the path of a GGUF file",
      got: code,
    }, { cause });
  }
}
