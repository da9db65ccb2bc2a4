/**
 * 100 000 damaged model files, half of them on each runtime: every one is refused with an error about the file, or is as good
 * as whole; none crashes, hangs or takes memory. Batches run in processes of their own. Some of those that nothing is
 * wrong with go through the native loader too.
 *
 * @module
 */
import { assert, assertEquals, assertLess, assertLessOrEqual } from "@std/assert";
import { join } from "node:path";
import { it } from "node:test";
import { repositoryUrl, runChild } from "./child.ts";
import { describeWholeKit } from "./kit.ts";
import { inLanes } from "./lanes.ts";
import type { Report } from "./mutations.ts";
import { note, often } from "./counts.ts";

/** Small files that load, and some that use what the others don't. */
const names = [
  "valid",
  "valid_bpe",
  "valid_align64",
  "valid_align8",
  "template_broken",
  "ndims_4_ones",
  "merges_cyclic",
];
const batches = 4;
const batchSize = often(12_500, 125_000);
const isNode = !("Deno" in globalThis || "Bun" in globalThis);
/** Half of all seeds for Deno; Node goes over Bun's half. */
const firstSeed = "Deno" in globalThis ? 0 : batches * batchSize;

/**
 * V8 gives young objects more and more room, and leaves it empty: by 125 000 files some 40 MiB, of which 7.5 are used as ever. With a
 * fixed room resident memory does not grow at all.
 */
const v8Flags = ["--expose-gc", "--min-semi-space-size=4", "--max-semi-space-size=4"];

async function inChild<T>(body: string): Promise<T> {
  const { code, signal, stdout, stderr } = await runChild(
    `import { runMutations } from "${repositoryUrl}test/mutations.ts";
    import { loadMutations } from "${repositoryUrl}test/native-mutations.ts";
    const collect = () => globalThis["Bun"] ? globalThis["Bun"].gc(true) : globalThis.gc();
    console.log(JSON.stringify(await (async () => { ${body} })()));`,
    {
      timeoutMs: often(240_000, 3_600_000),
      env: { DENO_V8_FLAGS: v8Flags.join() },
      flags: isNode ? v8Flags : [],
    },
  );
  assertEquals({ code, signal }, { code: 0, signal: null }, stderr);
  return JSON.parse(stdout);
}

describeWholeKit("damaged files", "malformed", (directory) => {
  const paths = names.map((name) => join(directory, `${name}.gguf`));

  const seeds = Array.from({ length: batches }, (_, batch) => firstSeed + batch * batchSize);
  const report = inLanes(
    seeds.map((seed) => () =>
      inChild<Report>(`return runMutations(${JSON.stringify(paths)}, ${seed}, ${batchSize}, collect);`)
    ),
  );
  for (const [batch, seed] of seeds.entries()) {
    it(`${batchSize} of them, from seed ${seed} on`, async () => {
      const { read, accepted, slowestMs, grownBytes } = await report(batch);
      assertEquals(read, batchSize);
      note(2, "damaged files", read);
      // Some are as good as whole and most are not, or the damages are none.
      assert(accepted > batchSize / 100 && accepted < batchSize / 2, `${accepted} accepted`);
      assertLess(slowestMs, 1000);
      assertLessOrEqual(grownBytes, 32 * 2 ** 20);
    });
  }

  it("those that are as good as whole load, or the library refuses them", async () => {
    const { loaded, refused } = await inChild<{ loaded: number; refused: number }>(
      `return await loadMutations(${JSON.stringify(paths)}, ${firstSeed}, 150);`,
    );
    assertEquals(loaded + refused, 150);
    assert(loaded > 0);
  });
});
