/**
 * The header of a file of packed weights: one line of JSON. It is written when all else is on the disk, so that a file that has
 * one is whole.
 *
 * @module
 */
import { PACKED_FILE } from "../../../ffi/wire.ts";

/** The most bytes of a header: of paths, each byte may be escaped. */
export const headerBytesMost = 1 << 15;

const kind = "LightGPT packed weights";

/** What a header says. */
export interface PackedHeader {
  /** What the source is known by. */
  readonly key: string;
  /** Bytes of the whole file. */
  readonly bytes: number;
  /** The path that the source had, its first file where it has several. */
  readonly source: string;
  /** What the system said of that file then. */
  readonly identity: string;
}

/** The header as it is written. */
export function writeHeader(header: PackedHeader): Uint8Array {
  const text = JSON.stringify({ kind, layout: PACKED_FILE.layout, ...header });
  return new TextEncoder().encode(`${text}\n`);
}

/** What the beginning of a file of `fileBytes` says; why that cannot be used. */
export function readHeader(begin: Uint8Array, fileBytes: number): { header: PackedHeader } | { fault: string } {
  const damaged = { fault: "its header is damaged" };
  const end = begin.indexOf(10);
  if (end < 0) return damaged;
  let found: Partial<Record<string, unknown>>;
  try {
    found = JSON.parse(new TextDecoder().decode(begin.subarray(0, end)));
  } catch {
    return damaged; // whatever the parser says of it
  }
  if (found === null || typeof found !== "object" || found.kind !== kind) return damaged;
  const { layout, key, bytes, source, identity } = found;
  if (layout !== PACKED_FILE.layout) return { fault: `its layout is ${layout}, not ${PACKED_FILE.layout}` };
  if (typeof key !== "string" || typeof source !== "string" || typeof identity !== "string") return damaged;
  if (typeof bytes !== "number") return damaged;
  if (bytes !== fileBytes) return { fault: `it has ${fileBytes} bytes instead of ${bytes}` };
  return { header: { key, bytes, source, identity } };
}
