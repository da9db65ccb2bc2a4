/**
 * Partial files: a file is written beside its target under another name, and renamed when it is complete. A killed process
 * leaves its partial file; the next process with the same target removes it. A write beyond the system's limit on the size
 * of files is an error instead of a signal that ends the process.
 *
 * @module
 */
import { currentRuntime } from "../../ffi/runtime/pick.ts";
import { node } from "../../ffi/runtime/builtins.ts";
import { isGone } from "./processes.ts";

/** Milliseconds after which an unchanged file has no writer any more, even if a process with its number runs. */
const staleMs = 24 * 3600 * 1000;

/** The partial files that this process writes. */
const own = new Set<string>();
let made = 0;

/** The name of a partial file of `path`; it holds the process's number, so that a later process can ask whether it runs. */
export function beginPartial(path: string): string {
  const { basename, dirname } = node("node:path");
  removeStale(dirname(path), `${basename(path)}.`);
  const partial = `${path}.${node("node:process").pid}-${made++}-${Date.now() % 1e6}.partial`;
  own.add(partial);
  return partial;
}

/** Nothing more is written to a file of {@link beginPartial}. */
export function endPartial(partial: string): void {
  own.delete(partial);
}

/** Removes what killed processes left in a folder: of the target whose name, with a dot, is `begin`, else of every target. */
export function removeStale(folder: string, begin = ""): void {
  const fs = node("node:fs");
  const { join } = node("node:path");
  if (!currentRuntime().allows("read", folder) || !fs.existsSync(folder)) return;
  const rest = begin === "" ? /\.(\d+)-[\d-]+\.partial$/ : /^(\d+)-[\d-]+\.partial$/;
  for (const name of fs.readdirSync(folder)) {
    const [, pid] = name.startsWith(begin) && rest.exec(name.slice(begin.length)) || [];
    if (pid === undefined) continue;
    const partial = join(folder, name);
    // Another process may remove it meanwhile.
    const status = fs.statSync(partial, { throwIfNoEntry: false });
    if (!status?.isFile() || !(isLeft(Number(pid), partial) || Date.now() - status.mtimeMs > staleMs)) continue;
    fs.rmSync(partial, { force: true });
  }
}

/** Whether a partial file's process has ended. In a container the next process often has the number of the one before. */
/** Whether nothing writes a partial file of process `pid` any more. */
function isLeft(pid: number, partial: string): boolean {
  if (pid === node("node:process").pid) {
    return ![...own].some((open) => node("node:path").resolve(open) === node("node:path").resolve(partial));
  }
  return isGone(pid);
}

let isHeeded = false;

/**
 * From now on a write beyond the system's limit on the size of files fails with EFBIG. By default SIGXFSZ ends the process. The
 * listener stays: removed, it would bring that back where a runtime had turned it off.
 */
export function heedFileLimit(): void {
  if (isHeeded || currentRuntime().platform === "win32") return;
  node("node:process").on("SIGXFSZ", () => {});
  isHeeded = true;
}
