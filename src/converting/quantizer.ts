/**
 * Turns floats into blocks, blocks into floats, and multiplies with them. The arithmetic is native; here are the checks,
 * the slices that keep the event loop alive, and the values that are stored apart.
 *
 * @module
 */
import { checkBuffer, native } from "../../ffi/native.ts";
import { turn } from "../../ffi/runtime/builtins.ts";
import { FLOAT_SOURCES, LIMITS } from "../../ffi/wire.ts";
import type { TensorFormat } from "../files/formats.ts";
import { threadsOption } from "../engine/threads_option.ts";
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
import { DifferenceSums, measure, type QuantizationError } from "./difference.ts";
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

export type { QuantizationError } from "./difference.ts";
export { QuantizedTensor, type SplitOutliers } from "./tensor.ts";
export type { QuantizedFormat } from "./types.ts";

const noFloats = new Float32Array(0);
/** Values as they are, as a format. */
const asFloats = { id: FLOAT_SOURCES.f32, blockElements: 1, blockBytes: 4 };
const noWords = new Uint32Array(0);
/** Formats whose weights are points of a lattice, and how much longer a value takes there than in others. */
const lattices = /^IQ[123]_/;
const latticeWork = 64;

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
    const work = format.blockElements * (lattices.test(format.name) ? latticeWork : 1);
    await inSlices(count, work, step, signal, (begin, end) => {
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
    const sums = new DifferenceSums();
    const { threads } = this;
    for (let begin = 0; begin < tensor.length; begin += LIMITS.differenceValuesMax) {
      const end = Math.min(begin + LIMITS.differenceValuesMax, tensor.length);
      const values = reference.subarray(begin, end);
      if (tensor.outliers === undefined) {
        const [from, to] = [begin, end].map((value) => value / format.blockElements * format.blockBytes);
        measure(sums, { format, blocks: tensor.blocks.subarray(from, to), source: kind, values, threads });
      } else {
        const made = new Float32Array(end - begin);
        this.#decode(tensor, format, begin / format.blockElements, end / format.blockElements, made);
        putBack(made, tensor.outliers, begin);
        measure(sums, { format: asFloats, blocks: new Uint8Array(made.buffer), source: kind, values, threads });
      }
      if (end < tensor.length) await turn();
      assertNotAborted(signal);
    }
    return sums.error(tensor.length);
  }

  #decode(tensor: QuantizedTensor, format: TensorFormat, begin: number, end: number, out: Float32Array): void {
    const blocks = tensor.blocks.subarray(begin * format.blockBytes, end * format.blockBytes);
    native().dequantize({ format: format.id, blocks, values: out, threads: this.threads });
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

/** Puts values that were split off into the floats of the places from `begin` on. */
function putBack(floats: Float32Array, { indices, values }: SplitOutliers, begin: number): void {
  indices.forEach((place, i) => {
    if (place >= begin && place < begin + floats.length) floats[place - begin] = values[i];
  });
}
