/**
 * What Windows says about a machine, through `node:os` and the environment alone: a query by PowerShell would take longer
 * than loading a small model. Never tried on a real Windows. Limits of job objects, caches and kinds of cores are not read.
 *
 * @module
 */
import type { MachineFacts } from "./types.ts";
import { type Source, wholeNumber } from "./source.ts";

/** Reads what there is; members that are not known are absent. */
export function probeWindows(source: Source): MachineFacts {
  return {
    details: () => {
      const names = source.processors;
      return {
        processor: names?.[0] || source.variable("PROCESSOR_IDENTIFIER"),
        processors: names?.length || wholeNumber(source.variable("NUMBER_OF_PROCESSORS")),
        caches: [],
        total: source.memory?.total,
        free: source.memory?.free,
        limits: [],
      };
    },
  };
}
