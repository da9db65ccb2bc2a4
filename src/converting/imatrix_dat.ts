/**
 * The older file of an importance matrix, `.dat`: 32-bit numbers, little-endian. A count of entries; for each the length
 * of its name, the name, in how many chunks it was called, how many values, the values (mean squares times calls); then,
 * where they are there, all chunks and the name of the text.
 *
 * @module
 */
import { ModelFormatError } from "../../ffi/errors.ts";
import type { ImportanceEntry } from "./importance_entry.ts";

const nameMost = 256;
const valuesMost = 1 << 26;
const decoder = new TextDecoder("utf-8", { fatal: true });

/** What such a file says. */
export interface Legacy {
  readonly entries: Map<string, ImportanceEntry>;
  readonly chunkCount: number;
  readonly datasets: string[];
}

/** Reads the bytes of a file called `path`. */
export function readLegacy(path: string, bytes: Uint8Array): Legacy {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const fail = (expected: string): never => {
    throw new ModelFormatError(
      `${path}: this is neither a GGUF file nor a whole importance matrix of the older kind; expected ${expected} (byte ${at})`,
      { field: "imatrix", offset: at, expected },
    );
  };
  const integer = (what: string, least: number, most: number): number => {
    const value = at + 4 <= bytes.length ? view.getInt32(at, true) : NaN;
    if (!(value >= least && value <= most)) fail(`${what} from ${least} to ${most}`);
    at += 4;
    return value;
  };
  const text = (length: number): string => {
    if (at + length > bytes.length) fail(`a name of ${length} bytes`);
    try {
      return decoder.decode(bytes.subarray(at, at + length));
    } catch {
      return fail("a name in UTF-8");
    } finally {
      at += length;
    }
  };
  const entries = new Map<string, ImportanceEntry>();
  const count = integer("a count of entries", 1, 1 << 16);
  for (let entry = 0; entry < count; entry++) {
    const name = text(integer("the length of a name", 1, nameMost));
    const calls = integer("a count of calls", 0, 2 ** 31 - 1);
    const length = integer("a count of values", 1, valuesMost);
    if (at + 4 * length > bytes.length) fail(`${length} values of ${name}`);
    if (entries.has(name)) fail(`one entry for ${name}`);
    const sums = Float32Array.from({ length }, (_, i) => view.getFloat32(at + 4 * i, true));
    at += 4 * length;
    // Without calls the values stand for themselves.
    entries.set(name, { sums, counts: Float32Array.of(calls === 0 ? 1 : calls) });
  }
  if (at === bytes.length) return { entries, chunkCount: 0, datasets: [] };
  const chunkCount = integer("a count of chunks", 0, 2 ** 31 - 1);
  return { entries, chunkCount, datasets: at === bytes.length ? [] : [text(integer("a length", 0, bytes.length))] };
}
