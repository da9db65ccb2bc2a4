/**
 * The memory budget: how it is said, what fits, and the governor in a made-up process, whose memory is numbers.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { Batcher, InvalidArgumentError, Model, OutOfMemoryError, readGguf } from "../mod.ts";
import { planModel } from "../src/model/architectures/architectures.ts";
import { native } from "../ffi/native.ts";
import { PressureProbe } from "../src/machine/pressure.ts";
import { Source } from "../src/machine/source.ts";
import { assertFits, engineSizes, needOf, totalOf, usualKvBytes } from "../src/batching/memory_budget.ts";
import { parseMemory } from "../src/tuning/memory_limit.ts";
import { MemoryGovernor, type MemoryTarget } from "../src/tuning/memory_governor.ts";
import { embeddedModel } from "../src/files/embedded.ts";

const mib = 2 ** 20;

describe("the option memory", () => {
  it("is bytes, a size, or a share", () => {
    const read = [1000, "4GiB", "300 MB", "1.5 kib", "50%", " 100 % "].map((size) => parseMemory(size, "memory"));
    const sizes = [1000, 4 * 2 ** 30, 300e6, 1536].map((bytes) => ({ bytes }));
    assertEquals(read, [...sizes, { share: 0.5 }, { share: 1 }]);
  });

  it("is refused where it is neither", () => {
    const wrong = [
      "",
      "4",
      "GiB",
      "-4GiB",
      "0MB",
      "101%",
      "0%",
      "4 giga",
      "1e3MB",
      "0x10MB",
      0,
      -1,
      1.5,
      NaN,
      Infinity,
    ];
    for (const memory of [...wrong, null, {}, [], true, 4n]) {
      assertThrows(() => parseMemory(memory, "memory"), InvalidArgumentError, "memory: expected");
    }
  });
});

describe("a model that does not fit", () => {
  const plan = planModel(readGguf(embeddedModel()));
  const settings = { kv: "f16", pageSize: 32, context: 512 } as const;
  const need = needOf(plan, settings, 50 * mib);

  it("is refused with the figures, and the type that would", () => {
    assertFits(plan, need, totalOf(need), settings);
    const refused = (bytes: number) => {
      try {
        assertFits(plan, need, bytes, settings);
      } catch (error) {
        assert(error instanceof OutOfMemoryError, `${error}`);
        return error;
      }
      throw new Error("it fits");
    };
    const close = refused(totalOf(need) - 600_000);
    assert(/as Q[23]_K its weights would take/.test(close.message), close.message);
    for (const part of ["weights 2.7 MiB", "512 positions", "work space", "50.0 MiB", "may be used"]) {
      assert(close.message.includes(part), close.message);
    }
    const far = refused(totalOf(need) - need.weights + 1000);
    assert(far.message.includes("no type of its weights would fit"), far.message);
    assert(refused(1000).message.includes("expected more memory"));
  });

  it("is asked for the room that its largest step works in, as the library takes it", async () => {
    await using model = await Model.load(embeddedModel(), { context: 512 });
    const before = native().memory().scratch;
    await using batcher = new Batcher(model, { kv: "f16", pageSize: 32 });
    await batcher.complete(Array.from({ length: 400 }, (_, id) => 3 + id), { maxTokens: 2 });
    const taken = native().memory().scratch - before;
    assert(taken > mib, `${taken} bytes: this test needs a step that takes some`);
    assert(need.work >= 0.8 * taken && need.work <= 8 * taken, `${need.work} for ${taken}`);
    const left = totalOf(need) - need.work + taken / 2;
    assertThrows(() => assertFits(plan, need, left, settings), OutOfMemoryError, "work space");
  });

  it("is told to have a smaller context where the weights alone would fit", () => {
    const large = { ...settings, context: 1 << 20 };
    const all = needOf(plan, large, 50 * mib);
    const error = assertThrows(() => assertFits(plan, all, 200 * mib, large), OutOfMemoryError, 'kv "q8_0"');
    assertEquals((error as OutOfMemoryError).detail.where, "context");
    const context = Number(/context: (\d+)/.exec(error.message)?.[1]);
    const named = { ...large, context };
    assertFits(plan, needOf(plan, named, 50 * mib), 200 * mib, named);
    const more = { ...large, context: context + 256 };
    assertThrows(() => assertFits(plan, needOf(plan, more, 50 * mib), 200 * mib, more), OutOfMemoryError);
  });

  it("is summed up once: a batcher's own sizes ask the same sum", async () => {
    await using model = await Model.load(embeddedModel(), { context: 512 });
    const page = needOf(model.plan, settings, 0).kv / 16;
    const sizes = engineSizes(model, { ...settings, sequences: 4 });
    assertEquals([sizes.pages, sizes.sequences], [4 * 16, 4]);
    const few = engineSizes(model, { ...settings, sequences: 4, kvBytesMax: 20 * page });
    assertEquals(few.pages, 20);
    assertEquals(usualKvBytes(16 * page, 4), 64 * page);
    assertThrows(
      () => engineSizes(model, { ...settings, sequences: 4, kvBytesMax: 15 * page }),
      InvalidArgumentError,
      "kvBytesMax: expected at least",
    );
  });
});

/** A process whose memory is numbers. */
class FakeProcess implements MemoryTarget {
  readonly pages = 100;
  readonly pagesLeast = 4;
  readonly pageBytes = mib;
  readonly sequencesMost = 16;
  sequences = 16;
  warm = 0;
  limit = 100;
  preemptions = 0;
  /** Pages that requests need; the rest of the warm ones are cached or free. */
  running = 0;
  others = 100 * mib;
  nowMs = 0;
  waiting: number | undefined;
  met: number | undefined;
  refused: (() => OutOfMemoryError) | undefined;
  readonly told: string[] = [];

  limitPages(pages: number): Promise<void> {
    this.limit = pages;
    while (this.running > pages) {
      this.running -= 4;
      this.preemptions++;
    }
    this.warm = Math.min(this.warm, pages);
    return Promise.resolve();
  }

  refuse(error: (() => OutOfMemoryError) | undefined): void {
    this.refused = error;
  }

  get resident(): number {
    return this.others + this.warm * mib;
  }

  governor(limitBytes: number): MemoryGovernor {
    return new MemoryGovernor(this, {
      limitBytes,
      resident: () => this.resident,
      pressure: () => ({ waiting: this.waiting, met: this.met }),
      now: () => this.nowMs,
      log: { tell: (_, text, change) => this.told.push(`${change?.setting} ${change?.from} ${change?.to}: ${text}`) },
    });
  }
}

/** Looks every 100 ms. */
async function pass(
  fake: FakeProcess,
  governor: MemoryGovernor,
  ms: number,
  each: () => void = () => {},
): Promise<void> {
  for (const end = fake.nowMs + ms; fake.nowMs < end; fake.nowMs += 100) {
    each();
    await governor.look();
  }
}

describe("the memory governor", () => {
  it("leaves everything alone where there is room", async () => {
    const fake = new FakeProcess();
    const governor = fake.governor(400 * mib);
    await pass(fake, governor, 60_000, () => fake.warm = Math.min(100, fake.warm + 1));
    assertEquals([fake.limit, fake.sequences, fake.refused, fake.told], [100, 16, undefined, []]);
  });

  it("shrinks the cache first, then the batch, then refuses, with figures, and takes it all back in turn", async () => {
    const fake = new FakeProcess();
    const governor = fake.governor(200 * mib);
    fake.warm = 60;
    fake.running = 32;
    await pass(fake, governor, 1000);
    assert(fake.resident <= 190 * mib && fake.limit < 100, `${fake.limit}`);
    assertEquals([fake.preemptions, fake.sequences], [0, 16]); // the cache was enough
    fake.others = 165 * mib;
    await pass(fake, governor, 1000);
    assert(fake.preemptions > 0 && fake.sequences < 16 && fake.limit < 32);
    assertEquals(fake.refused, undefined);
    fake.others = 195 * mib;
    await pass(fake, governor, 1000);
    assertEquals(fake.limit, fake.pagesLeast);
    const error = fake.refused?.();
    assert(error?.code === "outOfMemory" && /MiB of 200.0 MiB are in use/.test(error.message), error?.message);
    const settings = fake.told.map((text) => text.split(" ")[0]);
    assert(settings.indexOf("kvPages") < settings.indexOf("batchSequences"));
    assert(settings.indexOf("batchSequences") < settings.indexOf("refusing"));
    fake.others = 60 * mib;
    const before = fake.told.length;
    await pass(fake, governor, 600_000);
    assertEquals([fake.refused, fake.sequences, fake.limit], [undefined, 16, 100]);
    assertEquals(fake.told[before]?.split(" ")[0], "refusing");
  });

  it("stays within the limit while the rest of the process grows and shrinks, and does not swing", async () => {
    const fake = new FakeProcess();
    const governor = fake.governor(200 * mib);
    let most = 0;
    await pass(fake, governor, 3_600_000, () => {
      // JavaScript's heap as a saw with teeth of 40 MiB, and a cache that takes what it may.
      fake.others = (90 + (fake.nowMs / 1000) % 40) * mib;
      fake.warm = Math.min(fake.limit, fake.warm + 1);
      most = Math.max(most, fake.resident);
    });
    assert(most <= 200 * mib, `${most / mib}`);
    assert(fake.told.length < 200, `${fake.told.length} decisions in an hour`); // 90 teeth; growing waits longer each time
  });

  it("gives memory back when the system is short of it, by PSI or by the events of its group", async () => {
    const fake = new FakeProcess();
    const governor = fake.governor(400 * mib);
    fake.warm = 80;
    fake.waiting = 35;
    await governor.look();
    assertEquals([fake.limit, fake.warm], [70, 70]);
    assert(fake.told[0]?.includes("35 % of ten seconds"), fake.told[0]);
    fake.waiting = 0;
    fake.met = 3; // known for the first time: no news
    await governor.look();
    assertEquals(fake.limit, 70);
    fake.met = 5;
    await governor.look();
    assertEquals(fake.limit, 61);
    assert(fake.told[1]?.includes("met its limit 2 times"), fake.told[1]);
  });

  it("survives a clock that jumps back and forth", async () => {
    const fake = new FakeProcess();
    const governor = fake.governor(200 * mib);
    fake.warm = 100;
    for (const now of [0, 1e12, -1e12, 5, NaN, 1e6]) {
      fake.nowMs = now;
      await governor.look();
      assert(fake.resident <= 200 * mib);
    }
    fake.others = 0;
    fake.nowMs = 2e6;
    await pass(fake, governor, 1_000_000);
    assertEquals(fake.limit, 100);
  });
});

it("the pressure is read from the control group's files, else the machine's, and absent where there are none", () => {
  const root = mkdtempSync(join(tmpdir(), "lightgpt-pressure-"));
  const write = (path: string, text: string) => {
    mkdirSync(join(root, path, ".."), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  const runtime = { name: "Deno", allows: () => true, variable: () => undefined } as const;
  const probe = (platform = "linux") => new PressureProbe(new Source({ root, platform, runtime }));
  try {
    assertEquals(probe().read(), { waiting: undefined, met: undefined });
    const psi = (some: string) =>
      `some avg10=${some} avg60=0.00 avg300=0.00 total=1\nfull avg10=99.00 avg60=0 avg300=0 total=1\n`;
    write("proc/pressure/memory", psi("1.25"));
    assertEquals(probe().read(), { waiting: 1.25, met: undefined });
    write("proc/self/cgroup", "0::/box\n");
    write("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n");
    write("sys/fs/cgroup/box/memory.pressure", psi("40.00"));
    write("sys/fs/cgroup/box/memory.events", "low 7\nhigh 1\nmax 2\noom 3\noom_kill 4\n");
    assertEquals(probe().read(), { waiting: 40, met: 10 });
    write("sys/fs/cgroup/box/memory.pressure", "some avg10=lots\n");
    write("sys/fs/cgroup/box/memory.events", "broken\0");
    assertEquals(probe().read(), { waiting: undefined, met: undefined });
    assertEquals(probe("darwin").read(), { waiting: undefined, met: undefined });
  } finally {
    rmSync(root, { recursive: true });
  }
});
