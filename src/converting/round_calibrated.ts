/**
 * Rounds rows of a matrix for its inputs. A {@link TensorCalibrator} measures these inputs.
 *
 * @module
 */
import { given } from "../options/schema.ts";
import { native } from "../../ffi/native.ts";
import type { TensorFormat } from "../files/formats.ts";
import type { Quantizer } from "./quantizer.ts";
import { inSlices } from "./slices.ts";
import { nameOf } from "./types.ts";

/** What rounding a matrix for its inputs needs. */
export interface Calibration {
  /** r_ik / r_kk, columns x columns; then the sums themselves, as many. */
  readonly factor: Float32Array;
  /** The squares of r_kk. */
  readonly importance: Float32Array;
  readonly columns: number;
  /** Rows times this make up for what the inputs lack: added to the weights. Null: nothing. */
  readonly repair: Float32Array | null;
  /** What is added to the weights, row after row, to make up for what the stream lacks. Null: nothing. */
  readonly shift: Float32Array | null;
}

/** Measures the inputs of matrices. */
export interface TensorCalibrator extends AsyncDisposable {
  /** The place of a tensor in the order of rounding: a higher number comes later. */
  order(name: string): number;
  /** The blocks of a tensor where they were made already; undefined where they were not. */
  made(name: string): Uint8Array | undefined;
  /**
   * The calibration of a tensor, or of one matrix of a stack; `unreached` where nothing of the text came to it, undefined where its
   * inputs are not known. Called in that order.
   */
  calibrationFor(name: string, matrix: number): Promise<Calibration | "unreached" | undefined>;
  /** Called with the blocks that a tensor has got. */
  replace(name: string, format: number, blocks: Uint8Array): void;
}

/** Formats whose levels lie at even distances, so that a later column can make up for an earlier one. */
const even = /^(q[458]_[01]|q[23456]_k)$/;

/** Rows that a thread rounds at a time, which share what is read of the sums. */
const rowsOfThread = 32;

/**
 * The blocks of rows of floats; `values` are overwritten. Formats whose levels are not at even distances are searched for,
 * with the importances of columns.
 */
export async function roundCalibrated(
  quantizer: Quantizer,
  format: TensorFormat,
  values: Float32Array,
  calibration: Calibration,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const { columns, repair, shift } = calibration;
  const rows = values.length / columns;
  if (repair !== null) await addRepair(quantizer.threads, values, repair, columns, signal);
  if (shift !== null) { for (let i = 0; i < values.length; i++) values[i]! += shift[i]!; }
  if (!even.test(nameOf(format))) {
    const { importance } = calibration;
    const options = { format: nameOf(format), shape: [rows, columns], ...given({ signal }) };
    return (await quantizer.quantize(values, { ...options, importance })).blocks;
  }
  const rowBytes = columns / format.blockElements * format.blockBytes;
  const blocks = new Uint8Array(rows * rowBytes);
  const { factor, importance } = calibration;
  await inSlices(rows, columns * columns / 16, rowsOfThread * quantizer.threads, signal, (begin, end) => {
    const good = native().calibrate({
      format: format.id,
      rows: end - begin,
      columns,
      threads: quantizer.threads,
      values: values.subarray(begin * columns, end * columns),
      factor,
      importance,
      blocks: blocks.subarray(begin * rowBytes, end * rowBytes),
    });
    if (good < end - begin) throw new RangeError(`row ${begin + good}`);
  });
  return blocks;
}

/** Adds the products of rows with a matrix to them. */
async function addRepair(
  threads: number,
  values: Float32Array,
  repair: Float32Array,
  columns: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  await inSlices(values.length / columns, columns * columns / 16, 64 * threads, signal, (begin, end) => {
    const count = end - begin;
    const rows = values.subarray(begin * columns, end * columns);
    // A column of all rows side by side, as sums of products want them.
    const x = new Float32Array(rows.length);
    for (let r = 0; r < count; r++) {
      for (let k = 0; k < columns; k++) x[k * count + r] = rows[r * columns + k]!;
    }
    native().gram({ x, y: repair, xColumns: count, columns, begin: 0, end: count, sums: rows, threads });
  });
}
