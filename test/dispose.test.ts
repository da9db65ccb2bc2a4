/**
 * `dispose()` and memory: when it resolves, weights, keys and values and scratch memory are back, whatever was under way.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import { LightGPT } from "../mod.ts";
import { native } from "../ffi/native.ts";
import { note, often } from "./counts.ts";

function held(): Record<string, number> {
  const { weights, kv, scratch, handles } = native().memory();
  return { weights, kv, scratch, handles };
}

describe("dispose", () => {
  it("resolves when memory is back, after requests and in the midst of them", async () => {
    const before = held();
    for (let round = 0; round < often(24, 240); round++) {
      const lm = await LightGPT.load(undefined, { threads: 2, context: 256 });
      const work = Array.from(
        { length: 4 },
        (_, seed) => lm.complete("Once upon a time", { maxTokens: 60, sampling: { seed } }).catch(() => undefined),
      );
      if (round % 2) await new Promise((resolve) => setTimeout(resolve, round));
      else await Promise.all(work);
      await lm.dispose();
      assertEquals(held(), before, `round ${round}`);
      await Promise.all(work);
    }
    note(30, "models disposed of, half of them amid requests", often(24, 240));
  });
});
