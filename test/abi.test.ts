/**
 * The library's hash of the border against ours, and what loading says about a library that does not fit.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { readFileSync, writeFileSync } from "node:fs";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, describe, it } from "node:test";
import { LightGPTError, UnsupportedError } from "../ffi/errors.ts";
import { library, libraryAsset, libraryPath, openLibrary } from "../ffi/library.ts";
import { native } from "../ffi/native.ts";
import { currentRuntime } from "../ffi/runtime/pick.ts";
import type { FunctionName, OpenLibrary, Runtime } from "../ffi/runtime/types.ts";
import { LIMITS, type NativeFunctions, STAMP, VERSION } from "../ffi/wire.ts";
import * as calls from "../ffi/wire_calls.ts";
import { FORMATS } from "../src/files/formats.ts";
import { repositoryUrl, runChild } from "./child.ts";
import { repository } from "./kit.ts";

/** A runtime whose library is made of JavaScript functions, some of them replaced. */
function pretend(replaced: Partial<NativeFunctions>, variables: Record<string, string> = {}): Runtime {
  const real = library();
  return {
    ...currentRuntime(),
    name: "Deno",
    libc: "gnu",
    isEmbedded: () => false,
    open: <Name extends FunctionName>() => ({ call: { ...real.call, ...replaced } }) as unknown as OpenLibrary<Name>,
    doorbell: () => real.doorbell,
    variable: (name) => variables[name],
    memory: () => undefined,
    allows: () => true,
  };
}

function writes(text: string): (buffer: Uint8Array) => number {
  return (buffer) => {
    const bytes = new TextEncoder().encode(text);
    buffer.set(bytes.subarray(0, buffer.length));
    return bytes.length;
  };
}

function failure(runtime: Runtime, path = "lib.so"): LightGPTError {
  return assertThrows(() => openLibrary(runtime, path), LightGPTError);
}

describe("the library", () => {
  it("has the hash of ffi/wire.ts", () => {
    const buffer = new Uint8Array(64);
    const length = calls.abi(library().call, buffer);
    assertEquals(new TextDecoder().decode(buffer.subarray(0, length)), STAMP);
    assertMatch(STAMP, /^\d+\.\d+\.\d+ [0-9a-f]{16}$/);
  });

  it("has the version of the package, which stands where its tools look for it and in kernels/wire.zig", () => {
    const versions = ["deno.json", "package.json"].map((name) =>
      (JSON.parse(readFileSync(join(repository, name), "utf8")) as { version: string }).version
    );
    const zon = readFileSync(join(repository, "build.zig.zon"), "utf8").match(/\.version = "([^"]+)"/)?.[1];
    assertEquals([zon, STAMP.split(" ")[0], ...versions], [VERSION, VERSION, VERSION, VERSION]);
  });

  it("has the limits of ffi/wire.ts", () => {
    const before = native().spin(LIMITS.spinsMax);
    assertThrows(() => native().spin(LIMITS.spinsMax + 1), LightGPTError);
    assertEquals(native().spin(before), LIMITS.spinsMax);
  });

  it("computes with the tensor types that src/files/formats.ts marks", () => {
    const marked = [...FORMATS.values()].filter(({ supported }) => supported);
    const theirs = native().formats;
    assertEquals(
      theirs.map(({ id, name, blockElements, blockBytes }) => ({ id, name, blockElements, blockBytes }))
        .sort((a, b) => a.id - b.id),
      marked.map(({ id, name, blockElements, blockBytes }) => ({ id, name, blockElements, blockBytes })),
    );
  });

  it("is asked again with room when a text is long", () => {
    const long = new Uint8Array(3);
    const whole = calls.describe(library().call, "processor", long);
    assert(whole > 3, "the length of the whole text comes back");
    assertEquals(new TextDecoder().decode(long), '{"a');
    assert(native().processor.levels.includes(native().processor.level));
  });
});

describe("a library that does not fit", () => {
  const directory = mkdtempSync(join(tmpdir(), "lightgpt-abi-"));
  after(() => rmSync(directory, { recursive: true, force: true }));

  const never = () => {
    throw new Error("called");
  };

  it("is refused when anything of its border differs, before any other function is called", () => {
    const other = STAMP.replace(/.$/, (digit) => digit === "0" ? "1" : "0");
    const error = failure(pretend({ lg_abi: writes(other), lg_describe: never, lg_init: never }));
    assertEquals(error.code, "library");
    assertEquals(
      error.message,
      `The native library lib.so is of another LightGPT: expected ${STAMP}, got ${other}; build it with \`npm run build\`.`,
    );
  });

  it("is refused when it is of the time when a library listed its functions", () => {
    const list = writes("lg_abi(buffer,u32)\nlg_describe(u32,buffer,u32)\nlg_init(buffer,u32,buffer,u32)\n".repeat(9));
    const { message } = failure(pretend({ lg_abi: list, lg_init: never }));
    assertStringIncludes(message, "got an earlier LightGPT");
  });

  it("says what to do when the file is missing, no library, or another's", () => {
    const runtime = currentRuntime();
    const missing = join(directory, "none.so");
    assertEquals(
      failure(runtime, missing).message,
      `The native library ${missing} is missing: build it with \`npm run build\`.`,
    );
    const text = join(directory, "text.so");
    writeFileSync(text, "not a library");
    assertMatch(
      failure(runtime, text).message,
      /^The native library .*text\.so cannot be opened by (Deno|Bun|Node) \(/,
    );
  });

  it("says so when the file is for a 32-bit processor", { skip: process.platform !== "linux" }, () => {
    const bytes = readFileSync(libraryPath(currentRuntime()));
    bytes[4] = 1; // ELFCLASS32
    const path = join(directory, "narrow.so");
    writeFileSync(path, bytes);
    assertStringIncludes(failure(currentRuntime(), path).message, `is for another processor than ${process.arch}`);
  });

  it("says that LIGHTGPT_LIBRARY names it where a library named so is missing", () => {
    const runtime = { ...currentRuntime(), variable: () => "/none.so" };
    assertStringIncludes(failure(runtime, "/none.so").message, "is missing: it is the one that LIGHTGPT_LIBRARY names");
  });

  it("says so when the file is a library of something else", { skip: process.platform !== "linux" }, () => {
    const error = failure(currentRuntime(), "libc.so.6");
    assertEquals(error.message, "The native library libc.so.6 is not LightGPT's: it has no function lg_abi.");
  });

  it("is looked for by platform and C library; where there is none, the error says for which there are", () => {
    const sums = Object.fromEntries(
      ["linux-x64/liblightgpt.so", "linux-x64-musl/liblightgpt.so", "win32-x64/lightgpt.dll"].map((path) =>
        [`lib/${path}`, { bytes: 1, sha256: "" }] as const
      ),
    );
    const source = { base: new URL("https://example.com/"), sums };
    const [gnu, musl] = (["gnu", "musl"] as const).map((libc) => ({ ...pretend({}), libc }));
    assertEquals(libraryAsset(gnu, "linux", "x64", source), "lib/linux-x64/liblightgpt.so");
    // By the table alone: to look for the file would need a right to read it.
    const unread = { base: new URL("file:///none/"), sums };
    assertEquals(libraryAsset(gnu, "linux", "x64", unread), "lib/linux-x64/liblightgpt.so");
    assertEquals(libraryAsset(musl, "linux", "x64", source), "lib/linux-x64-musl/liblightgpt.so");
    const none = { ...gnu, libc: undefined };
    assertEquals(libraryAsset(none, "win32", "x64", source), "lib/win32-x64/lightgpt.dll");
    assertThrows(
      () => libraryAsset(none, "win32", "arm64", source),
      UnsupportedError,
      "no library for win32-arm64, only for linux-x64, linux-x64-musl, win32-x64",
    );
    assertThrows(() => libraryAsset(musl, "linux", "arm64", source), UnsupportedError, "linux-arm64-musl");
    assertThrows(() => libraryAsset(none, "freebsd", "x64", source), UnsupportedError, "x64 under freebsd");
    assertThrows(() => libraryAsset(gnu, "linux", "riscv64"), UnsupportedError, "riscv64 under linux");
  });

  it("says so when the C library is too old", () => {
    const old = {
      ...pretend({}),
      open: () => {
        throw new Error("/lib/libc.so.6: version `GLIBC_2.28' not found (required by lib.so)");
      },
    };
    assertStringIncludes(failure(old).message, "needs a newer C library: glibc 2.28");
  });

  it("is looked for where LIGHTGPT_LIBRARY says", () => {
    assertEquals(libraryPath(pretend({}, { LIGHTGPT_LIBRARY: "/elsewhere/x.so" })), "/elsewhere/x.so");
  });
});

describe("the CPU level", () => {
  const report = `
    import { native } from "${repositoryUrl}ffi/native.ts";
    try {
      console.log(native().processor.level);
    } catch (error) {
      console.log(error.code, error.message);
    }`;

  it("is the one that LIGHTGPT_CPU names", async () => {
    for (const level of native().processor.levels) {
      assertEquals((await runChild(report, { env: { LIGHTGPT_CPU: level } })).stdout.trim(), level);
    }
  });

  it("cannot be one that the processor lacks; the error lists those it has", async () => {
    const { stdout } = await runChild(report, { env: { LIGHTGPT_CPU: "v9" } });
    assertMatch(stdout, /^unsupported .*v9/);
    for (const level of native().processor.levels) assertStringIncludes(stdout, level);
  });
});
