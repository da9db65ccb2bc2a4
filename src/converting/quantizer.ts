/**
 * Turns floats into blocks, blocks into floats, and multiplies with them. The arithmetic is native; here are the checks,
 * the slices that keep the event loop alive, and the values that are stored apart.
 *
 * @module
 */
import { checkBuffer, native } from "../../ffi/native.ts";
import { FLOAT_SOURCES, type FloatSource, LIMITS } from "../../ffi/wire.ts";
import type { TensorFormat } from "../files/formats.ts";
import { threadsOption } from "../machine/machine.ts";
import { assertNotAborted, refuseOption } from "../options/checks.ts";
import { readOptions } from "../options/schema.ts";
import {
  checkTensor,
  importanceOf,
  outlierOptions,
  refuseBlock,
  refuseRow,
  shapeOf,
  sourceOf,
  splitValues,
} from "./checks.ts";
import { activationBits } from "../engine/types.ts";
import { inSlices } from "./slices.ts";
import { QuantizedTensor, type SplitOutliers } from "./tensor.ts";
import {
  dequantizeFields,
  errorFields,
  productFields,
  type ProductOptions,
  quantizeFields,
  type QuantizeOptions,
  quantizerFields,
  type QuantizerOptions,
} from "./quantizer_options.ts";
import { fitting, nameOf } from "./types.ts";

export { QuantizedTensor, type SplitOutliers } from "./tensor.ts";
export type { QuantizedFormat } from "./types.ts";

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

const noFloats = new Float32Array(0);
const noWords = new Uint32Array(0);

/**
 * Makes quantized tensors of floats, and works with them. Large tensors are done by several threads in slices of a few
 * milliseconds, between which the event loop gets its turn; nothing is copied.
 *
 * @example
 * ```ts
 * import { Quantizer } from "@lightgpt/lightgpt";
 *
 * const quantizer = new Quantizer();
 * const weights = Float32Array.from({ length: 64 * 256 }, (_, i) => Math.sin(i));
 * const tensor = await quantizer.quantize(weights, { format: "q4_0", shape: [64, 256] });
 * const product = await quantizer.matvec(tensor, new Float32Array(256).fill(1));
 * console.log(tensor.compression.f32, (await quantizer.error(tensor, weights)).rmse, product.length);
 * ```
 */
export class Quantizer {
  /** Threads that compute. */
  readonly threads: number;

  /** A quantizer; it holds nothing and needs no disposal. */
  constructor(options: QuantizerOptions = {}) {
    const { threads } = readOptions(quantizerFields, options);
    this.threads = threadsOption(threads);
  }

  /** Turns `values` into blocks. Throws where a value is not finite, or a block's scale is beyond what the format holds. */
  async quantize(values: Float32Array | Uint16Array, options: QuantizeOptions): Promise<QuantizedTensor> {
    const read = readOptions(quantizeFields, options);
    const { format: requested, rounding, signal } = read;
    const source = sourceOf(values, read.source);
    const shape = shapeOf(read.shape, values.length);
    const columns = shape.at(-1) as number;
    const format = fitting(requested, columns) ?? refuseRow(requested, columns);
    const { policy, threshold } = outlierOptions(read.outliers, format);
    const importance = importanceOf(read.importance, columns);
    assertNotAborted(signal);

    const blocks = read.out ?? new Uint8Array(values.length / format.blockElements * format.blockBytes);
    checkBuffer("Uint8Array", blocks, "out", values.length / format.blockElements * format.blockBytes);
    const mask = new Uint32Array(policy === "split" ? values.length / 32 : 0);
    const count = values.length / format.blockElements;
    // With importances a slice begins with a row; else anywhere.
    const step = importance === undefined ? 1 : columns / format.blockElements;
    await inSlices(count, format.blockElements, step, signal, (begin, end) => {
      const [from, to] = [begin * format.blockElements, end * format.blockElements];
      const written = native().quantize({
        format: format.id,
        source,
        rounding,
        outliers: policy,
        threshold,
        columns: importance === undefined ? format.blockElements : columns,
        threads: this.threads,
        values: values.subarray(from, to),
        importance: importance ?? noFloats,
        mask: policy === "split" ? mask.subarray(from / 32, to / 32) : noWords,
        blocks: blocks.subarray(begin * format.blockBytes, end * format.blockBytes),
      });
      if (written < (end - begin) * format.blockBytes) {
        refuseBlock(values, source, begin + written / format.blockBytes, format, columns);
      }
    });
    const outliers = policy === "split" ? splitValues(values, source, mask) : undefined;
    return new QuantizedTensor(nameOf(format), shape, blocks, { outliers, requested: nameOf(requested) });
  }

  /** Turns the blocks of `tensor` back into floats, into `out` where it is given; outliers that were split off are put back. */
  async dequantize(
    tensor: QuantizedTensor,
    out: Float32Array = new Float32Array(checkTensor(tensor) && tensor.length),
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<Float32Array> {
    const format = checkTensor(tensor);
    checkBuffer("Float32Array", out, "out", tensor.length);
    const { signal } = readOptions(dequantizeFields, options);
    assertNotAborted(signal);
    await inSlices(tensor.length / format.blockElements, format.blockElements, 1, signal, (begin, end) => {
      this.#decode(tensor, format, begin, end, out.subarray(begin * format.blockElements, end * format.blockElements));
    });
    tensor.outliers?.indices.forEach((place, i) => out[place] = tensor.outliers?.values[i] as number);
    return out;
  }

  /** The matrix, `tensor`, times one vector: a float for each row. */
  async matvec(tensor: QuantizedTensor, vector: Float32Array, options: ProductOptions = {}): Promise<Float32Array> {
    checkTensor(tensor);
    checkBuffer("Float32Array", vector, "vector");
    if (vector.length !== tensor.columns) refuseOption("vector", `${tensor.columns} floats`, `${vector.length}`);
    return await this.matmul(tensor, vector, options);
  }

  /**
   * The matrix times vectors that lie one after the other: a row of results for each vector. The tensor's first sizes
   * together are the rows of the matrix, `result[vector * rows + row]`. Computed as a model computes it.
   */
  async matmul(tensor: QuantizedTensor, vectors: Float32Array, options: ProductOptions = {}): Promise<Float32Array> {
    const format = checkTensor(tensor);
    const { activations, signal } = readOptions(productFields, options);
    assertNotAborted(signal);
    checkBuffer("Float32Array", vectors, "vectors");
    const { columns } = tensor;
    const count = vectors.length / columns;
    if (!Number.isInteger(count) || count < 1 || count > LIMITS.batchTokensMax) {
      refuseOption("vectors", `1 to ${LIMITS.batchTokensMax} vectors of ${columns} floats`, `${vectors.length} floats`);
    }
    const rows = tensor.length / columns;
    const rowBytes = columns / format.blockElements * format.blockBytes;
    const results = new Float32Array(rows * count);
    await inSlices(rows, columns * Math.max(1, count / 4), 16, signal, (begin, end) => {
      const part = count === 1 ? results.subarray(begin, end) : new Float32Array((end - begin) * count);
      native().matmul({
        format: format.id,
        rows: end - begin,
        columns,
        vectors: count,
        activationBits: activationBits[activations],
        threads: this.threads,
        blocks: tensor.blocks.subarray(begin * rowBytes, end * rowBytes),
        inputs: vectors,
        results: part,
      });
      if (count === 1) return;
      for (let v = 0; v < count; v++) {
        results.set(part.subarray(v * (end - begin), (v + 1) * (end - begin)), v * rows + begin);
      }
    });
    if (tensor.outliers !== undefined) this.#addOutliers(tensor, format, tensor.outliers, vectors, results);
    return results;
  }

  /** How far a tensor is from `reference`, the floats that it was made of. */
  async error(
    tensor: QuantizedTensor,
    reference: Float32Array | Uint16Array,
    options: { readonly source?: "f16" | "bf16"; readonly signal?: AbortSignal } = {},
  ): Promise<QuantizationError> {
    const format = checkTensor(tensor);
    const { source, signal } = readOptions(errorFields, options);
    const kind = sourceOf(reference, source);
    if (reference.length !== tensor.length) refuseOption("reference", `${tensor.length} values`, reference.length);
    assertNotAborted(signal);
    const exact = new Map<number, number>();
    tensor.outliers?.indices.forEach((place, i) => exact.set(place, tensor.outliers?.values[i] as number));
    let [squares, most, dot, left, right] = [0, 0, 0, 0, 0];
    let buffer = new Float32Array(0);
    await inSlices(tensor.length / format.blockElements, format.blockElements * 4, 1, signal, (begin, end) => {
      const [from, to] = [begin * format.blockElements, end * format.blockElements];
      if (buffer.length < 2 * (to - from)) buffer = new Float32Array(2 * (to - from));
      const made = buffer.subarray(0, to - from);
      this.#decode(tensor, format, begin, end, made);
      for (const [place, value] of exact) if (place >= from && place < to) made[place - from] = value;
      const truth = this.#floats(reference, kind, from, to, buffer.subarray(to - from, 2 * (to - from)));
      for (let i = 0; i < made.length; i++) {
        const [x, y] = [truth[i] as number, made[i] as number];
        const difference = Math.abs(x - y);
        squares += difference * difference;
        if (!(difference <= most)) most = difference;
        dot += x * y;
        left += x * x;
        right += y * y;
      }
    });
    const cosine = left === 0 && right === 0 ? 1 : left === 0 || right === 0 ? 0 : dot / Math.sqrt(left * right);
    return { rmse: Math.sqrt(squares / tensor.length), maximum: most, cosine };
  }

  #decode(tensor: QuantizedTensor, format: TensorFormat, begin: number, end: number, out: Float32Array): void {
    const blocks = tensor.blocks.subarray(begin * format.blockBytes, end * format.blockBytes);
    native().dequantize({ format: format.id, blocks, values: out, threads: this.threads });
  }

  /** Values `from` to `to` as floats: where they lie, or widened into `room`. */
  #floats(
    values: Float32Array | Uint16Array,
    kind: FloatSource,
    from: number,
    to: number,
    room: Float32Array,
  ): Float32Array {
    if (values instanceof Float32Array) return values.subarray(from, to);
    const blocks = new Uint8Array(values.buffer, values.byteOffset + from * 2, (to - from) * 2);
    native().dequantize({ format: FLOAT_SOURCES[kind], blocks, values: room, threads: this.threads });
    return room;
  }

  /** A value split off counts by what its block lacks of it. */
  #addOutliers(
    tensor: QuantizedTensor,
    format: TensorFormat,
    { indices, values }: SplitOutliers,
    vectors: Float32Array,
    results: Float32Array,
  ): void {
    const { columns } = tensor;
    const rows = tensor.length / columns;
    const block = new Float32Array(format.blockElements);
    let decoded = -1;
    indices.forEach((place, i) => {
      const index = Math.floor(place / format.blockElements);
      if (index !== decoded) this.#decode(tensor, format, index, index + 1, block);
      decoded = index;
      const lacks = (values[i] as number) - (block[place % format.blockElements] as number);
      const [row, column] = [Math.floor(place / columns), place % columns];
      for (let v = 0; v * columns < vectors.length; v++) {
        results[v * rows + row] += lacks * (vectors[v * columns + column] as number);
      }
    });
  }
}
