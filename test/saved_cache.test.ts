/**
 * Saved caches that somebody made or changed on purpose: headers of any kind get a typed error, and with a key nothing is
 * loaded that was not written with it: no other salt, no other tokens, no page of another stream.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "node:test";
import { crc32 } from "node:zlib";
import { InvalidArgumentError, LightGPT, TokenCache, type TokenCacheOptions } from "../mod.ts";
import { cacheTreeOf } from "../src/cache/token_cache.ts";

const codec = {
  identity: { kind: "text", version: 1 },
  encode: (text: string) => [new TextEncoder().encode(text)],
  decode: ([bytes]: readonly Uint8Array[]) => new TextDecoder().decode(bytes),
};
const options: TokenCacheOptions<string> = { pageSize: 8, codec };
const key = Uint8Array.from({ length: 32 }, (_, index) => index);
const headAt = 20; // "LGTCACHE" and three words

function tokens(from: number, length: number): number[] {
  return Array.from({ length }, (_, index) => from + index);
}

/** `first` makes the values of one cache differ from those of another. */
function filled(first = "a"): TokenCache<string> {
  const cache = new TokenCache<string>(options);
  cache.insert(tokens(0, 16), [first, "b"], { salt: "attacker" });
  cache.insert(tokens(40, 8), ["c"], { salt: "other" });
  return cache;
}

async function saved(cache: Pick<TokenCache<string>, "save">, stream?: { key?: Uint8Array }): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  await cache.save(new WritableStream({ write: (chunk) => void chunks.push(chunk.slice()) }), stream);
  return Uint8Array.from(chunks.flatMap((chunk) => [...chunk]));
}

function streamOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(bytes);
      controller.close();
    },
  });
}

function word(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer).getUint32(at, true);
}

/** A stream without a key whose header was exchanged, with the right checksum. */
function withHeader(bytes: Uint8Array, header: string | Uint8Array): Uint8Array<ArrayBuffer> {
  const body = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const rest = bytes.subarray(headAt + word(bytes, 16) + 4);
  const made = new Uint8Array(headAt + body.length + 4 + rest.length);
  made.set(bytes.subarray(0, headAt));
  made.set(body, headAt);
  const view = new DataView(made.buffer);
  view.setUint32(16, body.length, true);
  view.setUint32(headAt + body.length, crc32(made.subarray(0, headAt + body.length)), true);
  made.set(rest, headAt + body.length + 4);
  return made;
}

function headerOf(bytes: Uint8Array): Record<string, unknown> {
  return JSON.parse(new TextDecoder().decode(bytes.subarray(headAt, headAt + word(bytes, 16))));
}

describe("a forged header", () => {
  const crafted: Readonly<Record<string, (header: Record<string, unknown>) => unknown>> = {
    "null": () => null,
    "a number": () => 1,
    "a list": () => [],
    "an empty object": () => ({}),
    "identity null": (header) => ({ ...header, identity: null }),
    "identity a list": (header) => ({ ...header, identity: [] }),
    "identity with an object": (header) => ({ ...header, identity: { kind: { toString: 1 }, version: 1 } }),
    "identity with nothing in place of a value": (header) => ({ ...header, identity: { kind: null, version: 1 } }),
    "no page size": ({ pageSize: _, ...header }) => header,
    "salts null": (header) => ({ ...header, salts: null }),
    "salts of numbers": (header) => ({ ...header, salts: [1, 2] }),
    "less than no pages": (header) => ({ ...header, pages: -1 }),
    "half a page": (header) => ({ ...header, pages: 0.5 }),
    "too many pages": (header) => ({ ...header, pages: 2 ** 60 }),
    "more pages than there are": (header) => ({ ...header, pages: 1e9 }),
  };
  for (const [name, change] of Object.entries(crafted)) {
    it(`is refused by a typed error: ${name}`, async () => {
      const bytes = await saved(filled());
      const made = withHeader(bytes, JSON.stringify(change(headerOf(bytes))));
      await assertRejects(
        () => new TokenCache<string>(options).load(streamOf(made)),
        InvalidArgumentError,
        "can't be used",
      );
    });
  }

  const texts: Readonly<Record<string, string | Uint8Array>> = {
    "no JSON": "{",
    "nothing": "",
    "not UTF-8": Uint8Array.of(0xff, 0xfe, 0x7b),
    "200 000 lists in each other": "[".repeat(200_000),
    "a prototype": '{"identity":{"__proto__":{}},"pageSize":8,"salts":[],"pages":0}',
  };
  for (const [name, text] of Object.entries(texts)) {
    it(`is refused by a typed error: ${name}`, async () => {
      const made = withHeader(await saved(filled()), text);
      await assertRejects(
        () => new TokenCache<string>(options).load(streamOf(made)),
        InvalidArgumentError,
        "can't be used",
      );
    });
  }

  it("changes what is loaded where there is no key: such a stream is trusted", async () => {
    const bytes = await saved(filled());
    const made = withHeader(bytes, JSON.stringify({ ...headerOf(bytes), salts: ["victim", "other"] }));
    const cache = new TokenCache<string>(options);
    assertEquals((await cache.load(streamOf(made))).pages, 3);
    assertEquals(cache.lookup(tokens(0, 16), { salt: "victim" }).values, ["a", "b"]);
  });
});

describe("a cache saved with a key", () => {
  it("comes back with that key, and with no other, and not without", async () => {
    const bytes = await saved(filled(), { key });
    const cache = new TokenCache<string>(options);
    const loaded = await cache.load(streamOf(bytes), { key: key.slice() });
    assertEquals(loaded, { pages: 3, skipped: 0, bytes: bytes.length });
    assertEquals(cache.lookup(tokens(0, 16), { salt: "attacker" }).values, ["a", "b"]);
    const other = key.slice();
    other[31] = 0;
    for (
      const [wrong, message] of [
        [{ key: other }, "the MAC of the given key"],
        [{ key: key.slice(0, 31) }, "the MAC of the given key"],
        [{}, "expected the key that the stream was saved with"],
      ] as const
    ) {
      const empty = new TokenCache<string>(options);
      await assertRejects(() => empty.load(streamOf(bytes), wrong), InvalidArgumentError, message);
      assertEquals(empty.stats().pages, 0);
    }
    const plain = await saved(filled());
    await assertRejects(() => cache.load(streamOf(plain), { key }), InvalidArgumentError, "saved with a key");
  });

  it("is refused where any bit was changed or anything was cut, and what was loaded by then is what was saved", async () => {
    const bytes = await saved(filled(), { key });
    for (let at = 0; at < bytes.length; at++) {
      const changed = bytes.slice();
      changed[at] = (changed[at] as number) ^ (1 << at % 8);
      for (const stream of [changed, bytes.slice(0, at)]) {
        const cache = new TokenCache<string>(options);
        await assertRejects(() => cache.load(streamOf(stream), { key }), InvalidArgumentError, "can't be used");
        for (const { value } of cacheTreeOf(cache).pages()) assert("abc".includes(value), `byte ${at}`);
      }
    }
  });

  it("takes no chunk from another stream of the same key, nor its own in another order", async () => {
    const [one, two] = [await saved(filled("a"), { key }), await saved(filled("z"), { key })];
    assertEquals(one.length, two.length);
    // The first value (a or z) and its MAC, of the other stream: with checksums alone it would be right.
    const at = one.findIndex((byte, index) => byte === 97 && two[index] === 122);
    const mixed = one.slice();
    mixed.set(two.subarray(at, at + 33), at);
    const cache = new TokenCache<string>(options);
    await assertRejects(() => cache.load(streamOf(mixed), { key }), InvalidArgumentError, "page 0: expected the MAC");
    assertEquals(cache.stats().pages, 0);
  });

  it("needs a key of 16 bytes and more, and no other option", async () => {
    const cache = filled();
    for (
      const wrong of ["a secret of many letters", new Uint8Array(15), new Uint8Array(1025), new ArrayBuffer(32), null]
    ) {
      const refused = { key: wrong as Uint8Array };
      await assertRejects(() => cache.load(streamOf(key), refused), InvalidArgumentError, "16 to 1024 bytes");
      await assertRejects(() => cache.save(new WritableStream(), refused), InvalidArgumentError, "16 to 1024 bytes");
    }
    const misspelt = { secret: key } as { key?: Uint8Array };
    await assertRejects(() => cache.load(streamOf(key), misspelt), InvalidArgumentError, "unknown option");
  });
});

describe("the cache of a model, saved with a key", () => {
  it("gives a tenant nothing that another one wrote under its name", async () => {
    await using lm = await LightGPT.load(undefined, { threads: 1 });
    const prompt =
      "Once upon a time there was a little girl named Lily who lived in a small house near the big forest. ".repeat(2);
    const asked = { maxTokens: 4, sampling: { temperature: 0 }, tenant: "victim" };
    const cold = await lm.complete(prompt, { ...asked, cache: false });
    await lm.complete(prompt, { ...asked, tenant: "attacker", maxTokens: 1 });
    const cache = lm.cache as NonNullable<typeof lm.cache>;
    const bytes = await saved(cache as unknown as TokenCache<string>, { key });
    cache.clear();
    const at = new TextDecoder("latin1").decode(bytes).indexOf("attacker");
    const forged = bytes.slice();
    forged.set(new TextEncoder().encode("victim\\u"), at);
    await assertRejects(() => cache.load(streamOf(forged), { key }), InvalidArgumentError, "the MAC");
    assertEquals(cache.stats().pages, 0);
    assert((await cache.load(streamOf(bytes), { key })).pages > 0);
    const { tokensSaved } = cache.stats();
    assertEquals((await lm.complete(prompt, asked)).tokens, cold.tokens);
    assertEquals(cache.stats().tokensSaved, tokensSaved);
  });
});
