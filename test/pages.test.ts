/**
 * KV pages: taken, shared, given back; and how much a step takes on.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import { chunkMost, StepTimes } from "../src/engine/step_times.ts";
import { PagePool, pagesFor } from "../src/engine/page_pool.ts";

describe("pages", () => {
  it("cover positions, the first page from the first position on", () => {
    assertEquals([0, 1, 32, 33].map((positions) => pagesFor(positions, 32)), [0, 1, 1, 2]);
  });

  it("are taken once each, until there are no more", () => {
    const pool = new PagePool(4, 16);
    const taken = Array.from({ length: 4 }, () => pool.take());
    assertEquals(new Set(taken).size, 4);
    assertEquals([pool.take(), pool.available, pool.held], [undefined, 0, 4]);
    for (const page of taken) pool.release(page as number);
    assertEquals([pool.available, pool.held], [4, 0]);
  });

  it("are free when the last who held them lets them go", () => {
    const pool = new PagePool(3, 16);
    const page = pool.take() as number;
    pool.retain(page);
    assertEquals(pool.references(page), 2);
    pool.release(page);
    assertEquals([pool.held, pool.references(page)], [1, 1]);
    pool.release(page);
    assertEquals([pool.held, pool.references(page)], [0, 0]);
  });

  it("are held only up to a limit, and what is free and was used can be given back, in runs", () => {
    const pool = new PagePool(8, 16);
    const taken = Array.from({ length: 6 }, () => pool.take() as number);
    pool.limit = 6;
    assertEquals([pool.take(), pool.available], [undefined, 0]);
    for (const page of [0, 1, 2, 4]) pool.release(page);
    assertEquals([pool.available, pool.resident], [4, 6]);
    assertEquals(pool.dropFree(), [{ first: 0, count: 3 }, { first: 4, count: 1 }]);
    assertEquals([pool.resident, pool.dropFree()], [2, []]);
    pool.limit = 1;
    assertEquals([pool.available, pool.take()], [0, undefined]);
    pool.limit = 8;
    // The lowest number first: what is in use lies together.
    assertEquals(Array.from({ length: 7 }, () => pool.take()), [0, 1, 2, 4, 6, 7, undefined]);
    assertEquals(taken.length, 6);
  });

  it("weigh less when the last who saw their windowed part has left it behind", () => {
    const pool = new PagePool(4, 16, 0.25);
    pool.limit = 2.5;
    const [one, two] = [pool.take() as number, pool.take() as number];
    assertEquals([pool.weight, pool.available, pool.take()], [2, 0, undefined]);
    pool.retain(one);
    pool.leave(one);
    assertEquals([pool.weight, pool.hasWindow(one), pool.takeLeft()], [2, true, []]);
    pool.leave(one);
    assertEquals([pool.weight, pool.hasWindow(one), pool.windowed, pool.held], [1.25, false, 1, 2]);
    assertEquals([pool.weightOf(one), pool.weightOf(two), pool.available], [0.25, 1, 1]);
    assertThrows(() => pool.leave(one), RangeError, "windowed part");
    assertEquals([pool.takeLeft(), pool.takeLeft()], [[one], []]);
    // A page that is freed, and taken again, is whole.
    pool.release(one, false);
    pool.release(one, false);
    assertEquals([pool.weight, pool.held, pool.resident], [1, 1, 1.25]);
    assertEquals([pool.take(), pool.weight, pool.resident], [one, 2, 2]);
    // One that is freed as a whole leaves nothing behind.
    pool.release(two);
    assertEquals([pool.takeLeft(), pool.weight, pool.resident], [[], 1, 2]);
  });

  it("refuse what would free a page twice", () => {
    const pool = new PagePool(2, 16);
    const page = pool.take() as number;
    pool.release(page);
    assertThrows(() => pool.release(page), RangeError, "not held");
    assertThrows(() => pool.retain(page), RangeError, "not held");
    assertThrows(() => pool.release(2), RangeError, "not held");
  });
});

describe("the times of steps", () => {
  it("is guessed from the weights, then learnt", () => {
    const times = new StepTimes(1e6);
    assert(times.isInline(1));
    assert(!new StepTimes(1e9).isInline(1));
    times.record(1, 2, 0);
    assert(!times.isInline(1), "a slow step sends the next off the thread");
    for (let step = 0; step < 4; step++) times.record(1, 0.1, 0);
    assert(times.isInline(1), "quick ones bring it back");
  });

  it("makes chunks whose layers take some 40 ms, of any whole tiles", () => {
    const times = new StepTimes(1e6, undefined, 20);
    // A token takes 5 ms, and a hundredth more for each that the chunk has.
    const ms = (tokens: number) => tokens * (5 + tokens / 100);
    for (let step = 0; step < 9; step++) times.record(times.chunk, ms(times.chunk), times.chunk);
    const { chunk } = times;
    assert(chunk % 8 === 0 && chunk !== 128, `${chunk}`);
    assert(ms(chunk) / 20 <= 40 && ms(chunk * 1.3) / 20 > 40, `${chunk}: ${ms(chunk) / 20} ms a layer`);
    // With more positions before them, the same tokens take longer.
    times.record(chunk, 1.5 * ms(chunk), chunk);
    assert(times.chunk < 0.8 * chunk && times.chunk > 0.6 * chunk, `${times.chunk} after ${chunk}`);
  });

  it("makes chunks that take some 40 ms where there is one layer, within 16 and 512 tokens", () => {
    const times = new StepTimes(1e6);
    assertEquals(times.chunk, 64);
    for (let step = 0; step < 9; step++) times.record(times.chunk, 1, times.chunk);
    assertEquals(times.chunk, chunkMost);
    for (let step = 0; step < 9; step++) times.record(times.chunk, 100, times.chunk);
    assertEquals(times.chunk, 16);
    times.record(16, 30, 16);
    assertEquals(times.chunk, 16, "between too short and too long nothing changes");
    times.record(5, 1, 5);
    assertEquals(times.chunk, 16, "a short prompt says nothing about long chunks");
  });

  it("tries a step of one or two milliseconds inline now and then, to learn what it takes without the way there and back", () => {
    const times = new StepTimes(1e6);
    for (let step = 0; step < 20; step++) times.record(1, 1, 0);
    const inline = Array.from({ length: 64 }, () => times.isInline(1));
    assertEquals(inline.filter((isInline) => isInline).length, 4);
    for (let step = 0; step < 20; step++) times.record(1, 4, 0);
    assert(
      Array.from({ length: 64 }, () => times.isInline(1)).every((isInline) => !isInline),
      "4 ms is too long for that",
    );
  });

  it("makes chunks small beside sequences that wait for a token, until they prove to cost little", () => {
    const times = new StepTimes(1e6);
    for (let step = 0; step < 9; step++) times.record(4, 10, 0);
    assertEquals(times.chunkBeside(0, 1, false), times.chunk);
    const first = times.chunkBeside(4, 1, false);
    assert(first < times.chunk, `${first}`);
    for (let chunk = first, step = 0; step < 40; step++, chunk = times.chunkBeside(4, 1, false)) {
      times.record(4 + chunk, 10 + chunk / 10, chunk);
    }
    const learnt = times.chunkBeside(4, 1, false);
    assert(learnt >= 64 && learnt <= 128, `${learnt}: 100 tokens cost as much as the four`);
  });

  it("gives prompts as many tokens as there are of them, unless a step has a target", () => {
    const times = new StepTimes(1e6);
    for (let step = 0; step < 9; step++) times.record(1, 10, 0);
    for (let step = 0; step < 9; step++) times.record(17, 100, 16);
    assertEquals([times.chunkBeside(1, 1, false), times.chunkBeside(1, 15, false)], [6, 15]);
    // What an answer had that broke off may take eight steps' time in place of two.
    const resuming = times.chunkBeside(1, 1, true);
    assert(resuming > 6 && times.expect(1 + resuming) <= 80, `${resuming}`);
    times.stepMs = 12;
    assertEquals([times.chunkBeside(1, 15, false), times.chunkBeside(1, 15, true)], [4, 4]);
  });

  it("leaves a chunk size alone that was asked for", () => {
    const times = new StepTimes(1e6, 7);
    times.record(7, 500, 7);
    times.record(7, 0.1, 7);
    assertEquals(times.chunk, 7);
  });
});
