/**
 * Memory that the system refuses: in a library built for it (`zig build faults`) the k-th request fails, once or from then on,
 * for every k until the operation gets along without another. It then gives its usual result; before, it fails with the code
 * `outOfMemory`. Either way nothing stays held, and what is open goes on.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, it } from "node:test";
import { LightGPT, LightGPTError, Quantizer } from "../../mod.ts";
import { native } from "../../ffi/native.ts";
import { currentRuntime } from "../../ffi/runtime/pick.ts";
import type { FUNCTIONS } from "../../ffi/wire.ts";
import { Engine } from "../../src/engine/engine.ts";
import { isNight, note } from "../counts.ts";
import { repository } from "../kit.ts";

const path = join(repository, "lib", "faults", process.platform === "darwin" ? "liblightgpt.dylib" : "liblightgpt.so");
const isThere = process.env.LIGHTGPT_LIBRARY === path && existsSync(path);

/** The k that are tried of an operation: all at night. */
const most = isNight ? Infinity : 50;

/** Refuses the `first`-th request from now on; returns how many there were since the last call. */
function hook(): (first: number, all: boolean) => number {
  // A function that the border's table does not have: it is in this library alone.
  const functions = { lg_fail_allocation: { parameters: ["u32", "u32"] } } as unknown as typeof FUNCTIONS;
  const { call } = currentRuntime().open(path, functions) as unknown as {
    readonly call: { lg_fail_allocation(first: number, all: number): number };
  };
  return (first, all) => call.lg_fail_allocation(first, all ? 1 : 0);
}

function held(): Record<string, number> {
  const { weights, kv, scratch, handles } = native().memory();
  return { weights, kv, scratch, handles };
}

/** Memory that an abandoned load holds comes back when its turn ends. */
async function settled(before: Record<string, number>): Promise<Record<string, number>> {
  for (let waited = 0; waited < 20_000 && JSON.stringify(held()) !== JSON.stringify(before); waited += 2) {
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return held();
}

describe("memory that is refused", { skip: !isThere && "needs `npm run reliability`: a library built for it" }, () => {
  const asked = { maxTokens: 6, sampling: { temperature: 0 } };
  const prompt = "Once upon a time there was a dog";

  /** Operations by name; each gives something that must be the same whenever it succeeds. */
  const operations: Record<string, (lm: LightGPT) => Promise<string>> = {
    load: async () => {
      await using fresh = await LightGPT.load(undefined, { threads: 2, context: 64 });
      return String(fresh.context);
    },
    "load and complete": async () => {
      await using fresh = await LightGPT.load(undefined, { threads: 2, context: 64 });
      return String((await fresh.complete(prompt, asked)).tokens);
    },
    complete: async (lm) => String((await lm.complete(prompt, { ...asked, cache: false })).tokens),
    "open an engine that keeps inputs": async (lm) => {
      const engine = new Engine(lm.model, {
        kv: "f16",
        pageSize: 16,
        pages: 4,
        batchTokens: 16,
        sequences: 1,
        threads: 1,
        activationBits: 8,
        logitRows: 1,
      });
      try {
        engine.inputs.capture(0, 2);
        return "open";
      } finally {
        await engine.dispose();
      }
    },
    quantize: async () => {
      const quantizer = new Quantizer({ threads: 2 });
      const values = Float32Array.from({ length: 4096 }, (_, index) => Math.sin(index));
      const made = await quantizer.quantize(values, { format: "q4_k", shape: [8, 512] });
      const product = await quantizer.matmul(made, values.subarray(0, 512));
      return `${made.blocks.slice(0, 64)} ${product}`;
    },
  };

  for (const [name, operation] of Object.entries(operations)) {
    for (const all of [false, true]) {
      it(`fails one request of "${name}"${all ? " and all after it" : ""}, each in turn`, async () => {
        const fail = hook();
        await using lm = await LightGPT.load(undefined, { threads: 2, context: 64 });
        const expected = await operation(lm);
        const usual = String((await lm.complete(prompt, asked)).tokens);
        const before = held();
        let [tried, refused] = [0, 0];
        for (let k = 1; k <= most; k++) {
          fail(k, all);
          let outcome: string;
          try {
            outcome = await operation(lm);
          } catch (error) {
            outcome = error instanceof LightGPTError ? error.code : `foreign: ${error}`;
          }
          const requests = fail(0, false);
          assert(outcome === expected || outcome === "outOfMemory", `request ${k}: ${outcome}`);
          assertEquals(await settled(before), before, `request ${k}`);
          tried++;
          if (outcome !== expected) refused++;
          if (requests < k) break; // none failed: it has been through
          assertEquals(String((await lm.complete(prompt, asked)).tokens), usual, `after request ${k}`);
        }
        assert(refused > 0 || name === "complete", `${tried} requests of ${name}, none refused`);
        note(9, `requests refused of "${name}"`, tried);
      });
    }
  }
});
