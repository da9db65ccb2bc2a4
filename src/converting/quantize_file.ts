/**
 * Quantizes a model file: tensor by tensor, each in pieces of some rows, so that memory does not depend on the model's size.
 * The output gets its name only when it is complete; the input is never touched.
 *
 * @module
 */
import { LightGPTError } from "../../ffi/errors.ts";
import { formatName, FORMATS } from "../files/formats.ts";
import { MetadataArray, VALUE_TYPE } from "../files/gguf/metadata.ts";
import { cancelledBy } from "../options/checks.ts";
import { convertTensor, type ConvertTensorOptions, type Job, Rooms } from "./convert_tensor.ts";
import { Quantizer } from "./quantizer.ts";
import type { TensorCalibrator } from "./round_calibrated.ts";
import type { ImportanceMatrix } from "./imatrix.ts";
import { checkImportances } from "./check_importance.ts";
import { type ModelFacts, Plan, type TensorRule } from "./mixes.ts";
import { sameFile, type SourceTensor, type WeightSource } from "./weight_source.ts";
import { fitting, formatOf, nameOf } from "./types.ts";
import type { NewValue } from "../files/gguf/encode.ts";
import { GgufWriter } from "../files/gguf/write.ts";

/**
 * What {@link quantizeFile} made of one tensor.
 *
 * @example
 * ```ts
 * import { quantizeFile } from "@lightgpt/lightgpt";
 *
 * const { tensors } = await quantizeFile("model-f16.gguf", "model-q8_0.gguf", { type: "q8_0" });
 * for (const { name, from, to, relativeError } of tensors) console.log(name, from, to, relativeError);
 * ```
 */
export interface TensorReport {
  /** Its name. */
  readonly name: string;
  /** The type it had. */
  readonly from: string;
  /** The type it has. */
  readonly to: string;
  /** How many values it has. */
  readonly parameters: number;
  /** Bytes it has now. */
  readonly bytes: number;
  /** Root mean square of the error over that of the values; 0 for a copy. */
  readonly relativeError: number;
  /** Of a stack of experts those that no text reached (that of the importance matrix or of calibrating): they got plain rounding. */
  readonly unreached: readonly number[];
}

/**
 * What {@link quantizeFile} did.
 *
 * @example
 * ```ts
 * import { quantizeFile, type QuantizeFileReport } from "@lightgpt/lightgpt";
 *
 * const report: QuantizeFileReport = await quantizeFile("model-f16.gguf", "model-q8_0.gguf", { type: "q8_0" });
 * console.log(report.warnings.join("\n"));
 * ```
 */
export interface QuantizeFileReport {
  /** Bytes of all source files. */
  readonly sourceBytes: number;
  /** Bytes of the file that was written. */
  readonly bytes: number;
  /** Every tensor, in the order of the file. */
  readonly tensors: readonly TensorReport[];
  /** Warnings: types that rows did not fit, weights that were quantized already. */
  readonly warnings: readonly string[];
}

/** Options for converting a file; all have been checked. */
export interface ConvertOptions extends ConvertTensorOptions {
  readonly type: string;
  readonly tensorTypes: readonly TensorRule[];
  readonly threads: number | undefined;
  /** Where the importances come from, where that is known. */
  readonly importanceMatrix: ImportanceMatrix | undefined;
  readonly onProgress: ((done: number, total: number) => void) | undefined;
}

/** Converts a source's tensors into a file; throws where the output would be one of the input's files. */
export async function convertFile(
  source: WeightSource,
  output: string,
  options: ConvertOptions,
): Promise<QuantizeFileReport> {
  for (const file of source.files) {
    if (!sameFile(file, output)) continue;
    throw new LightGPTError("invalidArgument", `${output} is a file of the input; expected another path to write to.`, {
      what: "an output that would overwrite its input",
      where: output,
      expected: "another path",
    });
  }
  const warnings: string[] = [...source.warnings];
  const plan = new Plan(
    options.type,
    options.tensorTypes,
    source.tensors,
    factsOf(source.metadata, options.importance !== undefined),
  );
  const { calibrator } = options;
  const ordered = calibrator === undefined
    ? source.tensors
    : [...source.tensors].sort((a, b) => calibrator.order(a.name) - calibrator.order(b.name));
  const jobs = ordered.map((tensor) => jobFor(tensor, plan, warnings));
  if (options.importance !== undefined) warnings.push(...checkImportances(options.importance, jobs));
  warnings.push(...warnUncalibrated(jobs, calibrator));
  const requantized = jobs.filter(({ tensor, format }) => format.id !== tensor.type && isBlocks(tensor.type));
  if (requantized.length > 0) {
    const types = [...new Set(requantized.map(({ tensor }) => formatName(tensor.type)))].join(", ");
    warnings.push(
      `${requantized.length} tensors are ${types} already: what that rounding lost stays lost, and errors add up; ` +
        "the F16 or F32 original gives a better file.",
    );
  }
  const metadata = new Map<string, NewValue>(source.metadata);
  const words: [string, NewValue][] = [
    ["general.quantization_version", { type: VALUE_TYPE.uint32, value: 2 }],
    ["general.file_type", { type: VALUE_TYPE.uint32, value: plan.fileType }],
    ...originOf(options.importanceMatrix),
  ];
  for (const [key, value] of words) {
    metadata.delete(key); // so that they come last, as in a file of llama-quantize
    metadata.set(key, value);
  }
  metadata.delete("general.alignment"); // what is written is aligned to the format's default
  const writer = new GgufWriter(
    output,
    metadata,
    jobs.map(({ tensor: { name, dims }, format, bytes }) => ({ name, dims, type: format.id, bytes })),
  );
  try {
    const tensors = await convertAll(source, jobs, writer, options);
    if (calibrator !== undefined) warnings.push(...warnUnreached(tensors));
    source.check();
    if (options.signal?.aborted) throw cancelledBy(options.signal);
    writer.finish();
    const sourceBytes = jobs.reduce((sum, { tensor }) => sum + tensor.bytes, 0);
    return { sourceBytes, bytes: writer.bytes, tensors, warnings };
  } finally {
    writer.abort(); // after the end there is nothing to remove
  }
}

/** The keys by which llama-quantize tells what an importance matrix was. */
function originOf(matrix: ImportanceMatrix | undefined): [string, NewValue][] {
  if (matrix === undefined) return [];
  const { file, datasets, entries, chunkCount } = matrix;
  const text = (value: string) => ({ type: VALUE_TYPE.string, value });
  const count = (value: number) => ({ type: VALUE_TYPE.int32, value });
  const keys: [string, NewValue | undefined][] = [
    ["file", file === undefined ? undefined : text(file)],
    ["dataset", datasets[0] === undefined ? undefined : text(datasets[0])],
    ["entries_count", count(entries.size)],
    ["chunks_count", chunkCount > 0 ? count(chunkCount) : undefined],
  ];
  return keys.flatMap(([key, value]) => value === undefined ? [] : [[`quantize.imatrix.${key}`, value]]);
}

async function convertAll(
  source: WeightSource,
  jobs: readonly Job[],
  writer: GgufWriter,
  options: ConvertOptions,
): Promise<TensorReport[]> {
  const total = jobs.reduce((sum, { tensor }) => sum + tensor.bytes, 0);
  const quantizer = new Quantizer(options.threads === undefined ? {} : { threads: options.threads });
  const tools = { quantizer, rooms: new Rooms() };
  let done = 0;
  const reports: TensorReport[] = [];
  options.onProgress?.(0, total);
  for (const job of jobs) {
    const progress = (bytes: number) => options.onProgress?.(done += bytes, total);
    const { relativeError, unreached } = await convertTensor(job, tools, writer, options, progress);
    source.check();
    const { tensor, format, bytes } = job;
    const parameters = tensor.dims.reduce((product, size) => product * size, 1);
    reports.push({
      name: tensor.name,
      from: formatName(tensor.type),
      to: format.name,
      parameters,
      bytes,
      relativeError,
      unreached,
    });
  }
  return reports;
}

function jobFor(tensor: SourceTensor, plan: Plan, warnings: string[]): Job {
  const own = FORMATS.get(tensor.type);
  if (own === undefined) throw unreadable(tensor);
  const wanted = plan.formatFor(tensor);
  if (wanted === undefined) return { tensor, format: own, bytes: tensor.bytes };
  const [columns] = tensor.dims;
  const asked = formatOf(wanted, "format");
  const format = fitting(asked, columns) ?? formatOf("f16", "format");
  if (format !== asked) {
    warnings.push(
      `${tensor.name}: rows of ${columns} do not fit ${nameOf(asked)}'s blocks; ${nameOf(format)} instead.`,
    );
  }
  if (format.id !== own.id && !own.supported) throw unreadable(tensor);
  const values = tensor.dims.reduce((product, size) => product * size, 1);
  return { tensor, format, bytes: values / format.blockElements * format.blockBytes };
}

/** Says which matrices of layers are rounded without their inputs, because calibrating does not know these. */
function warnUncalibrated(jobs: readonly Job[], calibrator: TensorCalibrator | undefined): string[] {
  if (calibrator === undefined) return [];
  const names = jobs
    .filter(({ tensor, format }) => isBlocks(format.id) && format.id !== tensor.type && tensor.name.startsWith("blk."))
    .filter(({ tensor }) => calibrator.order(tensor.name) < 0)
    .map(({ tensor }) => tensor.name);
  if (names.length === 0) return [];
  return [
    `${names.length} matrices are rounded by a search, for their inputs are not calibrated: ${
      names[0]
    } and others like it.`,
  ];
}

/** Says which experts were rounded without a text, because nothing of it came to them. */
function warnUnreached(tensors: readonly TensorReport[]): string[] {
  const found = tensors.filter(({ unreached }) => unreached.length > 0);
  if (found.length === 0) return [];
  const count = found.reduce((sum, { unreached }) => sum + unreached.length, 0);
  return [
    `${count} matrices of experts are rounded to the nearest, for nothing of the text came to them: ${
      found[0].name
    } has ${found[0].unreached.length}; more text reaches more.`,
  ];
}

function unreadable({ name, type }: SourceTensor): LightGPTError {
  return new LightGPTError("unsupported", `${name}: ${formatName(type)} cannot be turned into floats here.`, {
    what: "a tensor type that cannot be read",
    where: name,
    expected: [...FORMATS.values()].filter(({ supported }) => supported).map(nameOf).join(", "),
    got: formatName(type),
  });
}

function isBlocks(type: number): boolean {
  return (FORMATS.get(type)?.blockElements ?? 1) > 1;
}

/** What of a model decides formats, by the file's own word. */
function factsOf(metadata: ReadonlyMap<string, NewValue>, isWeighed: boolean): ModelFacts {
  const architecture = String(metadata.get("general.architecture")?.value);
  const number = (key: string) => {
    const value = metadata.get(`${architecture}.${key}`)?.value;
    // Counts of heads may differ by layer; llama-quantize asks for the first layer's.
    const first = Array.isArray(value) ? value[0] : value instanceof MetadataArray ? value.at(0) : value;
    return typeof first === "number" ? first : undefined;
  };
  const heads = number("attention.head_count");
  const keyHeads = number("attention.head_count_kv") ?? heads;
  return {
    architecture,
    layers: number("block_count") ?? 0,
    groups: heads !== undefined && keyHeads !== undefined && keyHeads > 0 ? heads / keyHeads : 1,
    experts: number("expert_count") ?? 0,
    isWeighed,
  };
}
