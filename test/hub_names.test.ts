/**
 * Names of models: what a name may be, which file of several it means, addresses that must not be followed, and what the environment
 * says of places and hosts.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { fetchModel, InvalidArgumentError, LightGPT, LightGPTError, loadTokenizer } from "../mod.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import { catalog } from "../src/files/hub/catalog.ts";
import { candidatesOf, choose, typeOf } from "../src/files/hub/choose.ts";
import { hubContext } from "../src/files/hub/environment.ts";
import { hubText, isSafePath, parseModelName } from "../src/files/hub/names.ts";
import { pipIndexes } from "../src/files/hub/python_index.ts";
import { isInside, nextAddress, waitOf } from "../src/files/hub/request.ts";
import { runtimeWith, write } from "./hub_context.ts";

const hf = "https://huggingface.co";
const tales = new Uint8Array(readFileSync(embeddedModel()));
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lightgpt-sources-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("a model's name", () => {
  it("is taken apart", () => {
    const parsed = (name: string) => {
      const found = parseModelName(name, hf);
      return found.kind === "hub" ? hubText(found) : found.kind === "short" ? hubText(found.hub) : found.kind;
    };
    assertEquals(parsed("hf:user/repo"), "hf:user/repo");
    assertEquals(parsed("HF:user/repo:Q4_K_M"), "hf:user/repo:Q4_K_M");
    assertEquals(parsed("hf:user/repo@v1.0/a b/ö.gguf"), "hf:user/repo@v1.0/a b/ö.gguf");
    assertEquals(parsed(`${hf}/user/repo`), "hf:user/repo");
    assertEquals(parsed(`${hf}/user/repo/blob/main/x%20y.gguf?download=true`), "hf:user/repo/x y.gguf");
    assertEquals(parsed("https://example.org/x.gguf"), "url");
    assertEquals(parsed("SmolLM2:135M"), "hf:bartowski/SmolLM2-135M-Instruct-GGUF:Q4_K_M");
    assertEquals(parsed("ollama:qwen3:0.6b"), "ollama");
    assertEquals(parsed("lmstudio:user/repo:Q4_0"), "lmstudio");
  });

  it("is refused where it could be no model's, or would lead out of a folder", () => {
    for (
      const name of [
        "hf:",
        "hf:repo",
        "hf:../repo",
        "hf:user/..",
        "hf:us er/repo",
        "hf:user/re--po",
        "hf:user/repo/../x.gguf",
        "hf:user/repo//x.gguf",
        "hf:user/repo/x.bin",
        "hf:user/repo/a\\b.gguf",
        "hf:user/repo/c:x.gguf",
        "hf:user/repo@../x",
        "hf:user/repo@a..b",
        "hf:user/repo:",
        "hf:user/repo:Q4/0",
        "hf:user/repo/x\0.gguf",
        "hf:üser/repo",
        "https://",
        "https://example.org/page.html",
        "https://me:secret@example.org/x.gguf",
        "https://example.org/%FF.gguf",
        "ollama:",
        "ollama:../x",
        "ollama:a/b/c/d",
        "ollama:a:b:c",
        "lmstudio:x",
        "smollm2:136",
      ]
    ) {
      const error = assertThrows(() => parseModelName(name, hf), InvalidArgumentError) as Error;
      assertMatch(error.message, /^path: there is no model ".*"; expected .*\.$/s, name);
    }
    const error = assertThrows(() => parseModelName("smolm2:135m", hf), InvalidArgumentError) as Error;
    assertMatch(error.message, /expected smollm2:135m\? There are smollm2:135m, /);
    assert(!isSafePath("a/../b") && !isSafePath("a/CON:") && !isSafePath("a/b ") && isSafePath("a/ö b.gguf"));
  });

  it("is what everything takes that takes a model", async () => {
    for (const name of ["hf:x", "smolm2:135m", new URL("https://example.org/x.html")]) {
      await assertRejects(() => LightGPT.load(name), InvalidArgumentError);
      await assertRejects(() => loadTokenizer(name), InvalidArgumentError);
      await assertRejects(() => fetchModel(name), InvalidArgumentError);
    }
    const colon = write(join(folder, "smollm2:135m"), tales);
    assertEquals(await fetchModel(colon), colon);
    assert((await loadTokenizer(embeddedModel())).vocabularySize > 1000);
  });

  it("has one entry in the table, of a repository that can be", () => {
    assertEquals(new Set(catalog.map(({ name }) => name)).size, catalog.length);
    for (const { name, type } of catalog) {
      const parsed = parseModelName(name, hf);
      assert(parsed.kind === "short" && parsed.hub.type === type);
      assertEquals(parseModelName(hubText(parsed.hub), hf), parsed.hub);
      assertEquals(typeOf(`x-${type}.gguf`), type);
    }
  });
});

describe("one file of several", () => {
  const files = (...paths: string[]) => paths.map((path, index) => ({ path, bytes: 100 + index }));

  it("is the one of a type, or the usual one", () => {
    const names = [
      "a.Q4_K_M.gguf",
      "a-UD-Q4_K_XL.gguf",
      "a-IQ3_XXS.gguf",
      "a-bf16.gguf",
      "a-fp16.gguf",
      "a-mxfp4.gguf",
      "a-TQ1_0.gguf",
      "plain.gguf",
    ];
    assertEquals(names.map(typeOf), ["Q4_K_M", "UD-Q4_K_XL", "IQ3_XXS", "BF16", "F16", "MXFP4", "TQ1_0", undefined]);
    const all = files(
      "m-Q8_0.gguf",
      "m-Q4_0.gguf",
      "m-F16.gguf",
      "mmproj-m-Q4_K_M.gguf",
      "m.imatrix.gguf",
      "README.md",
    );
    assertEquals(choose(all, {}, "hf:a/b")?.path, "m-Q4_0.gguf");
    assertEquals(choose(all, { type: "q8_0" }, "hf:a/b")?.path, "m-Q8_0.gguf");
    assertEquals(choose(all, { type: "Q2_K" }, "hf:a/b"), undefined);
    assertEquals(choose(files("x.gguf"), {}, "hf:a/b")?.path, "x.gguf");
    assertThrows(() => choose(files("x.gguf", "y.gguf"), {}, "hf:a/b"), LightGPTError, "has 2 files that fit");
  });

  it("is whole: a split one with a part missing is none", () => {
    const part = (index: number) => `d/m-Q4_K_M-0000${index}-of-00003.gguf`;
    const [whole] = candidatesOf(files(part(3), part(1), part(2)));
    assertEquals([whole?.path, whole?.type, whole?.bytes, whole?.files.map(({ path }) => path)], [
      part(1),
      "Q4_K_M",
      303,
      [1, 2, 3].map(part),
    ]);
    assertEquals(candidatesOf(files(part(1), part(3))), []);
  });
});

describe("an address", () => {
  it("leads to no file, to nothing weaker, and from outside to no inside", () => {
    const from = new URL("https://huggingface.co/a/b");
    assertEquals(nextAddress(from, "/c").href, "https://huggingface.co/c");
    assertEquals(nextAddress(from, "https://cdn.example.org/x?y").host, "cdn.example.org");
    for (
      const to of [
        "file:///etc/passwd",
        "http://huggingface.co/a",
        "data:,x",
        "https://127.0.0.1/x",
        "https://localhost:8080/",
        "https://[::1]/",
        "https://10.1.2.3/",
        "https://169.254.169.254/latest/meta-data",
        "https://[fd00::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://0x7f.1/",
        "https://2130706433/",
        "https://metadata.internal/",
        "https://",
      ]
    ) {
      assertThrows(() => nextAddress(from, to), LightGPTError, "redirects to", to);
    }
    assertEquals(nextAddress(new URL("http://127.0.0.1:1/"), "http://127.0.0.1:2/x").port, "2");
    assert(!isInside("10.example.org") && !isInside("fdic.gov") && !isInside("172.32.0.1") && isInside("172.16.0.1"));
  });

  it("may be asked again after a time by the server's clock", () => {
    const wait = (headers: Record<string, string>) => waitOf(new Response("", { headers }));
    assertEquals(wait({ "retry-after": "7" }), 7);
    assertEquals(wait({ "retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", date: "Wed, 21 Oct 2015 07:28:00 GMT" }), 30);
    assertEquals(wait({ "retry-after": "Wed, 21 Oct 2015 07:28:30 GMT" }), undefined);
    assertEquals(wait({}), undefined);
  });
});

describe("the environment", () => {
  it("says where models are and whom to ask", () => {
    const of = (variables: Record<string, string>) =>
      hubContext({ signal: undefined, onProgress: undefined }, runtimeWith({ HOME: folder, ...variables }));
    assertEquals(of({}).endpoint, hf);
    assertEquals(of({}).hubFolder, join(folder, ".cache", "huggingface", "hub"));
    assertEquals(of({ XDG_CACHE_HOME: "/x" }).hubFolder, "/x/huggingface/hub");
    assertEquals(of({ HF_HOME: "/h" }).hubFolder, "/h/hub");
    assertEquals(of({ HF_HOME: "/h", HF_HUB_CACHE: "/c" }).hubFolder, "/c");
    assertEquals(of({ LIGHTGPT_CACHE: "/l" }).ownFolder, "/l/models");
    assertEquals(of({ HF_ENDPOINT: "https://hf-mirror.com/" }).endpoint, "https://hf-mirror.com");
    assertEquals(["1", "TRUE", "0", ""].map((HF_HUB_OFFLINE) => of({ HF_HUB_OFFLINE }).isOffline), [
      true,
      true,
      false,
      false,
    ]);
    assertThrows(() => of({ HF_ENDPOINT: "ftp://x" }), InvalidArgumentError, "HF_ENDPOINT");
    assertEquals(of({}).token, undefined);
    assertEquals(of({ HF_TOKEN: " hf_a " }).token, { value: "hf_a", from: "HF_TOKEN" });
    assertThrows(() => of({ HF_TOKEN: "hf_a\r\nx: y" }), InvalidArgumentError, "HF_TOKEN");
    const kept = write(join(folder, ".cache", "huggingface", "token"), "hf_kept\n");
    assertEquals(of({}).token, { value: "hf_kept", from: kept });
  });

  it("says which package index pip asks", () => {
    const indexes = (variables: Record<string, string>) =>
      pipIndexes(runtimeWith({ HOME: folder, PIP_CONFIG_FILE: "/dev/null", ...variables }));
    assertEquals(indexes({}), ["https://pypi.org/simple"]);
    write(
      join(folder, ".config", "pip", "pip.conf"),
      "[install]\nindex-url = https://no\n[global]\n# a comment\nindex_url: https://a/simple\nextra-index-url =\n  https://b\n  https://c\n",
    );
    assertEquals(indexes({}), ["https://a/simple", "https://b", "https://c"]);
    assertEquals(indexes({ PIP_INDEX_URL: "https://d" })[0], "https://d");
    assertEquals(indexes({ PIP_NO_INDEX: "1" }), []);
  });
});
