/**
 * How far a tensor is from what it was made of: the native sums of its pieces put together, and the numbers that users see.
 *
 * @module
 */
import { native } from "../../ffi/native.ts";
import { type FloatSource, LIMITS } from "../../ffi/wire.ts";
import type { Difference } from "../../ffi/wire_calls.ts";
import type { TensorFormat } from "../files/formats.ts";

/**
 * How far a tensor is from what it was made of.
 *
 * @example
 * ```ts
 * import { type QuantizationError, Quantizer } from "@lightgpt/lightgpt";
 *
 * const quantizer = new Quantizer();
 * const values = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i));
 * const error: QuantizationError = await quantizer.error(await quantizer.quantize(values, { format: "q4_0" }), values);
 * console.log(error.rmse, error.maximum, error.cosine);
 * ```
 */
export interface QuantizationError {
  /** Root of the mean squared difference. */
  readonly rmse: number;
  /** The greatest difference. */
  readonly maximum: number;
  /** Cosine of the angle between both; 1 where both are zeros. */
  readonly cosine: number;
}

/** The differences of pieces, added up in the order in which they come. */
export class DifferenceSums {
  #squares = 0;
  #greatest = 0;
  #products = 0;
  #values = 0;
  #made = 0;

  /** Adds a piece. */
  add({ squares, greatest, products, values, made }: Difference): void {
    this.#squares += squares;
    if (greatest > this.#greatest || Number.isNaN(greatest)) this.#greatest = greatest;
    this.#products += products;
    this.#values += values;
    this.#made += made;
  }

  /** The error of a tensor of so many values. */
  error(length: number): QuantizationError {
    const [values, made] = [this.#values, this.#made];
    const cosine = values === 0 && made === 0
      ? 1
      : values === 0 || made === 0
      ? 0
      : this.#products / Math.sqrt(values * made);
    return { rmse: Math.sqrt(this.#squares / length), maximum: this.#greatest, cosine };
  }

  /** Root mean square of the error over that of the values; 0 where all of them are. */
  get relative(): number {
    return this.#values === 0 ? 0 : Math.sqrt(this.#squares / this.#values);
  }
}

/** Blocks, and the values that they were made of. */
export interface Compared {
  readonly format: Pick<TensorFormat, "id" | "blockElements" | "blockBytes">;
  readonly blocks: Uint8Array;
  readonly source: FloatSource;
  readonly values: Float32Array | Uint16Array;
  readonly threads: number;
}

/** Adds how far blocks are from their values. */
export function measure(sums: DifferenceSums, { format, blocks, source, values, threads }: Compared): void {
  const bytesOf = (count: number) => count / format.blockElements * format.blockBytes;
  for (let begin = 0; begin < values.length; begin += LIMITS.differenceValuesMax) {
    const end = Math.min(begin + LIMITS.differenceValuesMax, values.length);
    sums.add(
      native().difference({
        format: format.id,
        blocks: blocks.subarray(bytesOf(begin), bytesOf(end)),
        source,
        values: values.subarray(begin, end),
        threads,
      }),
    );
  }
}
