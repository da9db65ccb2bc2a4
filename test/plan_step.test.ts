/**
 * The decision of a step as a value: of sequences that are plain objects, who takes part, how much each reads, which give way; and the
 * reasons of it, fairness and precedence.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import { Fairness } from "../src/batching/fairness.ts";
import type { PageState } from "../src/batching/page_claims.ts";
import { type PlanInput, planStep } from "../src/batching/plan_step.ts";
import { Precedence } from "../src/batching/precedence.ts";
import { waitsOf } from "../src/batching/shared_beginnings.ts";
import type { SequenceView } from "../src/batching/types.ts";

/** A sequence that reads `length` tokens of which `position` are read, in as many pages of 16 as these take. */
function view(id: number, length: number, position = 0, more: Partial<SequenceView> = {}): SequenceView {
  return {
    id,
    tenant: "",
    priority: 5,
    isAsked: true,
    position,
    unread: length - position,
    readable: length - position,
    tokens: Uint32Array.from({ length }, (_, index) => 1000 * id + index),
    choices: 0,
    isResuming: false,
    wantsAllRows: false,
    pages: Array.from({ length: Math.ceil(position / 16) }, (_, page) => 100 * id + page),
    askedAt: 0,
    servedAt: 0,
    placed: { at: 0, choices: 0, isOverdue: false },
    ...more,
  };
}

/** One that has read all but its last token. */
function decoder(id: number, length: number, more: Partial<SequenceView> = {}): SequenceView {
  return view(id, length, length - 1, { choices: 3, ...more });
}

/** The plan of step 10. */
function plan(running: readonly SequenceView[], more: Partial<PlanInput<SequenceView>> & { free?: number } = {}) {
  const { free = 1000, ...input } = more;
  const tenants = new Fairness(50, new Map([["heavy", 4]]));
  for (const { tenant } of running) tenants.enter(tenant);
  const { members, preempted, leader } = planStep({
    step: 10,
    running,
    paused: [],
    waits: new Map(),
    leader: undefined,
    fairness: tenants,
    pages: pagesOf(running, more.paused ?? [], free),
    limits: { sequences: 16, batchTokens: 500, logitRows: 32, chunkBeside: () => 64 },
    ...input,
  });
  return {
    counts: Object.fromEntries(members.map(({ sequence, count }) => [sequence.id, count])),
    preempted: preempted.map(({ id }) => id),
    leader: leader?.id,
  };
}

/** A store in which `free` pages are left beside those that sequences hold. */
function pagesOf(running: readonly SequenceView[], paused: readonly SequenceView[], free: number): PageState {
  const held = new Set([...running, ...paused].flatMap(({ pages }) => pages)).size;
  return {
    size: 10_000,
    pageSize: 16,
    statePages: 0,
    available: free,
    limit: held + free,
    pinned: () => [],
    weightOf: () => 1,
  };
}

describe("a plan", () => {
  it("gives each sequence that decodes its token, and the chunk to prompts by arrival", () => {
    assertEquals(plan([view(3, 100), decoder(4, 30), view(1, 50), view(2, 40)]).counts, { 4: 1, 1: 50, 2: 14 });
  });

  it("prefers a higher priority, then what was waited for too long", () => {
    const late = view(9, 100, 0, { priority: 0, askedAt: -100, servedAt: -100 });
    assertEquals(plan([view(1, 40), view(2, 100, 0, { priority: 9 })]).counts, { 2: 64 });
    assertEquals(plan([view(1, 40), view(2, 100, 0, { priority: 9 }), late]).counts, { 9: 64 });
  });

  it("divides a chunk between tenants by weight, and goes on with the one that is left", () => {
    const heavy = { tenant: "heavy" };
    const light = { tenant: "light" };
    const { counts } = plan([view(1, 400, 0, light), view(2, 400, 0, heavy), view(3, 400, 0, light)]);
    assertEquals(counts, { 1: 16, 2: 48 });
    assertEquals(plan([view(1, 400, 0, light), view(2, 20, 0, heavy)]).counts, { 1: 44, 2: 20 });
  });

  it("reads what an answer had that broke off in larger chunks", () => {
    const chunkBeside = (_decoders: number, _readers: number, isResuming: boolean) => isResuming ? 64 : 8;
    const limits = { sequences: 16, batchTokens: 500, logitRows: 32, chunkBeside };
    assertEquals(plan([decoder(1, 30), view(2, 100, 0, { isResuming: true })], { limits }).counts, { 1: 1, 2: 64 });
    assertEquals(plan([decoder(1, 30, { isResuming: true }), view(2, 100)], { limits }).counts, { 1: 1, 2: 8 });
  });

  it("does not make a prompt spare sequences of lower priority, unless a time was promised to all", () => {
    const chunkBeside = (decoders: number) => decoders === 0 ? 64 : 8;
    const limits = { sequences: 16, batchTokens: 500, logitRows: 32, chunkBeside };
    const low = decoder(1, 30, { priority: 0 });
    assertEquals(plan([low, view(2, 100)], { limits }).counts, { 1: 1, 2: 64 });
    assertEquals(plan([low, decoder(3, 30), view(2, 100)], { limits }).counts, { 1: 1, 3: 1, 2: 8 });
    const promised = { ...limits, sparesAll: true };
    assertEquals(plan([low, view(2, 100)], { limits: promised }).counts, { 1: 1, 2: 8 });
  });

  it("keeps to the tokens, the rows and the sequences of a step", () => {
    const limits = { sequences: 2, batchTokens: 10, logitRows: 6, chunkBeside: () => 64 };
    const running = [decoder(1, 30, { servedAt: 9 }), decoder(2, 30, { servedAt: 4 }), view(3, 40, 0, { servedAt: 5 })];
    assertEquals(plan(running, { limits }).counts, { 2: 1, 3: 9 });
    const all = view(3, 40, 0, { wantsAllRows: true, servedAt: 5 });
    assertEquals(plan([...running.slice(0, 2), all], { limits }).counts, { 2: 1, 3: 5 });
  });

  it("gives the turn of a sequence that waits to the one that reads for it", () => {
    const [reader, other, waiting] = [view(1, 100, 0, { priority: 0 }), view(2, 100), view(3, 100, 0, { priority: 9 })];
    const running = [reader, other, waiting];
    assertEquals(plan(running, { waits: new Map([[waiting, reader]]) }).counts, { 1: 64 });
    assertEquals(plan(running).counts, { 3: 64 });
  });

  it("takes pages of paused sequences first, then of the newest of the lowest priority that stands below", () => {
    const needs = decoder(5, 33);
    const paused = view(9, 40, 32, { isAsked: false, unread: 0 });
    const low = view(7, 90, 32, { priority: 2 });
    const lower = view(8, 90, 32, { priority: 2 });
    const high = view(6, 90, 32, { priority: 9 });
    const limits = { sequences: 16, batchTokens: 500, logitRows: 32, chunkBeside: () => 1 };
    assertEquals(plan([needs, low, lower, high], { paused: [paused], free: 1, limits }).preempted, [9]);
    assertEquals(plan([needs, low, lower, high], { free: 1, limits }).preempted, [8]);
    const without = plan([needs, high], { free: 0, limits });
    assertEquals([without.counts, without.preempted], [{ 6: 1 }, [5]]);
  });

  it("counts a page that several hold once, and none that the cache must keep", () => {
    const shared = [1, 2, 3];
    const [a, b] = [decoder(1, 49, { pages: shared }), decoder(2, 49, { pages: shared, priority: 3 })];
    const pages = {
      size: 100,
      pageSize: 16,
      statePages: 0,
      available: 0,
      limit: 5,
      pinned: () => [9],
      weightOf: () => 1,
    };
    // Five may be held: three that both have, one that is pinned; so one of both gets the last.
    assertEquals(plan([a, b], { pages }).counts, { 1: 1 });
    assertEquals(plan([a, b], { pages: { ...pages, limit: 6 } }).counts, { 1: 1, 2: 1 });
  });

  it("lets the oldest take what it needs where none can go on", () => {
    const [old, protectedOne] = [
      decoder(1, 33, { priority: 0 }),
      view(2, 90, 32, { priority: 9, placed: { at: 9, choices: 0, isOverdue: true } }),
    ];
    assertEquals(plan([old, protectedOne], { free: 0 }), { counts: { 1: 1 }, preempted: [2], leader: 1 });
    const placed = { at: 9, choices: 3, isOverdue: true };
    const [first, second] = [decoder(1, 33, { placed }), decoder(2, 33, { placed })];
    assertEquals(plan([first, second], { free: 0 }).leader, 1);
    assertEquals(plan([first, second], { free: 0, leader: second }), { counts: { 2: 1 }, preempted: [1], leader: 2 });
  });

  it("changes nothing", () => {
    const running = [decoder(1, 33), view(2, 90, 32), view(3, 100)];
    const before = JSON.stringify(running);
    assertEquals(plan(running, { free: 1 }), plan(running, { free: 1 }));
    assertEquals(JSON.stringify(running), before);
  });
});

describe("fairness", () => {
  it("begins a new tenant where the others are: staying away saves up no share", () => {
    const fairness = new Fairness(100, new Map());
    fairness.enter("old");
    fairness.charge("old", 1000);
    fairness.enter("new");
    const [old, fresh] = [view(1, 9, 0, { tenant: "old" }), view(2, 9, 0, { tenant: "new" })];
    assert(fairness.turns(1).compare(old, fresh) < 0, "by arrival, for both have had the same");
    fairness.charge("new", 10);
    fairness.charge("old", 5);
    assert(fairness.turns(1).compare(old, fresh) < 0, "the new tenant has had more since it came");
  });

  it("charges by weight, also what a plan gives out", () => {
    const fairness = new Fairness(100, new Map([["heavy", 4]]));
    for (const tenant of ["heavy", "light"]) fairness.enter(tenant);
    const [heavy, light] = [view(1, 9, 0, { tenant: "heavy" }), view(2, 9, 0, { tenant: "light" })];
    const turns = fairness.turns(1);
    turns.give("heavy", 40);
    assert(turns.compare(light, heavy) < 0);
    turns.give("light", 11);
    assert(turns.compare(heavy, light) < 0, "40 at a weight of 4 are less than 11");
    assert(fairness.turns(1).compare(heavy, light) < 0, "what a plan gave out is not charged");
  });
});

describe("precedence", () => {
  const precedence = (step: number) => new Precedence(new Fairness(50, new Map()), step);

  it("protects a place that had to be waited for too long, for as long", () => {
    const overdue = { at: 0, choices: 0, isOverdue: true };
    const low = view(9, 40, 16, { priority: 0, placed: overdue, choices: 1, servedAt: 60 });
    const high = view(1, 40, 16, {
      priority: 9,
      placed: { at: 0, choices: 0, isOverdue: false },
      choices: 1,
      servedAt: 60,
    });
    assertEquals(precedence(40).victim(high, [low], false), undefined);
    assertEquals(precedence(60).victim(high, [low], false), low, "its time is over");
    assertEquals(precedence(60).victim(high, [{ ...low, choices: 0 }], false), undefined, "until it brought a token");
    assertEquals(precedence(60).victim(high, [{ ...low, placed: high.placed }], false)?.id, 9, "it did not wait");
    assertEquals(precedence(40).victim(high, [low], true), low, "where one must give way");
  });

  it("lets one that waited too long take a place that was held for as long", () => {
    const late = view(9, 40, 0, { priority: 0, askedAt: 0, servedAt: 0 });
    const high = view(1, 40, 16, { priority: 9, choices: 1, servedAt: 60 });
    assertEquals(precedence(60).victim(late, [high], false), high);
    assertEquals(precedence(60).victim(late, [{ ...high, choices: 0 }], false), undefined);
    assertEquals(precedence(40).victim(late, [high], false), undefined);
  });
});

describe("prompts that begin alike", () => {
  const tokens = Uint32Array.from({ length: 100 }, (_, index) => index);
  const waits = (sequences: SequenceView[], places = sequences.map((): string | number | undefined => 7)) =>
    Object.fromEntries(
      [...waitsOf(sequences.map((sequence, index) => ({ sequence, place: places[index] })), 16)].map((
        [sequence, { leader, end }],
      ) => [sequence.id, [leader.id, end]]),
    );

  it("wait for the first, and for one in the middle of the page whatever the turn", () => {
    const [a, b, c] = [view(1, 100, 16, { tokens }), view(2, 100, 16, { tokens }), view(3, 100, 20, { tokens })];
    assertEquals(waits([a, b]), { 2: [1, 32] });
    assertEquals(waits([a, b, c]), { 1: [3, 32], 2: [3, 32] });
  });

  it("wait for as much as they share, and not for less than the cache can find", () => {
    const alike = (count: number) => tokens.map((token, index) => index < 16 + count ? token : token + 500);
    const [a, b] = [view(1, 100, 16, { tokens }), view(2, 100, 16, { tokens: alike(11) })];
    assertEquals(waits([a, b]), { 2: [1, 27] });
    assertEquals(waits([a, view(2, 100, 16, { tokens: alike(7) })]), {});
    assertEquals(waits([a, b, view(3, 100, 16, { tokens: alike(13) })]), { 2: [1, 27], 3: [1, 29] });
  });

  it("read their last token, unless the other ends there and leaves its state", () => {
    const short = tokens.subarray(0, 28);
    const [a, b] = [view(1, 100, 16, { tokens }), view(2, 28, 16, { tokens: short })];
    assertEquals(waits([a, b]), { 2: [1, 27] });
    assertEquals(waits([view(1, 28, 16, { tokens: short }), b]), { 2: [1, 28] });
  });

  it("do not wait elsewhere in the cache, nor where they do not share", () => {
    const [a, b] = [view(1, 100, 16, { tokens }), view(2, 100, 16, { tokens })];
    assertEquals(waits([a, b], [7, "7"]), {});
    assertEquals(waits([a, b], [undefined, undefined]), {});
  });
});
