/**
 * The file of a batch's results: lines are appended in the order of the input, each whole. What an earlier run has written stays; a
 * line that it could not finish is cut off. A disk that is full leaves whole lines only.
 *
 * @module
 */
import { closeSync, createReadStream, existsSync, fsyncSync, ftruncateSync, openSync, writeSync } from "node:fs";
import type { LightGPTError } from "../../../ffi/errors.ts";
import { writeFailure } from "../../../ffi/system_errors.ts";
import { joined } from "../../options/byte_source.ts";
import type { BatchOutput, ResultLines } from "./types.ts";

const newline = 0x0a;

/** The results in a file. */
export function fileResults(path: string): BatchOutput {
  return { name: path, open: (earlier) => Results.open(path, earlier) };
}

/** Results that are there, and more to come. */
class Results implements ResultLines {
  readonly #path: string;
  readonly #file: number;
  #bytes: number;
  /** How many lines there are. */
  lines: number;

  private constructor(path: string, bytes: number, lines: number) {
    this.#path = path;
    this.#bytes = bytes;
    this.lines = lines;
    this.#file = attempt(path, lines, () => openSync(path, existsSync(path) ? "r+" : "w"));
    attempt(path, lines, () => ftruncateSync(this.#file, bytes));
  }

  /** Opens the file; `earlier` is called with each line that is there. */
  static async open(path: string, earlier: (line: string) => void): Promise<Results> {
    let [bytes, lines] = [0, 0];
    if (existsSync(path)) {
      for await (const line of wholeLines(path)) {
        bytes += line.length + 1;
        lines++;
        earlier(new TextDecoder().decode(line));
      }
    }
    return new Results(path, bytes, lines);
  }

  append(line: string): Promise<void> {
    const data = new TextEncoder().encode(`${line}\n`);
    try {
      for (let done = 0; done < data.length;) {
        done += writeSync(this.#file, data, done, data.length - done, this.#bytes + done);
      }
    } catch (cause) {
      ftruncateSync(this.#file, this.#bytes);
      throw failure(this.#path, this.lines, cause);
    }
    this.#bytes += data.length;
    this.lines++;
    return Promise.resolve();
  }

  close(): Promise<void> {
    fsyncSync(this.#file);
    closeSync(this.#file);
    return Promise.resolve();
  }
}

/** The lines of a file that end with a newline, as bytes. */
async function* wholeLines(path: string): AsyncGenerator<Uint8Array, void, void> {
  let rest: Uint8Array = new Uint8Array();
  for await (const chunk of createReadStream(path) as AsyncIterable<Uint8Array>) {
    let data = joined([rest, chunk]);
    for (let end = data.indexOf(newline); end >= 0; end = data.indexOf(newline)) {
      yield data.subarray(0, end);
      data = data.subarray(end + 1);
    }
    rest = data;
  }
}

function attempt<T>(path: string, lines: number, call: () => T): T {
  try {
    return call();
  } catch (cause) {
    throw failure(path, lines, cause);
  }
}

function failure(path: string, lines: number, cause: unknown): LightGPTError {
  return writeFailure(path, cause, {
    what: "results that cannot be written",
    expected: "room for the results",
    left: `${lines} lines are whole, and a second run goes on behind them`,
  });
}
