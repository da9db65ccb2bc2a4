/**
 * Calls that the system refuses: `refusing.c`, preloaded into a child, fails the k-th call of one function that the library makes,
 * once or from then on, for every k. The child gives its usual tokens, or an error with the code `outOfMemory` or `io`; it never
 * ends by a signal.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { repositoryUrl, runChild } from "../child.ts";
import { isNight, note } from "../counts.ts";
import { repository } from "../kit.ts";

const shim = join(repository, "lib", "faults", "librefusing.so");
/** The k that are tried of a function: all at night. */
const most = isNight ? 400 : 4;

const program = `
  const { LightGPT, LightGPTError } = await import("${repositoryUrl}mod.ts");
  try {
    await using lm = await LightGPT.load(undefined, { threads: 2, context: 64 });
    const { tokens } = await lm.complete("Once upon a time", { maxTokens: 6, sampling: { temperature: 0 } });
    console.log("tokens", tokens.join());
  } catch (error) {
    console.log(error instanceof LightGPTError ? error.code : "foreign: " + error);
  }
  const { currentRuntime } = await import("${repositoryUrl}ffi/runtime/pick.ts");
  const { call } = currentRuntime().open(${JSON.stringify(shim)}, { refuse_calls: { parameters: [], about: "" } });
  console.log(call.refuse_calls());`;

/** What a child comes to, and how many calls it made. */
async function run(call: string, k: number, all: boolean): Promise<{ outcome: string; calls: number }> {
  const env = {
    LD_PRELOAD: shim,
    REFUSE_CALL: call,
    REFUSE_AT: String(k),
    ...(all ? { REFUSE_ALL: "1" } : {}),
  };
  const { code, signal, stdout, stderr } = await runChild(program, { env });
  assertEquals([code, signal], [0, null], `${call} ${k}: ${stderr}`);
  const [outcome = "", calls] = stdout.trim().split("\n");
  return { outcome, calls: Number(calls) };
}

/** Functions of the system that the library calls, the row that asks for each, and what a refusal may come to. */
const calls = [
  ["malloc", 9, "outOfMemory"],
  ["mmap", 9, "outOfMemory"],
  ["madvise", 9, "outOfMemory"],
  ["pread", 11, "io"],
  ["pthread_create", 10, "outOfMemory"],
] as const;

describe(
  "a call that the system refuses",
  { skip: !existsSync(shim) && "needs `npm run reliability`, on Linux" },
  () => {
    for (const [call, row, code] of calls) {
      it(`of ${call}`, async () => {
        const usual = await run(call, 0, false);
        assert(usual.outcome.startsWith("tokens ") && usual.calls > 0, `${usual.outcome}, ${usual.calls} calls`);
        const last = Math.min(usual.calls, most);
        let refused = 0;
        for (let k = 1; k <= last; k++) {
          for (const all of [false, true]) {
            const { outcome } = await run(call, k, all);
            assert(
              outcome === usual.outcome || outcome === code,
              `${call} ${k}${all ? " and all after it" : ""}: ${outcome}`,
            );
            if (outcome === code) refused++;
          }
        }
        // A hint that is refused costs nothing.
        assertEquals(refused > 0, call !== "madvise", `${refused} of ${last}`);
        note(row, `children whose ${call} fails`, 2 * last);
      });
    }
  },
);
