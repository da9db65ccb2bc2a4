/**
 * What is known of a machine, and what the probe of each system answers.
 *
 * @module
 */

/**
 * A cache of the processor.
 *
 * @example
 * ```ts
 * import { type ProcessorCache, probeMachine } from "@lightgpt/lightgpt";
 *
 * const largest: ProcessorCache | undefined = probeMachine().caches.at(-1);
 * console.log(largest?.level, largest?.bytes);
 * ```
 */
export interface ProcessorCache {
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
  readonly caches: readonly ProcessorCache[];
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
  /** A function, since the answer takes many files or a command: it is called only when the fact is used. */
  readonly details: () => MachineDetails;
}

/** What a probe finds beyond what loading a model needs. */
export interface MachineDetails {
  readonly processor?: string | undefined;
  readonly processors?: number | undefined;
  /** As in {@link MachineFacts}, where only a command tells it. */
  readonly usable?: number | undefined;
  readonly cores?: number | undefined;
  readonly efficiency?: number | undefined;
  readonly caches: readonly ProcessorCache[];
  readonly total?: number | undefined;
  readonly free?: number | undefined;
  readonly resident?: number | undefined;
  readonly limits: readonly MemoryLimit[];
  readonly cgroup?: string | undefined;
}
