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
