/**
 * Real models give the same bits on this runtime, at every level of this processor, with one to three threads, alone and in
 * a batch of 8, with and without cache hits, and after preemption.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { it } from "node:test";
import { join } from "node:path";
import { native } from "../../ffi/native.ts";
import { repositoryUrl, runChild } from "../child.ts";
import { halfOf } from "../halves.ts";
import { readJson, repository } from "../kit.ts";
import { exactRealModels } from "./exact.ts";
import { describeReal, realModel } from "./models.ts";

const committed = readJson<Record<string, string>>(join(repository, "test", "real"), "exact.json");
const [first] = exactRealModels;

describeReal("tokens and logits of real models", first, () => {
  const there = exactRealModels.filter((name) => realModel(name) !== undefined);
  for (const level of native().processor.levels) {
    it(`are the committed ones at level ${level}`, async () => {
      // Plain loops take many times as long: one way has to do there, and one of the models on each runtime.
      const [names, most] = level === "baseline" ? [halfOf(there), 1] : [there, undefined];
      const source = `
        import { realHashes } from "${repositoryUrl}test/real/exact.ts";
        console.log(JSON.stringify(await realHashes(${JSON.stringify(names)}, ${most})));`;
      const { code, stdout, stderr } = await runChild(source, { env: { LIGHTGPT_CPU: level }, timeoutMs: 280_000 });
      assertEquals(code, 0, stderr);
      assertEquals(JSON.parse(stdout), Object.fromEntries(names.map((name) => [name, committed[name]])));
    });
  }
});
