/**
 * Rows of 32-bit floats in a file: what a text left at one place of a model, position after position. It lies on disk so that memory does
 * not grow with the text; the system keeps in memory what fits.
 *
 * @module
 */
import type { LightGPTError } from "../../ffi/errors.ts";
import { node } from "../../ffi/runtime/builtins.ts";
import { readFailure, writeFailure } from "../../ffi/system_errors.ts";

/** A file of rows, written once from its beginning and then read. */
export class RowFile implements Disposable {
  readonly path: string;
  /** Floats of a row. */
  readonly columns: number;
  readonly #fs = node("node:fs");
  #descriptor: number | undefined;
  #rows = 0;

  /** Makes the file, or empties it; with `rows`, opens one that has so many. */
  constructor(path: string, columns: number, rows?: number) {
    this.path = path;
    this.columns = columns;
    this.#rows = rows ?? 0;
    this.#descriptor = this.#attempt(() => this.#fs.openSync(path, rows === undefined ? "w+" : "r"));
  }

  /** How many rows were written. */
  get rows(): number {
    return this.#rows;
  }

  /** Writes rows behind those that are there. */
  append(rows: Float32Array): void {
    const bytes = bytesOf(rows);
    this.#attempt(() => {
      for (let at = 0; at < bytes.length;) {
        at += this.#fs.writeSync(this.#open(), bytes, at, bytes.length - at, this.#rows * this.columns * 4 + at);
      }
    });
    this.#rows += rows.length / this.columns;
  }

  /** Fills `out` with the rows from row `begin` on. */
  read(begin: number, out: Float32Array): void {
    const bytes = bytesOf(out);
    this.#attempt(() => {
      for (let at = 0; at < bytes.length;) {
        const got = this.#fs.readSync(this.#open(), bytes, at, bytes.length - at, begin * this.columns * 4 + at);
        if (got === 0) throw new RangeError(`it has ${this.#rows} rows`);
        at += got;
      }
    }, (path, cause) => readFailure(path, cause, "the rows that were written"));
  }

  /** Closes it; the file stays. */
  [Symbol.dispose](): void {
    if (this.#descriptor !== undefined) this.#fs.closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  #open(): number {
    if (this.#descriptor === undefined) throw new RangeError("it was closed");
    return this.#descriptor;
  }

  #attempt<T>(action: () => T, failure = workFailure): T {
    try {
      return action();
    } catch (cause) {
      throw failure(this.path, cause);
    }
  }
}

/** The error about a file that is needed only while something is made. */
export function workFailure(path: string, cause: unknown): LightGPTError {
  return writeFailure(path, cause, { what: "a file of work under way", left: "nothing was left behind" });
}

function bytesOf(floats: Float32Array): Uint8Array {
  return new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength);
}
