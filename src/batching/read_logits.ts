/**
 * Reads tokens for their logits alone, among the other requests of a scheduler.
 *
 * @module
 */
import { assertNotAborted, cancelledBy } from "../options/checks.ts";
import type { Scheduler } from "./scheduler.ts";

/** Reads `tokens` and hands over the logits after the last or after each; `position` is that of the first row. */
export async function readLogits(
  scheduler: Scheduler,
  tokens: Uint32Array,
  rows: "last" | "all",
  receive: (rows: Float32Array, position: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  assertNotAborted(signal);
  const sequence = scheduler.add({ prompt: tokens, positions: tokens.length, logits: { rows, receive } });
  const abort = () => sequence.end(cancelledBy(signal as AbortSignal));
  signal?.addEventListener("abort", abort, { once: true });
  try {
    await sequence.next();
  } finally {
    signal?.removeEventListener("abort", abort);
    sequence.end();
  }
}
