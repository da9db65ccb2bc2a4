/**
 * The files that options name, besides models: a text that is read, and results that appear whole or not at all. What goes
 * wrong is told with the option's name.
 *
 * @module
 */
import { closeSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import process from "node:process";
import { InvalidArgumentError, LightGPTError } from "../ffi/errors.ts";
import type { JsonValue } from "../src/text/chat/inputs.ts";

/** The text of the file that an option names, which must be UTF-8 from beginning to end. */
export function readText(option: string, path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(readFileSync(path));
  } catch (error) {
    const isText = !(error instanceof TypeError);
    throw refusal(
      `${option}: ${path} ${isText ? "cannot be read" : "is no text in UTF-8"}`,
      "the path of a text file",
      error,
    );
  }
}

/** The JSON of the file that an option names; `what` says what it should be. */
export function readJson(option: string, path: string, what: string): JsonValue {
  const text = readText(option, path);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InvalidArgumentError(`${option}: ${path} is no JSON; expected the path of ${what}.`, {
      what: "a file that is no JSON",
      where: option,
      expected: `the path of ${what}`,
    }, { cause: error });
  }
}

/**
 * A file for results. It is opened before the work begins, so that a path which cannot be written is heard of at once; the
 * bytes come under its name when all are there. What is no regular file (a pipe, a device) is written as it is.
 */
export class ResultFile {
  readonly #option: string;
  readonly #path: string;
  readonly #part: string | undefined;
  readonly #file: number;
  #open = true;

  /** Opens the file that an option names. */
  constructor(option: string, path: string) {
    this.#option = option;
    this.#path = path;
    const found = statSync(path, { throwIfNoEntry: false });
    this.#part = found === undefined || found.isFile() ? `${path}.${process.pid}.part` : undefined;
    this.#file = this.#try(() => openSync(this.#part ?? path, "w"));
  }

  /** Writes all bytes and closes the file. */
  write(bytes: Uint8Array): void {
    this.#try(() => {
      for (let done = 0; done < bytes.length;) done += writeSync(this.#file, bytes, done);
      this.#close();
      if (this.#part !== undefined) renameSync(this.#part, this.#path);
    });
  }

  /** Takes away what was begun and not written. */
  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#close();
    if (this.#part !== undefined) rmSync(this.#part, { force: true });
  }

  #close(): void {
    this.#open = false;
    closeSync(this.#file);
  }

  #try<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      throw refusal(`${this.#option}: ${this.#path} cannot be written`, "the path of a file", error);
    }
  }
}

function refusal(what: string, expected: string, cause: unknown): LightGPTError {
  const reason = cause instanceof Error ? (cause as NodeJS.ErrnoException).code ?? cause.message : String(cause);
  return new LightGPTError("io", `${what} (${reason}); expected ${expected}.`, { what, expected }, { cause });
}
