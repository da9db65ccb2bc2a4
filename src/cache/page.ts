/**
 * A page of a cache's tree: tokens after those of its parent, and the value that is kept for them.
 *
 * @module
 */
import type { Evictable } from "./evict.ts";

/**
 * What recurrent layers have come to after some tokens of a page. Where pages have such states, a prefix is of use only up to
 * one. A state is evicted on its own, and before its page.
 */
export interface CacheState extends Evictable {
  /** Tokens of its page that come before it. */
  readonly count: number;
  /** Tokens between the state before it and this one, which it saves. */
  cost: number;
  /** Gives its value up; called when it leaves the tree. */
  drop(): void;
}

/** A page in the tree, or, without a parent, the root of a salt. */
export class CachePage<T> implements Evictable {
  /** Names it in the index; never used again. */
  readonly id: number;
  /** The page before it; a root has none. */
  readonly parent: CachePage<T> | undefined;
  /** Of a root: its salt. */
  readonly salt: string;
  /** Tokens before those of this page. */
  readonly depth: number;
  /** The tokens that it covers; only the last page of a branch has fewer than a page can have, and it can grow. */
  tokens: Uint32Array;
  /** What is kept for them. */
  readonly value: T;
  /** Bytes that it takes. */
  bytes: number;
  /** Pages that follow it. */
  children = 0;
  /** The latest of these pages, often the only one. */
  newest: CachePage<T> | undefined;
  /** States of the pages that follow it. */
  statesAfter = 0;
  /** How often it was pinned, which forbids its eviction, and that of its states. */
  pins = 0;
  /** When the pages that follow it last became more, in changes of the whole tree. */
  changedAt = 0;
  /** Whether it was taken out of the tree. */
  isGone = false;
  uses = 0;
  lastUsed = 0;
  score = 0;
  isQueued = false;
  /** Lengths, besides multiples of 8, at which it is found: where a whole prompt ended. */
  readonly ends: number[] = [];

  /** Made by {@link CacheTree}. */
  constructor(
    id: number,
    parent: CachePage<T> | undefined,
    salt: string,
    tokens: Uint32Array,
    value: T,
    bytes: number,
  ) {
    this.id = id;
    this.parent = parent;
    this.salt = salt;
    this.depth = parent ? parent.depth + parent.tokens.length : 0;
    this.tokens = tokens;
    this.value = value;
    this.bytes = bytes;
  }

  /** Work that it saves: each token's products, and attention over what comes before. */
  get cost(): number {
    return this.tokens.length * (1 + (this.depth + this.tokens.length / 2) / 4096);
  }
}

/** Whether the first `length` tokens of a page are those from `at` on. */
export function beginsWith(page: CachePage<unknown>, tokens: ArrayLike<number>, at: number, length: number): boolean {
  const own = page.tokens;
  if (own.length < length) return false;
  for (let index = 0; index < length; index++) if (own[index] !== tokens[at + index]) return false;
  return true;
}

/** The root of the salt under which a page is found. */
export function rootOf<T>(page: CachePage<T>): CachePage<T> {
  let root = page;
  while (root.parent) root = root.parent;
  return root;
}
