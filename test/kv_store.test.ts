/**
 * Pages of keys and values between sequences and the cache: what is taken over, used, cut back, and how a sequence takes what
 * a step chose.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import { KvStore } from "../src/batching/kv_store.ts";
import { PageTable } from "../src/batching/page_table.ts";
import { Sequence } from "../src/batching/sequence.ts";
import type { StepSequence } from "../src/engine/step.ts";
import { FakeEngine, FakeSampler } from "./fake-engine.ts";

const settings = { pages: 6, pageSize: 16, batchTokens: 100, sequences: 4, logitRows: 8 };

function open(pages: number = settings.pages): KvStore {
  return new KvStore(new FakeEngine({ ...settings, pages }, 1000), { pageBytes: 100, statePages: 0 }, {});
}

/** `pages` pages of tokens that begin with `first`. */
function prompt(first: number, pages = 1): Uint32Array {
  return Uint32Array.from({ length: 16 * pages + 1 }, (_, index) => 100 * first + index);
}

/** Computes the pages of a prompt and leaves them to the cache. */
function leave(store: KvStore, tokens: Uint32Array): void {
  const table = new PageTable(store, "");
  assert(table.cover(tokens.length - 1));
  table.publish(tokens.subarray(0, tokens.length - 1));
  table.close();
}

describe("a table of pages", () => {
  it("uses the pages that it takes over: what is used stays, what is not is evicted", () => {
    const store = open(3);
    for (const first of [1, 2, 3]) leave(store, prompt(first));
    const table = new PageTable(store, "");
    assertEquals(table.attachPages(prompt(1), 0).position, 16);
    table.close();
    store.take(); // evicts one
    assertEquals([1, 2, 3].map((first) => store.tree?.match("", prompt(first)).tokens), [16, 0, 16]);
  });

  it("uses a page of which it copies a part", () => {
    const store = open(4);
    for (const first of [1, 2, 3]) leave(store, prompt(first));
    const table = new PageTable(store, "");
    const part = Uint32Array.from([...prompt(1).subarray(0, 10), 7, 7]);
    assertEquals([table.attachPages(part, 0).position, table.attachPart(part, 0, 1).position], [0, 10]);
    store.take();
    assertEquals([1, 2, 3].map((first) => store.tree?.match("", prompt(first)).tokens), [16, 0, 16]);
    table.close();
  });

  it("waits with a page that has to be copied while a step is in flight, and with what comes behind it", () => {
    const engine = new FakeEngine(settings, 1000);
    const copies: number[][] = [];
    const copy = engine.copyPage.bind(engine);
    engine.copyPage = (from, to) => void (copies.push([from, to]), copy(from, to));
    const store = new KvStore(engine, {
      pageBytes: 100,
      statePages: 0,
      windows: { window: 16, behind: 0.5 },
    }, {});
    const tokens = prompt(1, 3);
    const [first, second] = [new PageTable(store, ""), new PageTable(store, "")];
    assert(first.cover(48) && second.cover(32));
    assert(first.publish(tokens.subarray(0, 48)));
    first.leaveBehind(48); // its first page goes on without what windowed layers keep
    assertEquals(second.publish(tokens.subarray(0, 32), true), false);
    second.publishTail(tokens.subarray(0, 32), { state: "unsure" }, true);
    assertEquals(copies, []);
    const own = second.pages[0];
    assertEquals(second.publish(tokens.subarray(0, 32)), true);
    assertEquals(copies[0], [own, first.pages[0]]);
    first.close();
    second.close();
  });

  it("takes a part only where it is large enough, and looks again when there is more", () => {
    const store = open();
    const tokens = prompt(1);
    const writer = new PageTable(store, "");
    writer.cover(16);
    writer.publishTail(tokens.subarray(0, 9));
    const table = new PageTable(store, "");
    assertEquals([12, 12, 10, 9].map((least) => table.attachPart(tokens, 0, least).position), [0, 0, 0, 9]);
    table.close();
    const other = new PageTable(store, "");
    assertEquals(other.attachPart(tokens, 0, 12).position, 0);
    writer.publishTail(tokens.subarray(0, 13));
    assertEquals(other.attachPart(tokens, 0, 12).position, 13);
  });

  it("is cut back to the pages of so many positions, and goes on from there", () => {
    const store = open();
    const table = new PageTable(store, "");
    table.cover(60);
    assertEquals([table.pages.length, store.pool.held], [4, 4]);
    table.truncate(33);
    assertEquals([table.pages.length, store.pool.held], [3, 3]);
    table.truncate(32);
    assertEquals(table.pages.length, 2);
    table.publishTail(prompt(1, 2).subarray(0, 32));
    table.cover(40);
    table.close();
    assertEquals(store.tree?.match("", prompt(1, 2)).tokens, 32);
  });

  it("keeps what is pinned out of what can be had", () => {
    const store = open();
    leave(store, prompt(1, 2));
    leave(store, prompt(2));
    const pin = store.cache?.pin(prompt(1, 2));
    assertEquals([...store.pinned()].length, 2, "a page and the one before it");
    pin?.release();
    assertEquals([...store.pinned()], []);
  });
});

describe("a sequence", () => {
  function begin(length: number) {
    const told: string[] = [];
    const owner = {
      changed: (sequence: Sequence, from: string) => void told.push(`${from} > ${sequence.state}`),
      delivered: () => void told.push("delivered"),
    };
    const sequence = new Sequence(1, owner, {
      prompt: prompt(1, 2).subarray(0, length),
      positions: 100,
      sample: FakeSampler.sample(1n),
      salt: "",
    }, 0);
    return { sequence, told };
  }
  const logits = new Float32Array(0);
  const chosen = (...tokens: number[]) => ({ logits, choices: tokens.map((token) => ({ token })) });

  it("is in one state at a time", async () => {
    const store = open();
    const { sequence, told } = begin(20);
    const next = sequence.next();
    sequence.place(new PageTable(store, ""), { at: 0, choices: 0, isOverdue: false });
    sequence.table?.cover(20);
    sequence.accept(sequence.prepare(20), chosen(5));
    assertEquals((await next)?.token, 5);
    sequence.preempt();
    const again = sequence.next();
    sequence.end();
    await again.catch(() => {});
    sequence.end();
    assertEquals(told, [
      "idle > waiting",
      "waiting > running",
      "delivered",
      "running > paused",
      "paused > idle",
      "idle > waiting",
      "waiting > ended",
    ]);
  });

  it("keeps the drafts that were right, gives them one by one, and cuts its pages back behind them", async () => {
    const store = open();
    const { sequence, told } = begin(31);
    const first = sequence.next();
    sequence.place(new PageTable(store, ""), { at: 0, choices: 0, isOverdue: false });
    sequence.table?.cover(31);
    sequence.accept(sequence.prepare(31), chosen(5));
    assertEquals((await first)?.token, 5);
    const second = sequence.next();
    sequence.table?.cover(50);
    const drafts = Array.from({ length: 18 }, (_, index) => 6 + index);
    const step: StepSequence = sequence.prepare(1, drafts);
    assertEquals([step.position, [...step.tokens as Uint32Array], step.drafts], [31, [5, ...drafts], 18]);
    assertEquals(sequence.pages.length, 4);
    sequence.accept(step, chosen(6, 7, 1)); // 8 was wrong
    assertEquals((await second)?.token, 6);
    assertEquals([sequence.state, sequence.position, sequence.unread, sequence.pages.length], ["paused", 34, 1, 3]);
    assertEquals([(await sequence.next())?.token, (await sequence.next())?.token], [7, 1]);
    assertEquals([...sequence.tokens.subarray(31)], [5, 6, 7, 1]);
    assertEquals(told.filter((what) => what === "delivered").length, 4);
    const third = sequence.next();
    sequence.accept(sequence.prepare(1, [4, 4]), chosen(2)); // none was right
    assertEquals([(await third)?.token, sequence.position, sequence.pages.length], [2, 35, 3]);
    assertEquals(store.tree?.match("", sequence.tokens).tokens, 32, "what was wrong is not left to the cache");
    sequence.end();
    assertEquals(store.tree?.match("", sequence.tokens).tokens, 35);
  });
});
