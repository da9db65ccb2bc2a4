/**
 * How a process ends while tokens are being made: with the exit code or the signal that was asked for, never by a crash, and soon.
 *
 * @module
 */
import { assert, assertEquals, assertLess } from "@std/assert";
import process from "node:process";
import { describe, it } from "node:test";
import { type Outcome, repositoryUrl, runChild } from "./child.ts";
import { note, often } from "./counts.ts";

/** Four requests run until the end; `how` comes after a random time. */
const source = (how: string) => `
  import process from "node:process";
  import { LightGPT } from "${repositoryUrl}mod.ts";
  const lm = await LightGPT.load();
  const wild = (seed) => ({ temperature: 1e9, topK: 0, topP: 1, seed });
  async function forever(seed) {
    for (;;) await lm.complete("Once upon a time", { sampling: wild(seed++) });
  }
  for (let i = 0; i < 4; i++) forever(1000 * i).catch(() => {});
  setTimeout(() => { ${how} }, Math.random() * 150);
  console.log("running");`;

/** Every way to end, the same on both runtimes. */
const ways: Record<string, { how: string; ends: (outcome: Outcome) => void }> = {
  "process.exit": { how: "process.exit(7);", ends: ({ code }) => assertEquals(code, 7) },
  "a throw that nobody catches": {
    how: 'throw new RangeError("on purpose");',
    ends({ code, stderr }) {
      assertEquals(code, 1);
      assert(stderr.includes("on purpose"), stderr);
    },
  },
  "a rejection that nobody handles": {
    how: 'Promise.reject(new RangeError("on purpose"));',
    ends: ({ code }) => assertEquals(code, 1),
  },
  "exit after dispose": {
    how: "lm.dispose().then(() => process.exit(3));",
    ends: ({ code }) => assertEquals(code, 3),
  },
};

async function repeat(times: number, child: () => Promise<void>): Promise<void> {
  for (let done = 0; done < times; done += 2) await Promise.all([child(), child()]);
  note(17, "ends", times);
}

/** Starts a worker with the source of a module that posts messages: the web's way, or Node's. */
const startWorker = "Deno" in globalThis || "Bun" in globalThis
  ? `(source) =>
      new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })), { type: "module" })`
  : `(source) => {
      const { Worker } = process.getBuiltinModule("node:worker_threads");
      const posts = 'const { parentPort } = process.getBuiltinModule("node:worker_threads");' +
        "globalThis.postMessage = (message) => parentPort.postMessage(message);";
      const worker = new Worker(new URL("data:text/javascript," + encodeURIComponent(posts + source)));
      worker.on("message", (data) => worker.onmessage?.({ data }));
      return worker;
    }`;

describe("the process ends", () => {
  for (const [name, { how, ends }] of Object.entries(ways)) {
    it(`by ${name}`, () =>
      repeat(often(4, 34), async () => {
        const outcome = await runChild(source(how));
        assertEquals(outcome.signal, null, `${name}: ${outcome.signal} ${outcome.stderr}`);
        ends(outcome);
      }));
  }

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    it(`by ${signal}`, { skip: process.platform === "win32" }, () =>
      repeat(often(4, 34), async () => {
        let sent = 0;
        const outcome = await runChild(source("setTimeout(() => {}, 1e6);"), {
          onOutput(kill) {
            setTimeout(() => {
              sent = performance.now();
              kill(signal);
            }, Math.random() * 150);
          },
        });
        assertLess(performance.now() - sent, 60_000);
        assertEquals([outcome.code, outcome.signal], [null, signal], outcome.stderr);
      }));
  }

  it("by itself, once what was asked for is done, disposed or not", async () => {
    const { code, stdout, stderr } = await runChild(`
      import { LightGPT } from "${repositoryUrl}mod.ts";
      const lm = await LightGPT.load();
      lm.complete("Once upon a time", { maxTokens: 50 }).then(({ tokens }) => console.log(tokens.length));
      const idle = lm.generate("The dog");
      await idle.next();`);
    assertEquals([code, stdout], [0, "50\n"], stderr);
  });

  it("by the end of workers that generate, too", async () => {
    const { code, signal, stdout, stderr } = await runChild(`
      import { LightGPT } from "${repositoryUrl}mod.ts";
      const lm = await LightGPT.load(); // opens the library first
      const worker = \`
        import { LightGPT } from "${repositoryUrl}mod.ts";
        const lm = await LightGPT.load();
        postMessage("loaded");
        for (;;) await lm.complete("Once upon a time");\`;
      const workers = Array.from({ length: 3 }, () => (${startWorker})(worker));
      await Promise.all(workers.map((worker) => new Promise((resolve) => worker.onmessage = resolve)));
      for (const worker of workers) {
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 40));
        worker.terminate();
      }
      console.log((await lm.complete("Once upon a time", { maxTokens: 9, sampling: { temperature: 0 } })).tokens.length);
      await lm.dispose();`);
    assertEquals([code, signal, stdout], [0, null, "9\n"], stderr);
  });
});
