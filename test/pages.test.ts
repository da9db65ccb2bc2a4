/**
 * KV pages: promised, taken, shared, given back; and how much a step takes on.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import { chunkMost, Pace } from "../src/pace.ts";
import { PagePool, pagesFor, PageTable } from "../src/pages.ts";

describe("pages", () => {
  it("cover positions, the first page from the first position on", () => {
    assertEquals([0, 1, 32, 33].map((positions) => pagesFor(positions, 32)), [0, 1, 1, 2]);
    const pool = new PagePool(4, 32);
    const table = PageTable.open(pool, 100);
    assert(table);
    assertEquals([pool.available, pool.held], [0, 0]);
    table.cover(1);
    assertEquals([table.pages.length, pool.held], [1, 1]);
    table.cover(32);
    assertEquals(table.pages.length, 1);
    table.cover(100);
    assertEquals(new Set(table.pages).size, 4);
    assertThrows(() => table.cover(129), RangeError, "more than were reserved");
    table.close();
    table.close();
    assertEquals([pool.available, pool.held], [4, 0]);
  });

  it("are promised to no more tables than they suffice for", () => {
    const pool = new PagePool(4, 16);
    const first = PageTable.open(pool, 33);
    assert(first);
    assertEquals(PageTable.open(pool, 17), undefined);
    const second = PageTable.open(pool, 16);
    assert(second);
    second.cover(16);
    first.cover(33);
    assertEquals(pool.available, 0);
    first.close();
    assertEquals(pool.available, 3);
  });

  it("are shared by count of references", () => {
    const pool = new PagePool(3, 16);
    const first = PageTable.open(pool, 32);
    assert(first);
    first.cover(32);
    const shared = [...first.pages];
    const second = PageTable.open(pool, 40, shared);
    assert(second);
    assertEquals(pool.available, 0);
    first.close();
    assertEquals(pool.held, 2);
    second.cover(40);
    assertEquals([second.pages.slice(0, 2), pool.held], [shared, 3]);
    second.close();
    assertEquals([pool.held, pool.available], [0, 3]);
  });

  it("refuse what would free a page twice", () => {
    const pool = new PagePool(2, 16);
    assert(pool.promise(1));
    const page = pool.take();
    pool.release(page);
    assertThrows(() => pool.release(page), RangeError, "not held");
    assertThrows(() => pool.retain(page), RangeError, "not held");
    assertThrows(() => pool.release(2), RangeError, "not held");
    assertThrows(() => pool.take(), RangeError, "not promised");
  });

  it("are never held by two tables, whatever happens in which order", () => {
    const pool = new PagePool(50, 16);
    const tables: PageTable[] = [];
    let state = 1;
    const random = (below: number) => (state = (state * 48_271) % 2_147_483_647) % below;
    for (let round = 0; round < 5000; round++) {
      if (random(3) === 0 && tables.length > 0) {
        tables.splice(random(tables.length), 1)[0]?.close();
      } else {
        const positions = 1 + random(200);
        const table = PageTable.open(pool, positions);
        if (table) {
          table.cover(1 + random(positions));
          tables.push(table);
        }
      }
      const held = tables.flatMap(({ pages }) => pages);
      assertEquals(new Set(held).size, held.length);
      assertEquals(pool.held, held.length);
      assert(pool.available >= 0);
    }
    for (const table of tables) table.close();
    assertEquals(pool.available, 50);
  });
});

describe("the pace of steps", () => {
  it("is guessed from the weights, then learnt", () => {
    const pace = new Pace(1e6);
    assert(pace.isInline(1));
    assert(!new Pace(1e9).isInline(1));
    pace.record(1, 2, 0);
    assert(!pace.isInline(1), "a slow step sends the next off the thread");
    for (let step = 0; step < 4; step++) pace.record(1, 0.1, 0);
    assert(pace.isInline(1), "quick ones bring it back");
  });

  it("makes chunks that take some 50 ms, within 16 and 512 tokens", () => {
    const pace = new Pace(1e6);
    assertEquals(pace.chunk, 64);
    for (let step = 0; step < 9; step++) pace.record(pace.chunk, 1, pace.chunk);
    assertEquals(pace.chunk, chunkMost);
    for (let step = 0; step < 9; step++) pace.record(pace.chunk, 100, pace.chunk);
    assertEquals(pace.chunk, 16);
    pace.record(16, 30, 16);
    assertEquals(pace.chunk, 16, "between too short and too long nothing changes");
    pace.record(5, 1, 5);
    assertEquals(pace.chunk, 16, "a short prompt says nothing about long chunks");
  });

  it("leaves a chunk size alone that was asked for", () => {
    const pace = new Pace(1e6, 7);
    pace.record(7, 500, 7);
    pace.record(7, 0.1, 7);
    assertEquals(pace.chunk, 7);
  });
});
