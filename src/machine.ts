/**
 * The machine that a program runs on, as far as it may know: the processors that it can use, their caches, and the memory
 * that it may have. Each system has a probe of its own in `machine/`; here their answers become one description. A fact
 * that is not known is absent, and a note says why.
 *
 * @module
 */
import { native } from "../ffi/native.ts";
import { probeDarwin } from "./machine/darwin.ts";
import { probeLinux } from "./machine/linux.ts";
import { Source } from "./machine/source.ts";
import { probeWindows } from "./machine/windows.ts";
import { integerOption } from "./options.ts";

/**
 * A cache of the processor.
 *
 * @example
 * ```ts
 * import { type Cache, probeMachine } from "@lightgpt/lightgpt";
 *
 * const largest: Cache | undefined = probeMachine().caches.at(-1);
 * console.log(largest?.level, largest?.bytes);
 * ```
 */
export interface Cache {
  /** 1 is the nearest. */
  readonly level: number;
  /** Its size. */
  readonly bytes: number;
  /** Processors that share one, where that is known. */
  readonly sharedBy?: number;
}

/**
 * A limit of the memory that a process may have.
 *
 * @example
 * ```ts
 * import { type MemoryLimit, probeMachine } from "@lightgpt/lightgpt";
 *
 * const limits: readonly MemoryLimit[] = probeMachine().memory.limits;
 * for (const { source, bytes, usedBytes } of limits) console.log(source, bytes, usedBytes);
 * ```
 */
export interface MemoryLimit {
  /** The file of a control group, or the name of a resource limit. */
  readonly source: string;
  /** The most bytes. */
  readonly bytes: number;
  /** Bytes that count against it at the moment; undefined where that is not known. */
  readonly usedBytes: number | undefined;
}

/**
 * What a program may know about its machine.
 *
 * @example
 * ```ts
 * import { type Machine, probeMachine } from "@lightgpt/lightgpt";
 *
 * const machine: Machine = probeMachine();
 * console.log(`${machine.threads} threads on ${machine.processor ?? "an unknown processor"}`);
 * ```
 */
export interface Machine {
  /** The system, as `process.platform` names it. */
  readonly platform: string;
  /** The architecture, as `process.arch` names it. */
  readonly arch: string;
  /** The processor's name. */
  readonly processor?: string;
  /** Logical processors that are there. */
  readonly processors?: number;
  /** Those of them that this process may run on. */
  readonly usable?: number;
  /** Processors' worth of time that a control group grants. */
  readonly quota?: number;
  /** Cores that the usable processors are on: fewer, where two share one. */
  readonly cores?: number;
  /** Usable processors on efficiency cores; absent where all are alike. */
  readonly efficiency?: number;
  /** Threads that can run at once, within affinity and quota: what a batcher has unless it is told otherwise. */
  readonly threads: number;
  /** The caches, the nearest first. */
  readonly caches: readonly Cache[];
  /** Bytes of memory. */
  readonly memory: {
    /** What the machine has. */
    readonly totalBytes?: number;
    /** The least of that and all limits. */
    readonly limitBytes?: number;
    /** What this process can still have. */
    readonly freeBytes?: number;
    /** What it has. */
    readonly residentBytes?: number;
    /** All limits that were found. */
    readonly limits: readonly MemoryLimit[];
    /** The folder of its control group of version 2, whose files tell of pressure. */
    readonly cgroup?: string;
  };
  /** Whether this probe has been tried on such a system; the others are tested on recorded files. */
  readonly isTried: boolean;
  /** What could not be found out, and why. */
  readonly notes: readonly string[];
}

/** What a probe finds; the machine is made of it. */
export interface MachineFacts {
  readonly usable?: number | undefined;
  readonly quota?: number | undefined;
  /** Asked for only where somebody wants to know: it takes many files, or a command. */
  readonly details: () => MachineDetails;
}

/** What a probe finds that loading a model needs not know. */
export interface MachineDetails {
  readonly processor?: string | undefined;
  readonly processors?: number | undefined;
  /** Where only a command tells it. */
  readonly usable?: number | undefined;
  readonly cores?: number | undefined;
  readonly efficiency?: number | undefined;
  readonly caches: readonly Cache[];
  readonly total?: number | undefined;
  readonly free?: number | undefined;
  readonly resident?: number | undefined;
  readonly limits: readonly MemoryLimit[];
  readonly cgroup?: string | undefined;
}

/** Memory that is read to measure how fast: more than caches hold. */
const bandwidthMiB = 256;

/**
 * Looks at the machine, in a few milliseconds. Nothing fails: what is not known is absent.
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

/** The machine that a source tells of; tests give one of recorded files and answers. */
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

/** The most threads that can be asked for. */
const threadsMost = 256;
let reckoned = 0;

/** For tests of many threads on a small machine: lets as many be had as if there were `count` processors; gives what was said before. */
export function reckonProcessors(count: number): number {
  const before = reckoned;
  reckoned = count;
  return before;
}

/**
 * The option `threads`, checked; where nothing is said, as many as this process can run at once. More than there are
 * processors are not had: with two a core the threads that wait for a turn held the others up (decode at 0.75, with eight at 0.38).
 */
export function threadsOption(asked: number | undefined): number {
  const threads = integerOption("threads", asked, 1, threadsMost, Math.min(threadsMost, usableThreads()));
  return Math.min(threads, Math.max(parallelism().processors, reckoned));
}

function probe(source: Source): MachineFacts {
  if (source.platform === "linux") return probeLinux(source);
  return source.platform === "darwin" ? probeDarwin(source) : probeWindows(source);
}

/** Bytes a second that `threads` threads of this machine read from memory. Blocks for some tenths of a second. */
export function measureBandwidth(threads: number): number {
  return native().bandwidth(threads, bandwidthMiB);
}

/** A part of a processor more is not worth a thread that the others wait for. */
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
