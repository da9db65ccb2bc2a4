/**
 * Files that are no model: missing, a directory, empty, or cut off anywhere. Each is one clear error, before any weight is
 * read.
 *
 * @module
 */
import { assert, assertEquals, assertInstanceOf, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { copyFileSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { LightGPT, LightGPTError, ModelFormatError, readGguf } from "../mod.ts";
import { native } from "../ffi/native.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import { repositoryUrl, runChild } from "./child.ts";

const directory = mkdtempSync(join(tmpdir(), "lightgpt-files-"));
const load = (path: string) => LightGPT.load(path);

describe("a file that is no model", () => {
  after(() => rmSync(directory, { recursive: true, force: true }));

  it("is refused when it is missing, a directory, or empty", async () => {
    const missing = join(directory, "none.gguf");
    const none = await assertRejects(() => load(missing), LightGPTError, missing);
    assertEquals(none.code, "io");
    const folder = await assertRejects(() => load(directory), LightGPTError, directory);
    assertEquals(folder.code, "io");
    const empty = join(directory, "empty.gguf");
    writeFileSync(empty, "");
    assertStringIncludes((await assertRejects(() => load(empty), ModelFormatError)).message, empty);
    const text = join(directory, "text.gguf");
    writeFileSync(text, "This is no model, but a text that is long enough to hold a header.");
    assertStringIncludes((await assertRejects(() => load(text), ModelFormatError)).message, text);
  });

  it("says which flag is missing where it may not be read", { skip: !("Deno" in globalThis) }, async () => {
    const code = `import { readGguf } from "${repositoryUrl}mod.ts";\nreadGguf("/some/model.gguf");`;
    const { stderr } = await runChild(code, { allow: ["--allow-read=."] });
    assertStringIncludes(stderr, "/some/model.gguf: it may not be read; allow it with --allow-read=/some/model.gguf.");
  });

  it("is refused when it is cut off, at each end of a section and every 4 KiB", async () => {
    const path = join(directory, "cut.gguf");
    copyFileSync(embeddedModel(), path);
    const handles = native().memory().handles;
    const { tensors } = readGguf(path);
    const size = statSync(path).size;
    const cuts = new Set([1, 3, 4, 7, 8, 15, 16, 23, 24, 25, size - 1]);
    for (const { offset, bytes, infoOffset } of tensors.values()) {
      for (const at of [infoOffset, offset, offset + bytes]) for (const by of [-1, 0, 1]) cuts.add(at + by);
    }
    for (let at = 4096; at < size; at += 4096) cuts.add(at);
    const last = Math.max(...[...tensors.values()].map(({ offset, bytes }) => offset + bytes));
    const order = [...cuts].filter((cut) => cut < last).sort((a, b) => b - a);
    assert(order.length > 690 && order.length > tensors.size * 6, `${order.length} cuts`);
    for (const cut of order) {
      truncateSync(path, cut);
      const error = await load(path).then(() => undefined, (error: unknown) => error);
      assertInstanceOf(error, ModelFormatError, `cut at ${cut}`);
      assertMatch(error.message, /byte|bytes/);
      assertStringIncludes(error.message, path);
    }
    assertEquals(native().memory().handles, handles);
  });
});
