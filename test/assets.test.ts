/**
 * Files that are fetched: once, checked, kept; and everything that can go wrong on the way, in words. A server on this
 * machine stands for the registry.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, beforeEach, describe, it } from "node:test";
import { assetPath, type AssetSource, fetchAsset, hasAsset } from "../ffi/assets.ts";
import { cacheDirectory } from "../ffi/cache_directory.ts";
import { LightGPTError } from "../mod.ts";
import { currentRuntime } from "../ffi/runtime/pick.ts";
import type { Runtime } from "../ffi/runtime/types.ts";

const content = new Uint8Array(100_000).map((_, index) => index * 7);
const sha256 = createHash("sha256").update(content).digest("hex");
const directory = mkdtempSync(join(tmpdir(), "lightgpt-assets-"));
const path = "lib/linux-x64/liblightgpt.so";

/** The runtime with these environment variables and no others. */
function withVariables(variables: Record<string, string>): Runtime {
  return { ...currentRuntime(), variable: (name) => variables[name] };
}

describe("files of a package on the net", () => {
  let requests = 0;
  let answer: { status: number; type: string; body: Uint8Array; breaksAt?: number | undefined };
  let cache: string;
  let runtime: Runtime;
  let source: AssetSource;
  const server = createServer((_request, response) => {
    requests++;
    response.writeHead(answer.status, { "content-type": answer.type, "content-length": answer.body.length });
    if (answer.breaksAt === undefined) return void response.end(answer.body);
    response.write(answer.body.subarray(0, answer.breaksAt), () => setTimeout(() => response.destroy(), 20));
  });

  before(async () => {
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  });
  after(() => {
    server.close();
    rmSync(directory, { recursive: true, force: true });
  });
  beforeEach(() => {
    requests = 0;
    answer = { status: 200, type: "application/octet-stream", body: content };
    cache = mkdtempSync(join(directory, "cache-"));
    runtime = withVariables({ LIGHTGPT_CACHE: join(cache, "made") });
    const { port } = server.address() as AddressInfo;
    source = { base: new URL(`http://127.0.0.1:${port}/`), sums: { [path]: { bytes: content.length, sha256 } } };
  });

  async function fails(...parts: string[]): Promise<void> {
    const error = await assertRejects(() => fetchAsset(runtime, path, source), LightGPTError);
    assertEquals((error as LightGPTError).code, "io");
    for (const part of parts) assertStringIncludes(error.message, part);
    // Nothing is left that a later run could take for the file.
    if (existsSync(join(cache, "made"))) assertEquals(readdirSync(join(cache, "made")), []);
  }

  it("are fetched once and then used without a network", async () => {
    assertThrows(() => assetPath(runtime, path, source), LightGPTError, "await prepare()");
    const file = await fetchAsset(runtime, path, source);
    assertEquals(new Uint8Array(readFileSync(file)), content);
    assertEquals(await fetchAsset(runtime, path, source), file);
    assertEquals(assetPath(runtime, path, source), file);
    assertEquals(requests, 1);
  });

  it("are fetched again where the cached file was damaged", async () => {
    const file = await fetchAsset(runtime, path, source);
    writeFileSync(file, content.subarray(1));
    assertThrows(() => assetPath(runtime, path, source), LightGPTError, "99999 bytes");
    await fetchAsset(runtime, path, source);
    writeFileSync(file, content.map((byte) => byte ^ 1));
    assertThrows(() => assetPath(runtime, path, source), LightGPTError, "SHA-256");
    assertEquals(new Uint8Array(readFileSync(await fetchAsset(runtime, path, source))), content);
    assertEquals(requests, 3);
  });

  it("may be fetched by many at once", async () => {
    const files = await Promise.all(Array.from({ length: 8 }, () => fetchAsset(runtime, path, source)));
    assertEquals(new Set(files).size, 1);
    assertEquals(readdirSync(join(cache, "made")).length, 1);
  });

  it("leave the file alone that another fetch put there meanwhile, for it may be loaded", async () => {
    const [first, second] = [fetchAsset(runtime, path, source), fetchAsset(runtime, path, source)];
    const inode = statSync(await Promise.race([first, second])).ino;
    assertEquals(statSync(await first).ino, inode);
    assertEquals(statSync(await second).ino, inode);
    assertEquals(requests, 2);
  });

  it("are refused when they are others than the table says", async () => {
    answer.body = content.map((byte) => byte ^ 1);
    await fails("came wrong", "SHA-256");
    answer.body = content.subarray(0, 5000);
    await fails("5000 bytes instead of 100000");
    answer.body = new Uint8Array(300_000);
    await fails("100001 bytes instead of 100000"); // no more is read
    answer = { status: 200, type: "text/html; charset=utf-8", body: new TextEncoder().encode("<html>Log in") };
    await fails("a web page, perhaps of a proxy");
  });

  it("are refused when the connection breaks half way", async () => {
    answer.breaksAt = 5000;
    await fails("could not be fetched", "a network for the first use");
    answer.breaksAt = undefined;
    assertEquals(new Uint8Array(readFileSync(await fetchAsset(runtime, path, source))), content);
  });

  it("that cannot be had are an error that says so", async () => {
    answer.status = 404;
    await fails("status 404");
    source = { ...source, base: new URL("http://127.0.0.1:1/") };
    await fails("could not be fetched", "a network for the first use");
    await assertRejects(() => fetchAsset(runtime, "lib/else", source), LightGPTError, "not part of the package");
    await assertRejects(() => fetchAsset(runtime, "toString", source), LightGPTError, "not part of the package");
  });

  it("need a folder that can be written", async () => {
    const file = join(cache, "file");
    writeFileSync(file, "");
    runtime = withVariables({ LIGHTGPT_CACHE: join(file, "below") });
    await assertRejects(() => fetchAsset(runtime, path, source), LightGPTError);
    // Nobody may write there, not even root: file systems that take no files.
    for (const place of process.platform === "linux" ? ["/proc/lightgpt", "/sys/lightgpt"] : []) {
      runtime = withVariables({ LIGHTGPT_CACHE: place });
      await fails("cannot be kept", "LIGHTGPT_CACHE");
    }
    if (process.getuid?.() === 0) return; // root may write anywhere else
    chmodSync(cache, 0o500);
    runtime = withVariables({ LIGHTGPT_CACHE: join(cache, "below") });
    await fails("cannot be kept", "LIGHTGPT_CACHE");
  });

  it("lie in place where the package is a folder", async () => {
    const here = { base: new URL("../", import.meta.url), sums: {} };
    assert(hasAsset("mod.ts", { ...here, sums: { "mod.ts": { bytes: 1, sha256: "" } } }) && !hasAsset("mod.ts", here));
    assertEquals(readFileSync(await fetchAsset(runtime, "LICENSE", here), "utf8").slice(0, 3), "MIT");
  });
});

describe("the cache folder", () => {
  it("is where each system keeps such things", () => {
    const home = { HOME: "/home/anna" };
    assertEquals(cacheDirectory(withVariables(home), "linux"), "/home/anna/.cache/lightgpt");
    assertEquals(cacheDirectory(withVariables({ ...home, XDG_CACHE_HOME: "/fast" }), "linux"), "/fast/lightgpt");
    assertEquals(
      cacheDirectory(withVariables({ ...home, XDG_CACHE_HOME: "relative" }), "linux"),
      "/home/anna/.cache/lightgpt",
    );
    assertEquals(cacheDirectory(withVariables(home), "darwin"), "/home/anna/Library/Caches/lightgpt");
    assertEquals(cacheDirectory(withVariables({ LOCALAPPDATA: "/local" }), "win32"), "/local/lightgpt/cache");
    assertEquals(cacheDirectory(withVariables({ ...home, LIGHTGPT_CACHE: "/mine" }), "linux"), "/mine");
  });
});
