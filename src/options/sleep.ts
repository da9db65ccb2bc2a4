/**
 * Waiting that a signal ends.
 *
 * @module
 */
import { assertNotAborted } from "./checks.ts";

/** Waits; throws a {@link CancelledError} at once where the signal is aborted. */
export async function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  assertNotAborted(signal);
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const stop = () => resolve();
  signal?.addEventListener("abort", stop, { once: true });
  await promise;
  clearTimeout(timer);
  signal?.removeEventListener("abort", stop);
  assertNotAborted(signal);
}
