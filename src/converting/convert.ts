/**
 * Makes smaller model files: checks what is asked for, opens the source, and, for calibrated rounding, has the model read a
 * text. The conversion itself is `quantize_file.ts`.
 *
 * @module
 */
import { threadsOption } from "../machine/machine.ts";
import { booleanOption, checkFunction, checkKeys, checkSignal, choiceOption, refuseOption } from "../options/checks.ts";
import type { OutlierOptions } from "./outliers.ts";
import type { QuantizeFileReport } from "./quantize_file.ts";
import type { TensorRule } from "./mixes.ts";

/**
 * How {@link quantizeFile} works.
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
   * `search` looks for the scales that leave the least error; `nearest` is faster; `calibrated` makes later columns of a row
   * up for the errors of those before, by the inputs that matrices see while the model reads a text. Default `search`.
   */
  readonly rounding?: "nearest" | "search" | "calibrated";
  /** What the model reads for `calibrated`: some ten thousand tokens like those it is for. Default: what it tells itself. */
  readonly calibration?: string;
  /** Formats of some tensors, by a part of their names; of several that fit the last holds. */
  readonly tensorTypes?: readonly TensorRule[];
  /** Threads that compute; the bytes do not depend on it. Default: one for each processor. */
  readonly threads?: number;
  /** What an error in each column of a tensor counts in a search, by its name: `ImportanceMatrix.columns()`, for one. */
  readonly importance?: ReadonlyMap<string, Float32Array>;
  /** What becomes of outliers in blocks; `split` is refused, for GGUF has no type for values stored apart. Default: kept. */
  readonly outliers?: OutlierOptions;
  /** Of a folder: name the default pre-tokenizer where the folder's is unknown; tokens may be wrong then. Default: refuse. */
  readonly allowUnknownPreTokenizer?: boolean;
  /** Ends the work; nothing is left behind. */
  readonly signal?: AbortSignal;
  /** Hears how many bytes of the source are done, of how many. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Texts that a model tells itself for its calibration, and how long each may become. */
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
  input: string,
  output: string,
  options: QuantizeFileOptions,
): Promise<QuantizeFileReport> {
  checkKeys("options", options, [
    "type",
    "rounding",
    "calibration",
    "tensorTypes",
    "threads",
    "importance",
    "outliers",
    "allowUnknownPreTokenizer",
    "signal",
    "onProgress",
  ]);
  const { type, tensorTypes = [], threads, importance, signal, onProgress, calibration } = options;
  if (typeof type !== "string") refuseOption("type", "the name of a format or mix", type);
  if (typeof output !== "string" || output === "") refuseOption("output", "the path of a file to write", output);
  const rounding = choiceOption("rounding", options.rounding, ["nearest", "search", "calibrated"], "search");
  if (calibration !== undefined && (typeof calibration !== "string" || rounding !== "calibrated")) {
    refuseOption("calibration", 'a text, beside the rounding "calibrated"', calibration);
  }
  if (importance !== undefined && (!(importance instanceof Map) || rounding !== "search")) {
    refuseOption("importance", 'a Map of Float32Array, beside the rounding "search"', rounding);
  }
  const outliers = fileOutliers(options.outliers, rounding);
  checkFunction("onProgress", onProgress);
  checkSignal(signal);
  const cores = threadsOption(threads);
  if (typeof input !== "string" || input === "") refuseOption("input", "the path of a GGUF file or of a folder", input);
  const allow = booleanOption("allowUnknownPreTokenizer", options.allowUnknownPreTokenizer, false);
  // What only they need who quantize files is loaded here.
  const { isFolder, openFolder } = await import("./huggingface/folder.ts");
  const { openGguf } = await import("./weight_source.ts");
  const { convertFile } = await import("./quantize_file.ts");
  const { Calibrator } = await import("./calibrator.ts");
  const folder = isFolder(input);
  if (folder && rounding === "calibrated") {
    refuseOption(
      "rounding",
      "nearest or search for a folder; calibrated for the GGUF file made of it, as bf16",
      rounding,
    );
  }
  const source = folder ? openFolder(input, allow) : openGguf(input);
  try {
    await using calibrator = rounding === "calibrated"
      ? await Calibrator.open(input, calibration ?? await ownText(input, signal), cores, signal)
      : undefined;
    const plain = rounding === "calibrated" ? "search" : rounding;
    return await convertFile(source, output, {
      type,
      tensorTypes,
      threads,
      importance,
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
function fileOutliers(outliers: OutlierOptions | undefined, rounding: string): OutlierOptions | undefined {
  if (outliers === undefined) return undefined;
  checkKeys("outliers", outliers, ["policy", "threshold"]);
  const policy = choiceOption("outliers.policy", outliers.policy, ["keep", "clip", "split"], "keep");
  if (policy === "split") {
    refuseOption("outliers.policy", "keep or clip: GGUF has no type for values that are stored apart", policy);
  }
  if (policy === "clip" && rounding === "calibrated") {
    refuseOption("outliers.policy", "keep beside calibrated rounding, which makes up for errors by itself", policy);
  }
  return outliers;
}

/** What a model tells from its beginning on, by fixed seeds: always the same. */
async function ownText(path: string, signal: AbortSignal | undefined): Promise<string> {
  const { Batcher } = await import("../batching/batcher.ts");
  const { Model } = await import("../model/model.ts");
  await using model = await Model.load(path, signal === undefined ? {} : { signal });
  await using batcher = new Batcher(model, { kv: "f32" });
  const { bos } = model.tokenizer;
  const begin = bos === undefined ? model.tokenizer.encode(" ") : [bos];
  const texts = await Promise.all(Array.from({ length: ownTexts.count }, async (_, index) => {
    const sampling = { temperature: 1, topK: 0, topP: 1, seed: BigInt(index) };
    return (await batcher.complete(begin, {
      maxTokens: ownTexts.tokens,
      sampling,
      ...(signal === undefined ? {} : { signal }),
    })).text;
  }));
  return texts.map((text) => text.trim()).join("\n\n");
}
