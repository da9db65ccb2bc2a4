/**
 * The token cache alone: values under lists of tokens, found by their longest prefix, within a number of bytes.
 *
 * @example
 * ```ts
 * import { TokenCache } from "@lightgpt/lightgpt/cache";
 *
 * const cache = new TokenCache<string>({ pageSize: 8 });
 * cache.insert([1, 2, 3, 4, 5, 6, 7, 8], ["one to eight"]);
 * console.log(cache.lookup([1, 2, 3, 4, 5, 6, 7, 8, 9]).tokens); // 8
 * ```
 *
 * @module
 */
export { type CacheHit, type CacheStats, type Pin, TokenCache } from "../src/cache/token_cache.ts";
export type { CacheScope, TokenCacheOptions } from "../src/cache/options.ts";
export type { EvictionPolicy } from "../src/cache/evict.ts";
export type {
  CacheEvent,
  CacheIdentity,
  CacheSource,
  CacheStreamOptions,
  CacheTarget,
  CacheTransfer,
  NodeWritable,
  ValueCodec,
} from "../src/cache/types.ts";
