/**
 * A quantized tensor: its blocks as a typed array, and what they mean.
 *
 * @module
 */
import { checkBuffer } from "../../ffi/native.ts";
import { FORMATS, type TensorFormat } from "../files/formats.ts";
import { guarded, refuseOption } from "../options/checks.ts";
import { nameOf, type QuantizedFormat } from "./types.ts";

/** The option `shape`: sizes, whatever the number of values. */
export function checkShape(shape: unknown, name: string): readonly number[] {
  const sizes: unknown[] = Array.isArray(shape) ? [...shape] : [];
  if (sizes.length === 0 || !sizes.every((size) => Number.isInteger(size) && (size as number) >= 1)) {
    refuseOption(name, "sizes from 1, the last of them the length of a row", shape);
  }
  return sizes as number[];
}

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

  /** A tensor of blocks that are at hand; whether they are as many as the shape needs is checked where it is used. */
  constructor(
    format: QuantizedFormat,
    shape: readonly number[],
    blocks: Uint8Array,
    { outliers, requested = format }: { outliers?: SplitOutliers | undefined; requested?: QuantizedFormat } = {},
  ) {
    const known = formatNamed("format", format);
    this.format = nameOf(known);
    this.requestedFormat = nameOf(formatNamed("requested", requested));
    this.type = known.id;
    this.shape = guarded("shape", () => checkShape(shape, "shape"));
    guarded("blocks", () => checkBuffer("Uint8Array", blocks, "blocks"));
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

/** A format of blocks by its name, also one that is read only. */
function formatNamed(name: string, value: unknown): TensorFormat {
  const found = [...FORMATS.values()].find((format) => nameOf(format) === value);
  return found ?? refuseOption(name, "the name of a format, such as q4_0", value);
}
