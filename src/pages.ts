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
  readonly #references: Uint32Array;
  readonly #free: Uint32Array;
  #freeCount: number;

  /** A pool of `size` pages of `pageSize` positions. */
  constructor(size: number, pageSize: number) {
    this.size = size;
    this.pageSize = pageSize;
    this.#references = new Uint32Array(size);
    // The last freed is the first taken: its memory is in use already.
    this.#free = Uint32Array.from({ length: size }, (_, index) => size - 1 - index);
    this.#freeCount = size;
  }

  /** Pages that nobody holds. */
  get available(): number {
    return this.#freeCount;
  }

  /** Pages that somebody holds. */
  get held(): number {
    return this.size - this.#freeCount;
  }

  /** Takes a free page, with one reference; undefined where there is none. */
  take(): number | undefined {
    if (this.#freeCount === 0) return undefined;
    const page = this.#free[--this.#freeCount] as number;
    this.#references[page] = 1;
    return page;
  }

  /** How many hold a page. */
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

  #check(page: number): void {
    if (!(this.references(page) > 0)) throw new RangeError(`Page ${page} is not held.`);
  }
}

/** Pages that cover `positions` positions. */
export function pagesFor(positions: number, pageSize: number): number {
  return Math.ceil(positions / pageSize);
}
