/**
 * Quantizing alone: blocks of one's own numbers, and whole model files.
 *
 * @example
 * ```ts
 * import { Quantizer } from "@lightgpt/lightgpt/quantizer";
 *
 * const quantizer = new Quantizer();
 * const tensor = await quantizer.quantize(new Float32Array(2048).fill(0.5), { format: "q4_0", shape: [2, 1024] });
 * console.log(tensor.bytes);
 * ```
 *
 * @module
 */
export {
  type QuantizationError,
  type QuantizedFormat,
  QuantizedTensor,
  Quantizer,
  type SplitOutliers,
} from "../src/converting/quantizer.ts";
export type { ProductOptions, QuantizeOptions, QuantizerOptions } from "../src/converting/quantizer_options.ts";
export type { OutlierOptions } from "../src/converting/outliers.ts";
export { collectImportance, type CollectOptions } from "../src/converting/collect_importance.ts";
export { quantizeFile, type QuantizeFileOptions } from "../src/converting/convert.ts";
export { ImportanceMatrix, type ImportanceOrigin } from "../src/converting/imatrix.ts";
export type { ImportanceEntry } from "../src/converting/importance_entry.ts";
export type { QuantizeFileReport, TensorReport } from "../src/converting/quantize_file.ts";
export type { TensorRule } from "../src/converting/mixes.ts";
