/**
 * What a program must not pay for on its way to a first token: Node's modules (60 ms in Deno), and what only those need who
 * tune, quantize or measure. `bench/start.ts` has the times.
 *
 * @module
 */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { toolPath } from "../scripts/tools.js";
import { repositoryUrl, runChild } from "./child.ts";

/** What importing `mod.ts` loads, by path: its imports and theirs, without types and without `await import`. */
function loaded(): Map<string, string> {
  const texts = new Map<string, string>();
  const visit = (url: URL) => {
    const path = url.href.slice(repositoryUrl.length);
    if (texts.has(path)) return;
    const text = readFileSync(url, "utf8");
    texts.set(path, text);
    for (const [, names, target] of text.matchAll(/^(?:import|export) (?!type\b)([^;]*?)from "(\.[^"]+)";$/gm)) {
      const isTypes = /^\{/.test(names) && names.split(",").every((name) => /^[{\s]*(type\b|\}?\s*$)/.test(name));
      if (!isTypes) visit(new URL(target, url));
    }
  };
  visit(new URL("mod.ts", repositoryUrl));
  return texts;
}

describe("a program that imports LightGPT", () => {
  it("loads no module of Node's, and none that only some need", () => {
    const texts = loaded();
    assertGreater(texts.size, 60);
    assert(texts.has("src/batching/scheduler.ts") && texts.has("src/text/tokenizer/load.ts"));
    for (const [path, text] of texts) {
      assertEquals(text.match(/^(?:import|export)\b[^;]*"(?:node|npm|bun):[^"]*";$/m), null, path);
    }
    const rare = [
      "src/batching/map.ts",
      "src/converting/huggingface/",
      "src/converting/quantize_file.ts",
      "src/grammar/compile.ts",
      "src/grammar/rules.ts",
      "src/lightgpt/objects.ts",
      "src/measuring/accuracy.ts",
      "src/measuring/perplexity.ts",
      "src/model/load_adapter.ts",
      "src/model/packed/folder.ts",
      "src/text/jinja/",
      "src/text/tokenizer/byte_pairs.ts",
      "src/text/tokenizer/spm.ts",
      "src/text/tokenizer/tokenizer.ts",
      "src/text/tokenizer/unigram.ts",
      "src/tuning/memory_governor.ts",
      "src/tuning/tuner/tuner.ts",
    ];
    for (const name of rare) {
      assert(existsSync(new URL(name, repositoryUrl)), `${name} has moved`);
      assertEquals([...texts.keys()].filter((path) => path.startsWith(name)), [], name);
    }
  });

  it("needs none of Node's either for a first token", { skip: !("Deno" in globalThis) }, async () => {
    const code = `
      Object.defineProperty(globalThis, "process", { get() { throw new Error("a module of Node's"); } });
      const { LightGPT } = await import("${repositoryUrl}mod.ts");
      const lm = await LightGPT.load();
      for await (const { text } of lm.generate([1], { maxTokens: 1 })) console.log(text.length > 0);`;
    const { stdout, stderr } = await runChild(code);
    assertEquals([stdout, stderr], ["true\n", ""]);
  });
});

describe("the command on Node", { skip: process.platform === "win32" }, () => {
  const run = (cache: string) => {
    const words = [fileURLToPath(new URL("cli/start.ts", repositoryUrl)), "run", "Once", "--max-tokens", "1"];
    const { status, stderr } = spawnSync(toolPath("node"), words, {
      // The suite on Node keeps what Node compiles elsewhere.
      env: { ...process.env, NODE_COMPILE_CACHE: undefined, LIGHTGPT_CACHE: cache },
      encoding: "utf8",
    });
    assertEquals(status, 0, stderr);
  };
  const kept = (cache: string) => readdirSync(join(cache, "node"), { recursive: true }).length;

  it("keeps what Node compiles of it in a folder of the user's only, else nowhere", () => {
    const cache = mkdtempSync(join(tmpdir(), "lightgpt-test-"));
    try {
      run(cache);
      assertEquals(statSync(join(cache, "node")).mode & 0o777, 0o700);
      assertGreater(kept(cache), 10);
      rmSync(join(cache, "node"), { recursive: true });
      mkdirSync(join(cache, "node"));
      chmodSync(join(cache, "node"), 0o755);
      run(cache);
      assertEquals(kept(cache), 0);
      // A folder that cannot be made is no reason to fail.
      writeFileSync(join(cache, "file"), "");
      run(join(cache, "file"));
    } finally {
      rmSync(cache, { recursive: true });
    }
  });
});
