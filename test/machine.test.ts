/**
 * The probes of a machine on recorded and made-up files: which processors, which limits, and what is said where nothing can be
 * known.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, it } from "node:test";
import { probeMachine } from "../mod.ts";
import { reckonProcessors, threadsOption } from "../src/engine/threads_option.ts";
import { machineOf, usableThreads } from "../src/machine/machine.ts";
import type { Machine } from "../src/machine/types.ts";
import { LoadMeter } from "../src/machine/load.ts";
import { numberList, Source, type SourceOptions } from "../src/machine/source.ts";
import { repositoryUrl, runChild } from "./child.ts";

const folders: string[] = [];
after(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

const allowed: SourceOptions["runtime"] = { name: "Bun", allows: () => true, variable: () => undefined };

/** A machine of files. */
function machine(files: Record<string, string>, options: SourceOptions = {}): Machine {
  const root = mkdtempSync(join(tmpdir(), "lightgpt-machine-"));
  folders.push(root);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return machineOf(
    new Source({ root, platform: "linux", arch: "x64", runtime: allowed, system: { parallelism: 64 }, ...options }),
  );
}

const cpu = "/sys/devices/system/cpu";

/** `/proc` of a process that may run on some processors. */
function linux(online: string, usable = online): Record<string, string> {
  return {
    [`${cpu}/online`]: `${online}\n`,
    "/proc/self/status":
      `Name:\tbun\nVmSize:\t  900000 kB\nVmRSS:\t  100000 kB\nCpus_allowed:\tff\nCpus_allowed_list:\t${usable}\n`,
    "/proc/cpuinfo": "processor\t: 0\nmodel name\t: Some Processor 9000\ncache size\t: 512 KB\n",
    "/proc/meminfo": "MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    8000000 kB\n",
    "/proc/self/limits":
      "Limit                     Soft Limit           Hard Limit           Units     \nMax data size             unlimited            unlimited            bytes     \nMax address space         unlimited            unlimited            bytes     \n",
  };
}

/** Siblings: processors 2n and 2n + 1 share a core. */
function pairs(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => {
    const first = index - index % 2;
    return [`${cpu}/cpu${index}/topology/thread_siblings_list`, `${first},${first + 1}\n`];
  }));
}

const v2 = {
  "/proc/self/cgroup": "0::/outer/inner\n",
  "/proc/self/mountinfo": "30 22 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
};
const group = "/sys/fs/cgroup";

describe("a Linux machine", () => {
  it("has threads for the processors that the process may run on", () => {
    const { threads, usable, processors, cores, processor, isTried } = machine({
      ...linux("0-7", "1,4-6"),
      ...pairs(8),
    });
    assertEquals({ threads, usable, processors, cores }, { threads: 4, usable: 4, processors: 8, cores: 3 });
    assertEquals([processor, isTried], ["Some Processor 9000", true]);
  });

  it("leaves out processors that are offline", () => {
    assertEquals(machine(linux("0-3", "0-7")).threads, 4);
    assertEquals(machine(linux("0-3", "8-9")).threads, 1, "nothing is left: one thread runs anyway");
  });

  it("heeds the least quota of nested groups of version 2", () => {
    const files = {
      ...linux("0-15"),
      ...v2,
      [`${group}/outer/inner/cpu.max`]: "max 100000\n",
      [`${group}/outer/cpu.max`]: "350000 100000\n",
      [`${group}/outer/inner/memory.max`]: "2000000000\n",
      [`${group}/outer/inner/memory.current`]: "1500000000\n",
      [`${group}/outer/inner/memory.stat`]: "anon 12\ninactive_file 500000000\n",
      [`${group}/outer/memory.max`]: "1800000000\n",
      [`${group}/outer/memory.high`]: "max\n",
      [`${group}/outer/memory.current`]: "1700000000\n",
    };
    const { threads, quota, memory } = machine(files);
    assertEquals([threads, quota], [3, 3.5]);
    assertEquals(memory.limits.map(({ bytes, usedBytes }) => [bytes, usedBytes]), [[2e9, 1e9], [1.8e9, 1.7e9]]);
    assertEquals([memory.limitBytes, memory.freeBytes], [1.8e9, 1e8]);
    assertEquals(memory.cgroup, `${group}/outer/inner`);
  });

  it("has one thread with half a processor's time", () => {
    const files = { ...linux("0-3"), ...v2, [`${group}/outer/inner/cpu.max`]: "50000 100000" };
    assertEquals([machine(files).threads, machine(files).quota], [1, 0.5]);
  });

  it("finds its own group in a container whose mount begins there", () => {
    const files = {
      ...linux("0-7"),
      "/proc/self/cgroup": "0::/docker/abc\n",
      "/proc/self/mountinfo": "40 22 0:27 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
      [`${group}/cpu.max`]: "200000 100000",
    };
    assertEquals(machine(files).threads, 2);
    const elsewhere = { ...files, "/proc/self/cgroup": "0::/../../sibling\n" };
    assertEquals(machine(elsewhere).threads, 2, "a path of another namespace means the mount itself");
  });

  it("reads groups of version 1, and of both at once", () => {
    const files = {
      ...linux("0-7"),
      "/proc/self/cgroup": "5:memory:/a\n4:cpuacct,cpu:/a/b c\n1:name=systemd:/x\n0::/\n",
      "/proc/self/mountinfo": "31 30 0:28 / /mnt/cpu\\040here rw - cgroup cgroup rw,cpu,cpuacct\n" +
        "32 30 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" +
        "33 30 0:37 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
      "/mnt/cpu here/a/b c/cpu.cfs_quota_us": "-1\n",
      "/mnt/cpu here/a/b c/cpu.cfs_period_us": "100000\n",
      "/mnt/cpu here/a/cpu.cfs_quota_us": "250000\n",
      "/mnt/cpu here/a/cpu.cfs_period_us": "100000\n",
      [`${group}/memory/a/memory.limit_in_bytes`]: "1000000000\n",
      [`${group}/memory/a/memory.usage_in_bytes`]: "400000000\n",
      [`${group}/memory/memory.limit_in_bytes`]: "9223372036854771712\n",
    };
    const { threads, quota, memory, notes } = machine(files);
    assertEquals([threads, quota, memory.limitBytes, memory.freeBytes], [2, 2.5, 1e9, 6e8]);
    assertEquals(notes, []);
  });

  it("heeds resource limits", () => {
    const files = {
      ...linux("0-1"),
      "/proc/self/limits":
        "Limit                     Soft Limit           Hard Limit           Units     \nMax address space         2000000000           unlimited            bytes     \n",
    };
    const { memory } = machine(files);
    assertEquals(memory.limits, [{ source: "RLIMIT_AS", bytes: 2e9, usedBytes: 900_000 * 1024 }]);
    assertEquals(memory.freeBytes, 2e9 - 900_000 * 1024);
    assertEquals(memory.residentBytes, 100_000 * 1024);
  });

  it("tells performance from efficiency cores", () => {
    const intel = { ...linux("0-11"), "/sys/devices/cpu_core/cpus": "0-3\n", "/sys/devices/cpu_atom/cpus": "4-11\n" };
    assertEquals(machine(intel).efficiency, 8);
    assertEquals(machine({ ...intel, ...linux("0-11", "2-5") }).efficiency, 2);
    const arm = Object.fromEntries(
      [446, 446, 1024, 1024].map((value, index) => [`${cpu}/cpu${index}/cpu_capacity`, `${value}`]),
    );
    assertEquals(machine({ ...linux("0-3"), ...arm }).efficiency, 2);
    const alike = { ...linux("0-1"), [`${cpu}/cpu0/cpu_capacity`]: "1024", [`${cpu}/cpu1/cpu_capacity`]: "1000" };
    assertEquals(machine(alike).efficiency, undefined);
  });

  it("names an ARM processor by its numbers", () => {
    const info = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\nprocessor\t: 1\n";
    const files = { ...linux("0-1"), "/proc/cpuinfo": info };
    const { processor, isTried, notes } = machine(files, { arch: "arm64" });
    assertEquals([processor, isTried], ["implementer 0x41, part 0xd0c", false]);
    assertMatch(notes.join(), /not been tried/);
  });

  it("knows the caches by the kernel, or by the C library", () => {
    const index = (number: number, level: number, type: string, size: string, cpus: string) => ({
      [`${cpu}/cpu0/cache/index${number}/level`]: `${level}\n`,
      [`${cpu}/cpu0/cache/index${number}/type`]: `${type}\n`,
      [`${cpu}/cpu0/cache/index${number}/size`]: `${size}\n`,
      [`${cpu}/cpu0/cache/index${number}/shared_cpu_list`]: `${cpus}\n`,
    });
    const files = {
      ...linux("0-3"),
      ...index(0, 1, "Data", "48K", "0-1"),
      ...index(1, 1, "Instruction", "32K", "0-1"),
      ...index(2, 3, "Unified", "32M", "0-3"),
      ...index(3, 4, "Unified", "lots", "0-3"),
    };
    assertEquals(machine(files).caches, [
      { level: 1, bytes: 49_152, sharedBy: 2 },
      { level: 3, bytes: 2 ** 25, sharedBy: 4 },
    ]);
    const run = () =>
      "LEVEL1_DCACHE_SIZE                 49152\nLEVEL2_CACHE_SIZE                  1048576\nLEVEL3_CACHE_SIZE\n";
    assertEquals(machine(linux("0-3"), { run }).caches, [{ level: 1, bytes: 49_152 }, { level: 2, bytes: 2 ** 20 }]);
  });

  it("is known as far as it can be where files are missing or broken", () => {
    const nothing = machine({}, { system: { parallelism: 3 }, run: () => "" });
    assertEquals([nothing.threads, nothing.usable, nothing.caches], [3, undefined, []]);
    const broken = machine({
      "/proc/self/status": "Cpus_allowed_list:\t9-2,x\n",
      [`${cpu}/online`]: "0-99999999\n",
      "/proc/cpuinfo": "\0\0\0",
      "/proc/meminfo": "MemTotal: many kB\n",
      "/proc/self/limits": "Max address space",
      ...v2,
      [`${group}/outer/inner/cpu.max`]: "fast 100000\n",
      [`${group}/outer/cpu.max`]: "100000 0\n",
      [`${group}/outer/memory.max`]: "-5\n",
    }, { system: { parallelism: 2 }, run: () => "" });
    assertEquals([broken.threads, broken.memory.limitBytes, broken.processor], [2, undefined, undefined]);
    assertMatch(broken.notes.join("\n"), /names no processors[^]*is no number/);
  });

  it("is what the runtime says where files may not be read", () => {
    const runtime = { name: "Deno" as const, allows: () => false, variable: () => undefined };
    const { threads, notes, caches, memory } = machine(linux("0-7", "0"), { runtime, system: { parallelism: 5 } });
    assertEquals([threads, caches, memory.limits], [5, [], []]);
    assertMatch(notes.join("\n"), /--allow-all/);
  });
});

describe("other systems", () => {
  const sysctl = [
    "hw.physicalcpu: 8",
    "hw.logicalcpu: 8",
    "hw.memsize: 17179869184",
    "hw.nperflevels: 2",
    "hw.perflevel0.logicalcpu: 4",
    "hw.perflevel0.l1dcachesize: 131072",
    "hw.perflevel0.l2cachesize: 12582912",
    "hw.perflevel0.cpusperl2: 4",
    "hw.perflevel1.logicalcpu: 4",
    "machdep.cpu.brand_string: Apple M1",
  ].join("\n");
  const system = { parallelism: 8, processors: ["Name"], memory: { total: 8e9, free: 1e9 } };

  it("macOS is asked by sysctl", () => {
    const found = machine({}, { platform: "darwin", arch: "arm64", run: () => sysctl, system });
    assertEquals([found.processor, found.threads, found.cores, found.efficiency], ["Apple M1", 8, 8, 4]);
    assertEquals(found.caches, [{ level: 1, bytes: 131_072, sharedBy: 1 }, {
      level: 2,
      bytes: 12_582_912,
      sharedBy: 4,
    }]);
    assertEquals([found.memory.totalBytes, found.memory.freeBytes, found.isTried], [2 ** 34, 1e9, false]);
  });

  it("macOS without sysctl is what the runtime says", () => {
    const run = () => {
      throw new Error("not found");
    };
    const found = machine({}, { platform: "darwin", run, system });
    assertEquals([found.processor, found.threads, found.memory.totalBytes], ["Name", 8, 8e9]);
    assertMatch(found.notes.join("\n"), /sysctl gave no answer/);
  });

  it("Windows is asked by the runtime and the environment", () => {
    const runtime = {
      name: "Bun" as const,
      allows: () => true,
      variable: (name: string) => ({ PROCESSOR_IDENTIFIER: "Intel64 Family 6", NUMBER_OF_PROCESSORS: "12" })[name],
    };
    const found = machine({}, { platform: "win32", runtime, system: { parallelism: 6 } });
    assertEquals([found.processor, found.processors, found.threads], ["Intel64 Family 6", 12, 6]);
  });
});

describe("this machine", () => {
  it("can be looked at", () => {
    const found = probeMachine();
    assert(found.threads >= 1 && found.threads <= 4096);
    assertEquals(found.threads, usableThreads());
    assert(!found.memory.limitBytes || found.memory.limitBytes > 1e6);
  });

  it("gives no more threads than processors, whatever is asked for", () => {
    const before = reckonProcessors(0);
    try {
      const { usable, processors } = probeMachine();
      const most = usable ?? processors ?? navigator.hardwareConcurrency;
      assertEquals([threadsOption(256), threadsOption(1)], [Math.min(most, navigator.hardwareConcurrency), 1]);
      reckonProcessors(200);
      assertEquals(threadsOption(199), 199);
    } finally {
      reckonProcessors(before);
    }
  });

  it("is looked at without permissions, and without a question", async () => {
    const code = `const { probeMachine } = await import("${repositoryUrl}mod.ts");` +
      "console.log(probeMachine().threads > 0);";
    const { stdout, stderr } = await runChild(code, { allow: ["--allow-read=."] });
    assertEquals(stdout.trim(), "true", stderr);
  });
});

describe("a list of processors", () => {
  for (
    const [text, expected] of [
      ["0", [0]],
      ["0-2,5", [0, 1, 2, 5]],
      [" 3 , 1-2 ", [1, 2, 3]],
      ["", undefined],
      ["1-", undefined],
      ["5-2", undefined],
      ["0-999999", undefined],
      ["a", undefined],
      [undefined, undefined],
    ] as const
  ) {
    it(`${text} is ${expected}`, () => assertEquals(numberList(text), expected && [...expected]));
  }
});

describe("the load of others", () => {
  const meter = (busy: number, own: number, clock: number) => {
    const times = [{ busy: 0, own: 0, clock: 0 }, { busy, own, clock }];
    return new LoadMeter(() => times.shift());
  };

  it("is what is busy beside this process, where it has no room of its own", () => {
    assertEquals(meter(1500, 1000, 1000).share({ threads: 2, processors: 2 }), 0.25);
    assertEquals(meter(1500, 1000, 1000).share({ threads: 1, processors: 2 }), 0, "they have the other processor");
    assertEquals(meter(900, 1000, 1000).share({ threads: 2 }), 0);
  });

  it("is not known where times are not told or the clock stands still", () => {
    assertEquals(new LoadMeter(() => undefined).share({ threads: 2 }), undefined);
    assertEquals(meter(1500, 1000, 0).share({ threads: 2 }), undefined);
  });
});
