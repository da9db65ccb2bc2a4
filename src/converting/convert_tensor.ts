/**
 * Converts one tensor, in pieces of some rows that are read, rounded, written and measured one after the other. The pieces
 * share their memory.
 *
 * @module
 */
import { LightGPTError } from "../../ffi/errors.ts";
import { native } from "../../ffi/native.ts";
import { FLOAT_SOURCES } from "../../ffi/wire.ts";
import type { TensorFormat } from "../files/formats.ts";
import type { GgufWriter } from "../files/gguf/write.ts";
import { cancelledBy } from "../options/checks.ts";
import { given } from "../options/schema.ts";
import { unreachedOf } from "./check_importance.ts";
import { DifferenceSums, measure } from "./difference.ts";
import type { OutlierOptions } from "./outliers.ts";
import type { Quantizer } from "./quantizer.ts";
import { type Calibration, roundCalibrated, type TensorCalibrator } from "./round_calibrated.ts";
import { nameOf } from "./types.ts";
import type { SourceTensor } from "./weight_source.ts";

/** Values of a piece. */
const pieceValues = 1 << 20;

/** A tensor, and what becomes of it. */
export interface Job {
  readonly tensor: SourceTensor;
  readonly format: TensorFormat;
  readonly bytes: number;
}

/** Options for converting a tensor; all have been checked. */
export interface ConvertTensorOptions {
  readonly rounding: "nearest" | "search";
  readonly importance: ReadonlyMap<string, Float32Array> | undefined;
  readonly outliers: OutlierOptions | undefined;
  readonly signal: AbortSignal | undefined;
  /** Knows the inputs of matrices, for calibrated rounding. */
  readonly calibrator: TensorCalibrator | undefined;
}

/** What was made of a tensor. */
export interface Converted {
  readonly relativeError: number;
  /** Matrices of a stack to which nothing of a text came, so that they got plain rounding. */
  readonly unreached: readonly number[];
}

/** Converts one tensor piece by piece. */
export async function convertTensor(
  { tensor, format }: Job,
  { quantizer, rooms }: Tools,
  writer: GgufWriter,
  { rounding, importance, outliers, signal, calibrator }: ConvertTensorOptions,
  progress: (bytes: number) => void,
): Promise<Converted> {
  const [columns] = tensor.dims;
  const rows = tensor.dims.slice(1).reduce((product, size) => product * size, 1);
  const rowBytes = tensor.bytes / rows;
  const piece = Math.max(1, Math.floor(pieceValues / columns));
  const matrixRows = tensor.dims[1] ?? 1;
  const weights = importance?.get(tensor.name);
  const unreached = new Set(unreachedOf(tensor, importance));
  const isCopied = format.id === tensor.type;
  const earlier = isCopied ? undefined : calibrator?.made(tensor.name);
  const isCalibrated = !isCopied && earlier === undefined && calibrator !== undefined &&
    calibrator.order(tensor.name) >= 0;
  const newRowBytes = columns / format.blockElements * format.blockBytes;
  const all = isCalibrated ? new Uint8Array(rows * newRowBytes) : undefined;
  const sums = new DifferenceSums();
  for (let row = 0; row < rows;) {
    if (signal?.aborted) throw cancelledBy(signal);
    // A piece stays inside one matrix of a stack, for each may have importances of its own.
    const count = Math.min(piece, matrixRows - row % matrixRows, rows - row);
    const bytes = rooms.bytes("read", count * rowBytes);
    tensor.read(bytes, row * rowBytes);
    if (isCopied) {
      writer.write(bytes);
    } else {
      const floats = floatsOf(bytes, tensor.type, count * columns, { quantizer, rooms });
      const matrix = Math.floor(row / matrixRows);
      const calibration = isCalibrated ? await calibrator.calibrationFor(tensor.name, matrix) : undefined;
      if (calibration === "unreached") unreached.add(matrix);
      const isKnown = weights !== undefined && !unreached.has(matrix);
      const made = earlier?.subarray(row * newRowBytes, (row + count) * newRowBytes) ??
        await round(quantizer, format, floats, [count, columns], {
          rounding: unreached.has(matrix) ? "nearest" : rounding,
          calibration: typeof calibration === "object" ? rowsOf(calibration, row, count) : undefined,
          signal,
          outliers: format.blockElements > 1 ? outliers : undefined,
          importance: isKnown ? weights.subarray(matrix * columns, (matrix + 1) * columns) : undefined,
          out: rooms.bytes("made", count * newRowBytes),
        }).catch((error) => {
          throw located(error, tensor.name, row);
        });
      all?.set(made, row * newRowBytes);
      writer.write(made);
      measure(sums, { format, blocks: made, source: "f32", values: floats, threads: quantizer.threads });
    }
    row += count;
    progress(bytes.length);
  }
  if (all !== undefined) calibrator?.replace(tensor.name, format.id, all);
  return { relativeError: sums.relative, unreached: isCopied ? [] : [...unreached].sort((a, b) => a - b) };
}

/** Memory for pieces, used again by the next one: fresh pages cost as much as rounding does. */
export class Rooms {
  readonly #rooms = new Map<string, ArrayBuffer>();

  /** Some bytes of the room of this name; what was there before is lost. */
  bytes(name: string, count: number): Uint8Array<ArrayBuffer> {
    let room = this.#rooms.get(name);
    if (room === undefined || room.byteLength < count) this.#rooms.set(name, room = new ArrayBuffer(count));
    return new Uint8Array(room, 0, count);
  }
}

/** What converts pieces. */
export interface Tools {
  readonly quantizer: Quantizer;
  readonly rooms: Rooms;
}

/** The values of a piece: where they lie, or decoded. */
function floatsOf(bytes: Uint8Array<ArrayBuffer>, type: number, count: number, { quantizer, rooms }: Tools) {
  if (type === FLOAT_SOURCES.f32) return new Float32Array(bytes.buffer, 0, count);
  const values = new Float32Array(rooms.bytes("floats", 4 * count).buffer, 0, count);
  native().dequantize({ format: type, blocks: bytes, values, threads: quantizer.threads });
  return values;
}

/** What some rows of a matrix are rounded by. */
function rowsOf(calibration: Calibration, row: number, count: number): Calibration {
  const { shift, columns } = calibration;
  return { ...calibration, shift: shift && shift.subarray(row * columns, (row + count) * columns) };
}

/** How some rows are rounded. */
interface Rounding {
  readonly rounding: "nearest" | "search";
  readonly calibration: Calibration | undefined;
  readonly importance: Float32Array | undefined;
  readonly outliers: OutlierOptions | undefined;
  readonly signal: AbortSignal | undefined;
  /** Where the blocks may be put. */
  readonly out: Uint8Array;
}

/** The blocks of some rows. */
async function round(
  quantizer: Quantizer,
  format: TensorFormat,
  floats: Float32Array,
  shape: readonly [number, number],
  { rounding, calibration, importance, outliers, signal, out }: Rounding,
): Promise<Uint8Array> {
  if (calibration !== undefined && format.blockElements > 1) {
    return await roundCalibrated(quantizer, format, floats.slice(), calibration, signal);
  }
  const options = { format: nameOf(format), shape, rounding, out, ...given({ importance, outliers, signal }) };
  return (await quantizer.quantize(floats, options)).blocks;
}

/** Says in which tensor a value was refused. */
function located(error: unknown, name: string, row: number): unknown {
  if (!(error instanceof LightGPTError) || !error.message.startsWith("values: row ")) return error;
  const message = error.message.replace(/^values: row (\d+)/, (_, inner) => `${name}: row ${row + Number(inner)}`);
  return new LightGPTError(error.code, message, { ...error.detail, where: name }, { cause: error });
}
