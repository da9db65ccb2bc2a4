/**
 * The doorbell: how JavaScript learns, without blocking its event loop, that native work has ended. It is only a hint:
 * the waiting caller asks the library again, so a lost or early ring costs a moment, never a result. `deno.ts` and `bun.ts`
 * have one of their own; here is the one that every runtime can have.
 *
 * @module
 */
import type { Doorbell, OpenLibrary } from "./types.ts";

/** Asks once a millisecond: slower than a runtime's own doorbell, and with nothing that can fail. */
export function timerDoorbell(library: OpenLibrary): Doorbell {
  return {
    async ring(handle, milliseconds) {
      const end = performance.now() + milliseconds;
      for (;;) {
        const answer = library.call.lg_wait(handle, 0);
        if (answer !== 0 || performance.now() >= end) return answer;
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    },
  };
}
