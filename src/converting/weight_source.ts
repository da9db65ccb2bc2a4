/**
 * Where the weights to be quantized come from: a list of tensors whose bytes can be read piece by piece, and metadata.
 * A GGUF file (all parts of a split one) is opened here; a Hugging Face folder in `huggingface/`. A file that changes or
 * ends while it is read is an error.
 *
 * @module
 */
import { closeSync, fstatSync, openSync, readSync, type Stats, statSync } from "node:fs";
import { LightGPTError } from "../../ffi/errors.ts";
import { type Gguf, readGguf, type Tensor } from "../files/gguf/read.ts";
import type { NewValue } from "../files/gguf/encode.ts";

/** A tensor of a source: `dims` with the columns first. */
export interface SourceTensor {
  readonly name: string;
  readonly type: number;
  readonly dims: readonly number[];
  readonly bytes: number;
  /** Fills `target` with the bytes from `offset` on. */
  read(target: Uint8Array, offset: number): void;
}

/** Weights to be quantized. */
export interface WeightSource {
  readonly files: readonly string[];
  readonly metadata: ReadonlyMap<string, NewValue>;
  readonly tensors: readonly SourceTensor[];
  /** Warnings for the user. */
  readonly warnings: readonly string[];
  /** Throws where a file has changed since it was opened. */
  check(): void;
  close(): void;
}

/** A file that is read in pieces and must stay what it was. */
export class SteadyFile {
  readonly path: string;
  readonly #descriptor: number;
  /** Bytes it had when it was opened. */
  readonly size: number;
  readonly #changedMs: number;

  /** Opens the file. */
  constructor(path: string) {
    this.path = path;
    this.#descriptor = openFile(path);
    const { size, mtimeMs } = fstatSync(this.#descriptor);
    this.size = size;
    this.#changedMs = mtimeMs;
  }

  /** Fills `target` from byte `offset` on. */
  read(target: Uint8Array, offset: number): void {
    for (let done = 0; done < target.length;) {
      const count = readSync(this.#descriptor, target, done, target.length - done, offset + done);
      if (count === 0) this.#fail("it ended");
      done += count;
    }
  }

  /** Throws where the file is not what it was: other size, other time of change. */
  check(): void {
    const { size, mtimeMs } = fstatSync(this.#descriptor);
    if (size !== this.size || mtimeMs !== this.#changedMs) this.#fail("it changed");
  }

  /** Closes it. */
  close(): void {
    closeSync(this.#descriptor);
  }

  #fail(what: string): never {
    throw new LightGPTError("io", `${this.path}: ${what} while it was read; nothing was written, begin again.`, {
      what: `${what} while it was read`,
      where: this.path,
      expected: "a file that stays as it is",
    });
  }
}

function openFile(path: string): number {
  try {
    return openSync(path, "r");
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    throw new LightGPTError(
      "io",
      `${path}: ${code === "ENOENT" ? "there is no such file" : `it cannot be read (${code})`}.`,
      {
        where: path,
        got: code,
      },
      { cause },
    );
  }
}

/** Opens a GGUF file, and the other parts if it is the first of a split one. */
export function openGguf(path: string): WeightSource {
  const gguf = readGguf(path);
  const files = gguf.files.map((file) => new SteadyFile(file));
  return {
    files: gguf.files,
    metadata: metadataOf(gguf),
    warnings: [],
    tensors: [...gguf.tensors.values()].map((tensor) => fromFile(tensor, files[tensor.file])),
    check: () => files.forEach((file) => file.check()),
    close: () => files.forEach((file) => file.close()),
  };
}

function fromFile({ name, type, dims, bytes, offset }: Tensor, file: SteadyFile): SourceTensor {
  return { name, type, dims, bytes, read: (target, at) => file.read(target, offset + at) };
}

/** All of it but what a split file says of its parts. */
function metadataOf({ metadata }: Gguf): Map<string, NewValue> {
  const values = new Map<string, NewValue>();
  for (const [key, value] of metadata.entries()) {
    if (!key.startsWith("split.")) values.set(key, { type: metadata.typeOf(key) ?? -1, value });
  }
  return values;
}

/** Whether two paths name the same file, also by way of links. */
export function sameFile(path: string, other: string): boolean {
  const [a, b] = [path, other].map(statOf);
  return a !== undefined && b !== undefined && a.dev === b.dev && a.ino === b.ino;
}

/** What the system knows of a file; undefined where it says nothing, which opening it tells the reason of. */
export function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (error instanceof Error && "code" in error) return undefined;
    throw error;
  }
}
