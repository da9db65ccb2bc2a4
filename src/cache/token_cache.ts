/**
 * A cache of what was computed for tokens, by prefix. Values belong to pages of tokens, and a page is known by its tokens
 * and all tokens before them: two sequences with the same beginning share the values of that beginning. LightGPT keeps
 * keys and values in one; it serves as well for values of one's own.
 *
 * @module
 */
import { CancelledError, InvalidArgumentError } from "../../ffi/errors.ts";
import {
  type CacheScope,
  cacheStreamFields,
  scopeFields,
  tokenCacheFields,
  type TokenCacheOptions,
} from "./options.ts";
import type { Sums } from "./sums.ts";
import { type CachePage, rootOf } from "./page.ts";
import { CacheTree } from "./tree.ts";
import type {
  CacheEvent,
  CacheIdentity,
  CacheSource,
  CacheStreamOptions,
  CacheTarget,
  CacheTransfer,
  SavedPage,
  ValueCodec,
} from "./types.ts";
import { guarded, refuseOption } from "../options/checks.ts";
import { readOptions } from "../options/schema.ts";
import { tokenIds } from "../options/token_ids.ts";

/**
 * What a cache has of some tokens.
 *
 * @example
 * ```ts
 * import { type CacheHit, TokenCache } from "@lightgpt/lightgpt";
 *
 * const cache = new TokenCache<string>({ pageSize: 8 });
 * cache.insert([1, 2, 3, 4, 5, 6, 7, 8], ["one to eight"]);
 * const { tokens, values }: CacheHit<string> = cache.lookup([1, 2, 3, 4, 5, 6, 7, 8, 9]);
 * console.log(tokens, values); // 8 [ "one to eight" ]
 * ```
 */
export interface CacheHit<T> {
  /** Tokens that the values cover, from the first on. */
  readonly tokens: number;
  /** One value for each page; the last may cover more tokens than were looked for. */
  readonly values: T[];
}

/**
 * What a cache has done so far.
 *
 * @example
 * ```ts
 * import { type CacheStats, LightGPT } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * await lm.complete("Once upon a time");
 * const stats: CacheStats | undefined = lm.cache?.stats();
 * console.log(stats?.hits, stats?.tokensSaved, stats?.bytes);
 * ```
 */
export interface CacheStats {
  /** Look-ups that found something, and those that found nothing. */
  readonly hits: number;
  /** See `hits`. */
  readonly misses: number;
  /** Tokens that look-ups asked for. */
  readonly tokensAsked: number;
  /** Tokens of them that were found. */
  readonly tokensSaved: number;
  /** Pages kept. */
  readonly pages: number;
  /** Copies of recurrent states that they have; 0 where the model has none. A prefix is found up to one. */
  readonly states: number;
  /** Bytes that all of these take. */
  readonly bytes: number;
  /** Bytes that they may take. */
  readonly bytesMax: number;
  /** Pages and states evicted. */
  readonly evictions: number;
}

/**
 * A prefix that stays.
 *
 * @example
 * ```ts
 * import { type Pin, TokenCache } from "@lightgpt/lightgpt";
 *
 * const cache = new TokenCache<string>({ pageSize: 8 });
 * cache.insert([1, 2, 3, 4, 5, 6, 7, 8], ["one to eight"]);
 * const pin: Pin = cache.pin([1, 2, 3, 4, 5, 6, 7, 8]);
 * console.log(pin.tokens); // 8
 * pin.release();
 * ```
 */
export interface Pin {
  /** Tokens of the prefix that are there, and stay. */
  readonly tokens: number;
  /** Lets them go. Again is fine. */
  release(): void;
}

/** The pages of a cache, for callers that keep their place among them. */
export let cacheTreeOf: <T>(cache: TokenCache<T>) => CacheTree<T>;

/**
 * Values by prefix of tokens.
 *
 * @example
 * ```ts
 * import { TokenCache } from "@lightgpt/lightgpt";
 *
 * const cache = new TokenCache<string>({ pageSize: 8, bytesMax: 1000 }); // 1000 pages
 * const tokens = Array.from({ length: 20 }, (_, id) => id);
 * cache.insert(tokens, ["0 to 7", "8 to 15", "16 to 19"]);
 * console.log(cache.lookup([...tokens.slice(0, 12), 99])); // { tokens: 8, values: [ "0 to 7" ] }
 * ```
 */
export class TokenCache<T> {
  static {
    cacheTreeOf = (cache) => cache.#tree;
  }
  readonly #tree: CacheTree<T>;
  readonly #bytesOf: (value: T) => number;
  readonly #codec: ValueCodec<T> | undefined;

  /** An empty cache. */
  constructor(options: TokenCacheOptions<T> = {}) {
    const { bytesOf, isInUse, dropped, codec, ...rest } = readOptions(tokenCacheFields<T>(), options);
    this.#bytesOf = bytesOf ?? (() => 1);
    this.#codec = codec;
    this.#tree = new CacheTree({
      ...rest,
      isInUse: isInUse ?? (() => false),
      dropped: dropped ?? (() => {}),
    });
  }

  /** The values of the longest prefix of `tokens` that is there, under the salt of `scope`: whole pages, then a part of one of at least 8 tokens. */
  lookup(tokens: ArrayLike<number>, scope: CacheScope = {}): CacheHit<T> {
    const ids = tokenIds("tokens", tokens);
    const { pages, part, tokens: found } = this.#tree.match(saltOf(scope), ids);
    const all = part ? [...pages, part.page] : pages;
    for (const page of all) this.#tree.touch(page);
    this.#tree.count(ids.length, found);
    return { tokens: found, values: all.map(({ value }) => value) };
  }

  /**
   * Keeps one value for each page of `tokens`, under the salt of `scope`; the last page may be incomplete. Values of pages that are there already, or
   * for which there is no room, are not taken and come back.
   */
  insert(tokens: ArrayLike<number>, values: readonly T[], scope: CacheScope = {}): T[] {
    const ids = tokenIds("tokens", tokens);
    const { pageSize } = this.#tree.options;
    const count = Math.ceil(ids.length / pageSize);
    guarded("values", () => {
      if (Array.isArray(values) && values.length === count) return;
      refuseOption("values", `one value for each page of ${pageSize} tokens, ${count}`, values);
    });
    let page = this.#tree.root(saltOf(scope));
    const left: T[] = [];
    for (const [index, value] of values.entries()) {
      const bytes = this.#bytesOf(value);
      if (!(bytes > 0)) refuseOption("bytesOf", "a number above 0 for each value", bytes);
      const next = this.#tree.insert(page, ids.slice(index * pageSize, (index + 1) * pageSize), value, bytes);
      if (next === undefined) return [...left, ...values.slice(index)];
      if (next.value !== value) {
        this.#tree.touch(next);
        left.push(value);
      }
      page = next;
    }
    return left;
  }

  /** Keeps what is there of a prefix, `tokens` under the salt of `scope`, until it is released. */
  pin(tokens: ArrayLike<number>, scope: CacheScope = {}): Pin {
    const { pages, part, tokens: found } = this.#tree.match(saltOf(scope), tokenIds("tokens", tokens));
    const last = part?.page ?? pages.at(-1);
    if (last) this.#tree.pins.add(last);
    let isHeld = last !== undefined;
    return {
      tokens: found,
      release: () => {
        if (last && isHeld) this.#tree.pins.remove(last);
        isHeld = false;
      },
    };
  }

  /** Forgets everything, pinned or not. A value in use stays valid for its user until it is released. */
  clear(): void {
    this.#tree.clear();
  }

  /**
   * Calls `listener` of each page that is stored or leaves the cache, while that happens: it should only take note. What it throws
   * goes where errors of event listeners go (`reportError`).
   *
   * @returns a function that ends it.
   */
  listen(listener: (event: CacheEvent) => void): () => void {
    if (typeof listener !== "function") refuseOption("listener", "a function", listener);
    const { listeners } = this.#tree;
    const tell = (event: CacheEvent) => {
      try {
        listener(event);
      } catch (error) {
        reportError(error);
      }
    };
    listeners.add(tell);
    return () => void listeners.delete(tell);
  }

  /** What it has done so far. */
  stats(): CacheStats {
    const { counts, bytes, size, states, evictions, options } = this.#tree;
    return { ...counts, pages: size, states: states.size, bytes, bytesMax: options.bytesMax, evictions };
  }

  /**
   * Writes all pages to a file or a stream, and closes it. What changes meanwhile may be in it or not. Give a `key` if it is kept
   * where others can write: without one, a person who changes it decides what the values are.
   *
   * @param target a path, a `file:` URL, or a stream
   * @param options the key
   * @returns how much was written
   * @throws {LightGPTError} with the code `io` where the file cannot be written
   */
  async save(target: CacheTarget, options: CacheStreamOptions = {}): Promise<CacheTransfer> {
    const codec = this.#needCodec();
    const sums = await sumsFor(options);
    const { writableOf } = await import("./streams.ts");
    const stream = writableOf(target);
    const pages = this.#tree.pages().map((page) => ({ page, tokens: page.tokens, ends: [...page.ends] }));
    const numbers = new Map(pages.map(({ page }, number) => [page, number]));
    const salts = [...new Set(pages.map(({ page }) => rootOf(page).salt))];
    const saved = async function* (): AsyncGenerator<SavedPage> {
      for (const { page, tokens, ends } of pages) {
        if (page.isGone) {
          throw new CancelledError("The cache was cleared while it was saved.", { what: "cancelled", where: "save" });
        }
        const parent = numbers.get(page.parent as CachePage<T>) ?? -1;
        const parts = await codec.encode(page.value, tokens.length);
        yield { parent, salt: rootOf(page).salt, tokens, ends, parts };
      }
    };
    // Nothing of it may be evicted before it is written.
    return this.#tree.pins.transfer(pages.map(({ page }) => page), async () => {
      const form = { identity: await identityOf(codec), pageSize: this.#tree.options.pageSize, sums };
      const { writePages } = await import("./persist.ts");
      const bytes = await writePages(stream, form, { salts, count: pages.length, pages: saved() });
      return { pages: pages.length, skipped: 0, bytes };
    });
  }

  /**
   * Adds the pages that {@link TokenCache.save} wrote, as many as there is room for. With the `key` that they were saved
   * with, nothing is taken over that was not written with that key; **without a key the file or stream is trusted input**.
   *
   * @param source a path, a `file:` URL, or a stream
   * @param options the key
   * @returns how much was read
   * @throws {LightGPTError} with the code `io` where the file cannot be read
   * @throws {InvalidArgumentError} The stream was cut, changed, saved with another key, or made for other values; what was
   *   loaded by then stays, and is whole.
   */
  async load(source: CacheSource, options: CacheStreamOptions = {}): Promise<CacheTransfer> {
    const codec = this.#needCodec();
    const sums = await sumsFor(options);
    const { readableOf } = await import("./streams.ts");
    const stream = readableOf(source);
    const tree = this.#tree;
    const loaded: (CachePage<T> | undefined)[] = [];
    let count = 0;
    const receive = async ({ parent, salt, tokens, ends, parts }: SavedPage) => {
      const under = parent < 0 ? tree.root(salt) : loaded[parent];
      const isThere = under && tree.matchPart(under, tokens, 0);
      if (isThere?.count === tokens.length) {
        loaded.push(isThere.page);
        return;
      }
      const value = under && await codec.decode(parts, tokens.length);
      const page = under && value !== undefined ? tree.insert(under, tokens, value, this.#bytesOf(value)) : undefined;
      if (value !== undefined && page?.value !== value) tree.options.dropped(value);
      else if (page) count++;
      if (page) { for (const end of ends) tree.markEnd(page, end); }
      loaded.push(page);
    };
    const { partBytesMax = 2 ** 28 } = codec;
    const form = { identity: await identityOf(codec), pageSize: tree.options.pageSize, sums };
    const { readPages } = await import("./persist.ts");
    const bytes = await readPages(stream, form, partBytesMax, receive);
    return { pages: count, skipped: loaded.length - count, bytes };
  }

  #needCodec(): ValueCodec<T> {
    if (this.#codec) return this.#codec;
    throw new InvalidArgumentError("codec: a cache is saved and loaded with a codec, and this one has none.", {
      what: "no codec",
      where: "codec",
    });
  }
}

/** How a stream is checked; the key is copied, so that it may be wiped meanwhile. */
async function sumsFor(options: CacheStreamOptions): Promise<Sums> {
  const { key: copy } = readOptions(cacheStreamFields, options);
  const { sumsWith } = await import("./sums.ts");
  return sumsWith(copy);
}

async function identityOf<T>({ identity }: ValueCodec<T>): Promise<CacheIdentity> {
  return typeof identity === "function" ? await identity() : identity;
}

function saltOf(scope: CacheScope): string {
  return readOptions(scopeFields, scope, "scope", "").salt;
}
