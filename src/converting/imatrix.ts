/**
 * An importance matrix: for each column of a matrix, the sum of the squares of what was multiplied with it while a model
 * read a text. Files are llama.cpp's: GGUF with two tensors for each matrix (`<name>.in_sum2`, columns x experts, and
 * `<name>.counts`, the rows summed), or the older `.dat`, which is read only. `collect_importance.ts` collects one.
 *
 * @module
 */
import type { ImportanceEntry } from "./importance_entry.ts";
import { LightGPTError, ModelFormatError } from "../../ffi/errors.ts";
import { currentRuntime } from "../../ffi/runtime/pick.ts";
import type { OpenFile } from "../../ffi/runtime/types.ts";
import { MetadataArray, readGguf, type Tensor } from "../files/gguf/read.ts";
import { VALUE_TYPE } from "../files/gguf/metadata.ts";
import { checkInstance, checkObject, guarded, refuseOption } from "../options/checks.ts";
import { type FieldsOf, integer, other, readOptions, text } from "../options/schema.ts";
import { pathOf } from "../options/paths.ts";
import { readLegacy } from "./imatrix_dat.ts";
import type { NewTensor, NewValue } from "../files/gguf/encode.ts";
import { GgufWriter } from "../files/gguf/write.ts";

/**
 * Where an {@link ImportanceMatrix} comes from.
 *
 * @example
 * ```ts
 * import { type ImportanceOrigin, ImportanceMatrix } from "@lightgpt/lightgpt";
 *
 * const origin: ImportanceOrigin = { datasets: ["stories.txt"], chunkCount: 40, chunkSize: 256 };
 * console.log(new ImportanceMatrix(new Map(), origin).datasets); // ["stories.txt"]
 * ```
 */
export interface ImportanceOrigin {
  /** The texts that were read, by name. */
  readonly datasets?: readonly string[];
  /** How many windows of text. */
  readonly chunkCount?: number;
  /** Tokens of a window. */
  readonly chunkSize?: number;
  /** The file that it was read from. */
  readonly file?: string;
}

const count = { least: 0, most: 0xffff_ffff, default: 0 } as const;

/** The schema of {@link ImportanceOrigin}. */
const originFields = {
  datasets: other<readonly string[]>()(
    { about: "The texts that were read, by name.", expected: "an array of strings", default: [] },
    (value, name) => {
      const isList = Array.isArray(value) && value.every((text) => typeof text === "string");
      return isList ? value : refuseOption(name, "an array of strings", value);
    },
  ),
  chunkCount: integer({ ...count, about: "How many windows of text." }),
  chunkSize: integer({ ...count, about: "Tokens of a window." }),
  file: text({ about: "The file that it was read from." }),
} as const satisfies FieldsOf<ImportanceOrigin>;

const sumsSuffix = ".in_sum2";
const countsSuffix = ".counts";

/**
 * How much each column of each matrix counts, in llama.cpp's files.
 *
 * @example
 * ```ts
 * import { ImportanceMatrix, quantizeFile } from "@lightgpt/lightgpt";
 *
 * const importance = ImportanceMatrix.read("imatrix.gguf");
 * await quantizeFile("model-f16.gguf", "model-q4_0.gguf", { type: "q4_0", importance });
 * ```
 */
export class ImportanceMatrix {
  /** What is known, by the tensor's name. */
  readonly entries: ReadonlyMap<string, ImportanceEntry>;
  /** The texts that were read, by name. */
  readonly datasets: readonly string[];
  /** How many windows of text were read; 0 where that is not known. */
  readonly chunkCount: number;
  /** Tokens of a window; 0 where that is not known. */
  readonly chunkSize: number;
  /** The file that it was read from; undefined for one that was made here. */
  readonly file: string | undefined;

  /** Throws where sums and counts do not fit together, or are not finite and at least 0. */
  constructor(entries: ReadonlyMap<string, ImportanceEntry>, origin: ImportanceOrigin = {}) {
    checkInstance("entries", entries, Map, "a Map of sums and counts");
    for (const [name, entry] of entries) guarded("entries", () => checkEntry(name, entry));
    const { datasets, chunkCount, chunkSize, file } = readOptions(originFields, origin, "origin");
    this.entries = entries;
    this.datasets = datasets;
    this.chunkCount = chunkCount;
    this.chunkSize = chunkSize;
    this.file = file;
  }

  /** Reads a file: GGUF, or the older `.dat`. Throws where it is damaged, or a model in place of an importance matrix. */
  static read(file: string | URL): ImportanceMatrix {
    const path = pathOf("path", file, "an importance matrix");
    return startsAsGguf(path) ? readNew(path) : readOld(path);
  }

  /** Writes a GGUF file as llama.cpp's; throws where that cannot be done, and leaves nothing behind then. */
  write(file: string | URL): void {
    const path = pathOf("path", file, "a file to write");
    const parts = [...this.entries].sort(([a], [b]) => a < b ? -1 : 1).flatMap(([name, { sums, counts }]) => {
      const columns = sums.length / counts.length;
      return [
        { data: sums, tensor: tensorOf(name + sumsSuffix, counts.length === 1 ? [columns] : [columns, counts.length]) },
        { data: counts, tensor: tensorOf(name + countsSuffix, counts.length === 1 ? [1] : [1, counts.length]) },
      ];
    });
    const metadata = new Map<string, NewValue>([
      ["general.type", { type: VALUE_TYPE.string, value: "imatrix" }],
      ["imatrix.datasets", { type: VALUE_TYPE.string, value: this.datasets }],
      ["imatrix.chunk_count", { type: VALUE_TYPE.uint32, value: this.chunkCount }],
      ["imatrix.chunk_size", { type: VALUE_TYPE.uint32, value: this.chunkSize }],
    ]);
    const writer = new GgufWriter(path, metadata, parts.map(({ tensor }) => tensor));
    try {
      for (const { data } of parts) writer.write(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      writer.finish();
    } finally {
      writer.abort(); // after the end there is nothing to remove
    }
  }

  /**
   * The mean square of each column by the tensor's name: what `quantizeFile` takes as `importance`. Those of an expert that
   * no text reached are 0, for nothing is known of it; it gets plain rounding.
   */
  columns(): Map<string, Float32Array> {
    return new Map([...this.entries].map(([name, { sums, counts }]) => {
      const columns = sums.length / counts.length;
      // Where nothing is known of a whole tensor, all its columns count the same.
      const unknown = counts.length > 1 ? 0 : 1;
      const mean = (sum: number, count: number) => count > 0 ? sum / count : unknown;
      return [name, sums.map((sum, i) => mean(sum, counts[Math.floor(i / columns)]))];
    }));
  }
}

function checkEntry(name: unknown, entry: ImportanceEntry): void {
  if (typeof name !== "string") refuseOption("entries", "names of tensors as keys", name);
  checkObject(name, entry);
  const { sums, counts } = entry;
  if (!(sums instanceof Float32Array) || !(counts instanceof Float32Array)) {
    refuseOption(name, "sums and counts as Float32Array", "something else");
  }
  if (counts.length === 0 || sums.length === 0 || sums.length % counts.length !== 0) {
    refuseOption(`${name}.sums`, `a multiple of its ${counts.length} counts`, `${sums.length} floats`);
  }
  for (const [what, values] of [["in_sum2", sums], ["counts", counts]] as const) {
    const wrong = values.findIndex((value) => !(value >= 0 && value < Infinity));
    if (wrong >= 0) refuseOption(`${name}.${what}[${wrong}]`, "a finite number that is not negative", values[wrong]);
  }
}

function tensorOf(name: string, dims: readonly number[]): NewTensor {
  return { name, dims, type: 0, bytes: 4 * dims.reduce((product, size) => product * size, 1) };
}

function startsAsGguf(path: string): boolean {
  const magic = new Uint8Array(4);
  let file: OpenFile | undefined;
  try {
    file = currentRuntime().files.open(path);
    return file === undefined || file.read(magic, 0) < 4 || String.fromCharCode(...magic) === "GGUF";
  } catch {
    return true; // the reader of GGUF files says what is wrong
  } finally {
    file?.close();
  }
}

function readNew(path: string): ImportanceMatrix {
  const gguf = readGguf(path);
  const type = gguf.metadata.get("general.type");
  if (type !== "imatrix") {
    throw gguf.metadata.wrong(
      "general.type",
      '"imatrix"',
      type === undefined ? "absent" : JSON.stringify(String(type)),
    );
  }
  const entries = new Map<string, ImportanceEntry>();
  const file = currentRuntime().files.open(path);
  if (file === undefined) throw new ModelFormatError(`${path}: it is no longer a file`, { field: "file" });
  try {
    for (const [name, tensor] of gguf.tensors) {
      if (!name.endsWith(sumsSuffix)) continue;
      const base = name.slice(0, -sumsSuffix.length);
      const counts = gguf.tensors.get(base + countsSuffix);
      if (counts === undefined) throw damaged(path, tensor, `${base}${countsSuffix} beside it`);
      const columns = tensor.dims[0];
      const matrices = tensor.dims.slice(1).reduce((product, size) => product * size, 1);
      const values = readFloats(path, file, counts);
      if (values.length !== matrices) {
        throw damaged(path, counts, `${matrices} counts, for ${matrices} x ${columns} sums`);
      }
      entries.set(base, { sums: readFloats(path, file, tensor), counts: values });
    }
  } finally {
    file.close();
  }
  if (entries.size === 0) {
    throw new ModelFormatError(
      `${path}: there is no tensor whose name ends in ${sumsSuffix}; expected an importance matrix`,
      { field: sumsSuffix, expected: "an importance matrix" },
    );
  }
  const datasets = gguf.metadata.get("imatrix.datasets");
  const origin = {
    datasets: datasets instanceof MetadataArray ? [...datasets].map(String) : [],
    chunkCount: gguf.metadata.count("imatrix.chunk_count", { least: 0, fallback: 0 }),
    chunkSize: gguf.metadata.count("imatrix.chunk_size", { least: 0, fallback: 0 }),
    file: path,
  };
  return inFile(path, () => new ImportanceMatrix(entries, origin));
}

function readOld(path: string): ImportanceMatrix {
  const { entries, chunkCount, datasets } = readLegacy(path, currentRuntime().files.read(path));
  return inFile(path, () => new ImportanceMatrix(entries, { chunkCount, datasets, file: path }));
}

/** Says in which file a value is wrong. */
function inFile<T>(path: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof LightGPTError)) throw error;
    throw new ModelFormatError(`${path}: ${error.message}`, { field: error.detail?.where ?? "" }, { cause: error });
  }
}

function readFloats(path: string, file: OpenFile, tensor: Tensor): Float32Array {
  if (tensor.type !== 0) throw damaged(path, tensor, `F32 in place of ${tensor.typeName}`);
  const bytes = new Uint8Array(tensor.bytes);
  for (let done = 0; done < bytes.length;) {
    const count = file.read(bytes.subarray(done), tensor.offset + done);
    if (count === 0) throw damaged(path, tensor, "the file not to end while it is read");
    done += count;
  }
  return new Float32Array(bytes.buffer);
}

function damaged(path: string, { name, infoOffset }: Tensor, expected: string): ModelFormatError {
  return new ModelFormatError(`${path}: the tensor ${name} cannot be used; expected ${expected} (byte ${infoOffset})`, {
    field: name,
    offset: infoOffset,
    expected,
  });
}
