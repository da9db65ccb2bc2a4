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
  type OutlierOptions,
  type ProductOptions,
  type QuantizationError,
  type QuantizedFormat,
  QuantizedTensor,
  type QuantizeOptions,
  Quantizer,
  type QuantizerOptions,
  type SplitOutliers,
} from "../src/quantizer.ts";
export { collectImportance, type CollectOptions } from "../src/importance.ts";
export { quantizeFile, type QuantizeFileOptions } from "../src/quantize.ts";
export { type ImportanceEntry, ImportanceMatrix, type ImportanceOrigin } from "../src/quantizer/imatrix.ts";
export type { QuantizeFileReport, TensorReport } from "../src/quantizer/file.ts";
export type { TensorRule } from "../src/quantizer/mixes.ts";
