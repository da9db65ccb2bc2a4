/**
 * The folder of packed weights: what is in it, what of that is stale, what goes so that it stays within its limit, and the files
 * that are being written.
 *
 * @module
 */
import { placeFile } from "../../../ffi/cache_directory.ts";
import { LightGPTError } from "../../../ffi/errors.ts";
import { native } from "../../../ffi/native.ts";
import { node, turn } from "../../../ffi/runtime/builtins.ts";
import { currentRuntime } from "../../../ffi/runtime/pick.ts";
import { lastingIdentity } from "../../files/gguf/read.ts";
import { beginPartial, endPartial, heedFileLimit, removeStale } from "../../files/partial.ts";
import { assertNotAborted } from "../../options/checks.ts";
import { type PackedHeader, writeHeader } from "./header.ts";
import { findPacked, folderFault, type FoundPacked, packedEnding } from "./place.ts";

/** A file of the folder. */
export interface PackedFile extends FoundPacked {
  readonly path: string;
  /** When it was last used, in milliseconds since 1970. */
  readonly usedAt: number;
  /** Why no start will use it; undefined: one may. */
  readonly stale: string | undefined;
}

/** The files of a folder, the most recently used first; none where there is no folder. Throws where it is not its owner's only. */
export function listPacked(folder: string): PackedFile[] {
  const fault = folderFault(folder);
  if (fault === "absent") return [];
  if (fault !== undefined) throw new LightGPTError("io", `${fault}.`, { what: fault, where: folder });
  const { readdirSync, statSync } = node("node:fs");
  const files: PackedFile[] = [];
  for (const name of readdirSync(folder)) {
    if (!name.endsWith(packedEnding)) continue;
    const path = `${folder}/${name}`;
    const [found, status] = [findPacked(path), statSync(path, { throwIfNoEntry: false })];
    if (found === undefined || status === undefined) continue; // another process has removed it
    files.push({ path, usedAt: status.mtimeMs, ...found, stale: found.fault ?? sourceFault(found.header) });
  }
  return files.sort((a, b) => b.usedAt - a.usedAt);
}

/** Whether the source is another file by now. One that is not there may be back, or have another name: that is no fault. */
function sourceFault(header: PackedHeader | undefined): string | undefined {
  if (header === undefined) return undefined;
  const now = currentRuntime().files.identity(header.source);
  const isSame = now === undefined || lastingIdentity(now) === header.identity;
  return isSame ? undefined : "its source has changed";
}

/** Removes a file, if it is there; processes that have it mapped keep it until they end. */
export function removePacked(path: string): void {
  node("node:fs").rmSync(path, { force: true });
}

/**
 * Removes what is stale, and then what was used longest ago, until `bytes` more are within `bytesMax`; a file at `path` is left
 * alone, for it is to be replaced.
 */
export function makeRoom(folder: string, bytes: number, bytesMax: number, path: string): void {
  removeStale(folder);
  let total = bytes;
  for (const file of listPacked(folder)) {
    if (file.path === path) continue;
    total += file.bytes;
    if (file.stale === undefined && total <= bytesMax) continue;
    removePacked(file.path);
    total -= file.bytes;
  }
}

/** Compares a file with the sums that it was written with; throws where they differ. */
export async function checkPacked({ path, fault }: PackedFile, signal?: AbortSignal): Promise<void> {
  if (fault !== undefined) throw new LightGPTError("modelFormat", `${path}: ${fault}.`, { what: fault, where: path });
  const name = new TextEncoder().encode(path);
  let next = 0;
  do {
    next = native().packedCheck(name, next);
    await turn();
    assertNotAborted(signal);
  } while (next > 0);
}

/** A file of packed weights that is being written: native code writes the weights, this the header, and then it gets its name. */
export class PackedDraft {
  /** What native code writes to. */
  readonly path: string;
  readonly #target: string;
  #isOpen = true;

  /** Makes an empty file beside `target`; throws what the system says. */
  constructor(folder: string, target: string) {
    const { closeSync, mkdirSync, openSync } = node("node:fs");
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    heedFileLimit();
    this.#target = target;
    this.path = beginPartial(target);
    try {
      closeSync(openSync(this.path, "wx", 0o600));
    } catch (error) {
      endPartial(this.path);
      throw error;
    }
  }

  /**
   * Brings it to the disk, under its name, unless another process was first and its file is not known to be `spoilt`; throws what the
   * system says.
   */
  async finish(header: Omit<PackedHeader, "bytes">, spoilt: boolean): Promise<void> {
    const file = await node("node:fs").promises.open(this.path, "r+");
    try {
      await file.sync();
      const { size } = await file.stat();
      const text = writeHeader({ ...header, bytes: size });
      for (let done = 0; done < text.length;) {
        done += (await file.write(text, done, text.length - done, done)).bytesWritten;
      }
      await file.sync();
    } finally {
      await file.close();
    }
    placeFile(this.path, this.#target, () => !spoilt && findPacked(this.#target)?.header?.key === header.key);
    this.abandon();
  }

  /** Removes what was not finished; after the end, or again, nothing. */
  abandon(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    node("node:fs").rmSync(this.path, { force: true });
    endPartial(this.path);
  }
}
