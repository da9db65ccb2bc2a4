/**
 * What saving and loading a cache is made of: values as bytes, what they belong to, a page of a stream, and what came of it.
 * The streams themselves are `persist.ts` and `sums.ts`.
 *
 * @module
 */
/**
 * How the values of a cache become bytes and back, for `TokenCache.save` and `TokenCache.load`.
 *
 * @example
 * ```ts
 * import { TokenCache, type ValueCodec } from "@lightgpt/lightgpt";
 *
 * const codec: ValueCodec<string> = {
 *   identity: { kind: "summaries", version: 1 },
 *   encode: (text) => [new TextEncoder().encode(text)],
 *   decode: ([bytes]) => new TextDecoder().decode(bytes),
 * };
 * const cache = new TokenCache<string>({ codec });
 * await cache.save(new WritableStream({ write: (chunk) => console.log(chunk.length, "bytes") }));
 * ```
 */
export interface ValueCodec<T> {
  /** What values belong to; a stream that says otherwise is refused. May take its time: it is asked once a stream. */
  readonly identity: CacheIdentity | (() => Promise<CacheIdentity>);
  /** A value of a page of `tokens` tokens as bytes, in one to 256 parts. */
  encode(value: T, tokens: number): readonly Uint8Array[] | Promise<readonly Uint8Array[]>;
  /** The value again; undefined where there is no room for it, or where the bytes are not a value. */
  decode(parts: readonly Uint8Array[], tokens: number): T | undefined | Promise<T | undefined>;
  /**
   * The most bytes of one part.
   * @default {256 MiB}
   */
  readonly partBytesMax?: number;
}

/**
 * What {@link TokenCache.save} needs of one of Node's streams to write to, such as `fs.createWriteStream` gives.
 *
 * @example
 * ```ts
 * import { LightGPT, type NodeWritable } from "@lightgpt/lightgpt";
 * import { createWriteStream } from "node:fs";
 *
 * await using lm = await LightGPT.load();
 * const stream: NodeWritable = createWriteStream("prefixes.cache");
 * await lm.cache?.save(stream);
 * ```
 */
export interface NodeWritable {
  /** Writes bytes, and says when they are written. */
  write(chunk: Uint8Array, callback: (error?: Error | null) => void): unknown;
  /** Ends the stream, and says when it has ended. */
  end(callback: (error?: Error | null) => void): unknown;
  /** Tells the stream's error. */
  once(event: "error", listener: (error: Error) => void): unknown;
}

/**
 * Where a cache is saved: the path or `file:` URL of a file, which appears whole or not at all, a web stream, or one of Node's.
 *
 * @example
 * ```ts
 * import { type CacheTarget, LightGPT } from "@lightgpt/lightgpt";
 *
 * const target: CacheTarget = "prefixes.cache";
 * await using lm = await LightGPT.load();
 * console.log(await lm.cache?.save(target));
 * ```
 */
export type CacheTarget = string | URL | WritableStream<Uint8Array> | NodeWritable;

/**
 * What a cache is loaded from: the path or `file:` URL of a file, a web stream, or anything that gives its bytes one chunk after
 * the other, as Node's streams do.
 *
 * @example
 * ```ts
 * import { type CacheSource, LightGPT } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * await lm.cache?.save("prefixes.cache");
 * const source: CacheSource = "prefixes.cache";
 * console.log(await lm.cache?.load(source));
 * ```
 */
export type CacheSource = string | URL | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>;

/**
 * Options for `TokenCache.save` and `TokenCache.load`.
 *
 * @example
 * ```ts
 * import { type CacheStreamOptions, LightGPT } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const options: CacheStreamOptions = { key: crypto.getRandomValues(new Uint8Array(32)) }; // kept where secrets are
 * const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
 * await Promise.all([lm.cache?.save(writable, options), lm.cache?.load(readable, options)]);
 * ```
 */
export interface CacheStreamOptions {
  /**
   * A secret of 16 to 1024 bytes: the stream carries a MAC (HMAC-SHA-256), and only one saved with the same key is loaded.
   * Without a key the stream is **trusted input**: its checksums find accidents, but anything that can write it
   * decides what the model answers, for every tenant.
   *
   * @default {no key}
   */
  readonly key?: Uint8Array;
}

/**
 * What was saved or loaded.
 *
 * @example
 * ```ts
 * import { type CacheTransfer, LightGPT } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
 * const transfers = Promise.all([lm.cache?.save(writable), lm.cache?.load(readable)]);
 * const [saved]: (CacheTransfer | undefined)[] = await transfers;
 * console.log(saved?.pages, saved?.bytes);
 * ```
 */
export interface CacheTransfer {
  /** Pages that went over. */
  readonly pages: number;
  /** Pages that were left out: there was no room, or they were there. */
  readonly skipped: number;
  /** Bytes of the stream. */
  readonly bytes: number;
}

/**
 * What the values of a cache belong to: a stream of another identity is refused.
 *
 * @example
 * ```ts
 * import { type CacheIdentity } from "@lightgpt/lightgpt";
 *
 * const identity: CacheIdentity = { kind: "summaries", version: 2, isShort: true };
 * console.log(identity);
 * ```
 */
export type CacheIdentity = Readonly<Record<string, string | number | boolean>>;

/** A page as it goes into a stream. */
export interface SavedPage {
  /** The number of its parent in the stream; -1: it begins a salt. */
  readonly parent: number;
  /** The salt that it lies under. */
  readonly salt: string;
  /** The tokens that it covers. */
  readonly tokens: Uint32Array;
  /** Lengths, besides multiples of 8, at which it is found. */
  readonly ends: readonly number[];
  /** Its value, as bytes in one or more parts. */
  readonly parts: readonly Uint8Array[];
}

/**
 * A page was stored in a cache, or left it: what a router needs to know which machine has which prefix.
 *
 * @example
 * ```ts
 * import { type CacheEvent, LightGPT } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const known = new Map<number, CacheEvent>();
 * const stop = lm.cache?.listen((event) => {
 *   if (event.kind === "stored") known.set(event.page, event);
 *   else known.delete(event.page);
 * });
 * await lm.complete("Once upon a time");
 * stop?.();
 * console.log(known.size, "pages");
 * ```
 */
export type CacheEvent =
  | {
    /** A page is found from now on. One that is incomplete is stored again, under the same number, when it gets more tokens. */
    readonly kind: "stored";
    /** The page's number, which no other page of this cache ever has. */
    readonly page: number;
    /** The number of the page before it; undefined for the first of a prefix. */
    readonly parent: number | undefined;
    /** The salt under which it is found. */
    readonly salt: string;
    /** Tokens before those of the page. */
    readonly position: number;
    /** Its tokens. */
    readonly tokens: Uint32Array;
  }
  | {
    /** A page is found no more: it was evicted, or the cache was cleared. */
    readonly kind: "evicted";
    /** The page's number. */
    readonly page: number;
  };
