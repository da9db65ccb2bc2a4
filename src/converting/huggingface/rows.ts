/**
 * Rows of numbers that are read when they are wanted: a folder's tensor as a file will have it, with its rows picked, cut apart or
 * in another order, its columns moved, its matrices turned over or stacked. A vector is a single row. Nothing is kept but
 * what says so.
 *
 * @module
 */
import { native } from "../../../ffi/native.ts";
import type { SafeTensor } from "./safetensors.ts";

/** Rows of one length and type. */
export interface Rows {
  /** The number of their type, as a GGUF file has it. */
  readonly type: number;
  readonly columns: number;
  readonly count: number;
  /** Bytes of a row. */
  readonly rowBytes: number;
  /** Fills `target` with whole rows, from the row `first` on. */
  read(target: Uint8Array, first: number): void;
}

/** Bytes of a float by the number of its type. */
const FLOAT_BYTES: ReadonlyMap<number, number> = new Map([[0, 4], [1, 2], [30, 2]]);
const F32 = 0;
const MXFP4 = 39;
/** Values of a block of MXFP4, and the bytes of their codes. */
const blockValues = 32;
const blockCodes = 16;

/** All of a tensor, its rows one after the other. */
export function rowsOf({ file, offset, bytes, shape }: SafeTensor, type: number): Rows {
  const columns = shape.at(-1) ?? 1;
  const count = shape.slice(0, -1).reduce((product, size) => product * size, 1);
  const rowBytes = bytes / count;
  return { type, columns, count, rowBytes, read: (target, first) => file.read(target, offset + first * rowBytes) };
}

/** `count` rows, of which row i is the row `at(i)`; neighbours are read at once. */
export function picked(rows: Rows, count: number, at: (row: number) => number): Rows {
  const { rowBytes } = rows;
  const read = (target: Uint8Array, first: number) => {
    const wanted = target.length / rowBytes;
    for (let done = 0; done < wanted;) {
      const from = at(first + done);
      let run = 1;
      while (done + run < wanted && at(first + done + run) === from + run) run++;
      rows.read(target.subarray(done * rowBytes, (done + run) * rowBytes), from);
      done += run;
    }
  };
  return { ...rows, count, read };
}

/** Rows whose columns lie in runs of `length`, of which run i is the run `at(i)`. */
export function withColumns(rows: Rows, length: number, at: (run: number) => number): Rows {
  const bytes = length * rows.rowBytes / rows.columns;
  const read = (target: Uint8Array, first: number) => {
    rows.read(target, first);
    const row = new Uint8Array(rows.rowBytes);
    for (let start = 0; start < target.length; start += rows.rowBytes) {
      row.set(target.subarray(start, start + rows.rowBytes));
      for (let run = 0; run < rows.columns / length; run++) {
        target.set(row.subarray(at(run) * bytes, (at(run) + 1) * bytes), start + run * bytes);
      }
    }
  };
  return { ...rows, read };
}

/** A vector as rows of so many values. */
export function reshaped(vector: Rows, columns: number): Rows {
  const rowBytes = columns * vector.rowBytes / vector.columns;
  const read = (target: Uint8Array, first: number) => {
    const all = new Uint8Array(vector.rowBytes);
    vector.read(all, 0);
    target.set(all.subarray(first * rowBytes, first * rowBytes + target.length));
  };
  return { ...vector, columns, count: Math.floor(vector.columns / columns), rowBytes, read };
}

/** Rows one after the other; all have one length and type. */
export function stacked(parts: readonly Rows[]): Rows {
  const [{ rowBytes, count: each }] = parts;
  const read = (target: Uint8Array, first: number) => {
    for (let done = 0; done < target.length;) {
      const row = first + done / rowBytes;
      const inside = row % each;
      const bytes = Math.min(target.length - done, (each - inside) * rowBytes);
      parts[Math.floor(row / each)].read(target.subarray(done, done + bytes), inside);
      done += bytes;
    }
  };
  return { ...parts[0], count: each * parts.length, read };
}

/** Rows as f32, each value changed by `change`. */
export function asFloats(rows: Rows, change?: (value: number) => number): Rows {
  const read = (target: Uint8Array, first: number) => {
    const blocks = new Uint8Array(target.length / 4 * (FLOAT_BYTES.get(rows.type) ?? 4));
    rows.read(blocks, first);
    const values = new Float32Array(target.length / 4);
    native().dequantize({ format: rows.type, blocks, values, threads: 1 });
    if (change !== undefined) { for (let i = 0; i < values.length; i++) values[i] = change(values[i]); }
    target.set(new Uint8Array(values.buffer));
  };
  return { type: F32, columns: rows.columns, count: rows.count, rowBytes: 4 * rows.columns, read };
}

/** Each of `slabs` matrices turned over. The one that is read last is kept, for its rows lie apart in the file. */
export function turnedOver(rows: Rows, slabs: number): Rows {
  const height = rows.count / slabs;
  const size = rows.rowBytes / rows.columns;
  const columns = height;
  const rowBytes = columns * size;
  let [kept, slab] = [new Uint8Array(0), -1];
  const read = (target: Uint8Array, first: number) => {
    for (let done = 0; done < target.length; done += rowBytes) {
      const row = first + done / rowBytes;
      const wanted = Math.floor(row / rows.columns);
      if (wanted !== slab) {
        kept = new Uint8Array(height * rows.rowBytes);
        rows.read(kept, wanted * height);
        slab = wanted;
      }
      const at = (row % rows.columns) * size;
      for (let column = 0; column < columns; column++) {
        const from = column * rows.rowBytes + at;
        for (let byte = 0; byte < size; byte++) target[done + column * size + byte] = kept[from + byte];
      }
    }
  };
  return { type: rows.type, columns, count: slabs * rows.columns, rowBytes, read };
}

/**
 * MXFP4, whose codes and scales a folder keeps apart: there the halves of a byte are neighbours, in a file they are half a block
 * apart.
 */
export function blocksOf(codes: SafeTensor, scales: SafeTensor): Rows {
  const [experts, height, blocks] = codes.shape;
  const rowBytes = blocks * (1 + blockCodes);
  const half = blockCodes / 2;
  const read = (target: Uint8Array, first: number) => {
    const rows = target.length / rowBytes;
    const apart = new Uint8Array(rows * blocks * blockCodes);
    const exponents = new Uint8Array(rows * blocks);
    codes.file.read(apart, codes.offset + first * blocks * blockCodes);
    scales.file.read(exponents, scales.offset + first * blocks);
    for (let block = 0; block < rows * blocks; block++) {
      const at = block * (1 + blockCodes);
      target[at] = exponents[block];
      for (let j = 0; j < blockCodes; j++) {
        const [low, high] = [apart[block * blockCodes + (j >> 1)], apart[block * blockCodes + half + (j >> 1)]];
        target[at + 1 + j] = j % 2 === 0 ? (low & 15) | (high & 15) << 4 : low >> 4 | (high & 240);
      }
    }
  };
  return { type: MXFP4, columns: blocks * blockValues, count: experts * height, rowBytes, read };
}
