/**
 * The numbers of KV pages: which are free, and how many hold each of the others. The memory is the library's. A page has one
 * reference for each sequence that uses it and one for the cache, so that sequences with the same prefix share its pages.
 *
 * @module
 */

/** Weights of parts of pages are sums that are rounded; a page is not short for that. */
export const weightSlack = 1e-6;

/** The pages of one engine. */
export class PagePool {
  /** How many pages there are. */
  readonly size: number;
  /** Positions of one page. */
  readonly pageSize: number;
  /** What a page weighs whose windowed part was left behind, as a share of a whole page. */
  readonly behind: number;
  /** What the pages that are held may weigh, in whole pages; the memory budget changes it. */
  limit: number;
  readonly #references: Uint32Array;
  readonly #free: Uint32Array;
  #freeCount: number;
  /** For each page, whether its memory is in use: it was held since that was last given back. */
  readonly #resident: Uint8Array;
  #residentCount = 0;
  /** For each page, how many of its holders see its windowed part. */
  readonly #windows: Uint32Array;
  /** For each page, whether its windowed part is given back: of held ones, and of all whose memory is in use otherwise. */
  readonly #isBehind: Uint8Array;
  #behindHeld = 0;
  #behindResident = 0;
  /** Pages whose windowed part is to be given back. */
  readonly #left: number[] = [];

  /** A pool of `size` pages of `pageSize` positions. */
  constructor(size: number, pageSize: number, behind: number = 1) {
    this.size = size;
    this.pageSize = pageSize;
    this.behind = behind;
    this.limit = size;
    this.#resident = new Uint8Array(size);
    this.#references = new Uint32Array(size);
    this.#windows = new Uint32Array(size);
    this.#isBehind = new Uint8Array(size);
    // The last freed is the first taken: its memory is in use already.
    this.#free = new Uint32Array(size);
    for (let index = 0; index < size; index++) this.#free[index] = size - 1 - index;
    this.#freeCount = size;
  }

  /** Whole pages that can be taken. */
  get available(): number {
    return Math.max(0, Math.min(this.#freeCount, Math.floor(this.limit - this.weight + weightSlack)));
  }

  /** Pages that are held. */
  get held(): number {
    return this.size - this.#freeCount;
  }

  /** Those of them whose windowed part is held, too. */
  get windowed(): number {
    return this.held - this.#behindHeld;
  }

  /** What the pages that are held weigh, in whole pages. */
  get weight(): number {
    return this.held - this.#behindHeld * (1 - this.behind);
  }

  /** Whether more is held than may be. */
  get isOver(): boolean {
    return this.weight > this.limit + weightSlack;
  }

  /** What a page that is held weighs, in whole pages. */
  weightOf(page: number): number {
    return this.#isBehind[page] === 1 ? this.behind : 1;
  }

  /** Takes a free page, with one reference; undefined where there is none, or the limit is reached. */
  take(): number | undefined {
    if (this.available === 0) return undefined;
    const page = this.#free[--this.#freeCount] as number;
    this.#references[page] = 1;
    this.#windows[page] = 1;
    if (this.#resident[page] === 0) this.#residentCount++;
    this.#resident[page] = 1;
    this.#makeWhole(page);
    return page;
  }

  /** The references to a page. */
  references(page: number): number {
    return this.#references[page] ?? 0;
  }

  /** Whether the windowed part of a page is there. */
  hasWindow(page: number): boolean {
    return (this.#windows[page] as number) > 0;
  }

  /** Adds a reference to a page that is held; with `seesWindow`, to its windowed part, which is there, too. */
  retain(page: number, seesWindow: boolean = true): void {
    this.#check(page);
    (this.#references[page] as number)++;
    if (seesWindow) (this.#windows[page] as number)++;
  }

  /** Drops a reference, `seesWindow` as it was added; with the last one the page is free. */
  release(page: number, seesWindow: boolean = true): void {
    this.#check(page);
    const left = (this.#references[page] as number) - 1;
    if (seesWindow && left > 0) this.leave(page);
    this.#references[page] = left;
    if (left > 0) return;
    this.#windows[page] = 0; // the memory stays: the page may be taken again soon
    if (this.#isBehind[page] === 1) this.#behindHeld--;
    this.#free[this.#freeCount++] = page;
  }

  /** Drops a reference to the windowed part of a page that stays held. */
  leave(page: number): void {
    this.#check(page);
    if (this.#windows[page] === 0) throw new RangeError(`The windowed part of page ${page} is not held.`);
    if (--(this.#windows[page] as number) > 0 || this.behind === 1) return;
    this.#isBehind[page] = 1;
    this.#behindHeld++;
    this.#behindResident++;
    this.#left.push(page);
  }

  /** Adds a reference to the windowed part of a page that is held; where that was left behind, the caller has written it anew. */
  regain(page: number): void {
    this.#check(page);
    if (this.#windows[page] === 0 && this.#isBehind[page] === 1) {
      this.#behindHeld--;
      this.#makeWhole(page);
    }
    (this.#windows[page] as number)++;
  }

  /** The pages whose windowed part was left behind since this was last called and is not wanted again; its memory can go. */
  takeLeft(): number[] {
    return this.#left.splice(0).filter((page) => this.#isBehind[page] === 1);
  }

  /** What the pages weigh whose memory is in use, those that are held and free ones that were, in whole pages. */
  get resident(): number {
    return this.#residentCount - this.#behindResident * (1 - this.behind);
  }

  /** Counts the memory of free pages as given back; returns the pages for which it was in use, as runs of neighbours. */
  dropFree(): { first: number; count: number }[] {
    const free = this.#free.subarray(0, this.#freeCount);
    const runs: { first: number; count: number }[] = [];
    for (const page of free.slice().sort()) {
      if (this.#resident[page] === 0) continue;
      this.#resident[page] = 0;
      this.#residentCount--;
      this.#makeWhole(page);
      const last = runs.at(-1);
      if (last && last.first + last.count === page) last.count++;
      else runs.push({ first: page, count: 1 });
    }
    // The lowest number goes first again, so that what is in use lies together.
    free.sort().reverse();
    return runs;
  }

  #makeWhole(page: number): void {
    if (this.#isBehind[page] === 0) return;
    this.#isBehind[page] = 0;
    this.#behindResident--;
  }

  #check(page: number): void {
    if (!(this.references(page) > 0)) throw new RangeError(`Page ${page} is not held.`);
  }
}

/** Pages that cover `positions` positions. */
export function pagesFor(positions: number, pageSize: number): number {
  return Math.ceil(positions / pageSize);
}
