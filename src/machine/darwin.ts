/**
 * What macOS says about a machine, through `sysctl hw`. Never tried on a real Mac: written from the manual page and tested on
 * recorded output. There is no affinity and no quota that a process could read; limits of memory are not read.
 *
 * @module
 */
import type { MachineDetails, MachineFacts } from "./types.ts";
import { type Source, wholeNumber } from "./source.ts";

/** Reads what there is; members that are not known are absent. */
export function probeDarwin(source: Source): MachineFacts {
  return { details: () => detailsOf(source) };
}

function detailsOf(source: Source): MachineDetails {
  const text = source.run("sysctl", ["hw", "machdep.cpu.brand_string"]) ?? "";
  const values = new Map([...text.matchAll(/^([\w.]+): (.*)$/gm)].map(([, name, value]) => [name, value?.trim()]));
  const number = (name: string) => wholeNumber(values.get(name));
  const processors = number("hw.logicalcpu");
  // Level 0 has the performance cores.
  const levels = number("hw.nperflevels") ?? 1;
  const performance = levels > 1 ? number("hw.perflevel0.logicalcpu") : undefined;
  const first = performance === undefined ? "hw." : "hw.perflevel0.";
  const cache = (level: number, name: string, sharedBy = 1) => {
    const bytes = number(`${first}${name}`) ?? number(`hw.${name}`);
    return bytes ? [{ level, bytes, sharedBy }] : [];
  };
  return {
    processor: values.get("machdep.cpu.brand_string") ?? source.processors?.[0],
    processors,
    usable: processors,
    cores: number("hw.physicalcpu"),
    efficiency: processors !== undefined && performance !== undefined
      ? processors - performance || undefined
      : undefined,
    caches: [
      ...cache(1, "l1dcachesize", 1),
      ...cache(2, "l2cachesize", number(`${first}cpusperl2`)),
      ...cache(3, "l3cachesize", number(`${first}cpusperl3`) ?? processors),
    ],
    total: number("hw.memsize") ?? source.memory?.total,
    free: source.memory?.free,
    limits: [],
  };
}
