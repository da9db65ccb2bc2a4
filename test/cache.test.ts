/**
 * TokenCache alone, over plain values: what it finds against a plain list, whatever the hash, what it evicts and tells, what it
 * saves and what it refuses.
 *
 * @module
 */
import { assert, assertEquals, assertGreater, assertRejects, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import { type CacheEvent, InvalidArgumentError, TokenCache, type TokenCacheOptions } from "../mod.ts";
import { cacheTreeOf } from "../src/cache/token_cache.ts";
import { randomFrom } from "./simulation.ts";
import { often } from "./counts.ts";

function count(from: number, length: number): number[] {
  return Array.from({ length }, (_, index) => from + index);
}

/** The values of a cache, as whoever saves it would see them. */
const codec = {
  identity: { kind: "text", version: 1 },
  encode: (text: string) => [new TextEncoder().encode(text), new TextEncoder().encode("!")],
  decode: ([bytes]: readonly Uint8Array[]) => new TextDecoder().decode(bytes),
};

async function saved(cache: TokenCache<string>): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  await cache.save(new WritableStream({ write: (chunk) => void chunks.push(chunk) }));
  return chunks;
}

function streamOf(bytes: Uint8Array, chunk = 1000): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, at + chunk));
      at += chunk;
    },
  });
}

function join(chunks: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(chunks.flatMap((chunk) => [...chunk]));
}

describe("TokenCache", () => {
  it("finds whole pages, then a part of one from 8 tokens on", () => {
    const cache = new TokenCache<string>({ pageSize: 16 });
    const tokens = count(0, 44);
    assertEquals(cache.insert(tokens, ["a", "b", "c"]), []);
    assertEquals(cache.lookup(tokens), { tokens: 44, values: ["a", "b", "c"] });
    assertEquals(cache.lookup(tokens.slice(0, 20)), { tokens: 16, values: ["a"] });
    assertEquals(cache.lookup(tokens.slice(0, 24)), { tokens: 24, values: ["a", "b"] });
    assertEquals(cache.lookup([...tokens.slice(0, 29), 99, 100, 101]), { tokens: 29, values: ["a", "b"] });
    assertEquals(cache.lookup([...tokens.slice(0, 23), 99, 100]), { tokens: 16, values: ["a"] });
    assertEquals(cache.lookup(tokens.slice(1)), { tokens: 0, values: [] });
    assertEquals(cache.lookup([]), { tokens: 0, values: [] });
    const { hits, misses, pages, tokensSaved } = cache.stats();
    assertEquals([hits, misses, pages, tokensSaved], [5, 2, 3, 44 + 16 + 24 + 29 + 16]);
  });

  it("keeps what is there and gives the rest back", () => {
    const cache = new TokenCache<string>({ pageSize: 8, bytesMax: 3 });
    assertEquals(cache.insert(count(0, 16), ["a", "b"]), []);
    assertEquals(cache.insert([...count(0, 8), ...count(50, 8)], ["x", "c"]), ["x"]);
    assertEquals(cache.lookup([...count(0, 8), ...count(50, 8)]).values, ["a", "c"]);
    const full = new TokenCache<string>({ pageSize: 8, bytesMax: 2, isInUse: () => true });
    assertEquals(full.insert(count(0, 24), ["a", "b", "c"]), ["c"]);
  });

  it("finds nothing of one salt under another", () => {
    const cache = new TokenCache<string>({ pageSize: 8, hashBits: 1 });
    const tokens = count(0, 24);
    cache.insert(tokens, ["a", "b", "c"], { salt: "tenant 1" });
    assertEquals(cache.lookup(tokens, { salt: "tenant 2" }).tokens, 0);
    assertEquals(cache.lookup(tokens).tokens, 0);
    assertEquals(cache.lookup(tokens, { salt: "tenant 1" }).tokens, 24);
  });

  // Pairs whose 64-bit FNV-1a over whole tokens are equal, and 32-bit ones over bytes and over tokens.
  for (
    const [one, other] of [
      [[126269, 3894, 88213, 0], [47058, 23481, 101872, 37121]],
      [[122901, 16113, 27159, 0], [43306, 3346, 212, 102663]],
      [[12513, 8774, 29954, 22846], [4516, 10526, 9908, 17661]],
      [[28915, 3968, 18515, 21881], [15071, 3744, 7455, 29849]],
    ] as const
  ) {
    it(`tells ${one} from ${other}, and what follows them`, () => {
      for (const hashBits of [32, 8, 1]) {
        const cache = new TokenCache<string>({ pageSize: 8, hashBits });
        const rest = count(7, 12);
        cache.insert([...one, ...rest], ["one", "more of one"]);
        assertEquals(cache.lookup([...other, ...rest]).tokens, 0);
        cache.insert([...other, ...rest], ["other", "more of other"]);
        assertEquals(cache.lookup([...one, ...rest]).values, ["one", "more of one"]);
        assertEquals(cache.lookup([...other, ...rest]).values, ["other", "more of other"]);
      }
    });
  }

  it("agrees with a plain list of prefixes, with 32 bits of hash and with 8", () => {
    for (const hashBits of [32, 8]) {
      const random = randomFrom(hashBits);
      const cache = new TokenCache<string>({ pageSize: 8, hashBits });
      const known = new Map<string, string>();
      const key = (salt: string, tokens: number[]) => `${salt}:${tokens.join()}`;
      for (let round = 0; round < often(3000, 20_000); round++) {
        const salt = "ab".charAt(random(2));
        const tokens = Array.from({ length: 8 * (1 + random(5)) }, (_, index) => random(index < 8 ? 3 : 2));
        if (random(2) === 0) {
          const values = Array.from({ length: tokens.length / 8 }, (_, page) => `${round}.${page}`);
          cache.insert(tokens, values, { salt });
          values.forEach((value, page) => {
            const prefix = key(salt, tokens.slice(0, 8 * (page + 1)));
            if (!known.has(prefix)) known.set(prefix, value);
          });
          continue;
        }
        const expected: string[] = [];
        for (let page = 1; known.has(key(salt, tokens.slice(0, 8 * page))) && 8 * page <= tokens.length; page++) {
          expected.push(known.get(key(salt, tokens.slice(0, 8 * page))) as string);
        }
        assertEquals(cache.lookup(tokens, { salt }).values, expected);
      }
      assertEquals(cache.stats().pages, known.size);
    }
  });

  it("evicts a leaf before its parent, nobody who is in use or pinned, and stays within its bytes", () => {
    for (const policy of ["lru", "lfu", "cost"] as const) {
      const random = randomFrom(5);
      const inUse = new Set<string>();
      const dropped: string[] = [];
      const cache = new TokenCache<string>({
        pageSize: 8,
        bytesMax: 40,
        policy,
        isInUse: (value) => inUse.has(value),
        dropped: (value) => dropped.push(value),
      });
      const pinned = Array.from({ length: 16 }, () => 9);
      cache.insert(pinned, ["pin 0", "pin 1"]);
      const pin = cache.pin(pinned);
      assertEquals(pin.tokens, 16);
      for (let round = 0; round < often(2000, 20_000); round++) {
        const tokens = Array.from({ length: 8 * (1 + random(4)) }, (_, index) => index % 8 === 0 ? random(6) : 1);
        const before = dropped.length;
        const values = Array.from({ length: tokens.length / 8 }, (_, page) => `${round}.${page}`);
        const left = cache.insert(tokens, values);
        for (const value of dropped.slice(before)) assert(!inUse.has(value), "one in use was evicted");
        if (random(4) === 0) {
          inUse.clear();
          for (const value of cache.lookup(tokens).values) inUse.add(value);
        }
        const { pages, bytes } = cache.stats();
        assert(bytes <= 40 && pages === bytes);
        assert(left.length < values.length || left.length === values.length);
        for (const page of cacheTreeOf(cache).pages()) assert(page.parent && !page.parent.isGone, "an orphan");
      }
      assertEquals(cache.lookup(pinned).tokens, 16);
      assert(cache.stats().evictions > 500);
      pin.release();
      pin.release();
      inUse.clear();
      for (let from = 0; from < 60; from++) cache.insert(count(100 * from, 8), ["other"]);
      if (policy === "lru") assertEquals(cache.lookup(pinned).tokens, 0);
      cache.clear();
      assertEquals([cache.stats().pages, cache.stats().bytes], [0, 0]);
      assertEquals(cacheTreeOf(cache).salts, 0);
    }
  });

  it("evicts the least recently used, the least often used, the least worth", () => {
    const pages = (policy: "lru" | "lfu" | "cost") => {
      const cache = new TokenCache<string>({ pageSize: 8, bytesMax: 2, policy });
      cache.insert(count(0, 8), ["often"]);
      cache.lookup(count(0, 8));
      cache.lookup(count(0, 8));
      cache.insert(count(50, 8), ["late"]);
      cache.insert(count(80, 8), ["new"]);
      return [count(0, 8), count(50, 8), count(80, 8)].flatMap((tokens) => cache.lookup(tokens).values);
    };
    assertEquals(pages("lru"), ["late", "new"]);
    assertEquals(pages("lfu"), ["often", "new"]);
    assertEquals(pages("cost"), ["often", "new"]);
  });

  it("tells of pages that are stored and that leave it, so that its content is known elsewhere", () => {
    const cache = new TokenCache<string>({ pageSize: 8, bytesMax: 40, hashBits: 8 });
    const copy = new Map<number, CacheEvent & { kind: "stored" }>();
    let told = 0;
    const stop = cache.listen((event) => {
      told++;
      if (event.kind === "stored") copy.set(event.page, event);
      else assert(copy.delete(event.page), "a page left that was not stored");
    });
    const random = randomFrom(5);
    const check = () => {
      const prefixes = [...copy.values()].map((event) => {
        const tokens = [...event.tokens];
        for (let at = event; at.parent !== undefined;) {
          at = copy.get(at.parent) as typeof event;
          tokens.unshift(...at.tokens);
        }
        assertEquals(event.position, tokens.length - event.tokens.length);
        return `${event.salt}:${tokens.join()}`;
      });
      const kept = cacheTreeOf(cache).pages().map((page) => {
        const tokens: number[] = [];
        let at = page;
        for (; at.parent; at = at.parent) tokens.unshift(...at.tokens);
        return `${at.salt}:${tokens.join()}`;
      });
      assertEquals(prefixes.sort(), kept.sort());
    };
    for (let round = 0; round < 300; round++) {
      const tokens = Array.from({ length: 1 + random(40) }, () => random(2));
      cache.insert(tokens, Array.from({ length: Math.ceil(tokens.length / 8) }, () => "x"), { salt: "ab"[random(2)] });
      const part = cacheTreeOf(cache).pages().find(({ tokens, children }) => tokens.length < 8 && children === 0);
      if (part && random(3) === 0) cacheTreeOf(cache).grow(part, [1]);
      check();
    }
    assertGreater(cache.stats().evictions, 100);
    cache.clear();
    assertEquals(copy.size, 0);
    stop();
    const before = told;
    cache.insert([1, 2, 3], ["x"]);
    assertEquals(told, before);
    assertThrows(() => cache.listen(7 as never), InvalidArgumentError, "listener");
  });

  it("by cost evicts what is cheaper to compute again: what stands nearer to the beginning", () => {
    const cache = new TokenCache<string>({ pageSize: 8, bytesMax: 1000, policy: "cost" });
    const long = Array.from({ length: 800 }, (_, index) => index);
    cache.insert(long, long.slice(0, 100).map((page) => `deep ${page}`));
    cache.insert([9, 9, 9, 9, 9, 9, 9, 9], ["shallow"]); // the newer of both, and used as often
    const tree = cacheTreeOf(cache);
    tree.limit(100);
    assertEquals([cache.lookup([9, 9, 9, 9, 9, 9, 9, 9]).tokens, cache.lookup(long).tokens], [0, 800]);
  });
});

describe("a saved cache", () => {
  const options: TokenCacheOptions<string> = { pageSize: 8, codec };
  function filled(): TokenCache<string> {
    const cache = new TokenCache<string>(options);
    cache.insert(count(0, 20), ["a", "b", "c"], { salt: "one" });
    cache.insert([...count(0, 8), ...count(40, 8)], ["a", "d"], { salt: "one" });
    cache.insert(count(0, 13), ["e", "f"], { salt: "two" });
    return cache;
  }

  it("comes back as it was, in chunks of any size", async () => {
    const bytes = join(await saved(filled()));
    for (const chunk of [1, 7, 1000]) {
      const cache = new TokenCache<string>(options);
      assertEquals(await cache.load(streamOf(bytes, chunk)), { pages: 6, skipped: 0, bytes: bytes.length });
      assertEquals(cache.lookup(count(0, 20), { salt: "one" }), { tokens: 20, values: ["a", "b", "c"] });
      assertEquals(cache.lookup([...count(0, 8), ...count(40, 8)], { salt: "one" }).values, ["a", "d"]);
      assertEquals(cache.lookup(count(0, 13), { salt: "two" }).tokens, 13);
      assertEquals(cache.lookup(count(0, 13)).tokens, 0);
      assertEquals(await cache.load(streamOf(bytes)), { pages: 0, skipped: 6, bytes: bytes.length });
    }
  });

  it("is loaded as far as there is room", async () => {
    const cache = new TokenCache<string>({ ...options, bytesMax: 3, isInUse: () => true });
    const { pages, skipped } = await cache.load(streamOf(join(await saved(filled()))));
    assertEquals([pages, skipped], [3, 3]);
  });

  it("is refused where it was cut, anywhere", async () => {
    const bytes = join(await saved(filled()));
    for (let length = 0; length < bytes.length; length++) {
      const cache = new TokenCache<string>(options);
      await assertRejects(() => cache.load(streamOf(bytes.slice(0, length))), InvalidArgumentError, "can't be used");
    }
    const longer = Uint8Array.from([...bytes, 0]);
    await assertRejects(
      () => new TokenCache<string>(options).load(streamOf(longer)),
      InvalidArgumentError,
      "nothing after",
    );
  });

  it("is refused where any byte was changed, and no wrong value is taken over", async () => {
    const bytes = join(await saved(filled()));
    for (let at = 0; at < bytes.length; at++) {
      const changed = bytes.slice();
      changed[at] = (changed[at] as number) ^ (1 << at % 8);
      const cache = new TokenCache<string>(options);
      await assertRejects(() => cache.load(streamOf(changed)), InvalidArgumentError, "can't be used");
      for (const { value } of cacheTreeOf(cache).pages()) assert("abcdef".includes(value), `byte ${at}`);
    }
  });

  it("is refused where it belongs to something else", async () => {
    const bytes = join(await saved(filled()));
    for (
      const [other, message] of [
        [{ pageSize: 16, codec }, "pageSize: expected 16, got 8"],
        [{ pageSize: 8, codec: { ...codec, identity: { kind: "text", version: 2 } } }, "version: expected 2"],
        [
          { pageSize: 8, codec: { ...codec, identity: { kind: "text", version: 1, weights: "x" } } },
          "weights: expected x",
        ],
        [{ pageSize: 8, codec: { ...codec, identity: { kind: "text" } } }, "got 1"],
        [{ pageSize: 8, codec: { ...codec, partBytesMax: 0 } }, "at most 0 bytes"],
      ] as const
    ) {
      const cache = new TokenCache<string>(other);
      await assertRejects(() => cache.load(streamOf(bytes)), InvalidArgumentError, message);
      assertEquals(cache.stats().pages, 0);
    }
  });

  it("reports what its stream reports, and pins nothing for ever", async () => {
    const cache = filled();
    const failing = new WritableStream<Uint8Array>({ write: () => Promise.reject(new Error("disk full")) });
    await assertRejects(() => cache.save(failing), Error, "disk full");
    for (const { pins } of cacheTreeOf(cache).pages()) assertEquals(pins, 0);
    const slow = new WritableStream<Uint8Array>({ write: () => cache.clear() });
    await assertRejects(() => cache.save(slow), Error, "cleared while it was saved");
  });

  it("needs a codec and a stream", async () => {
    await assertRejects(() => new TokenCache<string>().save(new WritableStream()), InvalidArgumentError, "codec");
    const cache = new TokenCache<string>(options);
    await assertRejects(() => cache.save({} as WritableStream<Uint8Array>), InvalidArgumentError, "a stream");
    await assertRejects(() => cache.load(3 as unknown as ReadableStream<Uint8Array>), InvalidArgumentError, "a stream");
  });
});

describe("TokenCache refuses", () => {
  for (
    const [name, options] of Object.entries({
      pageSize: { pageSize: 7 },
      bytesMax: { bytesMax: -1 },
      policy: { policy: "fifo" },
      hashBits: { hashBits: 33 },
      bytesOf: { bytesOf: 4 },
      pagesize: { pagesize: 8 },
    })
  ) {
    it(`the option ${name}`, () => {
      assertThrows(() => new TokenCache(options as TokenCacheOptions<string>), InvalidArgumentError, name);
    });
  }

  it("wrong arguments of its methods", () => {
    const cache = new TokenCache<string>({ pageSize: 8, bytesOf: (value) => value.length });
    assertThrows(() => cache.insert([1, 2, 3], []), InvalidArgumentError, "one value for each page");
    assertThrows(() => cache.insert([1, 2, 3], [""]), InvalidArgumentError, "above 0");
    assertThrows(() => cache.lookup(5 as unknown as number[]), InvalidArgumentError, "token ids");
    assertThrows(() => cache.lookup([1], { salt: 5 as unknown as string }), InvalidArgumentError, "salt");
    assertThrows(() => cache.pin(null as unknown as number[]), InvalidArgumentError, "token ids");
  });
});
