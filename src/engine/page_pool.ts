/**
 * The numbers of KV pages: which are free, and how many hold each of the others. The memory is the library's. A page has one
 * reference for each sequence that uses it and one for the cache, so that sequences with the same prefix share its pages.
 *
 * @module
 */

/** The pages of one engine. */
export class PagePool {
  /** How many pages there are. */
  readonly size: number;
  /** Positions of one page. */
  readonly pageSize: number;
  /** The most pages that may be held at once; the memory budget changes it. */
  limit: number;
  readonly #references: Uint32Array;
  readonly #free: Uint32Array;
  #freeCount: number;
  /** For each page, whether its memory is in use: it was held since that was last given back. */
  readonly #resident: Uint8Array;
  #residentCount = 0;

  /** A pool of `size` pages of `pageSize` positions. */
  constructor(size: number, pageSize: number) {
    this.size = size;
    this.pageSize = pageSize;
    this.limit = size;
    this.#resident = new Uint8Array(size);
    this.#references = new Uint32Array(size);
    // The last freed is the first taken: its memory is in use already.
    this.#free = new Uint32Array(size);
    for (let index = 0; index < size; index++) this.#free[index] = size - 1 - index;
    this.#freeCount = size;
  }

  /** Pages that can be taken. */
  get available(): number {
    return Math.max(0, Math.min(this.#freeCount, this.limit - this.held));
  }

  /** Pages that are held. */
  get held(): number {
    return this.size - this.#freeCount;
  }

  /** Takes a free page, with one reference; undefined where there is none, or the limit is reached. */
  take(): number | undefined {
    if (this.available === 0) return undefined;
    const page = this.#free[--this.#freeCount] as number;
    this.#references[page] = 1;
    if (this.#resident[page] === 0) this.#residentCount++;
    this.#resident[page] = 1;
    return page;
  }

  /** The references to a page. */
  references(page: number): number {
    return this.#references[page] ?? 0;
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

  /** Pages whose memory is in use: those that are held, and free ones that were. */
  get resident(): number {
    return this.#residentCount;
  }

  /** Counts the memory of free pages as given back; returns the pages for which it was in use, as runs of neighbours. */
  dropFree(): { first: number; count: number }[] {
    const free = this.#free.subarray(0, this.#freeCount);
    const runs: { first: number; count: number }[] = [];
    for (const page of free.slice().sort()) {
      if (this.#resident[page] === 0) continue;
      this.#resident[page] = 0;
      this.#residentCount--;
      const last = runs.at(-1);
      if (last && last.first + last.count === page) last.count++;
      else runs.push({ first: page, count: 1 });
    }
    // The lowest number goes first again, so that what is in use lies together.
    free.sort().reverse();
    return runs;
  }

  #check(page: number): void {
    if (!(this.references(page) > 0)) throw new RangeError(`Page ${page} is not held.`);
  }
}

/** Pages that cover `positions` positions. */
export function pagesFor(positions: number, pageSize: number): number {
  return Math.ceil(positions / pageSize);
}
