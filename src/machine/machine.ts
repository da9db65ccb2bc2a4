/**
 * The machine that a program runs on: the processors that it may use, their caches, and the memory that it may have. Each
 * system has a probe in this room; here their answers become one description. A fact
 * that is not known is absent, and a note says why.
 *
 * @module
 */
import type { Machine, MachineFacts } from "./types.ts";
import { native } from "../../ffi/native.ts";
import { probeDarwin } from "./darwin.ts";
import { probeLinux } from "./linux.ts";
import { Source } from "./source.ts";
import { probeWindows } from "./windows.ts";

/** Memory that is read to measure how fast: more than caches hold. */
const bandwidthMiB = 256;

/**
 * Describes the machine, in a few milliseconds. It never throws: a fact that is not known is absent.
 *
 * @example
 * ```ts
 * import { probeMachine } from "@lightgpt/lightgpt";
 *
 * const { threads, caches, memory, notes } = probeMachine();
 * console.log(threads, caches, memory.limitBytes, notes);
 * ```
 */
export function probeMachine(): Machine {
  return machineOf(new Source());
}

/** The machine that a source describes; tests give a source of recorded files and answers. */
export function machineOf(source: Source): Machine {
  const { platform, arch } = source;
  const facts = probe(source);
  const { quota } = facts;
  const details = facts.details();
  const { processor, processors, cores, efficiency, caches, limits, resident, cgroup } = details;
  const usable = facts.usable ?? details.usable;
  const total = details.total ?? source.memory?.total;
  const free = details.free ?? source.memory?.free;
  const isTried = platform === "linux" && arch === "x64";
  if (!isTried) source.note(`This probe has not been tried on a real machine with ${platform} on ${arch}.`);
  return {
    platform,
    arch,
    ...known({ processor: processor ?? source.processors?.[0], processors, usable, quota, cores, efficiency }),
    threads: threadsOf(source, { usable, quota }),
    caches,
    memory: {
      ...known({
        totalBytes: total,
        limitBytes: least([total, ...limits.map(({ bytes }) => bytes)]),
        freeBytes: least([free, ...limits.map(({ bytes, usedBytes }) => left(bytes, usedBytes))]),
        residentBytes: resident,
        cgroup,
      }),
      limits,
    },
    isTried,
    notes: [...source.notes],
  };
}

let found: { readonly threads: number; readonly processors: number } | undefined;

function parallelism(): NonNullable<typeof found> {
  if (found === undefined) {
    const source = new Source();
    const { usable, quota } = probe(source);
    found = { threads: threadsOf(source, { usable, quota }), processors: threadsOf(source, { usable }) };
  }
  return found;
}

/** Threads that this process can run at once; asked of the machine once. */
export function usableThreads(): number {
  return parallelism().threads;
}

/** Processors that this process may use, as whole ones; asked of the machine once. */
export function usableProcessors(): number {
  return parallelism().processors;
}

function probe(source: Source): MachineFacts {
  if (source.platform === "linux") return probeLinux(source);
  return source.platform === "darwin" ? probeDarwin(source) : probeWindows(source);
}

/** Bytes a second that `threads` threads of this machine read from memory. Blocks for some tenths of a second. */
export function measureBandwidth(threads: number): number {
  return native().bandwidth({ threads, mebibytes: bandwidthMiB });
}

/** Whole processors only: the other threads would wait for one that has a part of a processor. */
function threadsOf(
  { parallelism }: Source,
  { usable = Infinity, quota = Infinity }: Pick<MachineFacts, "usable" | "quota">,
): number {
  return Math.max(1, Math.min(usable, parallelism, Math.floor(quota)));
}

function left(bytes: number, usedBytes: number | undefined): number | undefined {
  return usedBytes === undefined ? undefined : Math.max(0, bytes - usedBytes);
}

function least(values: readonly (number | undefined)[]): number | undefined {
  const numbers = values.filter((value) => value !== undefined);
  return numbers.length > 0 ? Math.min(...numbers) : undefined;
}

/** An object without the members that are undefined. */
function known<T extends object>(facts: T): { [Name in keyof T]?: Exclude<T[Name], undefined> } {
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined)) as {
    [Name in keyof T]?: Exclude<T[Name], undefined>;
  };
}
