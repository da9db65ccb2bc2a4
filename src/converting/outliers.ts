/**
 * Options for the outliers of a block, which quantizing a tensor and a whole file share.
 *
 * @module
 */
import { OUTLIER_POLICIES } from "../../ffi/wire.ts";
import { choice, type FieldsOf, number } from "../options/schema.ts";

/**
 * Options for the outliers of a block.
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
  /**
   * How far from its block's mean an outlier lies, in standard deviations of the block.
   * @default {3}
   */
  readonly threshold?: number;
}

/** The schema of {@link OutlierOptions}. */
export const outlierFields = {
  policy: choice(OUTLIER_POLICIES, {
    about: "What becomes of outliers.",
    required: true,
    flag: {
      name: "outliers",
      value: "keep|clip",
      about: "what becomes of values far from their block's mean: kept, or moved to the threshold (default: keep)",
    },
  }),
  threshold: number({
    about: "How far from its block's mean an outlier lies, in standard deviations of the block.",
    above: 0,
    most: Number.MAX_VALUE,
    default: 3,
    flag: {
      name: "outlier-threshold",
      value: "N",
      about: "values more than N standard deviations of the block away are clipped",
    },
  }),
} as const satisfies FieldsOf<OutlierOptions>;
