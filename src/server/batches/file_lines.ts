/**
 * Batches of files, as the command works them: lines of a file, results in another.
 *
 * @module
 */
import { createReadStream } from "node:fs";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { LightGPTError } from "../../../ffi/errors.ts";
import { readFailure } from "../../../ffi/system_errors.ts";
import { refuseOption } from "../../options/checks.ts";
import { fileResults } from "./results.ts";
import { type BatchReport, type BatchRun, runBatch } from "./run_batch.ts";
import type { BatchInput } from "./types.ts";

/** Options for working a file of requests. */
export interface FileRun extends Omit<BatchRun, "input" | "output"> {
  readonly input: string;
  readonly output: string;
}

/** Works a file of requests into a file of results. */
export async function runBatchFiles({ input, output, ...run }: FileRun): Promise<BatchReport> {
  if (resolve(input) === resolve(output)) refuseOption("output", "another file than the input", output);
  return await runBatch({ ...run, input: fileLines(input), output: fileResults(output) });
}

/** The lines of a file. */
export function fileLines(path: string): BatchInput {
  return { name: path, lines: () => linesOf(path) };
}

async function* linesOf(path: string): AsyncGenerator<string, void, void> {
  try {
    yield* createInterface({ input: createReadStream(path, "utf8"), crlfDelay: Infinity });
  } catch (cause) {
    if (cause instanceof LightGPTError || !(cause instanceof Error && "code" in cause)) throw cause;
    throw readFailure(path, cause, "a batch: a file of lines of JSON");
  }
}
