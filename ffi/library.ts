/**
 * Finds the shared library, makes sure that it is ours and of this version, and opens it: once, on first use, for the
 * life of the process. Whatever is wrong is one clear error before any other native call.
 *
 * @module
 */
import { assetPath, type AssetSource, fetchAsset, hasAsset, isRemote, localFile, packagedPlatforms } from "./assets.ts";
import { timerDoorbell } from "./runtime/doorbell.ts";
import type { Doorbell } from "./runtime/types.ts";
import { checked } from "./call.ts";
import { LightGPTError, UnsupportedError } from "./errors.ts";
import { currentRuntime } from "./runtime/pick.ts";
import type { FunctionName, OpenLibrary, Runtime } from "./runtime/types.ts";
import { FUNCTIONS, type Signature, STAMP } from "./wire.ts";
import { abi, init } from "./wire_calls.ts";

/** The library, open and checked. */
export interface Library {
  /** Where it was found. */
  readonly path: string;
  /** The runtime that opened it. */
  readonly runtime: Runtime;
  /** The native functions. */
  readonly call: OpenLibrary["call"];
  /** How to await native work. */
  readonly doorbell: Doorbell;
}

const extensions: Readonly<Record<string, string>> = { linux: "so", darwin: "dylib", win32: "dll" };

/** Where the library of this platform lies: `LIGHTGPT_LIBRARY`, or the package's own. */
export function libraryPath(runtime: Runtime): string {
  const named = runtime.variable("LIGHTGPT_LIBRARY");
  return localFile(runtime, named ? named : assetPath(runtime, libraryAsset(runtime)));
}

/**
 * The library's path in the package: one of those for all platforms, or built for this machine, as in a checkout. Throws an
 * {@link UnsupportedError} where there is none for this machine.
 */
export function libraryAsset(
  runtime: Runtime,
  platform: string = runtime.platform,
  arch: string = runtime.arch,
  source?: AssetSource,
): string {
  const where = `${platform}-${arch}${runtime.libc === "musl" ? "-musl" : ""}`;
  const extension = extensions[platform];
  if (extension === undefined || (arch !== "x64" && arch !== "arm64")) {
    throw new UnsupportedError(
      `LightGPT runs on x64 and arm64 processors under Linux, macOS and Windows; this is ${arch} under ${platform}.`,
      { where },
    );
  }
  const file = `${platform === "win32" ? "" : "lib"}lightgpt.${extension}`;
  const packaged = `lib/${where}/${file}`;
  if (hasAsset(packaged, source)) return packaged;
  const others = packagedPlatforms(source);
  if (others.length === 0 && !isRemote(source)) return `lib/${file}`;
  throw new UnsupportedError(
    `This package of LightGPT has no library for ${where}, only for ${others.join(", ")}; ` +
      "name one that you have built in LIGHTGPT_LIBRARY.",
    { where },
  );
}

/**
 * Fetches what LightGPT needs where it was imported from the net, once; elsewhere, and later, it does nothing. Everything
 * asynchronous calls it by itself; call it before the first use of something synchronous. Throws an error of the code `io`
 * that says what to do where it cannot be fetched.
 *
 * @example
 * ```ts
 * import { prepare } from "@lightgpt/lightgpt";
 *
 * await prepare();
 * ```
 */
export async function prepare(): Promise<void> {
  if (opened !== undefined || !isRemote()) return;
  const runtime = currentRuntime();
  if (!runtime.variable("LIGHTGPT_LIBRARY")) await fetchAsset(runtime, libraryAsset(runtime));
}

/** Opens and checks the library at `path`. All code but tests uses {@link library}. */
export function openLibrary(runtime: Runtime, path: string): Library {
  // First only the function that says what the library is: a library without it, or with another border, is refused in words.
  const { call: first } = attempt(runtime, path, { lg_abi: FUNCTIONS.lg_abi });
  const buffer = new Uint8Array(64);
  const length = abi(first, buffer);
  const found = new TextDecoder().decode(buffer.subarray(0, length));
  if (found !== STAMP) {
    const got = length > buffer.length ? "an earlier LightGPT" : found;
    const why = `is of another LightGPT: expected ${STAMP}, got ${got}; ${remedy(runtime, path)}`;
    throw refused(path, why, { expected: STAMP, got });
  }
  const { call } = attempt(runtime, path, FUNCTIONS);
  const level = new TextEncoder().encode(runtime.variable("LIGHTGPT_CPU") ?? "");
  const details = new Uint8Array(512);
  checked(init(call, { level, details }), "LIGHTGPT_CPU", details);

  const library = { call };
  const timer = runtime.variable("LIGHTGPT_DOORBELL") === "timer";
  const doorbell = timer ? timerDoorbell(library) : runtime.doorbell(library, path);
  return { path, runtime, call, doorbell };
}

let opened: Library | undefined;

/** The library, opened on first use. */
export function library(): Library {
  if (opened === undefined) {
    const runtime = currentRuntime();
    opened = openLibrary(runtime, libraryPath(runtime));
  }
  return opened;
}

function attempt<Name extends FunctionName>(
  runtime: Runtime,
  path: string,
  functions: Readonly<Record<Name, Signature>>,
): OpenLibrary<Name> {
  try {
    return runtime.open(path, functions);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    if (cause instanceof Error && /NotCapable|PermissionDenied/.test(cause.name)) {
      throw refused(path, `may not be loaded: allow it with --allow-ffi=${path}`, {}, cause);
    }
    if (cause instanceof Error && "code" in cause && cause.code === "ERR_ACCESS_DENIED") {
      throw refused(path, "may not be loaded: allow it with --allow-ffi", {}, cause);
    }
    if (/lg_abi/.test(reason)) throw refused(path, "is not LightGPT's: it has no function lg_abi", {}, cause);
    if (/no such file|cannot find|could not be found|image not found/i.test(reason)) {
      throw refused(path, `is missing: ${remedy(runtime, path)}`, {}, cause);
    }
    if (/ELFCLASS32|32-bit|wrong architecture|incompatible architecture|%1 is not a valid/i.test(reason)) {
      throw refused(path, `is for another processor than ${runtime.arch}: ${remedy(runtime, path)}`, {}, cause);
    }
    if (/GLIBC_[\d.]+' not found/.test(reason)) {
      throw refused(path, "needs a newer C library: glibc 2.28, of 2018, or later", {}, cause);
    }
    throw refused(path, `cannot be opened by ${runtime.name} (${reason})`, {}, cause);
  }
}

/** Where another library comes from. */
function remedy(runtime: Runtime, path: string): string {
  if (runtime.variable("LIGHTGPT_LIBRARY") === path) return "it is the one that LIGHTGPT_LIBRARY names";
  return packagedPlatforms().length > 0 ? "install the package again" : "build it with `npm run build`";
}

function refused(
  path: string,
  why: string,
  parts: { expected?: string; got?: string },
  cause?: unknown,
): LightGPTError {
  const got = parts.got === undefined ? "" : ` (${parts.got})`;
  return new LightGPTError(
    "library",
    `The native library ${path} ${why}${parts.expected === undefined ? got : ""}.`,
    { what: why, where: path, ...parts },
    { cause },
  );
}
