/**
 * What a system refuses of files, in one wording: why, by the code that the system gives, and what became of the work. What
 * files are for, and what is removed or kept, their owners say.
 *
 * @module
 */
import { LightGPTError } from "./errors.ts";

/** Why there is no room: what came so far may be kept. */
const noRoom: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full",
  EDQUOT: "the quota of the disk is used up",
  EFBIG: "it would be larger than the system or the file system allows a file to be (ulimit -f)",
};

/** Why nothing can be written there: another place may do. */
const noPlace: Readonly<Record<string, string>> = {
  ENOENT: "its folder does not exist; make it first",
  ENOTDIR: "its folder is a file",
  EISDIR: "it is a folder; expected the path of a file to be made",
  NOTFILE: "it is a folder or a device; expected the path of a file to be made",
  EACCES: "writing there is not allowed",
  EPERM: "writing there is not allowed",
  EROFS: "the file system is read-only",
};

/** The name of what a system refuses. */
export function codeOf(cause: unknown): string {
  if (cause instanceof Error && "code" in cause) return String(cause.code);
  return /\(os error 27\)/.test(String(cause)) ? "EFBIG" : String(cause); // Deno has no code for this one
}

/** What a place that is no file is refused with, as systems refuse. */
export function notAFile(): Error {
  return Object.assign(new Error("not a file"), { code: "NOTFILE" });
}

/** What is told of a file beside the reason why it cannot be written. */
export interface Writing {
  /** What it is that cannot be written, in a few words. */
  readonly what?: string;
  /** What would have been right. */
  readonly expected?: string;
  /** What became of the work, where the file has no room or fails. */
  readonly left?: string;
  /** What to do where nothing can be written in its folder. */
  readonly elsewhere?: string;
}

/** Why a file cannot be written, in a few words. */
export function whyNotWritten(cause: unknown): string {
  const code = codeOf(cause);
  return noRoom[code] ?? noPlace[code] ?? `it cannot be written (${code})`;
}

/** The error about a file that cannot be written; an error of LightGPT stays what it is. */
export function writeFailure(path: string, cause: unknown, about: Writing = {}): LightGPTError {
  if (cause instanceof LightGPTError) return cause;
  const isDenied = cause instanceof Error && cause.name === "NotCapable";
  const code = codeOf(cause);
  const why = isDenied ? `allow it with --allow-read and --allow-write=${path}` : whyNotWritten(cause);
  const after = isDenied ? undefined : code in noPlace ? about.elsewhere : about.left;
  return new LightGPTError("io", `${path}: ${why}${after === undefined ? "" : `; ${after}`}.`, {
    what: about.what ?? "a file that cannot be written",
    where: path,
    expected: about.expected ?? "a folder that exists, with room for the file",
    got: code,
  }, { cause });
}

/** The error about a file that cannot be read; an error of LightGPT stays what it is. */
export function readFailure(path: string, cause: unknown, expected: string): LightGPTError {
  if (cause instanceof LightGPTError) return cause;
  const code = codeOf(cause);
  const why = code === "ENOENT" ? "there is no such file" : `it cannot be read (${code})`;
  return new LightGPTError("io", `${path}: ${why}; expected ${expected}.`, {
    what: "a file that cannot be read",
    where: path,
    expected,
    got: code,
  }, { cause });
}
