/**
 * A file that is written from its beginning and appears whole or not at all: it grows as a partial file, which gets the
 * target's name when it is complete and on the disk. A killed process or a full disk leaves nothing under that name.
 *
 * @module
 */
import { node } from "../../ffi/runtime/builtins.ts";
import { notAFile, writeFailure } from "../../ffi/system_errors.ts";
import { beginPartial, endPartial, heedFileLimit } from "./partial.ts";

/** A file being written. */
export class OutputFile {
  /** Where it will lie. */
  readonly path: string;
  readonly #partial: string;
  readonly #fs = node("node:fs");
  #descriptor: number | undefined;
  /** Bytes written so far. */
  bytes = 0;

  /**
   * Begins the file.
   *
   * @param length bytes that it will have: that they can't be written is said now, and not after hours of work
   */
  constructor(path: string, length: number) {
    this.path = path;
    const there = this.#attempt(() => this.#fs.statSync(path, { throwIfNoEntry: false }));
    if (there !== undefined && !there.isFile()) this.#fail(notAFile());
    heedFileLimit();
    this.#partial = this.#attempt(() => beginPartial(path));
    try {
      const descriptor = this.#descriptor = this.#attempt(() => this.#fs.openSync(this.#partial, "wx"));
      this.#attempt(() => this.#fs.ftruncateSync(descriptor, length));
      this.#attempt(() => this.#fs.ftruncateSync(descriptor, 0));
    } catch (error) {
      this.abort();
      throw error;
    }
  }

  /** Writes the next bytes. */
  write(data: Uint8Array): void {
    for (let done = 0; done < data.length;) {
      done += this.#attempt(() => this.#fs.writeSync(this.#descriptor as number, data, done, data.length - done));
    }
    this.bytes += data.length;
  }

  /** Brings everything to the disk and gives the file its name. */
  finish(): void {
    const descriptor = this.#descriptor as number;
    this.#attempt(() => this.#fs.fsyncSync(descriptor));
    this.#descriptor = undefined;
    this.#attempt(() => this.#fs.closeSync(descriptor));
    this.#attempt(() => this.#fs.renameSync(this.#partial, this.path));
    endPartial(this.#partial);
  }

  /** Removes what was written. Again, or after the end, is fine. */
  abort(): void {
    if (this.#descriptor !== undefined) {
      this.#fs.closeSync(this.#descriptor);
      this.#descriptor = undefined;
    }
    this.#fs.rmSync(this.#partial, { force: true });
    endPartial(this.#partial);
  }

  #attempt<T>(call: () => T): T {
    try {
      return call();
    } catch (cause) {
      this.#fail(cause);
    }
  }

  #fail(cause: unknown): never {
    throw writeFailure(this.path, cause, { left: "nothing was left behind" });
  }
}
