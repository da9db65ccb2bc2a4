/**
 * The pages of one sequence: it takes over those that the cache has of its tokens, copies the last one where it shares only a
 * part, takes new ones for what it reads, leaves what it has read to the cache, and leaves behind what no query sees through
 * a window any more. Of a model with states it takes over what ends where the cache has a copy of the state.
 *
 * @module
 */
import type { CachePage } from "../cache/page.ts";
import { pagesFor } from "../engine/page_pool.ts";
import { matchState, type StateMatch } from "../cache/states.ts";
import type { KvPage, KvStore } from "./kv_store.ts";
import type { StateCopy } from "./state_copy.ts";
import { firstSeen } from "./windows.ts";

/** Where a sequence stands after it took pages over. */
export interface Attached {
  readonly position: number;
  /** The hidden state after the last token, where nothing is left to read. */
  readonly hidden?: Float32Array;
  /** Where the whole pages end that the cache has of its tokens, though without a state: other prompts part there. */
  readonly shared?: number;
}

/** Where a prompt or a turn ends, or prompts part. */
export interface End {
  /** The hidden state after the last token, where a prompt ended. */
  readonly hidden?: Float32Array | undefined;
  /** What becomes of the sequence's recurrent state: it stays and is copied, or goes to the cache; a step that broke off left it unsure. */
  readonly state: "stays" | "leaves" | "unsure";
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
  /** The first of its pages whose windowed part it sees; those before it are left behind. */
  #firstSeen = 0;
  /** The state of the cache after the cursor when that was last looked through, and for how many tokens. */
  #seen: { readonly changedAt: number; readonly least: number } | undefined;
  /** How many states the cache had got when that was last looked through for one. */
  #statesSeen = -1;

  /** A table without pages; `salt` says which prefixes it shares; absent: none. */
  constructor(store: KvStore, salt: string | undefined) {
    this.#store = store;
    if (salt !== undefined) this.#cursor = store.tree?.root(salt);
  }

  /** The place in the cache from which the next page would be found, where there is one. */
  get cursor(): CachePage<KvPage> | undefined {
    return this.#cursor;
  }

  /** Whether its sequence has a recurrent state. */
  get hasState(): boolean {
    return this.#store.statePages > 0;
  }

  /** Names that place, the same for all tables that stand there. */
  get place(): string | number | undefined {
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
   * @returns the new position, and the hidden state.
   */
  attachPages(tokens: Uint32Array, position: number): Attached {
    const tree = this.#store.tree;
    if (this.hasState) return this.#attachState(tokens, position);
    if (!tree || !this.#isAtEnd(position) || !this.#isNews(1)) return { position };
    const { pageSize } = this.#store.pool;
    const found: CachePage<KvPage>[] = [];
    let page = this.#cursor as CachePage<KvPage>;
    for (let at = position;; at += pageSize) {
      const next = tree.matchPage(page, tokens, at);
      const isLast = at + pageSize >= tokens.length;
      if (!next || (isLast && !next.value.hidden.has(pageSize))) break;
      found.push(page = next);
      if (isLast) break;
    }
    const usable = found.slice(0, this.#usable(found));
    const beyond = usable.length < found.length ? this.#attachToEnd(found, tokens, position) : undefined;
    if (beyond) return beyond;
    const at = position + usable.length * pageSize;
    this.#takeOver(usable, at);
    const hidden = at === tokens.length ? usable.at(-1)?.value.hidden.get(pageSize) : undefined;
    return { position: at, ...(hidden ? { hidden } : {}) };
  }

  /** Takes over all pages up to the last state that the cache has of `tokens`, and a copy of that. */
  #attachState(tokens: Uint32Array, position: number): Attached {
    const tree = this.#store.tree;
    const from = this.#cursor;
    if (!tree || !from || this.#statesSeen === tree.states.added) return { position };
    this.#statesSeen = tree.states.added;
    const { pageSize } = this.#store.pool;
    const begin = this.#known * pageSize;
    const { whole, found } = matchState(tree, from, tokens, begin, (match) => this.#fits(match, tokens, position));
    const shared = begin + whole * pageSize;
    if (!found || !this.#takeState(found)) return { position, shared };
    const end = found.page.depth + found.state.count;
    const hidden = end === tokens.length ? found.page.value.hidden.get(found.state.count) : undefined;
    return { position: end, shared, ...(hidden ? { hidden } : {}) };
  }

  /** Whether a sequence at `position` can go on at a state: something is saved, and the window shows what it must. */
  #fits({ pages, page, state: { count } }: StateMatch<KvPage>, tokens: Uint32Array, position: number): boolean {
    const end = page.depth + count;
    if (end <= position || (end === tokens.length && !page.value.hidden.has(count))) return false;
    const shown = this.#known + pages.length - this.#firstSeenAt(end);
    return page.value.hasWindow && !pages.slice(-shown).some(({ value }) => shown > 0 && !value.hasWindow);
  }

  #takeState({ pages, page, state }: StateMatch<KvPage>): boolean {
    const { pool, statePages, tree } = this.#store;
    const copy = state as StateCopy;
    const mayMove = page.pins === 0;
    const isPart = page !== pages.at(-1);
    tree?.pins.add(page); // with it, all that come before it stay
    const part = isPart ? this.#store.copy([page.value.page]) : [];
    const isFresh = this.pages.length < statePages;
    const fresh = !part || !isFresh
      ? []
      : this.#store.copy(copy.pages) ?? (mayMove ? this.#store.moveState(copy) : undefined);
    tree?.pins.remove(page);
    if (!part || !fresh) {
      for (const taken of part ?? []) pool.release(taken);
      return false;
    }
    const own = isFresh ? 0 : statePages + this.#known;
    for (const left of this.pages.splice(own)) pool.release(left);
    if (isFresh) this.pages.push(...fresh);
    else this.#store.restore(copy, this.pages.slice(0, statePages));
    if (tree?.states.has(copy)) tree.touch(copy);
    tree?.touch(page);
    this.#tail = undefined;
    this.#takeOver(pages, page.depth + copy.count);
    this.pages.push(...part);
    return true;
  }

  /** Takes whole pages over, for a sequence that goes on at `at`, in them or in the page after them. */
  #takeOver(found: readonly CachePage<KvPage>[], at: number): void {
    const { pool, tree } = this.#store;
    const seen = this.#firstSeenAt(at);
    const own = this.#known;
    for (const next of found) {
      pool.retain(next.value.page, this.#known >= seen);
      this.pages.push(next.value.page);
      tree?.touch(next);
      this.#cursor = next;
      this.#known++;
    }
    this.#leaveOwn(seen, own);
  }

  /**
   * Takes all of `found` over, where the window does not show enough at their end, but does at the end of a part of the page
   * after them: a prompt or a turn ended there.
   */
  #attachToEnd(found: readonly CachePage<KvPage>[], tokens: Uint32Array, position: number): Attached | undefined {
    const { pool: { pageSize }, tree } = this.#store;
    const begin = position + found.length * pageSize;
    const part = tree?.matchPart(found.at(-1) as CachePage<KvPage>, tokens, begin);
    if (!part?.page.value.hasWindow) return undefined;
    const { count, hidden } = usableOf(part, tokens, begin);
    const shown = this.#known + found.length - this.#firstSeenAt(begin + count);
    if (count < 1 || found.slice(-shown).some(({ value }) => shown > 0 && !value.hasWindow)) return undefined;
    const copy = this.#store.copy([part.page.value.page]);
    if (!copy) return undefined;
    tree?.touch(part.page);
    this.#takeOver(found, begin + count);
    this.pages.push(...copy);
    return { position: begin + count, ...(hidden ? { hidden } : {}) };
  }

  /** How many of the pages that follow can be taken over: of the last ones, what the window shows must be there. */
  #usable(found: readonly CachePage<KvPage>[]): number {
    const { pageSize } = this.#store.pool;
    let run = 0;
    let usable = 0;
    found.forEach(({ value }, index) => {
      run = value.hasWindow ? run + 1 : 0;
      const pages = this.#known + index + 1;
      if (run >= Math.min(index + 1, pages - this.#firstSeenAt(pages * pageSize))) usable = index + 1;
    });
    return usable;
  }

  #firstSeenAt(position: number): number {
    return firstSeen(position, this.#store.windows, this.#store.pool.pageSize);
  }

  /** Lets the windowed parts of its pages before `seen` go, of those that it had before it took others over, `own` of them. */
  #leaveOwn(seen: number, own: number): void {
    const { pool, statePages } = this.#store;
    for (let index = this.#firstSeen; index < Math.min(seen, own); index++) {
      pool.leave(this.pages[statePages + index] as number);
    }
    this.#firstSeen = Math.max(this.#firstSeen, seen);
  }

  /** Leaves the pages behind that no query from `position` on sees through the window, in the cache, too. */
  leaveBehind(position: number): void {
    const seen = this.#firstSeenAt(position);
    if (seen <= this.#firstSeen) return;
    let page = this.#cursor;
    for (let index = this.#known - 1; page?.parent && index >= this.#firstSeen; index--) {
      if (index < seen) this.#store.leave(page);
      page = page.parent;
    }
    this.#leaveOwn(seen, Infinity);
  }

  /** Has the cache keep what the window shows at the end of a prompt or of a turn, and as much before it. */
  #keepEnd(position: number): void {
    const { windows } = this.#store;
    if (windows.window === 0) return;
    const first = this.#firstSeenAt(position - windows.window);
    let page = this.#tail ?? this.#cursor;
    while (page?.parent && page.depth + page.tokens.length > first * this.#store.pool.pageSize) {
      if (page.value.hasWindow) page.value.keepsWindow = true;
      page = page.parent;
    }
  }

  /** Copies a page of the cache that shares at least `least` of the next tokens, where there is one. */
  attachPart(tokens: Uint32Array, position: number, least: number): Attached {
    const tree = this.#store.tree;
    if (!tree || this.hasState || !this.#isAtEnd(position) || !this.#isNews(least)) return { position };
    const cursor = this.#cursor as CachePage<KvPage>;
    this.#seen = { changedAt: tree.changedAt(cursor), least };
    const part = tree.matchPart(cursor, tokens, position);
    if (!part?.page.value.hasWindow) return { position };
    const { count, hidden } = usableOf(part, tokens, position);
    if (count < Math.max(1, least)) return { position };
    const copy = this.#store.copy([part.page.value.page]);
    if (!copy) return { position };
    tree.touch(part.page);
    this.pages.push(...copy);
    return { position: position + count, ...(hidden ? { hidden } : {}) };
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

  /**
   * Leaves the pages that `tokens`, all of which have been read, fill to the end, for others to find. While a step is in flight no
   * page can be copied: a page that needs it waits, and so do those behind it. Returns whether all are left.
   */
  publish(tokens: Uint32Array, isInStep: boolean = false): boolean {
    const { pool, tree } = this.#store;
    const { pageSize } = pool;
    while (this.#cursor && (this.#known + 1) * pageSize <= tokens.length) {
      const begin = this.#known * pageSize;
      const page = this.pages[this.#store.statePages + this.#known] as number;
      const own = this.#tail?.isGone ? undefined : this.#tail;
      let kept = tree?.matchPage(this.#cursor, tokens, begin);
      const isCopied = (there: CachePage<KvPage> | undefined) =>
        there !== undefined && there.value.page !== page && !there.value.hasWindow;
      if (isInStep && isCopied(kept ?? own)) return false;
      this.#tail = undefined;
      if (!kept && own && tree?.grow(own, tokens.subarray(begin + own.tokens.length, begin + pageSize))) kept = own;
      kept ??= this.#store.keep(this.#cursor, tokens.slice(begin, begin + pageSize), page);
      if (kept && isCopied(kept)) this.#store.complete(kept, page);
      if (kept && kept.value.page !== page) {
        // Another sequence was faster; both have the same bits.
        pool.retain(kept.value.page);
        pool.release(page);
        this.pages[this.#store.statePages + this.#known] = kept.value.page;
      }
      this.#cursor = kept;
      this.#known++;
    }
    return true;
  }

  /**
   * Leaves the last page as well, incomplete as it is. At an `end`, the cache keeps the hidden state, the recurrent one, and what
   * windowed layers keep. While a step is in flight, see {@link publish}.
   */
  publishTail(tokens: Uint32Array, end?: End, isInStep: boolean = false): void {
    if (!this.publish(tokens, isInStep)) return;
    const last = this.#publishRest(tokens);
    if (!end) return;
    const { pageSize } = this.#store.pool;
    const count = tokens.length - (this.#known - (last === this.#cursor ? 1 : 0)) * pageSize;
    if (last && end.hidden) this.#store.keepHidden(last, count, end.hidden);
    if (last && this.hasState && end.state !== "unsure") {
      this.#store.keepState(last, count, this.pages.slice(0, this.#store.statePages), end.state === "leaves");
    }
    this.#keepEnd(tokens.length);
  }

  /** Leaves what is read of the page after the last whole one; returns the page that has the last token. */
  #publishRest(tokens: Uint32Array): CachePage<KvPage> | undefined {
    const cursor = this.#cursor;
    if (!cursor) return undefined;
    const begin = this.#known * this.#store.pool.pageSize;
    if (tokens.length === begin) return cursor.parent ? cursor : undefined;
    const page = this.pages[this.#store.statePages + this.#known] as number;
    let kept = this.#tail;
    if (kept && !kept.isGone) {
      const more = tokens.subarray(begin + kept.tokens.length);
      if (more.length > 0) this.#store.tree?.grow(kept, more);
    } else {
      kept = this.#store.keep(cursor, tokens.slice(begin), page);
      this.#tail = kept?.value.page === page ? kept : undefined;
    }
    return kept;
  }

  /** Releases all pages. Again is fine. */
  close(): void {
    const { pool, statePages } = this.#store;
    this.pages.forEach((page, index) =>
      pool.release(page, index < statePages || index - statePages >= this.#firstSeen)
    );
    this.pages.length = 0;
    this.#firstSeen = 0;
    this.#cursor = undefined;
    this.#tail = undefined;
  }
}

/** How much of a part of a page a sequence can take over: all but its last token, and that too where its hidden state is there. */
function usableOf(
  { page, count }: { readonly page: CachePage<KvPage>; readonly count: number },
  tokens: Uint32Array,
  begin: number,
): { readonly count: number; readonly hidden: Float32Array | undefined } {
  const hidden = begin + count === tokens.length ? page.value.hidden.get(count) : undefined;
  return { count: Math.min(count, tokens.length - begin - (hidden ? 0 : 1)), hidden };
}
