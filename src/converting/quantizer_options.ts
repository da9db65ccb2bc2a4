/**
 * Options of the quantizer: what users see, and the schema of it.
 *
 * @module
 */
import { ROUNDINGS } from "../../ffi/wire.ts";
import { checkBuffer } from "../../ffi/native.ts";
import { activationTypes } from "../engine/types.ts";
import type { TensorFormat } from "../files/formats.ts";
import { threadsField } from "../engine/threads_option.ts";
import { abortSignal, choice, type FieldsOf, group, other } from "../options/schema.ts";
import { checkShape } from "./tensor.ts";
import { outlierFields, type OutlierOptions } from "./outliers.ts";
import { formatOf, type QuantizedFormat } from "./types.ts";

/**
 * Options for a `Quantizer`.
 *
 * @example
 * ```ts
 * import { Quantizer, type QuantizerOptions } from "@lightgpt/lightgpt";
 *
 * const options: QuantizerOptions = { threads: 2 };
 * const quantizer = new Quantizer(options);
 * console.log(quantizer.threads); // 2
 * ```
 */
export interface QuantizerOptions {
  /**
   * Threads that compute. Results do not depend on it.
   * @default {the processors that may be used}
   */
  readonly threads?: number;
}

/** The schema of {@link QuantizerOptions}. */
export const quantizerFields = { threads: threadsField } as const satisfies FieldsOf<QuantizerOptions>;

/**
 * Options for `Quantizer.quantize`.
 *
 * @example
 * ```ts
 * import { type QuantizeOptions, Quantizer } from "@lightgpt/lightgpt";
 *
 * const options: QuantizeOptions = { format: "q4_0", shape: [2, 64], rounding: "nearest" };
 * console.log((await new Quantizer().quantize(new Float32Array(128), options)).bytes); // 72
 * ```
 */
export interface QuantizeOptions {
  /** The format to make. A K-format falls back to one with blocks of 32 where rows are a multiple of 32 only. */
  readonly format: QuantizedFormat;
  /**
   * The sizes of the tensor, the slowest first; the last is the length of a row.
   * @default {one row}
   */
  readonly shape?: readonly number[];
  /**
   * The type that the values of a `Uint16Array` have.
   * @default {"f16"}
   */
  readonly source?: "f16" | "bf16";
  /**
   * How scales are found: `search` looks for those that leave the least error, `nearest` takes them from the extremes.
   * @default {"search"}
   */
  readonly rounding?: "nearest" | "search";
  /**
   * How much an error in each column counts; finite, not negative.
   * @default {all columns alike}
   */
  readonly importance?: Float32Array;
  /**
   * What becomes of outliers.
   * @default { policy: "keep" }
   */
  readonly outliers?: OutlierOptions;
  /**
   * The memory that the blocks are written to: exactly as many bytes as they take.
   * @default {new memory, whose pages cost more time than plain rounding}
   */
  readonly out?: Uint8Array;
  /** Ends the work. */
  readonly signal?: AbortSignal;
}

/** Types of 16 bits that values may have. */
const sourceField = choice(["f16", "bf16"], {
  about: "The type that the values of a Uint16Array have.",
  otherwise: "f16",
});
const signalField = abortSignal("Ends the work.");

/** The schema of {@link QuantizeOptions}. What depends on the values is checked with them. */
export const quantizeFields = {
  format: other<QuantizedFormat, TensorFormat>()(
    { about: "The format to make.", expected: "the name of a format", required: true },
    formatOf,
  ),
  shape: other<readonly number[]>()(
    { about: "The sizes of the tensor, the slowest first.", expected: "an array of sizes", otherwise: "one row" },
    checkShape,
  ),
  source: sourceField,
  rounding: choice(ROUNDINGS, { about: "How scales are found.", default: "search" }),
  importance: other<Float32Array>()(
    { about: "How much an error in each column counts.", expected: "a Float32Array", otherwise: "all columns alike" },
    (value, name) => {
      checkBuffer("Float32Array", value as Float32Array, name);
      return value as Float32Array;
    },
  ),
  outliers: group<OutlierOptions>()(outlierFields, { about: "What becomes of outliers.", otherwise: "they are kept" }),
  out: other<Uint8Array>()(
    { about: "The memory that the blocks are written to.", expected: "a Uint8Array", otherwise: "new memory" },
    (value, name) => {
      checkBuffer("Uint8Array", value as Uint8Array, name);
      return value as Uint8Array;
    },
  ),
  signal: signalField,
} as const satisfies FieldsOf<QuantizeOptions>;

/**
 * Options for products of a `Quantizer`.
 *
 * @example
 * ```ts
 * import { type ProductOptions, Quantizer } from "@lightgpt/lightgpt";
 *
 * const quantizer = new Quantizer();
 * const tensor = await quantizer.quantize(new Float32Array(64).fill(1), { format: "q8_0", shape: [2, 32] });
 * const options: ProductOptions = { activations: "int8" };
 * console.log(await quantizer.matvec(tensor, new Float32Array(32).fill(1), options)); // about [32, 32]
 * ```
 */
export interface ProductOptions {
  /**
   * How vectors are rounded before the product; a model rounds to `int8` by default.
   * @default {"int16"}
   */
  readonly activations?: "int8" | "int16";
  /** Ends the work. */
  readonly signal?: AbortSignal;
}

/** The schema of {@link ProductOptions}. */
export const productFields = {
  activations: choice(activationTypes, { about: "How vectors are rounded before the product.", default: "int16" }),
  signal: signalField,
} as const satisfies FieldsOf<ProductOptions>;

/** The schema of the options of `Quantizer.dequantize`. */
export const dequantizeFields = { signal: signalField } as const;

/** The schema of the options of `Quantizer.error`. */
export const errorFields = { source: sourceField, signal: signalField } as const;
