/**
 * A tree of pages. A page belongs to the tokens that it covers and to all tokens before them, which are its ancestors';
 * that is its identity, and a look-up compares every token of it. The index (`index.ts`) only finds candidates: it has each
 * page under its first 8, 16, 24 ... tokens, so that a part of a page can be found too. Every salt has a root of its own:
 * what lies under one can't be reached from another. Pages may have states (`states.ts`), which bound what can be used.
 *
 * @module
 */
import { type EvictionPolicy, Evictor } from "./evict.ts";
import { RunHash, RunIndex, stride } from "./index.ts";
import { beginsWith, CachePage, type CacheState, rootOf } from "./page.ts";
import { Pins } from "./pins.ts";
import { matchState, PageStates, type StateTree } from "./states.ts";
import type { CacheEvent } from "./types.ts";

/** Candidates that are compared when a part of a page is looked for. */
const candidatesMost = 8;

/** What a look-up found. */
export interface Match<T> {
  /** Whole pages from the first token on. */
  readonly pages: readonly CachePage<T>[];
  /** A page whose first `count` tokens come next. */
  readonly part?: { readonly page: CachePage<T>; readonly count: number };
  /** Tokens covered, the part's included. */
  readonly tokens: number;
}

/** Options for a tree. */
export interface TreeOptions<T> {
  /** Tokens of a page. */
  readonly pageSize: number;
  /** Bytes that all pages may take; {@link CacheTree.limit} changes it. */
  bytesMax: number;
  /** What goes first. */
  readonly policy: EvictionPolicy;
  /** Bits of the index hash: 32, or fewer to test collisions. */
  readonly hashBits: number;
  /** Whether a value is in use, so that it must stay. */
  isInUse(value: T): boolean;
  /** Hears that a value has left the tree. */
  dropped(value: T): void;
}

/** The pages of all salts. */
export class CacheTree<T> implements StateTree<T> {
  readonly options: TreeOptions<T>;
  readonly #roots = new Map<string, CachePage<T>>();
  readonly #hash: RunHash;
  readonly #index = new RunIndex<CachePage<T>>();
  readonly #evictor: Evictor<CachePage<T> | CacheState>;
  readonly #all = new Set<CachePage<T>>();
  #nextId = 1;
  #changes = 0;
  #bytes = 0;
  #evictions = 0;
  /** Look-ups that found something, that found nothing; tokens asked for, and found. */
  readonly counts = { hits: 0, misses: 0, tokensAsked: 0, tokensSaved: 0 };

  /** Of a cache whose pages have states: a prefix is of use up to one. */
  readonly states: PageStates<T> = new PageStates();

  /** The pages that must stay. */
  readonly pins: Pins<T> = new Pins();

  /** Hear of each page that is stored or leaves the tree. */
  readonly listeners = new Set<(event: CacheEvent) => void>();

  /** An empty tree. */
  constructor(options: TreeOptions<T>) {
    this.options = options;
    this.#hash = new RunHash(options.hashBits);
    this.#evictor = new Evictor(options.policy);
  }

  /** Bytes of all pages and their states. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Pages. */
  get size(): number {
    return this.#all.size;
  }

  /** Pages and states evicted so far. */
  get evictions(): number {
    return this.#evictions;
  }

  /** Salts under which something is kept. */
  get salts(): number {
    return this.#roots.size;
  }

  /** All pages, each after its parent. */
  pages(): CachePage<T>[] {
    return [...this.#all].sort((a, b) => a.depth - b.depth);
  }

  /** Where the pages of a salt begin; a root without pages is not kept. */
  root(salt: string): CachePage<T> {
    return this.#roots.get(salt) ?? this.#makeRoot(salt);
  }

  /** The longest part of `tokens` that is there and of use. */
  match(salt: string, tokens: ArrayLike<number>): Match<T> {
    const root = this.#roots.get(salt);
    const pages: CachePage<T>[] = [];
    if (root === undefined) return { pages, tokens: 0 };
    if (this.states.of) return this.#matchToState(root, tokens);
    let page = root;
    for (let at = 0;; at += this.options.pageSize) {
      const next = this.matchPage(page, tokens, at);
      if (next === undefined) {
        const part = this.matchPart(page, tokens, at);
        return part ? { pages, part, tokens: at + part.count } : { pages, tokens: at };
      }
      pages.push(next);
      page = next;
    }
  }

  #matchToState(root: CachePage<T>, tokens: ArrayLike<number>): Match<T> {
    const { found } = matchState(this, root, tokens, 0, () => true);
    if (!found) return { pages: [], tokens: 0 };
    const { pages, page, state: { count } } = found;
    const covered = page.depth + count;
    return page === pages.at(-1) ? { pages, tokens: covered } : { pages, part: { page, count }, tokens: covered };
  }

  /** The whole page after `parent` that covers the tokens from `at` on. */
  matchPage(parent: CachePage<T>, tokens: ArrayLike<number>, at: number): CachePage<T> | undefined {
    const { pageSize } = this.options;
    const under = this.current(parent);
    if (under.children === 0 || tokens.length - at < pageSize) return undefined;
    // Most pages have one that follows: to compare it is four times as fast as to hash what is looked for.
    const { newest } = under;
    if (newest && beginsWith(newest, tokens, at, pageSize)) return newest;
    return this.lookUp(under, tokens, at, pageSize);
  }

  /**
   * The page after `parent` that shares the most tokens from `at` on: at least 8, or all there are, or, after a page, all that
   * was kept of the next.
   */
  matchPart(
    parent: CachePage<T>,
    tokens: ArrayLike<number>,
    at: number,
  ): { page: CachePage<T>; count: number } | undefined {
    const under = this.current(parent);
    if (under.children === 0) return undefined;
    const left = Math.min(tokens.length - at, this.options.pageSize);
    if (left > 0 && left === tokens.length - at && left % stride !== 0) {
      const page = this.lookUp(under, tokens, at, left);
      if (page) return { page, count: left };
    }
    for (let length = left - (left % stride); length > 0; length -= stride) {
      let best: { page: CachePage<T>; count: number } | undefined;
      let seen = 0;
      this.lookUp(under, tokens, at, length, (page) => {
        let count = length;
        while (count < left && page.tokens[count] === tokens[at + count]) count++;
        if (best === undefined || count > best.count) best = { page, count };
        return count === left || ++seen === candidatesMost;
      });
      if (best) return best;
    }
    for (let length = Math.min(left, stride - 1); under.parent && length > 0; length--) {
      const page = this.lookUp(under, tokens, at, length);
      if (page) return { page, count: length };
    }
    return undefined;
  }

  /**
   * Adds a page after `parent`, unless there is one that begins with the same tokens: then that one comes back, and `value`
   * is the caller's. Undefined where `parent` has left the tree, or where there is no room.
   */
  insert(parent: CachePage<T>, tokens: Uint32Array, value: T, bytes: number): CachePage<T> | undefined {
    const under = this.current(parent);
    if (under.isGone) return undefined;
    const same = this.matchPart(under, tokens, 0);
    if (same?.count === tokens.length) return same.page;
    // The parent must outlive what makes room for its child.
    this.pins.add(under);
    const states = [...this.states.of?.(value).values() ?? []];
    const fits = this.reserve(states.reduce((sum, state) => sum + state.bytes, bytes));
    this.pins.remove(under);
    if (!fits) return undefined;
    const page = new CachePage(this.#nextId++, under, "", tokens, value, bytes);
    if (under.parent === undefined) this.#roots.set(under.salt, under);
    under.children++;
    under.newest = page;
    under.changedAt = ++this.#changes;
    this.#all.add(page);
    this.#bytes += bytes;
    for (let length = stride; length <= tokens.length; length += stride) this.#enter(page, length);
    if (tokens.length % stride !== 0) this.markEnd(page, tokens.length);
    this.#evictor.touch(page);
    this.#evictor.offer(page);
    for (const state of states) this.#enterState(page, state);
    this.#tellStored(page);
    return page;
  }

  /** Adds a state to a page; false where the page has left the tree, or where there is no room. The caller enters it in the value. */
  addState(page: CachePage<T>, state: CacheState): boolean {
    if (page.isGone) return false;
    this.pins.add(page);
    const fits = this.reserve(state.bytes);
    this.pins.remove(page);
    if (fits) this.#enterState(page, state);
    return fits;
  }

  #enterState(page: CachePage<T>, state: CacheState): void {
    this.states.add(page, state);
    this.#bytes += state.bytes;
    this.markEnd(page, state.count);
    this.#evictor.touch(state);
    this.#evictor.offer(state);
  }

  /** Takes a state out; its page stays. */
  removeState(state: CacheState): void {
    const page = this.states.remove(state);
    this.#bytes -= state.bytes;
    state.drop();
    if (page.children === 0) this.#evictor.offer(page);
  }

  /** Gives a page that is not full more tokens, which follow those that it has. False where it has left the tree. */
  grow(page: CachePage<T>, more: ArrayLike<number>): boolean {
    if (page.isGone) return false;
    const before = page.tokens.length;
    const tokens = new Uint32Array(before + more.length);
    tokens.set(page.tokens);
    tokens.set(more, before);
    page.tokens = tokens;
    (page.parent as CachePage<T>).changedAt = ++this.#changes;
    for (let length = before - (before % stride) + stride; length <= tokens.length; length += stride) {
      this.#enter(page, length);
    }
    if (tokens.length % stride !== 0) this.markEnd(page, tokens.length);
    this.#tellStored(page);
    return true;
  }

  /** Lets a page be found by exactly its first `length` tokens. */
  markEnd(page: CachePage<T>, length: number): void {
    if (page.isGone || length % stride === 0 || page.ends.includes(length)) return;
    page.ends.push(length);
    (page.parent as CachePage<T>).changedAt = ++this.#changes;
    this.#enter(page, length);
  }

  /** When the pages after one last became more. A look-up that found nothing there since would find nothing again. */
  changedAt(page: CachePage<T>): number {
    return this.current(page).changedAt;
  }

  /** Counts a look-up. */
  count(asked: number, found: number): void {
    if (found > 0) this.counts.hits++;
    else this.counts.misses++;
    this.counts.tokensAsked += asked;
    this.counts.tokensSaved += found;
  }

  /** Counts a use of a page or a state. */
  touch(used: CachePage<T> | CacheState): void {
    this.#evictor.touch(used);
  }

  /** Changes the bytes of a page. */
  resize(page: CachePage<T>, bytes: number): void {
    if (page.isGone) return;
    this.#bytes += bytes - page.bytes;
    page.bytes = bytes;
  }

  /** Changes the bytes that all pages may take, and evicts what exceeds them. */
  limit(bytesMax: number): void {
    this.options.bytesMax = bytesMax;
    this.reserve(0);
  }

  /** Evicts until `bytes` more fit the budget; false where they cannot. */
  reserve(bytes: number): boolean {
    if (bytes > this.options.bytesMax) return false;
    while (this.#bytes + bytes > this.options.bytesMax) if (!this.evict()) return false;
    return true;
  }

  /** Evicts the page or the state of least worth; false where all that are left are in use or pinned. */
  evict(): boolean {
    const victim = this.#evictor.take(
      (it) => it instanceof CachePage ? !it.isGone && it.children === 0 && !this.#hasStates(it) : this.states.has(it),
      (it) => it instanceof CachePage ? it.pins === 0 && !this.options.isInUse(it.value) : !this.states.isPinned(it),
    );
    if (victim === undefined) return false;
    this.#evictions++;
    if (victim instanceof CachePage) this.#remove(victim);
    else this.removeState(victim);
    return true;
  }

  #hasStates(page: CachePage<T>): boolean {
    return (this.states.of?.(page.value).size ?? 0) > 0;
  }

  /** Removes all pages, also those in use: these stay valid for their users, but are no longer found. */
  clear(): void {
    this.#evictor.clear();
    for (const page of this.pages().reverse()) this.#remove(page);
  }

  /** The root that has the pages of a salt now, for a root that was made when it had none. */
  current(page: CachePage<T>): CachePage<T> {
    return page.parent === undefined ? this.#roots.get(page.salt) ?? page : page;
  }

  #makeRoot(salt: string): CachePage<T> {
    // The value of a root is never read.
    return new CachePage<T>(this.#nextId++, undefined, salt, new Uint32Array(0), undefined as T, 0);
  }

  #remove(page: CachePage<T>): void {
    const parent = page.parent as CachePage<T>;
    for (const state of [...this.states.of?.(page.value).values() ?? []]) this.removeState(state);
    for (let length = stride; length <= page.tokens.length; length += stride) this.#leave(page, length);
    for (const length of page.ends) this.#leave(page, length);
    page.isGone = true;
    if (parent.newest === page) parent.newest = undefined;
    this.#all.delete(page);
    this.#bytes -= page.bytes;
    if (--parent.children === 0) {
      if (parent.parent !== undefined) this.#evictor.offer(parent);
      else this.#roots.delete(parent.salt);
    }
    this.options.dropped(page.value);
    for (const listener of this.listeners) listener({ kind: "evicted", page: page.id });
  }

  #tellStored(page: CachePage<T>): void {
    if (this.listeners.size === 0) return;
    const { id, depth, tokens } = page;
    const parent = page.parent?.parent === undefined ? undefined : page.parent.id;
    const event = { kind: "stored", page: id, parent, salt: rootOf(page).salt, position: depth } as const;
    for (const listener of this.listeners) listener({ ...event, tokens: tokens.slice() });
  }

  #enter(page: CachePage<T>, length: number): void {
    this.#index.add(this.#hash.of((page.parent as CachePage<T>).id, page.tokens, 0, length), page, length);
  }

  #leave(page: CachePage<T>, length: number): void {
    this.#index.remove(this.#hash.of((page.parent as CachePage<T>).id, page.tokens, 0, length), page, length);
  }

  /** A page after `parent` whose first `length` tokens are those from `at` on, and that `fits`. */
  lookUp(
    parent: CachePage<T>,
    tokens: ArrayLike<number>,
    at: number,
    length: number,
    fits?: (page: CachePage<T>) => boolean,
  ): CachePage<T> | undefined {
    return this.#index.find(this.#hash.of(parent.id, tokens, at, length), length, (page) => {
      if (page.parent !== parent || !beginsWith(page, tokens, at, length)) return false;
      return fits === undefined || fits(page);
    });
  }
}
