/**
 * Caches saved to and loaded from files and streams of every kind.
 *
 * @module
 */
import { assertEquals, assertRejects } from "@std/assert";
import { after, before, describe, it } from "node:test";
import {
  createReadStream,
  createWriteStream,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type CacheSource, type CacheTarget, LightGPT, LightGPTError, TokenCache } from "../mod.ts";

const codec = {
  identity: { kind: "text", version: 1 },
  encode: (text: string) => [new TextEncoder().encode(text)],
  decode: ([bytes]: readonly Uint8Array[]) => new TextDecoder().decode(bytes),
};
const tokens = Array.from({ length: 16 }, (_, token) => token);

function filled(): TokenCache<string> {
  const cache = new TokenCache<string>({ pageSize: 8, codec });
  cache.insert(tokens, ["one", "two".repeat(100_000)]);
  return cache;
}

describe("a cache in a file", () => {
  let folder: string;
  before(() => void (folder = mkdtempSync(join(tmpdir(), "lightgpt-cache-"))));
  after(() => rmSync(folder, { recursive: true }));

  /** Saves to `target`, and loads from `source`. */
  async function goes(target: CacheTarget, source: CacheSource | (() => CacheSource)): Promise<void> {
    const written = await filled().save(target);
    const cache = new TokenCache<string>({ pageSize: 8, codec });
    assertEquals(await cache.load(typeof source === "function" ? source() : source), {
      pages: 2,
      skipped: 0,
      bytes: written.bytes,
    });
    assertEquals(cache.lookup([...tokens, 99]).values, ["one", "two".repeat(100_000)]);
  }

  it("is saved and loaded by a path and by a URL, in place of one that is there", async () => {
    const path = join(folder, "a.cache");
    await goes(path, path);
    await goes(pathToFileURL(path), pathToFileURL(path).href);
    assertEquals(readdirSync(folder), ["a.cache"]);
  });

  it("is the same through Node's streams and web streams", async () => {
    const [path, other] = [join(folder, "a.cache"), join(folder, "b.cache")];
    await goes(createWriteStream(other), () => createReadStream(other));
    assertEquals(readFileSync(other), readFileSync(path));
    const chunks: Uint8Array[] = [];
    await filled().save(new WritableStream({ write: (chunk) => void chunks.push(chunk.slice()) }));
    const bytes = Buffer.concat(chunks);
    assertEquals(bytes, readFileSync(path));
    await goes(
      path,
      (async function* () {
        for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
      })(),
    );
  });

  it("keeps a model's prefixes for another process", async () => {
    const path = join(folder, "model.cache");
    const prompt = "There was a small red fox who lived in a big green wood with his friends, the hen and the hare.";
    const first = await LightGPT.load();
    const { tokens } = await first.complete(prompt, { maxTokens: 5, sampling: { temperature: 0 } });
    await first.cache?.save(path);
    await first.dispose();
    await using second = await LightGPT.load();
    await second.cache?.load(path);
    const again = await second.complete(prompt, { maxTokens: 5, sampling: { temperature: 0 } });
    assertEquals([again.tokens, again.cachedTokens > 16], [tokens, true]);
  });

  it("says what is wrong, and leaves nothing half written", async () => {
    const codeOf = async (work: () => Promise<unknown>) => (await assertRejects(work, LightGPTError)).code;
    const cache = filled();
    assertEquals(await codeOf(() => cache.save(join(folder, "none", "a.cache"))), "io");
    assertEquals(await codeOf(() => cache.load(join(folder, "none.cache"))), "io");
    mkdirSync(join(folder, "folder"));
    assertEquals(await codeOf(() => cache.save(join(folder, "folder"))), "io");
    assertEquals(await codeOf(() => cache.load(join(folder, "folder"))), "io");
    await assertRejects(() => cache.save(createWriteStream(join(folder, "none", "a.cache"))), Error, "ENOENT");
    await assertRejects(() => cache.load(createReadStream(join(folder, "none"))), Error, "ENOENT");
    for (const wrong of ["", 3, null, {}, new URL("https://example.com/a")] as unknown as CacheTarget[]) {
      assertEquals(await codeOf(() => cache.save(wrong)), "invalidArgument");
      assertEquals(await codeOf(() => cache.load(wrong as CacheSource)), "invalidArgument");
    }
    // A codec that fails in the middle leaves what was there.
    const broken = new TokenCache<string>({
      pageSize: 8,
      codec: { ...codec, encode: () => Promise.reject(new Error("broken")) },
    });
    broken.insert(tokens, ["one", "two"]);
    const before = readFileSync(join(folder, "a.cache"));
    await assertRejects(() => broken.save(join(folder, "a.cache")), Error, "broken");
    assertEquals(readFileSync(join(folder, "a.cache")), before);
    assertEquals(readdirSync(folder).filter((name) => name.endsWith(".partial")), []);
  });
});
