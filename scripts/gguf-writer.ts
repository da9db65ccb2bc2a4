/**
 * Writes GGUF files: metadata copied from one that was read, some of it replaced, or made up, and tensors in any order.
 * For the embedded model, for tests and benches; reading and checking is `src/files/gguf/read.ts`.
 *
 * @module
 */
import { writeFileSync } from "node:fs";
import { aligned, alignmentByDefault, headerBytes, type NewValue } from "../src/files/gguf/encode.ts";
import type { Metadata } from "../src/files/gguf/read.ts";

export type { NewValue } from "../src/files/gguf/encode.ts";

/** A tensor to be written: `dims` as the format counts them, columns first. */
export interface NewTensor {
  readonly name: string;
  readonly type: number;
  readonly dims: readonly number[];
  readonly data: Uint8Array;
}

/** All values of a file that was read. */
export function valuesOf(metadata: Metadata): Map<string, NewValue> {
  return new Map(Array.from(metadata.entries(), ([key, value]) => [key, { type: metadata.typeOf(key) ?? -1, value }]));
}

/** Writes the file: the keys of `metadata` in its order, then those of `changes` that it doesn't have. */
export function writeGguf(
  path: string,
  metadata: Metadata,
  changes: ReadonlyMap<string, NewValue>,
  tensors: readonly NewTensor[],
): void {
  writeFileSync(path, encodeGguf(new Map([...valuesOf(metadata), ...changes]), tensors));
}

/** The bytes of a file. */
export function encodeGguf(
  values: ReadonlyMap<string, NewValue>,
  tensors: readonly NewTensor[],
  alignment: number = alignmentByDefault,
): Uint8Array {
  const header = headerBytes(values, tensors.map((tensor) => ({ ...tensor, bytes: tensor.data.length })), alignment);
  const sizes = [header.length, ...tensors.map(({ data }) => data.length)].map((bytes) => aligned(bytes, alignment));
  const file = new Uint8Array(sizes.reduce((sum, size) => sum + size));
  let at = 0;
  [header, ...tensors.map(({ data }) => data)].forEach((bytes, index) => {
    file.set(bytes, at);
    at += sizes[index] as number; // the last tensor is padded too, for some readers want it
  });
  return file;
}
