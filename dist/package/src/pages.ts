/**
 * KV pages: who holds which. The memory is the library's; here are only numbers. A page has as many references as there
 * are tables that use it, so that tables with the same prefix can share its pages. A table reserves at its start all it may ever
 * need: a sequence that was admitted can always go on, and two of them can never wait for each other.
 *
 * @module
 */

/** The pages of one engine. */
export class PagePool {
  /** How many pages there are. */
  readonly size: number;
  /** Positions of one page. */
  readonly pageSize: number;
  readonly #references: Uint32Array;
  readonly #free: Uint32Array;
  #freeCount: number;
  /** Free pages that are promised to tables. */
  #promised = 0;

  /** A pool of `size` pages of `pageSize` positions. */
  constructor(size: number, pageSize: number) {
    this.size = size;
    this.pageSize = pageSize;
    this.#references = new Uint32Array(size);
    // The last freed is the first taken: its memory is in use already.
    this.#free = Uint32Array.from({ length: size }, (_, index) => size - 1 - index);
    this.#freeCount = size;
  }

  /** Pages that are neither held nor promised. */
  get available(): number {
    return this.#freeCount - this.#promised;
  }

  /** Pages that somebody holds. */
  get held(): number {
    return this.size - this.#freeCount;
  }

  /** Promises `pages` pages; false if there are not so many. */
  promise(pages: number): boolean {
    if (pages > this.available) return false;
    this.#promised += pages;
    return true;
  }

  /** Takes `pages` promised pages back. */
  withdraw(pages: number): void {
    if (pages > this.#promised) throw new RangeError(`${pages} pages were not promised, only ${this.#promised}.`);
    this.#promised -= pages;
  }

  /** Takes one of the promised pages, with one reference. */
  take(): number {
    this.withdraw(1);
    const page = this.#free[--this.#freeCount] as number;
    this.#references[page] = 1;
    return page;
  }

  /** Adds a reference to a page that is held. */
  retain(page: number): void {
    this.#check(page);
    (this.#references[page] as number)++;
  }

  /** Drops a reference; with the last one the page is free. */
  release(page: number): void {
    this.#check(page);
    const left = (this.#references[page] as number) - 1;
    this.#references[page] = left;
    if (left === 0) this.#free[this.#freeCount++] = page;
  }

  #check(page: number): void {
    if (!((this.#references[page] ?? 0) > 0)) throw new RangeError(`Page ${page} is not held.`);
  }
}

/** The pages of one sequence, in the order of its positions. */
export class PageTable {
  /** The page numbers. */
  readonly pages: number[] = [];
  readonly #pool: PagePool;
  #promised: number;

  private constructor(pool: PagePool, promised: number) {
    this.#pool = pool;
    this.#promised = promised;
  }

  /**
   * A table that can grow to `positions` positions, or undefined where the pool cannot promise that now. The whole pages of
   * `prefix` are shared, not taken.
   */
  static open(pool: PagePool, positions: number, prefix: readonly number[] = []): PageTable | undefined {
    const promised = Math.max(0, pagesFor(positions, pool.pageSize) - prefix.length);
    if (!pool.promise(promised)) return undefined;
    const table = new PageTable(pool, promised);
    for (const page of prefix) {
      pool.retain(page);
      table.pages.push(page);
    }
    return table;
  }

  /** Takes pages until the table covers the first `positions` positions. */
  cover(positions: number): void {
    const wanted = pagesFor(positions, this.#pool.pageSize);
    while (this.pages.length < wanted) {
      if (this.#promised === 0) throw new RangeError(`${positions} positions are more than were reserved.`);
      this.#promised--;
      this.pages.push(this.#pool.take());
    }
  }

  /** Gives everything back. Again is fine. */
  close(): void {
    this.#pool.withdraw(this.#promised);
    this.#promised = 0;
    for (const page of this.pages) this.#pool.release(page);
    this.pages.length = 0;
  }
}

/** Pages that cover `positions` positions. */
export function pagesFor(positions: number, pageSize: number): number {
  return Math.ceil(positions / pageSize);
}
