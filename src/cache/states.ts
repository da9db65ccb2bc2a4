/**
 * The states of a tree's pages: which page has which. Their values are the caller's; the tree evicts them (`tree.ts`) and finds
 * the last one that can be used.
 *
 * @module
 */
import type { CachePage, CacheState } from "./page.ts";

/** Which states there are. */
export class PageStates<T> {
  /** The states of a value, by the tokens before them; absent: pages have none, and are of use without. */
  of: ((value: T) => ReadonlyMap<number, CacheState>) | undefined;
  readonly #pages = new Map<CacheState, CachePage<T>>();
  /** How many were added so far: a look-up that found nothing finds nothing again until there are more. */
  added = 0;

  /** How many there are. */
  get size(): number {
    return this.#pages.size;
  }

  /** Whether a state is there. */
  has(state: CacheState): boolean {
    return this.#pages.has(state);
  }

  /** Whether the page of a state is pinned. */
  isPinned(state: CacheState): boolean {
    return (this.#pages.get(state)?.pins ?? 0) > 0;
  }

  /** Enters a state of a page. */
  add(page: CachePage<T>, state: CacheState): void {
    state.cost = page.depth + state.count - this.#before(page, state.count);
    this.#pages.set(state, page);
    (page.parent as CachePage<T>).statesAfter++;
    this.added++;
  }

  /** Takes a state out; returns its page. */
  remove(state: CacheState): CachePage<T> {
    const page = this.#pages.get(state);
    if (!page) throw new RangeError("A state was not in the cache.");
    this.#pages.delete(state);
    (page.parent as CachePage<T>).statesAfter--;
    return page;
  }

  /** Tokens before the last state that comes before the first `count` tokens of `page`. */
  #before(page: CachePage<T>, count: number): number {
    let most = count;
    for (let at = page; at.parent; at = at.parent) {
      const counts = [...this.of?.(at.value).keys() ?? []].filter((before) => before < most);
      if (counts.length > 0) return at.depth + Math.max(...counts);
      most = Infinity;
    }
    return 0;
  }
}
