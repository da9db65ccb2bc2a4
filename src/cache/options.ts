/**
 * Options of a cache of tokens: what users see, and the schema of it.
 *
 * @module
 */
import { checkFunction, checkObject, refuseOption } from "../options/checks.ts";
import { callback, choice, type FieldsOf, integer, other, text } from "../options/schema.ts";
import { evictionPolicies, type EvictionPolicy } from "./evict.ts";
import type { CacheStreamOptions, ValueCodec } from "./types.ts";

/**
 * Options for a cache of tokens.
 *
 * @example
 * ```ts
 * import { TokenCache, type TokenCacheOptions } from "@lightgpt/lightgpt";
 *
 * const options: TokenCacheOptions<string> = { pageSize: 16, bytesMax: 1 << 20, policy: "lru", bytesOf: (text) => text.length };
 * const cache = new TokenCache(options);
 * ```
 */
export interface TokenCacheOptions<T> {
  /**
   * Tokens of a page, 8 to 256.
   * @default {32}
   */
  readonly pageSize?: number;
  /**
   * The most bytes of all values together.
   * @default {no limit}
   */
  readonly bytesMax?: number;
  /**
   * Which pages are evicted first: the least recently used, the least often used, or those that cost the least to compute.
   * @default {"lru"}
   */
  readonly policy?: EvictionPolicy;
  /**
   * The bytes that a value takes, above 0.
   * @default {1 for each value, so that `bytesMax` counts pages}
   */
  readonly bytesOf?: (value: T) => number;
  /**
   * Whether a value is in use, so that it must not be evicted.
   * @default {no value is}
   */
  readonly isInUse?: (value: T) => boolean;
  /** Called with a value that has left the cache. */
  readonly dropped?: (value: T) => void;
  /**
   * Bits of the index hash, from 1 to 32. Fewer bits cost time, never a wrong result; tests of collisions use them.
   * @default {32}
   */
  readonly hashBits?: number;
  /**
   * Turns values into bytes and back; needed to save and load.
   * @default {none: the cache cannot be saved}
   */
  readonly codec?: ValueCodec<T>;
}

/**
 * Which part of a cache: nothing that was kept under one salt is ever found under another.
 *
 * @example
 * ```ts
 * import { type CacheScope, TokenCache } from "@lightgpt/lightgpt";
 *
 * const tenant: CacheScope = { salt: "tenant 7" };
 * const cache = new TokenCache<string>();
 * cache.insert(Array.from({ length: 32 }, (_, id) => id), ["a value"], tenant);
 * ```
 */
export interface CacheScope {
  /**
   * Whom, or what, values are kept for.
   * @default {""}
   */
  readonly salt?: string;
}

/** Options that every cache of tokens has. */
export const evictionFields = {
  bytesMax: integer({
    about: "The most bytes that are kept.",
    least: 0,
    most: Number.MAX_SAFE_INTEGER,
    otherwise: "no limit",
  }),
  policy: choice(evictionPolicies, { about: "Which pages are evicted first.", default: "lru" }),
  hashBits: integer({ about: "Bits of the index hash.", least: 1, most: 32, default: 32 }),
};

/** The schema of {@link TokenCacheOptions}. */
export const tokenCacheFields = <T>() =>
  ({
    ...evictionFields,
    bytesMax: integer({
      about: "The most bytes of all values together.",
      least: 0,
      most: Number.MAX_SAFE_INTEGER,
      default: Number.MAX_SAFE_INTEGER,
      otherwise: "no limit",
    }),
    pageSize: integer({ about: "Tokens of a page.", least: 8, most: 256, default: 32 }),
    bytesOf: callback<(value: T) => number>({
      about: "The bytes that a value takes.",
      otherwise: "1 for each value, so that `bytesMax` counts pages",
    }),
    isInUse: callback<(value: T) => boolean>({
      about: "Whether a value must not be evicted.",
      otherwise: "no value is",
    }),
    dropped: callback<(value: T) => void>({ about: "Called with a value that has left the cache." }),
    codec: other<ValueCodec<T>>()(
      { about: "Turns values into bytes and back.", expected: "an object with identity, encode and decode" },
      readCodec<T>,
    ),
  }) as const satisfies FieldsOf<TokenCacheOptions<T>>;

/** The schema of {@link CacheStreamOptions}. */
export const cacheStreamFields = {
  key: other<Uint8Array>()(
    {
      about: "A secret that a saved cache is checked with.",
      expected: "a Uint8Array of 16 to 1024 bytes",
      otherwise: "no key: the stream is trusted",
    },
    // A copy, so that the caller may wipe the key meanwhile.
    (key, name) => {
      if (key instanceof Uint8Array && key.length >= 16 && key.length <= 1024) return Uint8Array.from(key);
      return refuseOption(name, "a Uint8Array of 16 to 1024 bytes", key);
    },
  ),
} as const satisfies FieldsOf<CacheStreamOptions>;

/** The schema of {@link CacheScope}. */
export const scopeFields = {
  salt: text({ about: "Whom, or what, values are kept for.", default: "" }),
} as const satisfies FieldsOf<CacheScope>;

function readCodec<T>(codec: unknown, name: string): ValueCodec<T> {
  checkObject(name, codec);
  const { identity, encode, decode, partBytesMax } = codec as Partial<ValueCodec<T>>;
  for (const [key, value] of Object.entries({ encode, decode })) {
    if (value === undefined) refuseOption(`${name}.${key}`, "a function", value);
    checkFunction(`${name}.${key}`, value);
  }
  if (typeof identity !== "function" && (identity === null || typeof identity !== "object")) {
    refuseOption(`${name}.identity`, "an object, or a function that gives one", identity);
  }
  if (partBytesMax !== undefined && !(Number.isSafeInteger(partBytesMax) && partBytesMax >= 0)) {
    refuseOption(`${name}.partBytesMax`, "an integer from 0 up", partBytesMax);
  }
  return codec as ValueCodec<T>;
}
