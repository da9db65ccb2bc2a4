/**
 * How sequences end that do not come to their end: the errors that their readers get.
 *
 * @module
 */
import { CancelledError, ClosedError, LightGPTError } from "../../ffi/errors.ts";

/** The error of a sequence whose deadline has passed. */
export function expired(deadlineMs: number): CancelledError {
  return new CancelledError(`The deadline of ${deadlineMs} ms has passed.`, {
    what: "cancelled",
    where: "deadlineMs",
    expected: `an end within ${deadlineMs} ms`,
  });
}

/** Whether `error` is that of a request that its signal or its deadline has ended, and which of the two. */
export function cutBy(error: unknown, signal: AbortSignal | undefined): "aborted" | "deadline" | undefined {
  if (!(error instanceof CancelledError)) return undefined;
  if (error.detail.where === "deadlineMs") return "deadline";
  return signal?.aborted && error.cause === signal.reason ? "aborted" : undefined;
}

/** The error of a sequence whose scheduler was disposed. */
export function closed(): ClosedError {
  return new ClosedError("LightGPT was disposed.", { what: "used after it was disposed", where: "LightGPT" });
}

/** The error of a sequence for which there are no pages, although it may take those of any other. */
export function allPinned(): LightGPTError {
  return new LightGPTError("limit", "No KV page is free: all that are left are pinned in the cache.", {
    what: "no page is free",
    where: "cache",
    expected: "fewer pinned prefixes, or more pages",
  });
}
