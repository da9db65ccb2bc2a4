/**
 * A file that comes in pieces, in any order, and outlives the process: its bytes in one file, and beside it a journal of which of them
 * are there. A line of the journal is written behind its bytes, so that a killed process loses the last of them and never has
 * one that is wrong; of two processes that write at once each writes the same bytes to the same places.
 *
 * @module
 */
import {
  appendFileSync,
  closeSync,
  constants,
  existsSync,
  fdatasyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import type { LightGPTError } from "../../../ffi/errors.ts";
import { writeFailure } from "../../../ffi/system_errors.ts";
import { heedFileLimit } from "../partial.ts";

/** Bytes from `start` to before `end`. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** What tells one version of a file from another. */
export interface Identity {
  readonly bytes: number;
  /** Its SHA-256, or the strong ETag that a server gives; without either, what is there cannot be used again. */
  readonly version: string | undefined;
}

/** The least and the most bytes between two lines of the journal. */
const [grainLeast, grainMost] = [16 * 1024, 2 ** 20];

/** What of a file is there. */
export class PartialFile {
  /** Where its bytes lie. */
  readonly path: string;
  readonly #journal: string;
  readonly #file: number;
  /** Whether bytes go to the disk before their line: where no sum will tell a line that a power cut has made untrue. */
  readonly #syncs: boolean;
  #spans: Span[] = [];
  #identity: Identity | undefined;

  /** Opens what an earlier try has left, or begins. */
  constructor(path: string, syncs: boolean) {
    this.path = path;
    this.#journal = `${path}.spans`;
    this.#syncs = syncs;
    heedFileLimit();
    this.#file = attempt(path, () => openSync(path, constants.O_RDWR | constants.O_CREAT));
    this.#readJournal();
  }

  /** Which file it is a part of; undefined until {@link PartialFile.begin}. */
  get identity(): Identity | undefined {
    return this.#identity;
  }

  /** Bytes that are there. */
  get bytesDone(): number {
    return this.#spans.reduce((sum, { start, end }) => sum + end - start, 0);
  }

  /** What is not there yet, of a file of `bytes`. */
  missing(bytes: number): Span[] {
    const gaps: Span[] = [];
    let at = 0;
    for (const { start, end } of this.#spans) {
      if (start > at) gaps.push({ start: at, end: Math.min(start, bytes) });
      at = Math.max(at, end);
    }
    if (at < bytes) gaps.push({ start: at, end: bytes });
    return gaps;
  }

  /** Goes on with the parts of this very file, or forgets those of another. */
  begin(identity: Identity): void {
    const known = this.#identity;
    if (known?.bytes === identity.bytes && known.version !== undefined && known.version === identity.version) return;
    this.restart();
    this.#identity = identity;
    attempt(this.path, () => writeFileSync(this.#journal, `${JSON.stringify(identity)}\n`));
  }

  /** Forgets everything. */
  restart(): void {
    this.#spans = [];
    this.#identity = undefined;
    attempt(this.path, () => {
      rmSync(this.#journal, { force: true });
      ftruncateSync(this.#file, 0);
    });
  }

  /** Writes bytes; they count once {@link PartialFile.mark} was called. */
  write(data: Uint8Array, at: number): void {
    attempt(this.path, () => {
      for (let done = 0; done < data.length;) {
        done += writeSync(this.#file, data, done, data.length - done, at + done);
      }
    });
  }

  /** Counts bytes that were written. */
  mark(span: Span): void {
    if (span.end <= span.start) return;
    attempt(this.path, () => {
      if (this.#syncs) fdatasyncSync(this.#file);
      if (this.#identity !== undefined) appendFileSync(this.#journal, `${span.start}-${span.end}\n`);
    });
    this.#add(span);
  }

  /** Bytes after which a line of the journal is worth it. */
  get grain(): number {
    const bytes = this.#identity?.bytes ?? 0;
    return Math.min(grainMost, Math.max(grainLeast, bytes / 256)) * (this.#syncs ? 8 : 1);
  }

  /** The bytes that begin the file. */
  head(length: number): Uint8Array {
    const target = new Uint8Array(length);
    const count = attempt(this.path, () => readSync(this.#file, target, 0, length, 0));
    return target.subarray(0, count);
  }

  /** Brings the bytes to the disk, at the size that the file has. */
  settle(bytes: number): void {
    attempt(this.path, () => {
      ftruncateSync(this.#file, bytes);
      fdatasyncSync(this.#file);
    });
  }

  /** Closes it; what is there stays for the next try. */
  close(): void {
    closeSync(this.#file);
  }

  /** Removes the journal, once the file has its name. */
  forget(): void {
    rmSync(this.#journal, { force: true });
  }

  /** Removes everything. */
  remove(): void {
    rmSync(this.path, { force: true });
    this.forget();
  }

  #add({ start, end }: Span): void {
    const apart = this.#spans.filter((span) => span.end < start || span.start > end);
    const touching = this.#spans.filter((span) => span.end >= start && span.start <= end);
    const joined = {
      start: Math.min(start, ...touching.map((span) => span.start)),
      end: Math.max(end, ...touching.map((span) => span.end)),
    };
    this.#spans = [...apart, joined].sort((a, b) => a.start - b.start);
  }

  /** Takes up what the journal says; a line that was cut, or says what the file does not have, says nothing. */
  #readJournal(): void {
    if (!existsSync(this.#journal)) return;
    const lines = attempt(this.path, () => readFileSync(this.#journal, "utf8")).split("\n");
    lines.pop(); // what follows the last newline: nothing, or a line that was cut
    const identity = readIdentity(lines.shift());
    if (identity === undefined) return this.restart();
    this.#identity = identity;
    const there = statSync(this.path).size;
    for (const line of lines) {
      const [, start, end] = /^(\d{1,16})-(\d{1,16})$/.exec(line) ?? [];
      if (end === undefined || Number(start) >= Number(end) || Number(end) > Math.min(there, identity.bytes)) continue;
      this.#add({ start: Number(start), end: Number(end) });
    }
  }
}

function readIdentity(line: string | undefined): Identity | undefined {
  if (line === undefined) return undefined;
  try {
    const { bytes, version } = JSON.parse(line) as Readonly<Record<string, unknown>>;
    if (typeof bytes !== "number" || typeof version !== "string") return undefined;
    return { bytes, version };
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined;
    throw error;
  }
}

/** What an error says of a place that cannot be written. */
export const cannotKeep = "a model that cannot be kept";

/** Runs a call of the file system; what it throws becomes an error that says what to do. */
export function attempt<T>(path: string, call: () => T): T {
  try {
    return call();
  } catch (cause) {
    throw keepFailure(path, cause);
  }
}

/** The error for a place that cannot be written. */
export function keepFailure(path: string, cause: unknown): LightGPTError {
  return writeFailure(path, cause, {
    what: cannotKeep,
    expected: "a folder that can be written, with room for the file",
    left: "what came so far is kept, and the same command goes on from there",
    elsewhere: "HF_HUB_CACHE names another folder (LIGHTGPT_MODELS for what is not from the hub)",
  });
}
