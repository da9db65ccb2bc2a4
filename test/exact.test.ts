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
import { dataDirectory, readJson } from "./kit.ts";
import { inLanes } from "./lanes.ts";

const source = (most: number) => `
  import { exactHashes } from "${repositoryUrl}test/exact.ts";
  console.log(JSON.stringify(await exactHashes(${most})));`;

describe("tokens and logits", () => {
  const committed = readJson<Record<string, string>>(dataDirectory, "exact.json");
  const expected = Object.fromEntries(exactModels().map(({ name }) => [name, committed[name]]));

  const { levels } = native().processor;
  const outcome = inLanes(levels.map((level) => () => {
    // Plain loops take many times as long; there one way has to do, which must give the same hash.
    const ways = source(level === "baseline" ? 1 : 4);
    return runChild(ways, { env: { LIGHTGPT_CPU: level }, timeoutMs: 280_000 });
  }));
  for (const [index, level] of levels.entries()) {
    it(`are the committed ones at level ${level}`, async () => {
      const { code, stdout, stderr } = await outcome(index);
      assertEquals(code, 0, stderr);
      const found = JSON.parse(stdout);
      assertGreater(Object.keys(found).length, 0);
      assertEquals(
        found,
        expected,
        "deno run -A test/exact.ts computes the hash of a new model; others must not change",
      );
    });
  }
});
