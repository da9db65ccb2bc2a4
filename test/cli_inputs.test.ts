/**
 * The command with inputs that nobody had in mind: nothing or bytes on standard input, dashes in a prompt, places that cannot be
 * written, windows and contexts at their limits, Ctrl-C at any time.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { LightGPT } from "../mod.ts";
import { assertRefused, lightgpt } from "./command.ts";

const directory = mkdtempSync(join(tmpdir(), "lightgpt-inputs-"));
const greedy = ["--temperature", "0", "--max-tokens", "6", "--json"];
/** Never meets the end of a text. */
const wild = ["--temperature", "1e9", "--top-k", "0", "--top-p", "1", "--seed", "1"];

function file(name: string, content: string | Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

describe("lightgpt with odd inputs", () => {
  let lm: LightGPT;
  before(async () => {
    lm = await LightGPT.load();
  });
  after(async () => {
    await lm.dispose();
    rmSync(directory, { recursive: true, force: true });
  });

  it("takes nothing on standard input for an empty text", async () => {
    assertEquals((await lightgpt(["tokenize"])).stdout, "1\n");
    assertEquals((await lightgpt(["tokenize", "--json"])).stdout, "[1]\n");
    assertEquals((await lightgpt(["tokenize", "--json", "--no-bos"])).stdout, "[]\n");
    const { tokens, promptTokens } = JSON.parse((await lightgpt(["run", ...greedy])).stdout);
    assertEquals([tokens, promptTokens], [
      (await lm.complete("", { maxTokens: 6, sampling: { temperature: 0 } })).tokens,
      1,
    ]);
  });

  it("takes bytes that are no text as text with replacement characters", async () => {
    const bytes = Uint8Array.of(0xff, 0, 0xc3, 0x28, 0xf0, 0x9f, 13, 10);
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
    const { code, stdout } = await lightgpt(["tokenize", "--json"], { input: bytes });
    assertEquals([code, JSON.parse(stdout)], [0, [...lm.tokenize(text)]]);
    const run = await lightgpt(["run", ...greedy], { input: bytes });
    assertEquals(JSON.parse(run.stdout).promptTokens, lm.tokenize(text.slice(0, -2)).length, "less the last newline");
  });

  it("takes what follows -- for the prompt, dashes and all", async () => {
    const expected = await lm.complete("--json", { maxTokens: 6, sampling: { temperature: 0 } });
    const { code, stdout } = await lightgpt(["run", ...greedy, "--", "--json"]);
    assertEquals([code, JSON.parse(stdout).tokens], [0, expected.tokens]);
    assertRefused(await lightgpt(["run", ...greedy, "--", "one", "--two"]), 2, '"--two"');
    assertRefused(await lightgpt(["run", "x", "--model", "a", "--model", "b"]), 2, "--model is given twice");
    assertRefused(await lightgpt(["run", "x", "--no-json"]), 2, "unknown option --no-json");
    assertEquals((await lightgpt(["run", "x", "--max-tokens=2", "--seed=1", "--json"])).code, 0);
  });

  it("writes logits under their name only when all are there", async () => {
    const out = file("kept.f32", "what was there before");
    const refused = await lightgpt(["logits", "--tokens", "1,2048", "--out", out]);
    assertRefused(refused, 2, "tokens[1]: expected an id from 0 to 2047, got 2048");
    assertEquals(readFileSync(out, "utf8"), "what was there before");
    assertEquals(readdirSync(directory).filter((name) => name.endsWith(".part")), []);
    mkdirSync(join(directory, "folder"));
    assertRefused(await lightgpt(["logits", "--tokens", "1", "--out", join(directory, "folder")]), 1, "--out: ");
    assertRefused(
      await lightgpt(["logits", "--tokens", "1", "--out", join(directory, "no", "o")]),
      1,
      "cannot be written",
    );
    assertEquals(existsSync(join(directory, "no")), false);
    for (const tokens of ["", "1,,2", "-1", "4294967296", "1.5", "a"]) {
      assertRefused(
        await lightgpt(["logits", "--tokens", tokens, "--out", out]),
        2,
        "token ids with commas between them",
      );
    }
  });

  it("gives the logits and the perplexity that the library gives", async () => {
    const out = join(directory, "logits.f32");
    for (const kv of ["f16", "f32", "q8_0"] as const) {
      const words = ["logits", "--tokens", "1,503, 504", "--out", out, "--all", "--kv", kv, "--threads", "2"];
      assertEquals((await lightgpt(words)).code, 0);
      await using other = await LightGPT.load(undefined, { kv });
      const bytes = readFileSync(out);
      const expected = await other.logits([1, 503, 504], { all: true });
      assertEquals(new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)), expected);
    }
    const text = "Once upon a time, there was a little girl named Lily. She had a red ball. ".repeat(9);
    const { stdout } = await lightgpt(["perplexity", "--file", file("story.txt", text), "--window", "64", "--json"]);
    assertEquals(JSON.parse(stdout), { ...await lm.perplexity(text, { window: 64 }) });
  });

  it("measures in windows from 2 to the context, of a text that has a token", async () => {
    const text = file("text.txt", "Once upon a time");
    const measure = (...words: string[]) => lightgpt(["perplexity", "--file", text, "--json", ...words]);
    for (const words of [["--window", "2"], ["--window", "512"], ["--context", "3"]]) {
      assertEquals(JSON.parse((await measure(...words)).stdout).tokens, 4, words.join(" "));
    }
    assertRefused(await measure("--window", "1"), 2, "--window needs an integer from 2");
    assertRefused(await measure("--window", "513"), 2, "window: expected an integer from 2 to 512, got 513");
    assertRefused(await lightgpt(["perplexity", "--file", file("nothing.txt", "")]), 2, "at least one token");
    assertRefused(await lightgpt(["perplexity", "--file", directory]), 1, "--file: ");
  });

  it("runs with a context from 1 up, and ends where it is full", async () => {
    const run = (context: string) => lightgpt(["run", "Once upon a time", "--context", context, ...wild, "--json"]);
    assertRefused(await run("0"), 2, "--context needs an integer from 1 to 1048576");
    assertRefused(await run("4"), 2, "prompt: 5 tokens are more than the context of 4 holds");
    for (const [context, generated] of [[5, 0], [6, 1], [600, 595]]) {
      const { generatedTokens, stopReason } = JSON.parse((await run(`${context}`)).stdout);
      assertEquals([generatedTokens, stopReason], [generated, "context"]);
    }
  });

  it("ends with 130 on Ctrl-C, while it waits for input and while it writes", { timeout: 240_000 }, async () => {
    const waits = await lightgpt(["run"], { input: { open: true }, interruptMs: 1200 });
    assertEquals([waits.code, waits.stdout], [130, ""]);
    const words = ["run", "Once upon a time", "--context", "100000", ...wild];
    const writes = await lightgpt(words, { interruptOnOutput: true });
    assertEquals(writes.code, 130);
    assert(writes.stdout.length > 0);
    assertMatch(writes.stderr, /^lightgpt: The context [^\n]+\n\n$/);
  });

  it("says what a model file is not", async () => {
    const bytes = file("bytes.gguf", new Uint8Array(300).fill(0x78));
    assertRefused(await lightgpt(["inspect", bytes]), 1, "GGUF file");
    assertRefused(await lightgpt(["tokenize", "--model", bytes], { input: "x" }), 1, "GGUF file");
    assertRefused(await lightgpt(["inspect", directory]), 1, "is not a regular file");
    const { stderr } = await lightgpt(["run", "x", "--model", join(directory, "none.gguf")]);
    assertStringIncludes(stderr, "there is no such file; expected the path of a GGUF file");
  });
});
