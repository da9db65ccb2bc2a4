/**
 * What becomes of the outliers of a block: the option that quantizing a tensor and a whole file share.
 *
 * @module
 */

/**
 * What becomes of a block's outliers.
 *
 * @example
 * ```ts
 * import { type OutlierOptions, Quantizer } from "@lightgpt/lightgpt";
 *
 * const outliers: OutlierOptions = { policy: "clip", threshold: 3 };
 * await new Quantizer().quantize(new Float32Array(32), { format: "q4_0", outliers });
 * ```
 */
export interface OutlierOptions {
  /**
   * `keep` rounds them like any other value; `clip` moves them to the threshold; `split` stores them apart, exactly (8
   * bytes each), so that they no longer stretch their block's scale.
   */
  readonly policy: "keep" | "clip" | "split";
  /** How far from its block's mean an outlier lies, in standard deviations of the block. Default 3. */
  readonly threshold?: number;
}
