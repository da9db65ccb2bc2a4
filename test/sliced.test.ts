/**
 * Long work in slices: what it gives, that many works at once leave the event loop its turns, and that each ends by its own
 * signal alone.
 *
 * @module
 */
import { assertEquals, assertGreater, assertLess, assertRejects, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import { CancelledError } from "../ffi/errors.ts";
import { atOnce, inSlices, SharedWork, type Sliceable } from "../src/options/sliced.ts";

/** Work of so many steps of about a millisecond each. */
function* busy(steps: number): Sliceable<number> {
  for (let step = 0; step < steps; step++) {
    const begin = performance.now();
    while (performance.now() - begin < 1);
    yield;
  }
  return steps;
}

/** How often the event loop has its turn while `work` is done. */
async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
  let turns = 0;
  let isGoing = true;
  const count = () => {
    turns++;
    if (isGoing) setImmediate(count);
  };
  setImmediate(count);
  await work();
  isGoing = false;
  return turns;
}

describe("work in slices", () => {
  it("gives what it gives at once; a short one waits for no turn", async () => {
    assertEquals(atOnce(busy(3)), 3);
    assertEquals(await inSlices(busy(30)), 30);
    // Where the machine took the processor away for as long as a slice, it is no short one: then the next try is.
    let isDone = false;
    for (let tries = 0; tries < 50 && !isDone; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      let isOver = false;
      void inSlices(busy(2)).then(() => isOver = true);
      await Promise.resolve().then(() => {}).then(() => {});
      isDone = isOver;
    }
    assertEquals(isDone, true);
  });

  it("leaves the event loop a turn for each slice, however many are at work", async () => {
    // 20 works of 20 ms: 400 ms of work, in slices of 10.
    const turns = await turnsDuring(() => Promise.all(Array.from({ length: 20 }, () => inSlices(busy(20)))));
    assertGreater(turns, 30);
  });

  it("ends by its signal, and others go on", async () => {
    const controller = new AbortController();
    const others = [inSlices(busy(40)), inSlices(busy(40))];
    let [steps, stepsBefore] = [0, 0];
    function* counted(): Sliceable<void> {
      for (const _ of busy(2000)) {
        steps++;
        yield;
      }
    }
    const given = inSlices(counted(), controller.signal);
    setTimeout(() => {
      stepsBefore = steps;
      controller.abort();
    }, 20);
    await assertRejects(() => given, CancelledError);
    // A slice has 10 ms at most, and so ten steps.
    assertLess(steps - stepsBefore, 20);
    assertEquals(await Promise.all(others), [40, 40]);
  });

  it("fails with what its work throws", async () => {
    function* broken(): Sliceable<never> {
      yield;
      throw new RangeError("broken");
    }
    await assertRejects(() => inSlices(broken()), RangeError, "broken");
    assertEquals(await inSlices(busy(1)), 1);
  });
});

describe("work that several wait for", () => {
  it("is done once, though one of them is given up", async () => {
    let steps = 0;
    function* counted(): Sliceable<number> {
      for (const step of Array.from({ length: 100 }, (_, index) => index)) {
        steps = step + 1;
        yield* busy(1);
      }
      return steps;
    }
    const shared = new SharedWork(counted());
    const controller = new AbortController();
    const [given, ...others] = [controller.signal, undefined, undefined].map((signal) =>
      inSlices(shared.get(), signal)
    );
    setTimeout(() => controller.abort(), 15);
    await assertRejects(() => given, CancelledError);
    assertEquals([...await Promise.all(others), await inSlices(shared.get()), steps], [100, 100, 100, 100]);
  });

  it("fails for each that waits for it", () => {
    function* broken(): Sliceable<never> {
      yield;
      throw new RangeError("broken");
    }
    const shared = new SharedWork(broken());
    for (let round = 0; round < 2; round++) assertThrows(() => atOnce(shared.get()), RangeError, "broken");
  });
});
