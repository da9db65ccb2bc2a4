/**
 * The keys and values of sequences: pages of the pool, found again through a `TokenCache`. Which of them a sequence has, its
 * table says (`page_table.ts`). A page that is in the cache is never written again below the tokens that it is known by.
 *
 * @module
 */
import type { TokenCacheOptions } from "../cache/options.ts";
import { cacheTreeOf, TokenCache } from "../cache/token_cache.ts";
import type { KvSizes } from "../../ffi/wire_calls.ts";
import type { CachePage } from "../cache/page.ts";
import type { CacheTree } from "../cache/tree.ts";
import { PagePool } from "../engine/page_pool.ts";
import { StateCopy } from "./state_copy.ts";
import { noWindows, weightOf, type Windows } from "./windows.ts";

/** What the cache keeps for a page. */
export interface KvPage {
  /** The page's number. */
  readonly page: number;
  /** Whether the cache holds what windowed layers keep in it, and whether it keeps that when sequences have left it behind. */
  hasWindow: boolean;
  keepsWindow: boolean;
  /** The hidden state after its first so many tokens, where a prompt ended there. */
  readonly hidden: Map<number, Float32Array>;
  /** What recurrent layers have come to there: at the ends of prompts and turns, and where prompts part. */
  readonly copies: Map<number, StateCopy>;
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
  /** Gives the memory of what windowed layers keep in a page back. */
  leavePage(page: number): void;
}

/** What the pages of a model take. */
export interface StoreSizes extends Pick<KvSizes, "pageBytes" | "statePages"> {
  /** What windowed layers leave behind. Default: nothing. */
  readonly windows?: Windows;
  /** What all pages that are held may weigh, in whole pages. Default: as many as there are. */
  readonly weightMost?: number;
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
  /** What windowed layers leave behind. */
  readonly windows: Windows;
  /** What all pages that are held may weigh at most, in whole pages. */
  readonly weightMost: number;

  /** A store over the pages of an engine; without `cache`, prefixes are not kept. */
  constructor(
    memory: PageMemory,
    { pageBytes, statePages, windows = noWindows, weightMost = memory.settings.pages }: StoreSizes,
    cache?: Pick<TokenCacheOptions<KvPage>, "bytesMax" | "policy" | "hashBits" | "codec">,
  ) {
    const { pages, pageSize } = memory.settings;
    this.#memory = memory;
    this.pageBytes = pageBytes;
    this.statePages = statePages;
    this.windows = windows;
    this.weightMost = weightMost;
    this.pool = new PagePool(pages, pageSize, windows.behind);
    this.pool.limit = weightMost;
    if (!cache) return;
    this.cache = new TokenCache<KvPage>({
      bytesMax: Math.floor(weightMost * pageBytes),
      ...cache,
      pageSize,
      bytesOf: (value) => this.#bytesOf(value),
      isInUse: ({ page }) => this.pool.references(page) > 1,
      dropped: (value) => {
        value.isDropped = true;
        for (const copy of [...value.copies.values()]) copy.drop();
        this.pool.release(value.page, value.hasWindow);
      },
    });
    this.tree = cacheTreeOf(this.cache);
    if (statePages > 0) this.tree.states.of = ({ copies }) => copies;
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
    while (this.pool.isOver && this.tree?.evict());
  }

  /** What the pages of a sequence of so many positions weigh at most, in whole pages. */
  weightOf(positions: number): number {
    return this.statePages + weightOf(positions, this.windows, this.pool.pageSize);
  }

  /** Gives the memory of what was left behind back to the system. Not during a step. */
  discardLeft(): void {
    for (const page of this.pool.takeLeft()) this.#memory.leavePage(page);
  }

  /** Gives the memory of free pages back to the system; returns the bytes. Not during a step. */
  discardFree(): number {
    return this.pool.dropFree().reduce((sum, { first, count }) => sum + this.#memory.discardPages(first, count), 0);
  }

  /** Takes pages and copies others to them, all or none. */
  copy(from: readonly number[]): number[] | undefined {
    for (const page of from) this.pool.retain(page); // what is evicted for their sake must not be themselves
    const to = this.#takeAll(from.length);
    to?.forEach((page, index) => this.#memory.copyPage(from[index] as number, page));
    for (const page of from) this.pool.release(page);
    return to;
  }

  #takeAll(count: number): number[] | undefined {
    const taken: number[] = [];
    while (taken.length < count) {
      const page = this.take();
      if (page === undefined) {
        for (const other of taken) this.pool.release(other);
        return undefined;
      }
      taken.push(page);
    }
    return taken;
  }

  /** Writes a copy of a state over the one that lies in the pages `to`. */
  restore(copy: StateCopy, to: readonly number[]): void {
    copy.pages.forEach((page, index) => this.#memory.copyPage(page, to[index] as number));
  }

  /** The pages of a copy of a state, which leaves the cache: for a sequence where there are none for a copy of the copy. */
  moveState(copy: StateCopy): readonly number[] {
    for (const page of copy.pages) this.pool.retain(page);
    this.tree?.removeState(copy);
    return copy.pages;
  }

  /**
   * Keeps the state after the first `count` tokens of a page, which lies in the pages `from` of a sequence: these, where the
   * sequence `isLeaving`, or a copy.
   */
  keepState(kept: CachePage<KvPage>, count: number, from: readonly number[], isLeaving: boolean): void {
    const tree = this.tree as CacheTree<KvPage>;
    const { copies } = kept.value;
    const known = copies.get(count);
    if (known) return tree.touch(known);
    if (kept.isGone) return;
    tree.pins.add(kept);
    const pages = isLeaving ? from.slice() : this.copy(from);
    tree.pins.remove(kept);
    if (!pages) return;
    if (isLeaving) { for (const page of pages) this.pool.retain(page); }
    const copy = new StateCopy(copies, count, pages, this);
    if (tree.addState(kept, copy)) copies.set(count, copy);
    else copy.drop();
  }

  /** The pages that the cache must keep, in use or not. */
  *pinned(): Iterable<number> {
    for (const { value, pins } of this.tree?.pins.all() ?? []) {
      yield value.page;
      if (pins > 0) { for (const { pages } of value.copies.values()) yield* pages; }
    }
  }

  /** Keeps a page with the tokens after `parent`; see `CacheTree.insert`. */
  keep(parent: CachePage<KvPage>, tokens: Uint32Array, page: number): CachePage<KvPage> | undefined {
    const value: KvPage = {
      page,
      hasWindow: true,
      keepsWindow: false,
      hidden: new Map(),
      copies: new Map(),
      isDropped: false,
    };
    const kept = this.tree?.insert(parent, tokens, value, this.pageBytes);
    if (kept?.value === value) this.pool.retain(page);
    return kept;
  }

  /**
   * Gives a page of the cache its windowed part back: a copy of `page`, which has the same contents. The number stays, so that
   * each sequence holds all pages of the cache that come before those it uses, and none is kept for its children's sake alone.
   */
  complete(kept: CachePage<KvPage>, page: number): void {
    const { value } = kept;
    const tree = this.tree as CacheTree<KvPage>;
    // A sequence may still see it through the window.
    if (!this.pool.hasWindow(value.page)) this.#memory.copyPage(page, value.page);
    this.pool.regain(value.page);
    value.hasWindow = true;
    tree.resize(kept, this.#bytesOf(value));
    // The room that it needs must not be its own.
    tree.pins.add(kept);
    tree.reserve(0);
    tree.pins.remove(kept);
  }

  /** Lets the windowed part of a page go that the cache keeps, unless a prompt or a turn ended there. */
  leave(kept: CachePage<KvPage>): void {
    const { value } = kept;
    if (kept.isGone || !value.hasWindow || value.keepsWindow) return;
    value.hasWindow = false;
    this.pool.leave(value.page);
    this.tree?.resize(kept, this.#bytesOf(value));
  }

  /** Keeps the hidden state after the first `count` tokens of a page. */
  keepHidden(kept: CachePage<KvPage>, count: number, state: Float32Array): void {
    const tree = this.tree as CacheTree<KvPage>;
    const { hidden } = kept.value;
    if (kept.isGone || hidden.has(count)) return;
    hidden.set(count, state.slice());
    tree.markEnd(kept, count);
    tree.resize(kept, this.#bytesOf(kept.value));
    tree.reserve(0);
  }

  #bytesOf({ hasWindow, hidden }: KvPage): number {
    // A page without any bytes would be worth more than all others.
    let bytes = hasWindow ? this.pageBytes : Math.max(1, Math.round(this.pageBytes * this.windows.behind));
    for (const state of hidden.values()) bytes += state.byteLength;
    return bytes;
  }
}
