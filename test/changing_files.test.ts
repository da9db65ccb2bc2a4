/**
 * Model files that change while they are loaded: cut, replaced, removed, written to. Each is an error of the code `io`; none ends
 * the process, however often a file is cut and restored meanwhile.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { LightGPT, LightGPTError, type LoadProgress, quantizeFile } from "../mod.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import { repositoryUrl, runChild } from "./child.ts";
import { assertHeld, holding } from "./memory.ts";
import { note, often } from "./counts.ts";

const directory = mkdtempSync(join(tmpdir(), "lightgpt-changing-"));
after(() => rmSync(directory, { recursive: true, force: true }));
const model = embeddedModel();
const at = (name: string) => join(directory, name);

/** Loads a copy and changes it at the first report. */
function loadAndChange(name: string, change: (path: string) => void): Promise<LightGPT> {
  const path = at(name);
  copyFileSync(model, path);
  let isChanged = false;
  const onProgress = (_: LoadProgress) => {
    if (!isChanged) change(path);
    isChanged = true;
  };
  return LightGPT.load(path, { onProgress });
}

describe("a model file that changes while it is loaded", () => {
  const changes: Readonly<Record<string, [(path: string) => void, string]>> = {
    cut: [(path) => truncateSync(path, 100_000), "was replaced or written to while it was loaded"],
    "cut to nothing": [(path) => truncateSync(path, 0), "was replaced or written to while it was loaded"],
    replaced: [(path) => {
      copyFileSync(model, `${path}.new`);
      renameSync(`${path}.new`, path);
    }, "was replaced or written to while it was loaded"],
    removed: [(path) => rmSync(path), "was removed while it was loaded"],
    "written to": [(path) => {
      writeFileSync(path, readFileSync(model));
      utimesSync(path, 1, 1); // clocks of file systems may be coarse
    }, "was replaced or written to while it was loaded"],
  };
  for (const [name, [change, message]] of Object.entries(changes)) {
    it(`is an error: ${name}`, async () => {
      const before = await holding();
      const error = await assertRejects(() => loadAndChange(`${name}.gguf`, change), LightGPTError);
      assertEquals([error.code, error.detail.where], ["io", at(`${name}.gguf`)]);
      assertStringIncludes(error.message, message);
      await assertHeld(before);
    });
  }

  it("is loaded where only its name's folder changes", async () => {
    await using lm = await loadAndChange("stays.gguf", () => writeFileSync(at("other"), "x"));
    assertEquals((await lm.complete("Once", { maxTokens: 2 })).tokens.length, 2);
  });

  // The night run has 500 cuts and 20 storms: scripts/reliability/.
  it("never ends the process, cut at any moment or all the time", async () => {
    const path = at("storm.gguf");
    await quantizeFile(model, path, { type: "f32" }); // large enough that its loading takes a while
    const { code, signal, stdout, stderr } = await runChild(
      `import { storms } from "${repositoryUrl}test/storms.ts";
      console.log(JSON.stringify(await storms(${JSON.stringify(path)}, { cuts: ${often(20, 500)}, storms: ${
        often(1, 20)
      }, stormMs: ${often(800, 2000)} })));`,
      { timeoutMs: often(240_000, 1_800_000) },
    );
    assertEquals([code, signal], [0, null], stderr);
    note(11, "loads of a file that is cut", Number(JSON.parse(stdout).loads));
    const { loads, kinds } = JSON.parse(stdout) as { loads: number; kinds: Record<string, number> };
    assert(loads > 20, stdout);
    // One that was short when it was opened is damaged.
    const known = ["io", "loaded", "modelFormat"];
    assertEquals(Object.keys(kinds).filter((kind) => !known.includes(kind)), [], stdout);
    assert((kinds.io ?? 0) > 0, stdout);
  });
});
