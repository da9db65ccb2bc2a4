/**
 * Finds the shared library, makes sure that it is ours and of this version, and opens it: once, on first use, for the
 * life of the process. Whatever is wrong is one clear error before any other native call.
 *
 * @module
 */
import { ABI, type AbiFunction, type AbiName, TOPIC } from "./abi.ts";
import { assetPath, type AssetSource, fetchAsset, hasAsset, isRemote, localFile, packagedPlatforms } from "./assets.ts";
import { timerDoorbell } from "./runtime/doorbell.ts";
import type { Doorbell } from "./runtime/types.ts";
import { type ErrorCode, errorFor, LightGPTError, UnsupportedError } from "./errors.ts";
import { currentRuntime } from "./runtime/pick.ts";
import type { OpenLibrary, Runtime } from "./runtime/types.ts";

/** The version of LightGPT; the library must be of the same. */
export const VERSION = "0.1.0";

/** What a native function says by a result below 0: a kind of error, or that a step is in flight. */
export type StatusName = ErrorCode | "busy";

/** Every status but `ok`; the library says which number each has. */
const statusNames: ReadonlySet<string> = new Set<StatusName>([
  "modelFormat",
  "unsupported",
  "invalidArgument",
  "outOfMemory",
  "closed",
  "cancelled",
  "queueFull",
  "nonFinite",
  "limit",
  "library",
  "io",
  "busy",
]);

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
  /** The statuses by number. */
  readonly statuses: ReadonlyMap<number, StatusName>;
}

const extensions: Readonly<Record<string, string>> = { linux: "so", darwin: "dylib", win32: "dll" };

/** The table of native functions in the text form of `lg_abi`, sorted. */
export function abiText(functions: Readonly<Record<string, AbiFunction>> = ABI): string {
  return Object.entries(functions).map(([name, { parameters }]) => `${name}(${parameters.join(",")})`).sort().join(
    "\n",
  );
}

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
  // First only the function that says what the library is: a library without it, or with others, is refused in words.
  const { lg_abi } = attempt(runtime, path, { lg_abi: ABI.lg_abi }).call;
  const found = text((buffer) => lg_abi(buffer, buffer.length)).trim().split("\n").sort().join("\n");
  if (found !== abiText()) {
    const ours = new Set(abiText().split("\n"));
    const foreign = found.split("\n").find((line) => !ours.has(line)) ?? "fewer functions";
    throw refused(path, "is of another version of LightGPT: its functions differ", { got: foreign });
  }
  const { call } = attempt(runtime, path, ABI);
  const describe = (topic: number) => JSON.parse(text((buffer) => call.lg_describe(topic, buffer, buffer.length)));

  const { version } = describe(TOPIC.version) as { version: string };
  if (version !== VERSION) {
    throw refused(path, `is version ${version}, and this is LightGPT ${VERSION}`, { expected: VERSION, got: version });
  }
  const statuses = readStatuses(path, describe(TOPIC.statuses));

  const level = new TextEncoder().encode(runtime.variable("LIGHTGPT_CPU") ?? "");
  const detail = new Uint8Array(512);
  const status = call.lg_init(level, level.length, detail, detail.length);
  if (status < 0) throw errorFrom(statuses, status, detail, "LIGHTGPT_CPU");

  const library = { call };
  const timer = runtime.variable("LIGHTGPT_DOORBELL") === "timer";
  const doorbell = timer ? timerDoorbell(library) : runtime.doorbell(library);
  return { path, runtime, call, doorbell, statuses };
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

/** The error that a native function's status and the four lines of its detail buffer stand for. */
export function errorFrom(
  statuses: Library["statuses"],
  status: number,
  detail: Uint8Array,
  where: string,
): LightGPTError {
  const end = detail.indexOf(0);
  const lines = new TextDecoder().decode(end < 0 ? detail : detail.subarray(0, end)).split("\n");
  const [what, place, expected, got] = lines.map((line) => line.trim() || undefined);
  const name = statuses.get(status);
  const code = name === undefined || name === "busy" ? "library" : name;
  const parts = { what: what ?? messages[name ?? "library"], where: place ?? where, expected, got };
  return errorFor(code, Object.fromEntries(Object.entries(parts).filter(([, part]) => part !== undefined)));
}

/** What to say where the library gave a status and no words. */
const messages: Readonly<Record<StatusName, string>> = {
  modelFormat: "the model is damaged",
  unsupported: "not supported",
  invalidArgument: "an argument is out of range",
  outOfMemory: "not enough memory",
  closed: "used after it was disposed",
  cancelled: "cancelled",
  queueFull: "too much is queued",
  nonFinite: "a value is infinite or not a number",
  limit: "a limit is reached",
  library: "the native library failed",
  io: "reading failed",
  busy: "a step is in flight",
};

function readStatuses(path: string, listed: Record<string, number>): Map<number, StatusName> {
  const statuses = new Map<number, StatusName>();
  for (const [snake, number] of Object.entries(listed)) {
    if (number === 0) continue;
    const name = snake.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
    if (!statusNames.has(name)) throw refused(path, `has a status that this version does not know`, { got: snake });
    statuses.set(number, name as StatusName);
  }
  if (statuses.size !== statusNames.size) throw refused(path, "lacks a status that this version knows", {});
  return statuses;
}

function attempt<Name extends AbiName>(
  runtime: Runtime,
  path: string,
  functions: Readonly<Record<Name, AbiFunction>>,
): OpenLibrary<Name> {
  try {
    return runtime.open(path, functions);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    if (cause instanceof Error && /NotCapable|PermissionDenied/.test(cause.name)) {
      throw refused(path, `may not be loaded: allow it with --allow-ffi=${path}`, {}, cause);
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

/** Text that a native function writes: asked for once more with room when it is longer than expected. */
function text(write: (buffer: Uint8Array) => number): string {
  let buffer = new Uint8Array(4096);
  let length = write(buffer);
  if (length > buffer.length) {
    buffer = new Uint8Array(length);
    length = write(buffer);
  }
  return new TextDecoder().decode(buffer.subarray(0, length));
}
