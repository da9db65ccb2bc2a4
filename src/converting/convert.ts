/**
 * Makes smaller model files: checks the options, opens the source, and, for calibrated rounding, has the model read a
 * text. The conversion itself is `quantize_file.ts`.
 *
 * @module
 */
import { ImportanceMatrix } from "./imatrix.ts";
import { checkBuffer } from "../../ffi/native.ts";
import { modelFile, pathOrName } from "../files/model_file.ts";
import { threadsField, threadsOption } from "../engine/threads_option.ts";
import { assertNotAborted, refuseOption } from "../options/checks.ts";
import { pathOf } from "../options/paths.ts";
import {
  abortSignal,
  callback,
  choice,
  type FieldsOf,
  given,
  group,
  integer,
  other,
  readOptions,
  type Resolved,
  text,
} from "../options/schema.ts";
import { allowUnknownField } from "../text/tokenizer/options.ts";
import { outlierFields, type OutlierOptions } from "./outliers.ts";
import { formatOf, type QuantizedFormat } from "./types.ts";
import type { QuantizeFileReport } from "./quantize_file.ts";
import type { TensorRule } from "./mixes.ts";

/**
 * Options for {@link quantizeFile}.
 *
 * @example
 * ```ts
 * import { quantizeFile, type QuantizeFileOptions } from "@lightgpt/lightgpt";
 *
 * const options: QuantizeFileOptions = { type: "q4_0", tensorTypes: [{ pattern: "token_embd", format: "q8_0" }] };
 * const report = await quantizeFile("model-f16.gguf", "model-q4_0.gguf", options);
 * console.log(report.bytes, "of", report.sourceBytes);
 * ```
 */
export interface QuantizeFileOptions {
  /** A format or a mix, such as `q4_0` or `q4_k_m`. */
  readonly type: string;
  /**
   * How scales are found: `search` looks for those that leave the least error; `nearest` is faster; `calibrated` lets later
   * columns of a row make up for the errors of earlier ones, by the inputs that matrices see while the model reads a text.
   * @default {"search"}
   */
  readonly rounding?: "nearest" | "search" | "calibrated";
  /**
   * The text that the model reads for `calibrated`: some ten thousand tokens like those that it will meet.
   * @default {texts that the model generates}
   */
  readonly calibration?: string;
  /**
   * How many tokens of that text the model reads, at most: windows from everywhere in it.
   * @default {16384}
   */
  readonly calibrationTokens?: number;
  /**
   * Formats of some tensors, by a part of their names. Of several rules that fit a tensor, the last one holds.
   * @default {[]}
   */
  readonly tensorTypes?: readonly TensorRule[];
  /**
   * Threads that compute. The bytes do not depend on it.
   * @default {the processors that may be used}
   */
  readonly threads?: number;
  /**
   * How much an error in each column of a tensor counts: an importance matrix, or columns by the tensor's name, as
   * `ImportanceMatrix.columns()` gives them. What is known of a matrix is written to the file, as llama-quantize does.
   * @default {all columns alike}
   */
  readonly importance?: ReadonlyMap<string, Float32Array> | ImportanceMatrix;
  /**
   * What becomes of outliers in blocks; `split` is refused, for GGUF has no type for values stored apart.
   * @default { policy: "keep" }
   */
  readonly outliers?: OutlierOptions;
  /**
   * Of a folder: name the default pre-tokenizer where the folder's is unknown; tokens may be wrong then.
   * @default {false}
   */
  readonly allowUnknownPreTokenizer?: boolean;
  /** Ends the work; nothing is left behind. */
  readonly signal?: AbortSignal;
  /** Called with how many bytes of the source are done, of how many. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** The schema of {@link QuantizeFileOptions}. */
export const quantizeFileFields = {
  type: text({
    about: "A format or a mix, such as `q4_0` or `q4_k_m`.",
    required: true,
    flag: { value: "TYPE", about: "a format or a mix, such as q8_0, q4_0 or q4_k_m" },
  }),
  rounding: choice(["search", "nearest", "calibrated"], {
    about: "How scales are found.",
    default: "search",
    flag: { value: "HOW", about: "how scales are found; calibrated goes by the inputs that matrices see" },
  }),
  calibration: text({
    about: "The text that the model reads for calibrated rounding.",
    otherwise: "texts that the model generates",
    flag: { name: "calibrate", value: "TEXT", about: "a text file that the model reads for calibrated rounding" },
  }),
  calibrationTokens: integer({
    about: "How many tokens of that text the model reads, at most.",
    least: 64,
    most: 1 << 24,
    default: 16_384,
    flag: { name: "calibrate-tokens", value: "N", about: "how many tokens of that text are read, at most" },
  }),
  tensorTypes: other<readonly TensorRule[]>()(
    {
      about: "Formats of some tensors, by a part of their names.",
      expected: "an array of { pattern, format }",
      default: [],
      otherwise: "none",
      flag: {
        name: "tensor-type",
        value: "NAME=TYPE",
        about: "the format of tensors whose names contain NAME; may be given again",
        repeats: true,
      },
    },
    readRules,
  ),
  threads: threadsField,
  importance: other<ReadonlyMap<string, Float32Array> | ImportanceMatrix>()(
    {
      about: "How much an error in each column of a tensor counts, by the tensor's name.",
      expected: "an ImportanceMatrix, or a Map of Float32Array",
      otherwise: "all columns alike",
      flag: { name: "imatrix", value: "FILE", about: "an importance matrix: how much each column counts in a search" },
    },
    readImportance,
  ),
  outliers: group<OutlierOptions>()(outlierFields, { about: "What becomes of outliers.", otherwise: "they are kept" }),
  allowUnknownPreTokenizer: allowUnknownField,
  signal: abortSignal("Ends the work."),
  onProgress: callback<(done: number, total: number) => void>({
    about: "Called with how many bytes of the source are done, of how many.",
  }),
} as const satisfies FieldsOf<QuantizeFileOptions>;

function readRules(rules: unknown, name: string): readonly TensorRule[] {
  if (!Array.isArray(rules)) refuseOption(name, "an array of { pattern, format }", rules);
  return Array.from(rules, (rule: unknown, index) => {
    const { pattern, format } = readOptions(ruleFields, rule, `${name}[${index}]`);
    formatOf(format, `${name}[${index}].format`);
    return { pattern, format: format.toLowerCase() as QuantizedFormat };
  });
}

const ruleFields = {
  pattern: text({ about: "A part of a tensor's name.", required: true }),
  format: text({ about: "The format of these tensors.", required: true }),
} as const;

const inputWords = "a GGUF file or a folder";

function readImportance(importance: unknown, name: string): ReadonlyMap<string, Float32Array> | ImportanceMatrix {
  if (importance instanceof ImportanceMatrix) return importance;
  if (!(importance instanceof Map)) refuseOption(name, "an ImportanceMatrix, or a Map of Float32Array", importance);
  for (const [tensor, columns] of importance) {
    if (typeof tensor !== "string") refuseOption(name, "names of tensors as keys", tensor);
    checkBuffer("Float32Array", columns, `${name} of ${tensor}`);
  }
  return importance;
}

/** Texts that a model generates for its calibration, and the most tokens of each. */
const ownTexts = { count: 120, tokens: 300 } as const;

/**
 * Quantizes a GGUF file (of a split one, give the first part), or a Hugging Face folder with `config.json`,
 * `tokenizer.json` and safetensors. Throws where the output would be one of the input's files.
 *
 * @example
 * ```ts
 * import { quantizeFile } from "@lightgpt/lightgpt";
 *
 * const { bytes, warnings } = await quantizeFile("model-f16.gguf", "model-q4_0.gguf", { type: "q4_0" });
 * console.log(bytes, warnings);
 * ```
 */
export async function quantizeFile(
  input: string | URL,
  output: string | URL,
  options: QuantizeFileOptions,
): Promise<QuantizeFileReport> {
  pathOrName("input", input, inputWords); // what is wrong with it is said first
  const to = pathOf("output", output, "a file to write");
  const read = readOptions(quantizeFileFields, options);
  const { type, tensorTypes, importance, signal, onProgress, calibration, calibrationTokens, rounding } = read;
  if (calibration !== undefined && rounding !== "calibrated") {
    refuseOption("calibration", 'none, or the rounding "calibrated"', calibration);
  }
  if (options.calibrationTokens !== undefined && rounding !== "calibrated") {
    refuseOption("calibrationTokens", 'none, or the rounding "calibrated"', calibrationTokens);
  }
  if (importance !== undefined && rounding !== "search") {
    refuseOption("importance", 'none, or the rounding "search"', rounding);
  }
  const outliers = fileOutliers(read.outliers, rounding);
  assertNotAborted(signal);
  const threads = threadsOption(read.threads);
  const from = await modelFile("input", input, { signal, onProgress: undefined }, inputWords);
  // Only quantizing files needs these.
  const { isFolder, openFolder } = await import("./huggingface/folder.ts");
  const { openGguf } = await import("./weight_source.ts");
  const { convertFile } = await import("./quantize_file.ts");
  const { Calibrator } = await import("./calibrator.ts");
  const folder = isFolder(from);
  if (folder && rounding === "calibrated") {
    refuseOption(
      "rounding",
      "nearest or search for a folder; calibrated for the GGUF file made of it, as bf16",
      rounding,
    );
  }
  const source = folder ? await openFolder(from, read.allowUnknownPreTokenizer) : openGguf(from);
  try {
    await using calibrator = rounding === "calibrated"
      ? await Calibrator.open(from, {
        text: calibration ?? await ownText(from, read),
        tokens: calibrationTokens,
        threads,
        signal,
        allowUnknownPreTokenizer: read.allowUnknownPreTokenizer,
        output: to,
        work: JSON.stringify([type, tensorTypes]),
      })
      : undefined;
    const plain = rounding === "calibrated" ? "search" : rounding;
    return await convertFile(source, to, {
      type,
      tensorTypes,
      threads,
      importance: importance instanceof ImportanceMatrix ? importance.columns() : importance,
      importanceMatrix: importance instanceof ImportanceMatrix ? importance : undefined,
      outliers,
      signal,
      onProgress,
      calibrator,
      rounding: plain,
    });
  } finally {
    source.close();
  }
}

/** Outliers that a file can hold. */
function fileOutliers(
  outliers: Resolved<typeof outlierFields> | undefined,
  rounding: string,
): OutlierOptions | undefined {
  const policy = outliers?.policy;
  if (policy === "split") {
    refuseOption("outliers.policy", "keep or clip: GGUF has no type for values that are stored apart", policy);
  }
  if (policy === "clip" && rounding === "calibrated") {
    refuseOption("outliers.policy", "keep beside calibrated rounding, which makes up for errors by itself", policy);
  }
  return outliers;
}

/** Texts that a model generates from the beginning, with fixed seeds: always the same. */
async function ownText(
  path: string,
  { signal, allowUnknownPreTokenizer }: Resolved<typeof quantizeFileFields>,
): Promise<string> {
  const { Batcher } = await import("../batching/batcher.ts");
  const { Model } = await import("../model/model.ts");
  await using model = await Model.load(path, { allowUnknownPreTokenizer, ...given({ signal }) });
  if (!model.plan.texts.generates) {
    refuseOption("calibration", "a text like those that the model will read, for it generates none", undefined);
  }
  await using batcher = new Batcher(model, { kv: "f32" });
  const { bos } = model.tokenizer;
  const begin = bos === undefined ? model.tokenizer.encode(" ") : [bos];
  const texts = await Promise.all(Array.from({ length: ownTexts.count }, async (_, index) => {
    const sampling = { temperature: 1, topK: 0, topP: 1, seed: BigInt(index) };
    return (await batcher.complete(begin, {
      maxTokens: ownTexts.tokens,
      sampling,
      ...given({ signal }),
    })).text;
  }));
  return texts.map((text) => text.trim()).join("\n\n");
}
