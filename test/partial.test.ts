/**
 * Files on their way: what killed processes left is found and removed by the next one with the same target, and nothing else
 * is; a system's limit on the size of files is an error before anything is computed.
 *
 * @module
 */
import { assertEquals, assertThrows } from "@std/assert";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, describe, it } from "node:test";
import { LightGPTError } from "../mod.ts";
import { GgufWriter } from "../src/files/gguf/write.ts";
import { repositoryUrl, runChild } from "./child.ts";

const directory = mkdtempSync(join(tmpdir(), "lightgpt-partial-"));
after(() => rmSync(directory, { recursive: true, force: true }));
const at = (name: string) => join(directory, name);
const tensor = { name: "values", type: 0, dims: [8], bytes: 32 };

/** The process number of a process that has ended. */
function goneProcess(): number {
  return spawnSync(process.execPath, ["--version"]).pid as number;
}

describe("a file on its way", () => {
  it("removes what killed processes left of the same target, and nothing else", () => {
    const gone = goneProcess();
    const stale = [
      `a.gguf.${gone}-12345.partial`,
      `a.gguf.${gone}-3-998.partial`,
      `a.gguf.${process.pid}-9999-1.partial`,
    ];
    const old = `a.gguf.${process.ppid}-7.partial`;
    const kept = [
      `a.gguf.${process.ppid}-12345.partial`, // its process runs
      `b.gguf.${gone}-1.partial`, // another target's
      `a.gguf.${gone}.partial`,
      `a.gguf.${gone}-1.partial.txt`,
      `xa.gguf.${gone}-1.partial`,
      "a.gguf.old",
    ];
    for (const name of [...stale, old, ...kept]) writeFileSync(at(name), "x");
    const dayBefore = Date.now() / 1000 - 25 * 3600;
    utimesSync(at(old), dayBefore, dayBefore);
    const writer = new GgufWriter(at("a.gguf"), new Map(), [tensor]);
    const [partial, ...others] = readdirSync(directory).filter((name) => !kept.includes(name));
    assertEquals([others, partial?.startsWith(`a.gguf.${process.pid}-`)], [[], true]);
    // A second one beside it, in the same process: both are at work.
    const second = new GgufWriter(at("a.gguf"), new Map(), [tensor]);
    for (const each of [writer, second]) {
      each.write(new Uint8Array(32));
      each.finish();
    }
    assertEquals(readdirSync(directory).sort(), ["a.gguf", ...kept].sort());
    for (const name of readdirSync(directory)) rmSync(at(name));
  });

  it("of a process that was killed while it quantized goes with the next run", async () => {
    const program = `const { quantizeFile } = await import("${repositoryUrl}mod.ts");
      await quantizeFile("models/tinytales-q4_0.gguf", ${JSON.stringify(at("k.gguf"))}, {
        type: "f32",
        onProgress: (done) => { if (done > 0) console.log("under way"); },
      });`;
    const killed = await runChild(program, { onOutput: (kill) => kill("SIGKILL") });
    assertEquals(killed.signal, "SIGKILL");
    assertEquals([existsSync(at("k.gguf")), readdirSync(directory).length], [false, 1]);
    const whole = await runChild(program);
    assertEquals([whole.code, readdirSync(directory)], [0, ["k.gguf"]], whole.stderr);
  });

  const isWindows = process.platform === "win32";
  it("that may not become so long is refused before it is written", { skip: isWindows && "no such limit" }, () => {
    const source = at("limit.ts");
    writeFileSync(
      source,
      `const { GgufWriter } = await import("${repositoryUrl}src/files/gguf/write.ts");
      const tensor = { name: "values", type: 0, dims: [1 << 28], bytes: 2 ** 30 };
      try { new GgufWriter(${
        JSON.stringify(at("l.gguf"))
      }, new Map(), [tensor]); } catch (error) { console.log(error.code, error.message); }`,
    );
    const flags = "Deno" in globalThis ? ["run", "-A", "--no-check"] : [];
    const command = ["-c", 'ulimit -f 200000; exec "$@"', "sh", process.execPath, ...flags, source];
    const { status, signal, stdout } = spawnSync("sh", command, { encoding: "utf8" });
    const expected = `io ${
      at("l.gguf")
    }: it would be larger than the system or the file system allows a file to be (ulimit -f); nothing was left behind.`;
    assertEquals([status, signal, stdout.trim()], [0, null, expected]);
    assertEquals(existsSync(at("l.gguf")) || readdirSync(directory).some((name) => name.includes("partial")), false);
  });

  it("of a target without a folder is refused", () => {
    assertThrows(
      () => new GgufWriter(at("none/a.gguf"), new Map(), [tensor]),
      LightGPTError,
      "its folder does not exist",
    );
  });
});
