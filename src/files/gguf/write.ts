/**
 * Writes a GGUF file while its tensors are made: header and table first, since all sizes are known, then the data of one
 * tensor after the other. It writes to a partial file, which gets the target's name when it is complete and on the disk,
 * so that a killed process or a full disk leaves no broken file under that name.
 *
 * @module
 */
import { LightGPTError } from "../../../ffi/errors.ts";
import { node } from "../../../ffi/runtime/builtins.ts";
import { beginPartial, endPartial, heedFileLimit } from "../partial.ts";
import { aligned, headerBytes, type NewTensor, type NewValue } from "./encode.ts";

/** A file being written. */
export class GgufWriter {
  /** Where it will lie. */
  readonly path: string;
  readonly #partial: string;
  readonly #tensors: readonly NewTensor[];
  #descriptor: number | undefined;
  #index = 0;
  readonly #fs = node("node:fs");
  #inTensor = 0;
  /** Bytes written so far. */
  bytes = 0;

  /** Begins the file: writes header, metadata and table. */
  constructor(path: string, metadata: ReadonlyMap<string, NewValue>, tensors: readonly NewTensor[]) {
    this.path = path;
    this.#tensors = tensors;
    const there = this.#attempt(() => this.#fs.statSync(path, { throwIfNoEntry: false }));
    if (there !== undefined && !there.isFile()) this.#fail("NOTFILE");
    heedFileLimit();
    this.#partial = this.#attempt(() => beginPartial(path));
    try {
      const header = headerBytes(metadata, tensors);
      this.#descriptor = this.#attempt(() => this.#fs.openSync(this.#partial, "wx"));
      this.#askForLength(tensors.reduce((sum, { bytes }) => sum + aligned(bytes), aligned(header.length)));
      this.#put(header);
      this.#pad();
    } catch (error) {
      this.abort();
      throw error;
    }
  }

  /** The next bytes of the tensor at hand. */
  write(data: Uint8Array): void {
    const tensor = this.#tensors[this.#index];
    if (tensor === undefined || this.#inTensor + data.length > tensor.bytes) {
      throw new Error(`${data.length} bytes too many for ${tensor?.name ?? "the file"}`);
    }
    this.#put(data);
    this.#inTensor += data.length;
    if (this.#inTensor < tensor.bytes) return;
    this.#pad(); // the last one too: some readers want it
    this.#index++;
    this.#inTensor = 0;
  }

  /** Brings everything to the disk and gives the file its name. */
  finish(): void {
    if (this.#index !== this.#tensors.length) throw new Error(`${this.#tensors[this.#index]?.name} is not whole`);
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

  /** Throws where a file of this length can't be written: now, and not after hours of work. */
  #askForLength(bytes: number): void {
    this.#attempt(() => this.#fs.ftruncateSync(this.#descriptor as number, bytes));
    this.#attempt(() => this.#fs.ftruncateSync(this.#descriptor as number, 0));
  }

  #pad(): void {
    this.#put(new Uint8Array(aligned(this.bytes) - this.bytes));
  }

  #put(data: Uint8Array): void {
    for (let done = 0; done < data.length;) {
      done += this.#attempt(() => this.#fs.writeSync(this.#descriptor as number, data, done, data.length - done));
    }
    this.bytes += data.length;
  }

  #attempt<T>(call: () => T): T {
    try {
      return call();
    } catch (cause) {
      this.#fail(codeOf(cause), cause);
    }
  }

  #fail(code: string, cause?: unknown): never {
    throw new LightGPTError("io", `${this.path}: ${reasons[code] ?? `it cannot be written (${code})`}.`, {
      what: "a file that cannot be written",
      where: this.path,
      expected: "a folder that exists, with room for the file",
      got: code,
    }, { cause });
  }
}

function codeOf(cause: unknown): string {
  if (cause instanceof Error && "code" in cause) return String(cause.code);
  return /\(os error 27\)/.test(String(cause)) ? "EFBIG" : String(cause); // Deno has no code for this one
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "its folder does not exist; make it first",
  ENOTDIR: "its folder is a file; expected the path of a file to be made",
  NOTFILE: "it is a folder or a device; expected the path of a file to be made",
  ENOSPC: "the disk is full; nothing was left behind",
  EFBIG:
    "it would be larger than the system or the file system allows a file to be (ulimit -f); nothing was left behind",
  EACCES: "writing there is not allowed",
  EROFS: "the file system is read-only",
};
