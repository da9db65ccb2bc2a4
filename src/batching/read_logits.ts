/**
 * Reads tokens for their logits alone, among the other requests of a scheduler: all at once, or part by part for a reader
 * that has work to do with each row.
 *
 * @module
 */
import { assertNotAborted, cancelledBy } from "../options/checks.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SequenceOptions } from "./sequence_options.ts";

/** What is read, and where its logits go. */
export interface LogitsRequest extends Pick<SequenceOptions, "tenant" | "salt" | "adapters"> {
  readonly tokens: Uint32Array;
  /**
   * The logits after the last token, or after each. For those after each, all tokens are read, whatever the cache has, and
   * nothing is left there: a measurement should not evict what requests have left.
   */
  readonly rows: "last" | "all";
  /** Receives rows, valid during the call; `position` is that of the first. */
  receive(rows: Float32Array, position: number): void;
  readonly signal: AbortSignal | undefined;
}

/** Reads tokens and hands their logits over. */
export async function readLogits(
  scheduler: Scheduler,
  { tokens, rows, receive, signal, tenant = "", salt, adapters }: LogitsRequest,
): Promise<void> {
  assertNotAborted(signal);
  const sequence = scheduler.add({
    prompt: tokens,
    positions: tokens.length,
    logits: { rows, receive },
    tenant,
    adapters,
    salt: rows === "last" ? salt : undefined,
  });
  const abort = () => sequence.end(cancelledBy(signal as AbortSignal));
  signal?.addEventListener("abort", abort, { once: true });
  try {
    await sequence.next();
  } finally {
    signal?.removeEventListener("abort", abort);
    sequence.end();
  }
}

/** Rows of logits, one after the other. */
export interface LogitRows {
  /** The position of the token after which the first row was computed. */
  readonly position: number;
  /** [rows][vocabulary]; valid until the next rows are asked for. */
  readonly rows: Float32Array;
}

/** Bytes of the rows that are handed over at once: more tokens a step are hardly faster. */
const rowBytesMost = 1 << 24;

/** Of so many rows, those that {@link readRows} hands over at once. */
export function rowsAtOnce(rows: number, vocabulary: number): number {
  return Math.min(rows, Math.max(1, Math.floor(rowBytesMost / (4 * vocabulary))));
}

/**
 * Reads tokens part by part, and gives the logits after each of them from position `first` on. No part is read before its rows
 * are asked for, so a slow reader keeps few rows.
 *
 * @param vocabulary logits of a row
 */
export async function* readRows(
  scheduler: Scheduler,
  tokens: Uint32Array,
  first: number,
  vocabulary: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<LogitRows, void, void> {
  assertNotAborted(signal);
  const most = rowsAtOnce(tokens.length - first, vocabulary);
  const kept = new Float32Array(most * vocabulary);
  let begin = first;
  // Of the tokens before the first row none is needed; a sequence that asks for the last reads them without logits.
  let rows: "last" | "all" = first === 0 ? "all" : "last";
  const receive = (rows: Float32Array, position: number) => {
    // A sequence that had to give its pages up reads its first tokens again.
    const skipped = Math.max(0, begin - position) * vocabulary;
    if (skipped < rows.length) kept.set(rows.subarray(skipped), Math.max(0, position - begin) * vocabulary);
  };
  const sequence = scheduler.add({
    prompt: tokens.subarray(0, first === 0 ? most : first),
    positions: tokens.length,
    logits: {
      get rows() {
        return rows;
      },
      receive,
    },
  });
  const abort = () => sequence.end(cancelledBy(signal as AbortSignal));
  signal?.addEventListener("abort", abort, { once: true });
  try {
    if (first > 0) await sequence.next();
    rows = "all";
    for (; begin < tokens.length; begin += most) {
      if (begin > 0) sequence.extend(tokens.subarray(begin, begin + most));
      await sequence.next();
      const count = Math.min(most, tokens.length - begin);
      yield { position: begin, rows: kept.subarray(0, count * vocabulary) };
    }
  } finally {
    signal?.removeEventListener("abort", abort);
    sequence.end();
  }
}
