/**
 * The folder of this user's in which LightGPT keeps what it would otherwise fetch or measure again: the library and the
 * small model of a package that was imported from the net. Everything in it is checked when it is read.
 *
 * @module
 */
import { LightGPTError } from "./errors.ts";
import { node } from "./runtime/builtins.ts";
import { currentRuntime } from "./runtime/pick.ts";
import type { Runtime } from "./runtime/types.ts";

/**
 * The folder: `LIGHTGPT_CACHE`, else `lightgpt` where the system keeps caches. Throws an error of the code `io` where
 * neither can be known.
 */
export function cacheDirectory(runtime: Runtime, platform: string = runtime.platform): string {
  const named = runtime.variable("LIGHTGPT_CACHE");
  if (named) return named;
  const { join } = node("node:path");
  if (platform === "win32") {
    const local = runtime.variable("LOCALAPPDATA");
    if (local) return join(local, "lightgpt", "cache");
  }
  const shared = platform === "linux" ? runtime.variable("XDG_CACHE_HOME") : undefined;
  if (shared?.startsWith("/")) return join(shared, "lightgpt");
  const home = homeDirectory(runtime);
  if (platform === "darwin") return join(home, "Library", "Caches", "lightgpt");
  if (platform === "win32") return join(home, "AppData", "Local", "lightgpt", "cache");
  return join(home, ".cache", "lightgpt");
}

/** The user's folder. Throws an error of the code `io` where it cannot be known. */
export function homeDirectory(runtime: Runtime): string {
  return runtime.variable("HOME") ?? runtime.variable("USERPROFILE") ?? homeOfUser(runtime);
}

/**
 * Writes a file as a whole or not at all: of two writers the last to rename wins. Makes its folder where it must; throws what the system
 * says.
 */
export function replaceFile(path: string, bytes: Uint8Array | string): void {
  writeBeside(path, bytes, (unfinished) => node("node:fs").renameSync(unfinished, path));
}

/**
 * Writes a file as {@link replaceFile} does, but leaves one that is there and good: another process may have written it since,
 * and be reading it. Throws what the system says.
 */
export function provideFile(path: string, bytes: Uint8Array, isGood: () => boolean): void {
  writeBeside(path, bytes, (unfinished) => placeFile(unfinished, path, isGood));
}

/**
 * Gives a file that is whole its name, unless one that is good has it; the other name it may keep, which the caller removes. Throws
 * what the system says.
 */
export function placeFile(unfinished: string, path: string, isGood: () => boolean): void {
  const { linkSync, renameSync } = node("node:fs");
  try {
    linkSync(unfinished, path); // fails where a file has the name already, which a rename would replace
  } catch {
    if (!isGood()) renameSync(unfinished, path);
  }
}

function writeBeside(path: string, bytes: Uint8Array | string, place: (unfinished: string) => void): void {
  const { rmSync, writeFileSync } = node("node:fs");
  const unfinished = `${path}.${node("node:process").pid}-${crypto.randomUUID().slice(0, 8)}.part`;
  currentRuntime().files.makeFolder(node("node:path").dirname(path));
  const remove = () => {
    try {
      rmSync(unfinished, { force: true });
    } catch {
      // It harms nothing where it is; a failure before this one is the one to tell.
    }
  };
  try {
    writeFileSync(unfinished, bytes);
    place(unfinished);
  } finally {
    remove();
  }
}

function homeOfUser(runtime: Runtime): string {
  try {
    const home = runtime.allows("sys", "homedir") ? node("node:os").homedir() : "";
    if (home !== "") return home;
  } catch (cause) {
    throw unknown(cause);
  }
  throw unknown(undefined);
}

function unknown(cause: unknown): LightGPTError {
  return new LightGPTError(
    "io",
    "LightGPT needs a folder for its cache and may not know your home: set LIGHTGPT_CACHE to one, and in Deno allow " +
      "--allow-env=LIGHTGPT_CACHE,HOME.",
    { what: "no cache folder", where: "LIGHTGPT_CACHE", expected: "a folder" },
    { cause },
  );
}
