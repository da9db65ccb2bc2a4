/**
 * Works requests, one a line: many at once, results in the order of the lines, each written exactly once. A second run goes
 * on behind what the first has written, and what it would have written again is the same.
 *
 * @module
 */
import { InvalidArgumentError, LightGPTError } from "../../../ffi/errors.ts";
import { cancelledBy } from "../../options/checks.ts";
import { sleep } from "../../options/sleep.ts";
import { answerText, type BadLine, badText, type LineRequest, readLine } from "./lines.ts";
import type { BatchInput, BatchOutput, ResultLines } from "./types.ts";

/** How long a server that takes nothing is asked again, and how often at most. */
const refusedMs = 600_000;
const againMs = 250;

/** Options for working a batch. */
export interface BatchRun {
  /** Answers the requests: a server's `fetch`. */
  readonly fetch: (request: Request) => Promise<Response>;
  readonly input: BatchInput;
  readonly output: BatchOutput;
  /** The path that all lines must ask; any that batches have where it is absent. */
  readonly path?: string;
  /** Requests at work at once. */
  readonly atOnce: number;
  /** Headers of each request. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  /** Called for each line whose result is no answer. */
  readonly onFailed?: ((message: string) => void) | undefined;
}

/** What came of a batch. */
export interface BatchReport {
  readonly lines: number;
  /** Lines whose results an earlier run has written. */
  readonly earlier: number;
  /** Of the others, those without an answer. */
  readonly failed: number;
}

/** A line with its number in the file, from 1; blank lines are none. */
interface Numbered {
  readonly text: string;
  readonly number: number;
}

/** Works a batch. */
export async function runBatch(run: BatchRun): Promise<BatchReport> {
  const { input, output, onProgress } = run;
  const ids: (string | null)[] = [];
  const results = await output.open((line) => ids.push(idOf(line, output.name)));
  try {
    const total = await countLines(input, ids, output.name);
    const earlier = results.lines;
    onProgress?.(earlier, total);
    const failed = await workLines(run, results, total);
    return { lines: total, earlier, failed };
  } finally {
    await results.close();
  }
}

/** Works the lines that have no result yet; gives how many have failed. */
async function workLines(run: BatchRun, results: ResultLines, total: number): Promise<number> {
  const { input, atOnce, path, signal, onProgress, onFailed } = run;
  const ending = new AbortController();
  const abort = () => ending.abort(cancelledBy(signal as AbortSignal));
  signal?.addEventListener("abort", abort, { once: true });
  const seen = new Set<string>();
  const working: Promise<{ text: string; failure?: string }>[] = [];
  let failed = 0;
  const writeFirst = async () => {
    const { text, failure } = await (working.shift() as (typeof working)[number]);
    await results.append(text);
    if (failure !== undefined) {
      failed++;
      onFailed?.(failure);
    }
    onProgress?.(results.lines, total);
  };
  let skip = results.lines;
  try {
    if (signal?.aborted) abort();
    for await (const { text, number } of linesOf(input)) {
      const line = once(readLine(text, number, path), seen, number);
      if (skip-- > 0) continue;
      if (working.length >= atOnce) await writeFirst();
      ending.signal.throwIfAborted();
      const work = workLine(run, line, number, ending.signal);
      work.catch(() => {}); // heard when its turn comes
      working.push(work);
    }
    while (working.length > 0) await writeFirst();
    return failed;
  } catch (error) {
    ending.abort(error);
    throw error;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

/** A line whose id an earlier one has is no request: its result could not be told from that one's. */
function once(line: LineRequest | BadLine, seen: Set<string>, number: number): LineRequest | BadLine {
  if (line.id === null || !seen.has(line.id)) {
    if (line.id !== null) seen.add(line.id);
    return line;
  }
  return { id: line.id, sum: line.sum, message: `line ${number}: custom_id: an earlier line has it, too` };
}

async function workLine(
  run: BatchRun,
  line: LineRequest | BadLine,
  number: number,
  signal: AbortSignal,
): Promise<{ text: string; failure?: string }> {
  if ("message" in line) return { text: badText(line), failure: line.message };
  const end = performance.now() + refusedMs;
  for (;;) {
    signal.throwIfAborted();
    const response = await run.fetch(
      new Request(`http://localhost${line.path}`, {
        method: "POST",
        headers: { "content-type": "application/json", ...run.headers },
        body: JSON.stringify(line.body),
        signal,
      }),
    );
    const body: unknown = await response.json();
    signal.throwIfAborted();
    const { status } = response;
    if (status !== 429 && status !== 503) {
      const text = answerText(line, status, body);
      return status < 400 ? { text } : { text, failure: `line ${number}: ${messageOf(body)}` };
    }
    // There is no room, or no worker: that says nothing of the line.
    if (performance.now() >= end) throw refused(number, messageOf(body));
    await sleep(Number(response.headers.get("retry-after-ms") ?? againMs), signal);
  }
}

/** Counts the lines, and throws where the results that are there are of other ones. */
async function countLines(input: BatchInput, ids: readonly (string | null)[], output: string): Promise<number> {
  let total = 0;
  for await (const { text, number } of linesOf(input)) {
    if (total < ids.length && readLine(text, number).id !== ids[total]) throw otherBatch(output, total + 1);
    total++;
  }
  if (ids.length > total) throw otherBatch(output, total + 1);
  return total;
}

async function* linesOf(input: BatchInput): AsyncGenerator<Numbered, void, void> {
  let number = 0;
  for await (const text of input.lines()) {
    number++;
    if (text.trim() !== "") yield { text, number };
  }
}

function idOf(line: string, output: string): string | null {
  try {
    return (JSON.parse(line) as { custom_id: string | null }).custom_id;
  } catch (cause) {
    throw new LightGPTError("io", `${output}: it has lines that are no results of a batch.`, {
      what: "a file that is no results of a batch",
      where: output,
    }, { cause });
  }
}

function otherBatch(output: string, line: number): InvalidArgumentError {
  return new InvalidArgumentError(`${output}: its line ${line} is of another batch; expected a new file.`, {
    what: "results of another batch",
    where: output,
    expected: "a new file, or the results of an earlier run of the same batch",
  });
}

function messageOf(body: unknown): string {
  return String((body as { error?: { message?: unknown } })?.error?.message ?? "the request failed");
}

function refused(number: number, message: string): LightGPTError {
  return new LightGPTError("io", `line ${number}: no server took it for ten minutes: ${message}`, {
    what: "a server that takes nothing",
  });
}
