/**
 * The command as a user sees it: what goes to which stream, the JSON shapes, the exit codes, and one line for an error.
 * Each runtime starts itself.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { copyFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { COMMANDS } from "../cli/options.ts";
import { assertRefused, lightgpt, type Outcome } from "./command.ts";
import { half } from "./halves.ts";
import { dataDirectory, describeTales, readJson, repository } from "./kit.ts";

const directory = mkdtempSync(join(tmpdir(), "lightgpt-cli-"));
const embedded = join(repository, "models", "tinytales-q4_0.gguf");

describe("lightgpt", () => {
  after(() => rmSync(directory, { recursive: true, force: true }));

  it("shows its version and its help", async () => {
    assertMatch((await lightgpt(["--version"])).stdout, /^lightgpt \d+\.\d+\.\d+\n$/);
    const help = await lightgpt(["--help"]);
    assertEquals(help.code, 0);
    for (const name of Object.keys(COMMANDS)) assertStringIncludes(help.stdout, `  ${name} `);
    const { code, stdout } = await lightgpt(["run", "--help"]);
    assertEquals(code, 0);
    for (const name of Object.keys(COMMANDS.run.options)) assertStringIncludes(stdout, `--${name}`);
  });

  it("refuses what it doesn't know with code 2", async () => {
    assertRefused(await lightgpt([]), 2, "--help");
    assertRefused(await lightgpt(["walk"]), 2, '"walk"');
    assertRefused(await lightgpt(["run", "x", "--fast"]), 2, "--fast");
    assertRefused(await lightgpt(["run", "one", "two"]), 2, '"two"');
    assertRefused(await lightgpt(["logits", "--tokens", "1"]), 2, "--out");
    assertRefused(await lightgpt(["inspect"]), 2, "MODEL");
    assertRefused(await lightgpt(["tokenize", "word"], { input: "x" }), 2, '"word"');
  });

  it("refuses values that mean nothing with code 2", async () => {
    const wrong: [string, string, string][] = [
      ["--max-tokens", "-1", "integer"],
      ["--max-tokens", "1.5", "integer"],
      ["--temperature", "-0.1", "number"],
      ["--temperature", "NaN", "number"],
      ["--top-k", "many", "integer"],
      ["--top-p", "0", "above 0"],
      ["--top-p", "1.1", "at most 1"],
      ["--seed", "-5", "integer"],
      ["--seed", "18446744073709551616", "18446744073709551615"],
      ["--threads", "0", "integer"],
      ["--context", "0", "integer"],
      ["--kv", "f8", "f16"],
    ];
    for (const [name, value, includes] of wrong) {
      assertRefused(await lightgpt(["run", "Once", name, value]), 2, includes);
    }
    assertRefused(await lightgpt(["run", "Once", "--seed", "1", "--seed", "2"]), 2, "twice");
    assertRefused(await lightgpt(["run", "Once", "--json=yes"]), 2, "no value");
    assertRefused(await lightgpt(["run", "Once", "--model"]), 2, "--model");
    assertRefused(await lightgpt(["logits", "--tokens", "1,x", "--out", "o"]), 2, "token ids");
  });

  it("fails with code 1 and one line where a file cannot be used", async () => {
    const empty = join(directory, "empty.gguf");
    closeSync(openSync(empty, "w"));
    const short = join(directory, "short.gguf");
    copyFileSync(embedded, short);
    truncateSync(short, 1_000_000);
    assertRefused(await lightgpt(["run", "x", "--model", join(directory, "none.gguf")]), 1, "none.gguf");
    assertRefused(await lightgpt(["run", "x", "--model", directory]), 1, directory);
    assertRefused(await lightgpt(["run", "x", "--model", empty]), 1, "empty.gguf");
    assertRefused(await lightgpt(["run", "x", "--model", short]), 1, "");
    assertRefused(await lightgpt(["inspect", empty]), 1, "empty.gguf");
    assertRefused(await lightgpt(["perplexity", "--file", join(directory, "none.txt")]), 1, "none.txt");
    assertRefused(await lightgpt(["logits", "--tokens", "1", "--out", join(directory, "no", "o")]), 1, "no");
    assertRefused(await lightgpt(["logits", "--tokens", "2048", "--out", join(directory, "o")]), 2, "2048");
  });

  it("shows the stack when asked to", async () => {
    const { code, stderr } = await lightgpt(["run", "x", "--model", "none.gguf"], { env: { LIGHTGPT_DEBUG: "1" } });
    assertEquals(code, 1);
    assertMatch(stderr, /\n\s+at /);
  });

  it("streams a text to standard output and the rest to standard error", async () => {
    const words = ["run", "Once upon a time", "--max-tokens", "20", "--temperature", "0"];
    const plain = await lightgpt(words);
    assertEquals(plain.code, 0, plain.stderr);
    assertStringIncludes(plain.stderr, "20 tokens");
    const { stdout } = await lightgpt([...words, "--json"]);
    const result = JSON.parse(stdout);
    assertEquals(plain.stdout, `${result.text}\n`);
    assertEquals(Object.keys(result), [
      "text",
      "tokens",
      "promptTokens",
      "cachedTokens",
      "generatedTokens",
      "loadMs",
      "prefillMs",
      "decodeMs",
      "stopReason",
      "seed",
      "sampling",
    ]);
    assertEquals([result.tokens.length, result.promptTokens, result.generatedTokens], [20, 5, 20]);
    assertEquals(result.stopReason, "maxTokens");
    for (const time of [result.loadMs, result.prefillMs, result.decodeMs]) assert(time > 0);
  });

  it("repeats a text from its seed, with any number of threads", async () => {
    const words = ["run", "The dog", "--max-tokens", "30", "--seed", "18446744073709551615", "--json"];
    const [one, two] = await Promise.all([
      lightgpt([...words, "--threads", "1"]),
      lightgpt([...words, "--threads", "3"]),
    ]);
    assertEquals(JSON.parse(one.stdout).tokens, JSON.parse(two.stdout).tokens);
    assertEquals(JSON.parse(one.stdout).seed, "18446744073709551615");
  });

  it("takes the prompt from a pipe", async () => {
    const words = ["run", "--max-tokens", "8", "--temperature", "0", "--json"];
    const piped = await lightgpt(words, { input: "Once upon a time\n" });
    const given = await lightgpt([...words, "Once upon a time"]);
    assertEquals(JSON.parse(piped.stdout).tokens, JSON.parse(given.stdout).tokens);
  });

  it("writes nothing for no tokens", async () => {
    const { code, stdout } = await lightgpt(["run", "Once", "--max-tokens", "0", "--json"]);
    assertEquals(code, 0);
    assertEquals([JSON.parse(stdout).text, JSON.parse(stdout).tokens], ["", []]);
  });

  it("ends with 130 on Ctrl-C", async () => {
    const file = join(directory, "long.txt");
    writeFileSync(file, "There was a little girl named Lily. She had a red ball.\n".repeat(20_000)); // half a minute
    // One that is interrupted before it has begun says nothing; on a busy machine it begins late.
    let stopped: Outcome;
    let interruptMs = 750;
    do {
      interruptMs *= 2;
      stopped = await lightgpt(["perplexity", "--file", file], { interruptMs });
    } while (stopped.code === 130 && stopped.stderr === "" && interruptMs < 100_000);
    assertEquals([stopped.code, stopped.stdout, stopped.stderr], [130, "", "\n"]);
  });

  it("ends quietly when nobody reads on", async () => {
    const wild = ["--temperature", "1e9", "--top-k", "0", "--top-p", "1", "--seed", "1"]; // meets no end of text
    const words = ["run", "Once upon a time", "--max-tokens", "480", ...wild];
    const { code, stderr } = await lightgpt(words, { closeEarly: true });
    assertEquals([code, stderr.includes("rror")], [0, false], stderr);
  });

  it("warns of a context that the model was not trained for", async () => {
    const warning = "The context of 4096 tokens is longer than the 512 that the model was trained for";
    const asked = ["--context", "4096"];
    assertStringIncludes((await lightgpt(["inspect", embedded, ...asked])).stdout, warning);
    assertEquals(JSON.parse((await lightgpt(["inspect", embedded, "--json", "--context", "512"])).stdout).warnings, []);
    const run = await lightgpt(["run", "Once", "--max-tokens", "1", ...asked]);
    assertEquals(run.code, 0, run.stderr);
    assertStringIncludes(run.stderr, warning);
  });

  it("inspects a file", async () => {
    const { code, stdout } = await lightgpt(["inspect", embedded, "--json", "--tensors"]);
    assertEquals(code, 0);
    const report = JSON.parse(stdout);
    assertEquals([report.architecture, report.parameters, report.runs, report.reason], [
      "llama",
      4_459_264,
      true,
      null,
    ]);
    assertEquals(report.types.Q4_0.tensors, 35);
    assertEquals(report.tensors.length, 47);
    assertEquals(report.metadata["llama.block_count"], 5);
    assertEquals(report.metadata["tokenizer.ggml.tokens"].length, 2048);
    const plain = await lightgpt(["inspect", embedded]);
    assertMatch(plain.stdout, /^runs +yes$/m);
  });

  it("tokenizes standard input", async () => {
    const { vectors } = readJson<{ vectors: { text: string; ids: number[] }[] }>(
      dataDirectory,
      "tinytales-tokenizer.json",
    );
    for (const { text, ids } of vectors.slice(0, 6)) {
      assertEquals(JSON.parse((await lightgpt(["tokenize", "--json", "--no-bos"], { input: text })).stdout), ids, text);
    }
    assertEquals(
      (await lightgpt(["tokenize"], { input: vectors[0].text })).stdout,
      `${[1, ...vectors[0].ids].join(" ")}\n`,
    );
    const special = await lightgpt(["tokenize", "--json", "--special", "--no-bos"], { input: "</s>" });
    assertEquals(JSON.parse(special.stdout), [2]);
    const user = await lightgpt(["tokenize", "--json", "--no-bos"], { input: "</s>" });
    assertEquals(JSON.parse(user.stdout).includes(2), false);
  });

  it("writes logits, of the last position or of all", async () => {
    const last = join(directory, "last.f32");
    const all = join(directory, "all.f32");
    assertEquals((await lightgpt(["logits", "--tokens", "1,503,504", "--out", last])).code, 0);
    assertEquals((await lightgpt(["logits", "--tokens", "1,503,504", "--out", all, "--all"])).code, 0);
    assertEquals(readFileSync(last).length, 2048 * 4);
    assertEquals(readFileSync(all).length, 3 * 2048 * 4);
    assert(readFileSync(all).subarray(-2048 * 4).equals(readFileSync(last)));
  });

  it("measures perplexity", async () => {
    const file = join(directory, "story.txt");
    writeFileSync(file, "Once upon a time, there was a little girl named Lily. She had a red ball.");
    const { code, stdout } = await lightgpt(["perplexity", "--file", file, "--json"]);
    assertEquals(code, 0);
    const { perplexity, tokens, nll } = JSON.parse(stdout);
    assert(tokens > 10 && perplexity > 1 && perplexity < 20, stdout);
    assertAlmostEquals(perplexity, Math.exp(nll / tokens), 1e-9);
  });
});

describeTales("lightgpt perplexity", (tales) => {
  // golden.test.ts measures the same in process.
  it(
    "is what PyTorch and llama.cpp recorded for the F32 file",
    { skip: half === 0 && "runs on Bun's turn" },
    async () => {
      const words = [
        "perplexity",
        "--model",
        join(tales, "tinytales-f32.gguf"),
        "--file",
        join(tales, "valid-window.txt"),
      ];
      const { perplexity, tokens } = JSON.parse((await lightgpt([...words, "--window", "256", "--json"])).stdout);
      assertEquals(tokens, 20_189);
      assertAlmostEquals(perplexity, 2.47115, 2.47115 * 1e-3);
    },
  );

  it("is near to that for the embedded model", async () => {
    const words = ["perplexity", "--file", join(tales, "valid-window.txt"), "--json"];
    assertAlmostEquals(JSON.parse((await lightgpt(words)).stdout).perplexity, 2.4768, 2e-3);
  });
});
