/**
 * Which page is evicted first. Only leaves are candidates, so that a page never outlives its parent; pages in use or pinned are
 * passed over. A heap holds the leaves by the scores that they had when they were put in. Scores only grow: a leaf whose score has
 * grown since is put back at its place when it comes up, so using a page does not touch the heap.
 *
 * `cost` is Greedy-Dual-Size-Frequency: uses x cost of computing it again / bytes, above the score of what was evicted
 * last, so that what was once popular ages. (Cherkasova, Improving WWW proxies performance with GDSF caching policy.)
 *
 * @module
 */

/**
 * How to choose what is evicted: the least recently used, the least often used, or the least worth its bytes.
 *
 * @example
 * ```ts
 * import { type EvictionPolicy, TokenCache } from "@lightgpt/lightgpt";
 *
 * const policy: EvictionPolicy = "lfu";
 * console.log(new TokenCache<string>({ policy, bytesMax: 100 }).stats().bytesMax);
 * ```
 */
export type EvictionPolicy = "lru" | "lfu" | "cost";

/** The policies. */
export const evictionPolicies: readonly EvictionPolicy[] = ["lru", "lfu", "cost"];

/** What an evictor must know of a page. */
export interface Evictable {
  /** How often it was used; storing it counts as a use. */
  uses: number;
  /** When it was used last, counted in uses of the whole cache. */
  lastUsed: number;
  /** What computing it again would cost, in any unit. */
  readonly cost: number;
  /** Bytes that it takes. */
  readonly bytes: number;
  /** What it is worth; set by {@link Evictor.touch}. */
  score: number;
  /** Whether the heap has it. */
  isQueued: boolean;
}

interface Entry<Page> {
  readonly score: number;
  readonly lastUsed: number;
  readonly page: Page;
}

/** Chooses victims among leaves. */
export class Evictor<Page extends Evictable> {
  readonly #policy: EvictionPolicy;
  readonly #heap: Entry<Page>[] = [];
  #clock = 0;
  #inflation = 0;

  /** An evictor of one policy. */
  constructor(policy: EvictionPolicy) {
    this.#policy = policy;
  }

  /** Marks a use. */
  touch(page: Page): void {
    page.uses++;
    page.lastUsed = ++this.#clock;
    if (this.#policy === "lru") page.score = page.lastUsed;
    else if (this.#policy === "lfu") page.score = page.uses;
    else page.score = this.#inflation + (page.uses * page.cost) / page.bytes;
  }

  /** Makes a page that has become a leaf a candidate. */
  offer(page: Page): void {
    if (page.isQueued) return;
    page.isQueued = true;
    this.#push({ score: page.score, lastUsed: page.lastUsed, page });
  }

  /** The candidate of least worth for which `isLeaf` and `isFree` hold, taken out; undefined where there is none. */
  take(isLeaf: (page: Page) => boolean, isFree: (page: Page) => boolean): Page | undefined {
    const passed: Page[] = [];
    let found: Page | undefined;
    while (found === undefined) {
      const entry = this.#pop();
      if (entry === undefined) break;
      const { page } = entry;
      page.isQueued = false;
      if (!isLeaf(page)) continue; // it is offered again when it becomes one
      if (page.lastUsed !== entry.lastUsed) this.offer(page);
      else if (isFree(page)) found = page;
      else passed.push(page);
    }
    for (const page of passed) this.offer(page);
    if (found && this.#policy === "cost") this.#inflation = Math.max(this.#inflation, found.score);
    return found;
  }

  /** Forgets all candidates. */
  clear(): void {
    for (const { page } of this.#heap) page.isQueued = false;
    this.#heap.length = 0;
  }

  #push(entry: Entry<Page>): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isLess(entry, heap[parent] as Entry<Page>)) break;
      heap[at] = heap[parent] as Entry<Page>;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): Entry<Page> | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isLess(heap[child + 1] as Entry<Page>, heap[child] as Entry<Page>)) child++;
      if (!isLess(heap[child] as Entry<Page>, last)) break;
      heap[at] = heap[child] as Entry<Page>;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isLess(a: Entry<unknown>, b: Entry<unknown>): boolean {
  return a.score < b.score || (a.score === b.score && a.lastUsed < b.lastUsed);
}
