/**
 * One process at a time: a file that names the process that fetches, touched as long as the process runs. Whether its holder is gone is told by how
 * long it was not touched, measured by the clock of the disk that it lies on, so that a clock which is off changes nothing.
 * Where two take a lock that was left at once, both fetch, and the file is still right.
 *
 * @module
 */
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import process from "node:process";
import { sleep } from "../../options/sleep.ts";
import { isGone } from "../processes.ts";
import { attempt } from "./partial_file.ts";

/** Milliseconds between two touches, and without one after which a lock was left. */
const [touchMs, leftMs] = [1000, 15_000];
const pollMs = 100;

/** The locks that this process has: one with its number that is none of these is of an earlier process, as in containers. */
const held = new Set<string>();

/** Does something while this process has the lock; `onWait` is called now and then while another has it. */
export async function withLock<T>(
  path: string,
  { signal, onWait }: { readonly signal: AbortSignal | undefined; readonly onWait: () => void },
  action: () => Promise<T>,
): Promise<T> {
  attempt(path, () => mkdirSync(dirname(path), { recursive: true }));
  const mine = `${process.pid} ${crypto.randomUUID()}\n`;
  while (!take(path, mine)) {
    if (isLeft(path)) {
      rmSync(path, { force: true });
      continue;
    }
    onWait();
    await sleep(pollMs, signal);
  }
  held.add(path);
  const timer = setInterval(() => touch(path, mine), touchMs);
  try {
    return await action();
  } finally {
    clearInterval(timer);
    held.delete(path);
    if (textOf(path) === mine) rmSync(path, { force: true });
  }
}

function take(path: string, mine: string): boolean {
  try {
    const file = openSync(path, "wx");
    try {
      writeFileSync(file, mine);
    } finally {
      closeSync(file);
    }
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    return attempt(path, () => {
      throw error;
    });
  }
}

/** Whether the lock's holder has ended. */
function isLeft(path: string): boolean {
  const pid = Number(/^(\d+) /.exec(textOf(path) ?? "")?.[1]);
  if (pid === process.pid ? !held.has(path) : pid > 0 && isGone(pid) && !isElsewhere(path)) return true;
  return ageMs(path) > leftMs;
}

/** How long a file was not touched, by the clock that dates it. */
function ageMs(path: string): number {
  const probe = `${path}.${process.pid}.now`;
  try {
    writeFileSync(probe, "");
    return statSync(probe).mtimeMs - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Infinity);
  } finally {
    rmSync(probe, { force: true });
  }
}

/** A holder of another machine touches its lock; one of this machine that is gone does so no more. */
function isElsewhere(path: string): boolean {
  return ageMs(path) < 2 * touchMs;
}

/** Writes the lock's text again: its date is then the disk's, not this machine's. */
function touch(path: string, mine: string): void {
  try {
    if (textOf(path) === mine) writeFileSync(path, mine, { flag: "r+" });
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error; // a lock that was taken away is the other's now
  }
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error) return undefined; // it was given back meanwhile
    throw error;
  }
}
