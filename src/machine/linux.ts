/**
 * What Linux says about a machine: `/proc/self` for what this process may use, `/sys/devices/system/cpu` for what there
 * is, control groups for limits. Tried on x86-64, in a virtual machine with cgroups of version 1; the rest on recorded trees.
 *
 * @module
 */
import type { MachineDetails, MachineFacts, MemoryLimit, ProcessorCache } from "./types.ts";
import { readCgroups } from "./cgroup.ts";
import { numberList, type Source, wholeNumber } from "./source.ts";

const devices = "/sys/devices/system/cpu";
/** Processors with less than this share of the largest capacity are efficiency cores. */
const smallCapacity = 0.75;
/** How many indexes of caches are looked at, from 0 on. */
const cachesMost = 10;

/** Reads what there is; members that are not known are absent. */
export function probeLinux(source: Source): MachineFacts {
  const status = source.read("/proc/self/status");
  const online = numberList(source.read(`${devices}/online`)) ?? listed(source.read("/proc/cpuinfo"));
  const allowed = numberList(/^Cpus_allowed_list:\s*(.+)$/m.exec(status ?? "")?.[1]);
  if (status !== undefined && allowed === undefined) {
    source.note("/proc/self/status names no processors that may be used; all that are there are taken.");
  }
  const usable = allowed && online ? allowed.filter((cpu) => online.includes(cpu)) : allowed ?? online;
  const groups = readCgroups(source);
  return {
    usable: usable?.length,
    quota: groups.quota,
    details: () => ({
      processor: processorName(source.read("/proc/cpuinfo")),
      processors: online?.length,
      cores: usable && coresOf(source, usable),
      efficiency: usable && smallOnes(source, usable),
      caches: usable?.[0] === undefined ? [] : cachesOf(source, usable[0]),
      ...memoryOf(source, status),
      limits: [...groups.memory, ...limitsOf(source, status)],
      cgroup: groups.folder,
    }),
  };
}

function listed(info: string | undefined): number[] | undefined {
  const numbers = [...(info ?? "").matchAll(/^processor\s*:\s*(\d{1,6})$/gm)].map(([, number]) => Number(number));
  return numbers.length > 0 ? numbers : undefined;
}

/** ARM's processors have numbers in place of a name. */
function processorName(info = ""): string | undefined {
  const field = (name: string) => new RegExp(`^${name}\\s*:\\s*(\\S.*)$`, "m").exec(info)?.[1]?.trim();
  const [implementer, part] = [field("CPU implementer"), field("CPU part")];
  return field("model name") ?? field("Processor") ?? (part && `implementer ${implementer}, part ${part}`);
}

/** How many cores the processors belong to; two processors of one core count once. */
function coresOf(source: Source, cpus: readonly number[]): number | undefined {
  const cores = new Set<number>();
  for (const cpu of cpus) {
    const topology = `${devices}/cpu${cpu}/topology`;
    const siblings = numberList(source.read(`${topology}/core_cpus_list`)) ??
      numberList(source.read(`${topology}/thread_siblings_list`));
    if (siblings?.[0] === undefined) return undefined;
    cores.add(siblings[0]);
  }
  return cores.size;
}

/** How many of the processors are on efficiency cores; undefined where all are alike, or it is not told. */
function smallOnes(source: Source, cpus: readonly number[]): number | undefined {
  const atoms = numberList(source.read("/sys/devices/cpu_atom/cpus"));
  if (atoms && source.read("/sys/devices/cpu_core/cpus") !== undefined) {
    return cpus.filter((cpu) => atoms.includes(cpu)).length || undefined;
  }
  const capacities = cpus.map((cpu) => wholeNumber(source.read(`${devices}/cpu${cpu}/cpu_capacity`)) ?? 0);
  const most = Math.max(0, ...capacities);
  return capacities.filter((capacity) => capacity > 0 && capacity < smallCapacity * most).length || undefined;
}

function cachesOf(source: Source, cpu: number): ProcessorCache[] {
  const caches: ProcessorCache[] = [];
  for (let index = 0; index < cachesMost; index++) {
    const folder = `${devices}/cpu${cpu}/cache/index${index}`;
    const level = wholeNumber(source.read(`${folder}/level`));
    if (level === undefined) break;
    const [, size, unit] = /^(\d{1,9})([KMG]?)$/.exec(source.read(`${folder}/size`) ?? "") ?? [];
    const type = source.read(`${folder}/type`)?.toLowerCase();
    if (size === undefined || type === "instruction") continue;
    const sharedBy = numberList(source.read(`${folder}/shared_cpu_list`))?.length;
    const bytes = Number(size) * { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }[unit as "" | "K" | "M" | "G"];
    caches.push({ level, bytes, ...(sharedBy === undefined ? {} : { sharedBy }) });
  }
  return caches.length > 0 ? caches : configuredCaches(source);
}

/** Some virtual machines hide their caches from the kernel; the C library then asks the processor itself. */
function configuredCaches(source: Source): ProcessorCache[] {
  const text = source.run("getconf", ["-a"]) ?? "";
  return [["LEVEL1_DCACHE", 1], ["LEVEL2_CACHE", 2], ["LEVEL3_CACHE", 3]].flatMap(([name, level]) => {
    const bytes = wholeNumber(new RegExp(`^${name}_SIZE\\s+(\\d+)$`, "m").exec(text)?.[1]);
    return bytes ? [{ level: Number(level), bytes }] : [];
  });
}

function memoryOf(source: Source, status: string | undefined): Pick<MachineDetails, "total" | "free" | "resident"> {
  const info = source.read("/proc/meminfo") ?? "";
  const kibibytes = (text: string, name: string) => {
    const value = wholeNumber(new RegExp(`^${name}:\\s*(\\d+) kB$`, "m").exec(text)?.[1]);
    return value === undefined ? undefined : value * 1024;
  };
  return {
    total: kibibytes(info, "MemTotal"),
    free: kibibytes(info, "MemAvailable") ?? kibibytes(info, "MemFree"),
    resident: kibibytes(status ?? "", "VmRSS"),
  };
}

/** The soft limits of the process that can refuse it memory. */
function limitsOf(source: Source, status = ""): MemoryLimit[] {
  const limits = source.read("/proc/self/limits") ?? "";
  const rows = [["RLIMIT_AS", "Max address space", "VmSize"], ["RLIMIT_DATA", "Max data size", "VmData"]] as const;
  return rows.flatMap(([name, row, used]) => {
    const bytes = wholeNumber(new RegExp(`^${row}\\s+(\\d+)\\s`, "m").exec(limits)?.[1]);
    const kibibytes = wholeNumber(new RegExp(`^${used}:\\s*(\\d+) kB$`, "m").exec(status)?.[1]);
    return bytes === undefined
      ? []
      : [{ source: name, bytes, usedBytes: kibibytes === undefined ? undefined : kibibytes * 1024 }];
  });
}
