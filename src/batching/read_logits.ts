/**
 * Reads tokens for their logits alone, among the other requests of a scheduler.
 *
 * @module
 */
import { assertNotAborted, cancelledBy } from "../options/checks.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SequenceOptions } from "./sequence.ts";

/** What is read, and where its logits go. */
export interface LogitsRequest extends Pick<SequenceOptions, "tenant" | "salt"> {
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
  { tokens, rows, receive, signal, tenant = "", salt }: LogitsRequest,
): Promise<void> {
  assertNotAborted(signal);
  const sequence = scheduler.add({
    prompt: tokens,
    positions: tokens.length,
    logits: { rows, receive },
    tenant,
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
