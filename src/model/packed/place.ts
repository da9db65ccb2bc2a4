/**
 * Where the packed weights of a model lie, and whether they can be used: the name comes from what the source is, never from
 * what it is called; the folder must be its owner's only; header and size must be right. A start asks no more than this, and
 * with the runtime's own means, so that it is quick. What else is done with the folder, `folder.ts` does.
 *
 * @module
 */
import { cacheDirectory } from "../../../ffi/cache_directory.ts";
import { LightGPTError } from "../../../ffi/errors.ts";
import { currentRuntime } from "../../../ffi/runtime/pick.ts";
import { PACKED_FILE } from "../../../ffi/wire.ts";
import { type Gguf, identitiesOf } from "../../files/gguf/read.ts";
import type { ModelPlan } from "../architectures/architectures.ts";
import { headerBytesMost, type PackedHeader, readHeader } from "./header.ts";

/** Pieces of a source that its name is made from, beside what the system says of it. */
const samples = 16;
const sampleBytes = 4096;

/** How files of packed weights end. */
export const packedEnding = ".lgpacked";

/** The folder: the one that was asked for, else one in the cache folder. Throws where that cannot be known. */
export function packedFolder(asked: string | undefined): string {
  return asked ?? `${cacheDirectory(currentRuntime())}/packed`;
}

/** Why a folder cannot be used; undefined: it can. `absent`: it is to be made. */
export function folderFault(folder: string): string | undefined | "absent" {
  const runtime = currentRuntime();
  if (runtime.platform === "win32") return "packed weights cannot be mapped on Windows yet";
  if (!runtime.allows("read", folder)) return `${folder} may not be read; allow it with --allow-read=${folder}`;
  switch (runtime.files.privacy(folder)) {
    case "absent":
      return "absent";
    case "private":
      return undefined;
    case "unknown":
      return `whose ${folder} is may not be asked; allow it with --allow-sys=uid`;
    case "shared":
      return `${folder} is not yours alone, so others may have changed what is in it; expected a folder of yours with the mode 700`;
  }
}

/**
 * What a source is known by: size, time of the last change and inode of each of its files, some pieces of their contents, and the
 * table of its tensors. Its path is not part of it, nor is the device, whose number is another after a restart.
 */
export async function packedKey(gguf: Gguf, { tensors }: ModelPlan): Promise<string> {
  const table = tensors.map((planned) => {
    const { role, layer, columns, rows, slabs, scale, offset, stride, bytes, tensor: { type, file } } = planned;
    return [role, layer, columns, rows, slabs, scale, offset, stride, bytes, type, file];
  });
  const facts = new TextEncoder().encode(JSON.stringify([PACKED_FILE.layout, identitiesOf(gguf), table]));
  const pieces = [facts, ...gguf.files.map(samplesOf)];
  const all = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", all)).toHex();
}

/** Pieces of a file, evenly spread from its beginning to its end. */
function samplesOf(path: string): Uint8Array {
  const file = currentRuntime().files.open(path);
  if (file === undefined) throw new LightGPTError("io", `${path} is not a regular file any more.`, { where: path });
  try {
    const found = new Uint8Array(samples * sampleBytes);
    const last = Math.max(0, file.bytes - sampleBytes);
    for (let index = 0; index < samples; index++) {
      const offset = Math.floor((last * index) / (samples - 1));
      file.read(found.subarray(index * sampleBytes, (index + 1) * sampleBytes), offset);
    }
    return found;
  } finally {
    file.close();
  }
}

/** The path of the file that a key names. */
export function packedPath(folder: string, key: string): string {
  return `${folder}/${key.slice(0, 32)}${packedEnding}`;
}

/** A file of packed weights as it is found: its bytes, and what its header says; that, or why it has none that can be used. */
export interface FoundPacked {
  readonly bytes: number;
  readonly header?: PackedHeader;
  readonly fault?: string;
}

/** Looks at a file; undefined where there is none. */
export function findPacked(path: string): FoundPacked | undefined {
  const { files } = currentRuntime();
  if (files.identity(path) === undefined) return undefined;
  const file = files.open(path);
  if (file === undefined) return { bytes: 0, fault: "it is not a regular file" };
  try {
    const begin = new Uint8Array(Math.min(headerBytesMost, file.bytes));
    const count = file.read(begin, 0);
    return { bytes: file.bytes, ...readHeader(begin.subarray(0, count), file.bytes) };
  } finally {
    file.close();
  }
}
