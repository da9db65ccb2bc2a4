/**
 * One file, from a server to its place: fetched by one process at a time, continued where an earlier try ended, checked, and only
 * then given its name. Whatever ends it, nothing wrong ever has that name.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { createReadStream, mkdirSync, renameSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { LightGPTError } from "../../../ffi/errors.ts";
import { assertNotAborted } from "../../options/checks.ts";
import { sizeText } from "../../options/size_text.ts";
import { withLock } from "./lock.ts";
import { attempt, cannotKeep, PartialFile } from "./partial_file.ts";
import { Meter } from "./meter.ts";
import { refused } from "./request.ts";
import { type Source, transfer } from "./transfer.ts";
import type { HubContext } from "./types.ts";

/** What an error about the place of a file says, and not about where it comes from. */
const tooFull = "a disk that is too full";

/** Whether it is the disk here that keeps a file from being kept: another source would not help. */
export function isAboutDisk(error: unknown): boolean {
  return error instanceof LightGPTError && [tooFull, cannotKeep].includes(error.detail.what ?? "");
}

/** Bytes that the disk should have left beside the file. */
const roomLeast = 32 * 2 ** 20;

/** What to fetch, and how to tell that it came right. */
export interface FileSource extends Source {
  /** Its name, for people. */
  readonly name: string;
  /** Throws where the whole file is none of its kind. */
  readonly check?: (path: string) => void;
}

/** Fetches a file unless it is there. */
export async function fetchFile(context: HubContext, source: FileSource, target: string): Promise<void> {
  const isThere = () => {
    const status = statSync(target, { throwIfNoEntry: false });
    return status !== undefined && (source.bytes === undefined || status.size === source.bytes);
  };
  if (isThere()) return;
  const meter = new Meter(context, source.name, source.url.host);
  const onWait = () => meter.tell("waiting", 0, source.bytes ?? 0);
  await withLock(`${target}.lightgpt.lock`, { signal: context.signal, onWait }, async () => {
    if (isThere()) return;
    const partial = new PartialFile(`${target}.lightgpt`, source.sha256 === undefined);
    try {
      await fill(context, source, partial, meter);
    } finally {
      partial.close();
    }
    attempt(target, () => renameSync(partial.path, target));
    partial.forget();
  });
}

async function fill(context: HubContext, source: FileSource, partial: PartialFile, meter: Meter): Promise<void> {
  for (;;) {
    const before = partial.bytesDone;
    if (source.bytes !== undefined) assertRoom(context, source, partial.path, source.bytes - before);
    let isChecked = source.bytes !== undefined;
    meter.begin(before);
    const bytes = await transfer(context, source, partial, (total) => {
      if (!isChecked) assertRoom(context, source, partial.path, total - partial.bytesDone);
      isChecked = true;
      meter.tell("downloading", partial.bytesDone, total);
    });
    partial.settle(bytes);
    try {
      if (source.sha256 !== undefined) await assertSum(context, source, partial.path, meter);
      source.check?.(partial.path);
      return;
    } catch (error) {
      assertNotAborted(context.signal);
      partial.restart();
      // What an earlier try has left may be what is wrong, after a crash of the machine: once more, from the beginning.
      if (before === 0) {
        partial.remove();
        throw error;
      }
    }
  }
}

/** The bytes of a new file's beginning count, too: none of it may be written where the rest will not fit. */
export function assertRoom(
  context: HubContext,
  { name }: Pick<FileSource, "name">,
  path: string,
  bytes: number,
): void {
  const free = context.freeBytes(dirname(path));
  if (free === undefined || free >= bytes + roomLeast) return;
  const expected = `${sizeText(bytes + roomLeast)} free`;
  throw new LightGPTError(
    "io",
    `${name}: the disk of ${dirname(path)} has ${sizeText(free)} free; expected ${expected}.`,
    {
      what: tooFull,
      where: dirname(path),
      expected,
      got: `${free} bytes`,
    },
  );
}

async function assertSum(context: HubContext, source: FileSource, path: string, meter: Meter): Promise<void> {
  const got = await sha256Of(path, context.signal, (done, total) => meter.tell("checking", done, total));
  if (got === source.sha256) return;
  throw refused(source.url, `what came has the SHA-256 ${got}`, `${source.sha256}; it was removed, try again`);
}

/** The SHA-256 of a file. */
export async function sha256Of(
  path: string,
  signal: AbortSignal | undefined,
  onBytes: (done: number, total: number) => void,
): Promise<string> {
  const sum = createHash("sha256");
  const total = statSync(path).size;
  let done = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) {
    sum.update(chunk);
    done += chunk.length;
    onBytes(done, total);
    assertNotAborted(signal);
  }
  return sum.digest("hex");
}

/** Makes the folder of a file. */
export function makeFolderOf(path: string): void {
  attempt(path, () => mkdirSync(dirname(path), { recursive: true }));
}
