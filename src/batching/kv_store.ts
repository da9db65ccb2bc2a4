/**
 * The keys and values of sequences: pages of the pool, found again through a `TokenCache`. A sequence takes over the
 * pages that others have computed for the same beginning, copies the last one where it shares only a part, and leaves its
 * own for those that come later. A page that is in the cache is never written again below the tokens that it is known by.
 *
 * @module
 */
import type { TokenCacheOptions } from "../cache/options.ts";
import { TokenCache, treeOf } from "../cache/token_cache.ts";
import type { KvSizes } from "../../ffi/wire_calls.ts";
import type { CachePage } from "../cache/page.ts";
import type { CacheTree } from "../cache/tree.ts";
import { PagePool, pagesFor } from "../engine/page_pool.ts";

/** What the cache keeps for a page. */
export interface KvPage {
  /** The page's number. */
  readonly page: number;
  /** Hidden states after its first so many tokens, where a prompt ended there. */
  readonly states: Map<number, Float32Array>;
  /** Whether the cache has let it go. */
  isDropped: boolean;
}

/** The functions of an engine that pages need. */
export interface PageMemory {
  /** How many pages there are, and positions of a page. */
  readonly settings: { readonly pages: number; readonly pageSize: number };
  /** Copies a page. */
  copyPage(from: number, to: number): void;
  /** Gives the memory of neighbouring pages back to the system; returns how many bytes. */
  discardPages(first: number, count: number): number;
}

/** The pages of one engine and their cache. */
export class KvStore {
  readonly pool: PagePool;
  /** Absent where prefixes are not kept. */
  readonly cache: TokenCache<KvPage> | undefined;
  /** Its pages. */
  readonly tree: CacheTree<KvPage> | undefined;
  readonly #memory: PageMemory;
  /** Bytes of a page. */
  readonly pageBytes: number;
  /** Pages that hold the state of one sequence; 0 where the model keeps none. */
  readonly statePages: number;

  /** A store over the pages of an engine; without `cache`, prefixes are not kept. */
  constructor(
    memory: PageMemory,
    { pageBytes, statePages }: KvSizes,
    cache?: Pick<TokenCacheOptions<KvPage>, "bytesMax" | "policy" | "hashBits" | "codec">,
  ) {
    const { pages, pageSize } = memory.settings;
    this.#memory = memory;
    this.pageBytes = pageBytes;
    this.statePages = statePages;
    this.pool = new PagePool(pages, pageSize);
    if (!cache) return;
    this.cache = new TokenCache<KvPage>({
      bytesMax: pages * pageBytes,
      ...cache,
      pageSize,
      bytesOf: ({ states }) => states.size === 0 ? pageBytes : this.#bytesOf(states),
      isInUse: ({ page }) => this.pool.references(page) > 1,
      dropped: (value) => {
        value.isDropped = true;
        this.pool.release(value.page);
      },
    });
    this.tree = treeOf(this.cache);
  }

  /** A table without pages; `salt` says which prefixes it shares; absent: none. */
  open(salt: string | undefined): PageTable {
    return new PageTable(this, salt);
  }

  /** Takes a page; evicts one from the cache where none is free. Undefined where all pages are in use. */
  take(): number | undefined {
    for (;;) {
      const page = this.pool.take();
      if (page !== undefined || !this.tree?.evict()) return page;
    }
  }

  /** Takes a free page for a loaded value, with one reference; evicts nothing. */
  takeUnused(): number | undefined {
    return this.pool.take();
  }

  /** Evicts from the cache until the limit of held pages is met, or nothing is left to evict. */
  trim(): void {
    while (this.pool.held > this.pool.limit && this.tree?.evict());
  }

  /** Gives the memory of free pages back to the system; returns the bytes. Not during a step. */
  discardFree(): number {
    return this.pool.dropFree().reduce((sum, { first, count }) => sum + this.#memory.discardPages(first, count), 0);
  }

  /** Takes a page and copies another one to it. */
  copy(from: number): number | undefined {
    this.pool.retain(from); // what is evicted for its sake must not be itself
    const page = this.take();
    if (page !== undefined) this.#memory.copyPage(from, page);
    this.pool.release(from);
    return page;
  }

  /** The pages that the cache must keep, in use or not. */
  *pinned(): Iterable<number> {
    for (const { value } of this.tree?.pinned() ?? []) yield value.page;
  }

  /** Keeps a page with the tokens after `parent`; see `CacheTree.insert`. */
  keep(parent: CachePage<KvPage>, tokens: Uint32Array, page: number): CachePage<KvPage> | undefined {
    const value: KvPage = { page, states: new Map(), isDropped: false };
    const kept = this.tree?.insert(parent, tokens, value, this.pageBytes);
    if (kept?.value === value) this.pool.retain(page);
    return kept;
  }

  /** Keeps the hidden state after the first `count` tokens of a page. */
  keepState(kept: CachePage<KvPage>, count: number, state: Float32Array): void {
    const tree = this.tree as CacheTree<KvPage>;
    const { states } = kept.value;
    if (kept.isGone || states.has(count)) return;
    states.set(count, state.slice());
    tree.markEnd(kept, count);
    tree.resize(kept, this.#bytesOf(states));
    tree.reserve(0);
  }

  #bytesOf(states: ReadonlyMap<number, Float32Array>): number {
    let bytes = this.pageBytes;
    for (const state of states.values()) bytes += state.byteLength;
    return bytes;
  }
}

/** Where a sequence stands after it took pages over. */
export interface Attached {
  readonly position: number;
  /** The hidden state after the last token, where nothing is left to read. */
  readonly state?: Float32Array;
}

/** The pages of one sequence. */
export class PageTable {
  /** The page numbers: those of its state, where the model keeps one, then those of its positions in their order. */
  readonly pages: number[] = [];
  readonly #store: KvStore;
  /** The last whole page in the cache's tree, or the root of the salt; absent where nothing is shared. */
  #cursor: CachePage<KvPage> | undefined;
  /** Whole pages before the cursor and at it. */
  #known = 0;
  /** The incomplete page after the cursor as the cache knows it, where it is this table's own page. */
  #tail: CachePage<KvPage> | undefined;
  /** The state of the cache after the cursor when that was last looked through, and for how many tokens. */
  #seen: { readonly changedAt: number; readonly least: number } | undefined;

  constructor(store: KvStore, salt: string | undefined) {
    this.#store = store;
    if (salt !== undefined) this.#cursor = store.tree?.root(salt);
  }

  /** The place in the cache from which the next page would be found, where there is one. */
  get cursor(): CachePage<KvPage> | undefined {
    return this.#cursor;
  }

  /** Names that place, the same for all tables that stand there. */
  get place(): string | number | undefined {
    if (this.#store.statePages > 0) return undefined;
    return this.#cursor?.parent ? this.#cursor.id : this.#cursor?.salt;
  }

  /** Positions that the pages have room for. */
  get capacity(): number {
    return Math.max(0, this.pages.length - this.#store.statePages) * this.#store.pool.pageSize;
  }

  /** Takes pages until they have room for `positions`. Where there are not enough, it keeps those it got and returns false. */
  cover(positions: number): boolean {
    while (this.capacity < positions) {
      const page = this.#store.take();
      if (page === undefined) return false;
      this.pages.push(page);
    }
    return true;
  }

  /**
   * Takes over the whole pages that the cache has of `tokens` from `position` on, where that is the end of the last page. All
   * but the last token may be covered, and the last too where its hidden state is there.
   *
   * @returns the new position, and the state.
   */
  attachPages(tokens: Uint32Array, position: number): Attached {
    const tree = this.#store.tree;
    if (!tree || this.#store.statePages > 0 || !this.#isAtEnd(position) || !this.#isNews(1)) return { position };
    const { pageSize } = this.#store.pool;
    let at = position;
    let page = this.#cursor as CachePage<KvPage>;
    for (let next = tree.matchPage(page, tokens, at); next; next = tree.matchPage(page, tokens, at)) {
      const state = at + pageSize === tokens.length ? next.value.states.get(pageSize) : undefined;
      if (at + pageSize >= tokens.length && !state) break;
      this.#store.pool.retain(next.value.page);
      this.pages.push(next.value.page);
      tree.touch(next);
      this.#cursor = page = next;
      this.#known++;
      at += pageSize;
      if (state) return { position: at, state };
    }
    return { position: at };
  }

  /** Copies a page of the cache that shares at least `least` of the next tokens, where there is one. */
  attachPart(tokens: Uint32Array, position: number, least: number): Attached {
    const tree = this.#store.tree;
    if (!tree || this.#store.statePages > 0 || !this.#isAtEnd(position) || !this.#isNews(least)) return { position };
    const cursor = this.#cursor as CachePage<KvPage>;
    this.#seen = { changedAt: tree.changedAt(cursor), least };
    const part = tree.matchPart(cursor, tokens, position);
    if (!part) return { position };
    const state = position + part.count === tokens.length ? part.page.value.states.get(part.count) : undefined;
    const count = Math.min(part.count, tokens.length - position - (state ? 0 : 1));
    if (count < Math.max(1, least)) return { position };
    const page = this.#store.copy(part.page.value.page);
    if (page === undefined) return { position };
    tree.touch(part.page);
    this.pages.push(page);
    return { position: position + count, ...(state ? { state } : {}) };
  }

  /** Whether the last page is known to the cache and full. */
  #isAtEnd(position: number): boolean {
    const known = this.#known * this.#store.pool.pageSize;
    return this.#cursor !== undefined && position === known && position === this.capacity;
  }

  /** Whether the cache may have something after the cursor that a look for `least` tokens would not have found before. */
  #isNews(least: number): boolean {
    const changedAt = this.#store.tree?.changedAt(this.#cursor as CachePage<KvPage>);
    return this.#seen === undefined || this.#seen.changedAt !== changedAt || least < this.#seen.least;
  }

  /** Gives the pages back that lie wholly beyond `positions`: what was read there does not count. */
  truncate(positions: number): void {
    const { pool, statePages } = this.#store;
    for (const page of this.pages.splice(statePages + pagesFor(positions, pool.pageSize))) pool.release(page);
  }

  /** Leaves the pages that `tokens`, all of which have been read, fill to the end, for others to find. */
  publish(tokens: Uint32Array): void {
    const { pool, tree } = this.#store;
    const { pageSize } = pool;
    while (this.#cursor && (this.#known + 1) * pageSize <= tokens.length) {
      const begin = this.#known * pageSize;
      const page = this.pages[this.#store.statePages + this.#known] as number;
      const own = this.#tail?.isGone ? undefined : this.#tail;
      this.#tail = undefined;
      let kept = tree?.matchPage(this.#cursor, tokens, begin);
      if (!kept && own && tree?.grow(own, tokens.subarray(begin + own.tokens.length, begin + pageSize))) kept = own;
      kept ??= this.#store.keep(this.#cursor, tokens.slice(begin, begin + pageSize), page);
      if (kept && kept.value.page !== page) {
        // Another sequence was faster; both have the same bits.
        pool.retain(kept.value.page);
        pool.release(page);
        this.pages[this.#store.statePages + this.#known] = kept.value.page;
      }
      this.#cursor = kept;
      this.#known++;
    }
  }

  /** Leaves the last page as well, incomplete as it is; `state` is the hidden state after the last token. */
  publishTail(tokens: Uint32Array, state?: Float32Array): void {
    this.publish(tokens);
    const cursor = this.#cursor;
    if (!cursor) return;
    const { pageSize } = this.#store.pool;
    const begin = this.#known * pageSize;
    const count = tokens.length - begin;
    if (count === 0) {
      if (state && cursor.parent) this.#store.keepState(cursor, pageSize, state);
      return;
    }
    const page = this.pages[this.#store.statePages + this.#known] as number;
    let kept = this.#tail;
    if (kept && !kept.isGone) {
      const more = tokens.subarray(begin + kept.tokens.length);
      if (more.length > 0) this.#store.tree?.grow(kept, more);
    } else {
      kept = this.#store.keep(cursor, tokens.slice(begin), page);
      this.#tail = kept?.value.page === page ? kept : undefined;
    }
    if (kept && state) this.#store.keepState(kept, count, state);
  }

  /** Releases all pages. Again is fine. */
  close(): void {
    for (const page of this.pages) this.#store.pool.release(page);
    this.pages.length = 0;
    this.#cursor = undefined;
    this.#tail = undefined;
  }
}
