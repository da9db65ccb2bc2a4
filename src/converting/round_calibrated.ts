/**
 * Rounding by what a matrix's inputs are: the part that has the weights. Where the sums of inputs come from, a
 * {@link TensorCalibrator} knows.
 *
 * @module
 */
import { calibrateRows, type CalibrationFactor } from "../../ffi/calibration.ts";
import { native } from "../../ffi/native.ts";
import type { TensorFormat } from "../files/formats.ts";
import type { Quantizer } from "./quantizer.ts";
import { inSlices } from "./slices.ts";
import { nameOf } from "./types.ts";

/** What rounding a matrix for its inputs needs. */
export interface Calibration extends CalibrationFactor {
  readonly columns: number;
  /** Rows times this, transposed, make up for what the inputs have lost: added to the weights. Null: nothing was lost. */
  readonly repair: Float32Array | null;
}

/** Knows the inputs of matrices. */
export interface TensorCalibrator extends AsyncDisposable {
  /** When a tensor's turn is: a higher number later. */
  order(name: string): number;
  /** What a tensor's rounding goes by; undefined for one whose inputs are not known. Tensors come in order. */
  calibrationFor(name: string): Promise<Calibration | undefined>;
  /** Hears which blocks a tensor has got. */
  replace(name: string, format: number, blocks: Uint8Array): void;
}

/** Formats whose levels lie at even distances, so that a later column can make up for an earlier one. */
const even = /^(q[458]_[01]|q[23456]_k)$/;

/** Blocks of rows of floats, which are spoilt. Formats of other levels are searched for with importances alone. */
export async function roundCalibrated(
  quantizer: Quantizer,
  format: TensorFormat,
  values: Float32Array,
  calibration: Calibration,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const { columns, repair } = calibration;
  const rows = values.length / columns;
  if (repair !== null) {
    const more = new Float32Array(values.length);
    const bytes = new Uint8Array(repair.buffer, repair.byteOffset, repair.byteLength);
    await inSlices(rows, columns * columns / 16, 1, signal, (begin, end) => {
      const [from, to] = [begin * columns, end * columns];
      native().matmul(0, bytes, values.subarray(from, to), more.subarray(from, to), {
        rows: columns,
        columns,
        vectors: end - begin,
        activationBits: 8,
        threads: quantizer.threads,
      });
    });
    for (let i = 0; i < values.length; i++) values[i] += more[i];
  }
  if (!even.test(nameOf(format))) {
    const { importance } = calibration;
    const options = { format: nameOf(format), shape: [rows, columns], ...(signal === undefined ? {} : { signal }) };
    return (await quantizer.quantize(values, { ...options, importance })).blocks;
  }
  const rowBytes = columns / format.blockElements * format.blockBytes;
  const blocks = new Uint8Array(rows * rowBytes);
  await inSlices(rows, columns * columns / 16, 8, signal, (begin, end) => {
    const part = values.subarray(begin * columns, end * columns);
    const room = blocks.subarray(begin * rowBytes, end * rowBytes);
    const good = calibrateRows(format.id, part, columns, calibration, room, quantizer.threads);
    if (good < end - begin) throw new RangeError(`row ${begin + good}`);
  });
  return blocks;
}
