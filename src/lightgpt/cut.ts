/**
 * Answers that are ended before they begin, and reading generators to their end.
 *
 * @module
 */
import { cutBy } from "../batching/errors.ts";
import type { GenerateOptions } from "../batching/request_options.ts";

/** A prompt for a request that has been aborted: it ends before any of it is read. */
export const unread: ArrayLike<number> = [0];

/** Nothing in place of a prompt whose making was aborted, where that is no error; else throws what it ended with. */
export function cutPrompt(error: unknown, { signal, onAbort }: GenerateOptions): undefined {
  if (onAbort !== "return" || cutBy(error, signal) === undefined) throw error;
}

/** Reads a generator to its end; gives its last value. */
export async function lastOf<Last>(parts: AsyncGenerator<unknown, Last, void>): Promise<Last> {
  for (;;) {
    const { done, value } = await parts.next();
    if (done) return value;
  }
}
