/**
 * The same bits everywhere: the hashes that `exact.ts` computes equal the committed ones, on this runtime, on every CPU level that the
 * processor has. Each level needs a process of its own.
 *
 * @module
 */
import { assertEquals, assertGreater } from "@std/assert";
import { describe, it } from "node:test";
import { native } from "../ffi/native.ts";
import { repositoryUrl, runChild } from "./child.ts";
import { exactModels } from "./exact.ts";
import { halfOf } from "./halves.ts";
import { dataDirectory, readJson } from "./kit.ts";
import { inLanes } from "./lanes.ts";

const source = (names: readonly string[], most: number) => `
  import { exactHashes } from "${repositoryUrl}test/exact.ts";
  const names = new Set(${JSON.stringify(names)});
  console.log(JSON.stringify(await exactHashes(${most}, (name) => names.has(name))));`;

describe("tokens and logits", () => {
  const committed = readJson<Record<string, string>>(dataDirectory, "exact.json");
  const names = exactModels().map(({ name }) => name);
  const isNode = !("Deno" in globalThis || "Bun" in globalThis);
  // A level is the library's own matter, which two runtimes try: on Node the best one shows that the border gives the same bits.
  const levels = native().processor.levels.slice(isNode ? -1 : 0);
  // Plain loops take many times as long: there one way has to do, and half of the models on each runtime.
  const namesAt = (level: string) => level === "baseline" ? halfOf(names) : names;
  const outcome = inLanes(levels.map((level) => () => {
    const ways = source(namesAt(level), level === "baseline" ? 1 : 4);
    return runChild(ways, { env: { LIGHTGPT_CPU: level }, timeoutMs: 280_000 });
  }));
  if (native().processor.arch === "x86_64" && !native().processor.levels.includes("amx")) {
    it("are the committed ones at level amx", { skip: "no AMX here" }, () => {});
  }
  for (const [index, level] of levels.entries()) {
    it(`are the committed ones at level ${level}`, async () => {
      const { code, stdout, stderr } = await outcome(index);
      assertEquals(code, 0, stderr);
      const found = JSON.parse(stdout);
      assertGreater(Object.keys(found).length, 0);
      assertEquals(
        found,
        Object.fromEntries(namesAt(level).map((name) => [name, committed[name]])),
        "deno run -A test/exact.ts computes the hash of a new model; others must not change",
      );
    });
  }
});
