/**
 * A quantized tensor: its blocks as a typed array, and what they mean.
 *
 * @module
 */
import type { TensorFormat } from "../files/formats.ts";
import { nameOf, type QuantizedFormat } from "./types.ts";

/**
 * Values that were stored apart, exactly.
 *
 * @example
 * ```ts
 * import { Quantizer } from "@lightgpt/lightgpt";
 *
 * const values = new Float32Array(32).fill(0.1);
 * values[3] = 9;
 * const { outliers } = await new Quantizer().quantize(values, {
 *   format: "q4_0",
 *   outliers: { policy: "split", threshold: 4 },
 * });
 * console.log(outliers?.indices, outliers?.values); // [3] [9]
 * ```
 */
export interface SplitOutliers {
  /** Their places among all values, ascending. */
  readonly indices: Uint32Array;
  /** The values themselves. */
  readonly values: Float32Array;
}

/**
 * A tensor as blocks; made by `Quantizer.quantize`, or from blocks at hand.
 *
 * @example
 * ```ts
 * import { QuantizedTensor, Quantizer } from "@lightgpt/lightgpt";
 *
 * const quantizer = new Quantizer();
 * const tensor = await quantizer.quantize(new Float32Array(64 * 32).fill(0.25), { format: "q4_0", shape: [64, 32] });
 * console.log(tensor.shape, tensor.bytes, tensor.compression.f32); // [64, 32] 1152 7.11
 * console.log(tensor instanceof QuantizedTensor); // true
 * ```
 */
export class QuantizedTensor {
  /** The blocks, row after row, as a GGUF file has them. */
  readonly blocks: Uint8Array;
  /** What the blocks are; where rows do not fit the format asked for, what it fell back to. */
  readonly format: QuantizedFormat;
  /** The format that was asked for. */
  readonly requestedFormat: QuantizedFormat;
  /** Sizes, the slowest first: the last is the length of a row. */
  readonly shape: readonly number[];
  /** Values that were split off; they are not in the blocks. */
  readonly outliers: SplitOutliers | undefined;
  /** The number of the format in a file. */
  readonly type: number;

  /** A tensor of blocks that are at hand; sizes are not checked here but where the tensor is used. */
  constructor(
    format: TensorFormat,
    shape: readonly number[],
    blocks: Uint8Array,
    { outliers, requested = format }: { outliers?: SplitOutliers | undefined; requested?: TensorFormat } = {},
  ) {
    this.format = nameOf(format);
    this.requestedFormat = nameOf(requested);
    this.type = format.id;
    this.shape = shape;
    this.blocks = blocks;
    this.outliers = outliers;
  }

  /** How many values it stands for. */
  get length(): number {
    return this.shape.reduce((product, size) => product * size, 1);
  }

  /** Values of a row. */
  get columns(): number {
    return this.shape.at(-1) ?? 0;
  }

  /** Bytes of the blocks and of the outliers beside them. */
  get bytes(): number {
    return this.blocks.byteLength + this.outlierBytes;
  }

  /** Bytes that outliers take beside the blocks: 8 each. */
  get outlierBytes(): number {
    return this.outliers === undefined ? 0 : this.outliers.indices.byteLength + this.outliers.values.byteLength;
  }

  /** Bits of a value, all told. */
  get bitsPerValue(): number {
    return this.bytes * 8 / this.length;
  }

  /** How many times smaller it is than as f32 and as f16. */
  get compression(): { readonly f32: number; readonly f16: number } {
    return { f32: this.length * 4 / this.bytes, f16: this.length * 2 / this.bytes };
  }
}
