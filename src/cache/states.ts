/**
 * The states of a tree's pages: which page has which, and how the last one is found that can be used. Their values are the caller's;
 * the tree evicts them (`tree.ts`).
 *
 * @module
 */
import type { CachePage, CacheState } from "./page.ts";

/** A place in a tree where a state is. */
export interface StateMatch<T> {
  /** Whole pages up to it; the last of them is its own where it is at that page's end. */
  readonly pages: readonly CachePage<T>[];
  /** The page that has it. */
  readonly page: CachePage<T>;
  readonly state: CacheState;
}

/** What looking for a state needs of a tree. */
export interface StateTree<T> {
  readonly options: { readonly pageSize: number };
  readonly states: PageStates<T>;
  /** The root that has the pages of a salt now, for a root that was made when it had none; any other page itself. */
  current(page: CachePage<T>): CachePage<T>;
  /** The whole page after `parent` that covers the tokens from `at` on. */
  matchPage(parent: CachePage<T>, tokens: ArrayLike<number>, at: number): CachePage<T> | undefined;
  /** A page after `parent` whose first `length` tokens are those from `at` on, and that `fits`. */
  lookUp(
    parent: CachePage<T>,
    tokens: ArrayLike<number>,
    at: number,
    length: number,
    fits?: (page: CachePage<T>) => boolean,
  ): CachePage<T> | undefined;
}

/**
 * The last state for which `fits` holds in the pages that cover `tokens` from `at` on, after `from`; and how many whole pages
 * there are, with states or without.
 */
export function matchState<T>(
  tree: StateTree<T>,
  from: CachePage<T>,
  tokens: ArrayLike<number>,
  at: number,
  fits: (match: StateMatch<T>) => boolean,
): { readonly whole: number; readonly found?: StateMatch<T> } {
  const { options: { pageSize }, states } = tree;
  const path = [tree.current(from)];
  for (;;) {
    const next = tree.matchPage(path.at(-1) as CachePage<T>, tokens, at + (path.length - 1) * pageSize);
    if (!next) break;
    path.push(next);
  }
  const whole = path.length - 1;
  for (let level = whole; level >= 0; level--) {
    const parent = path[level] as CachePage<T>;
    if (parent.statesAfter === 0) continue;
    const begin = at + level * pageSize;
    for (let length = Math.min(pageSize, tokens.length - begin); length > 0; length--) {
      let found: StateMatch<T> | undefined;
      tree.lookUp(parent, tokens, begin, length, (page) => {
        const state = states.of?.(page.value).get(length);
        const pages = path.slice(1, level + 1);
        if (length === pageSize) pages.push(page);
        const match = state && { pages, page, state };
        if (match && fits(match)) found = match;
        return found !== undefined;
      });
      if (found) return { whole, found };
    }
  }
  return { whole };
}

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
