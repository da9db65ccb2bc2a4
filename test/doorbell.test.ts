/**
 * Waiting for native work where the runtime cannot give what its doorbell needs: the timer asks instead, with the same answer.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import { repositoryUrl, runChild } from "./child.ts";

/** Where this runtime has what makes its doorbell's thread. */
const threads = "Deno" in globalThis || "Bun" in globalThis
  ? "globalThis"
  : 'process.getBuiltinModule("node:worker_threads")';

/** Enough tokens that a doorbell is wanted; `before` is what the process lacks. */
function program(before: string): string {
  return `${before}
    const { LightGPT } = await import("${repositoryUrl}mod.ts");
    await using lm = await LightGPT.load(undefined, { threads: 2 });
    const asked = { maxTokens: 40, sampling: { temperature: 0 } };
    const all = await Promise.all([1, 2, 3, 4].map((count) => lm.complete("Once upon a time. ".repeat(20 * count), asked)));
    console.log(JSON.stringify(all.map(({ tokens }) => [...tokens])));`;
}

describe("the doorbell", () => {
  it("is the timer where no Worker can be made, now or later", async () => {
    const usual = await runChild(program(""));
    assertEquals(usual.code, 0, usual.stderr);
    const refusing = await runChild(program(
      `let made = 0;
       ${threads}.Worker = class { constructor() { made++; throw new TypeError("Failed to spawn worker thread"); } };
       process.on("exit", () => console.error("made", made));`,
    ));
    assertEquals([refusing.code, refusing.stdout], [0, usual.stdout], refusing.stderr);
    // Once it has failed it is not tried again; in Deno it is not needed.
    assertEquals(refusing.stderr.trim(), `made ${"Deno" in globalThis ? 0 : 1}`);
    const failing = await runChild(program(
      `${threads}.Worker = class {
         ref() {} unref() {} on(name, heard) { if (name === "error") setTimeout(heard, 1); } postMessage() { setTimeout(() => this.onerror(new ErrorEvent("error", { cancelable: true })), 1); }
       };`,
    ));
    assertEquals([failing.code, failing.stdout], [0, usual.stdout], failing.stderr);
  });
});
