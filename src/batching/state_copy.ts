/**
 * A copy of what recurrent layers have come to after some tokens of a cached page: it lies in pages of the same pool, and the
 * cache evicts it like a page.
 *
 * @module
 */
import type { CacheState } from "../cache/page.ts";
import type { PagePool } from "../engine/page_pool.ts";

/** A copy of a state; it has a reference to each of its pages. */
export class StateCopy implements CacheState {
  readonly count: number;
  readonly bytes: number;
  /** The page numbers. */
  readonly pages: readonly number[];
  cost = 0;
  uses = 0;
  lastUsed = 0;
  score = 0;
  isQueued = false;
  readonly #pool: PagePool;
  readonly #among: Map<number, StateCopy>;

  /** Takes the references to `pages` over; `among` are the copies of its page. */
  constructor(
    among: Map<number, StateCopy>,
    count: number,
    pages: readonly number[],
    memory: { readonly pool: PagePool; readonly pageBytes: number },
  ) {
    this.#among = among;
    this.#pool = memory.pool;
    this.count = count;
    this.pages = pages;
    this.bytes = pages.length * memory.pageBytes;
  }

  drop(): void {
    if (this.#among.get(this.count) === this) this.#among.delete(this.count);
    for (const page of this.pages) this.#pool.release(page);
  }
}
