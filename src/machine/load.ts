/**
 * How busy other processes keep the machine: the processor time spent since a moment, without this process's own.
 *
 * @module
 */
import { node } from "../../ffi/runtime/builtins.ts";
import { currentRuntime } from "../../ffi/runtime/pick.ts";
import type { Machine } from "./types.ts";

/** Times of a moment, in milliseconds. */
export interface Times {
  /** The time that all processors were at work. */
  readonly busy: number;
  /** The processor time of this process. */
  readonly own: number;
  /** The time on the clock. */
  readonly clock: number;
}

/** Measures from the moment it is made. */
export class LoadMeter {
  readonly #read: () => Times | undefined;
  readonly #begin: Times | undefined;

  /** `read` is for tests. */
  constructor(read: () => Times | undefined = readTimes) {
    this.#read = read;
    this.#begin = read();
  }

  /**
   * The share (0 to 1) of this process's usable processors that other processes took. Time that fits on the processors
   * which this process may not use does not count. Undefined where it is not known.
   */
  share({ threads, processors = threads }: Pick<Machine, "threads" | "processors">): number | undefined {
    const end = this.#read();
    if (!this.#begin || !end) return undefined;
    const ms = end.clock - this.#begin.clock;
    const others = (end.busy - this.#begin.busy - (end.own - this.#begin.own)) / ms;
    if (!(ms > 0) || !Number.isFinite(others)) return undefined;
    return Math.min(1, Math.max(0, (others - (processors - threads)) / threads));
  }
}

function readTimes(): Times | undefined {
  if (!currentRuntime().allows("sys", "cpus")) return undefined;
  try {
    const busy = node("node:os").cpus().reduce(
      (sum, { times: { user, nice, sys, irq } }) => sum + user + nice + sys + irq,
      0,
    );
    const { user, system } = node("node:process").cpuUsage();
    return { busy, own: (user + system) / 1000, clock: performance.now() };
  } catch {
    return undefined; // some systems don't tell
  }
}
