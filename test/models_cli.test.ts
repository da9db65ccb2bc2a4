/**
 * The subcommands about models, with a hub on loopback: fetching, lists, what fits this machine, removing, and a server's models. And what
 * the command has besides: completions, help, its exit codes.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { COMMANDS } from "../cli/options.ts";
import { fitOf, propose } from "../cli/fit.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import { createServer, listen } from "../exports/server.ts";
import { LightGPT } from "../mod.ts";
import { assertRefused, lightgpt } from "./command.ts";
import { randomFile } from "./hub_context.ts";
import { TestHub } from "./hub_server.ts";

const commit = "0123456789abcdef0123456789abcdef01234567";
const tales = new Uint8Array(readFileSync(embeddedModel()));

describe("lightgpt with models by name", () => {
  let hub: TestHub;
  let folder: string;
  let env: Record<string, string>;
  const run = (...words: string[]) => lightgpt(words, { env });
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "lightgpt-models-cli-"));
    hub = await TestHub.open();
    const large = randomFile(5_000_000, "q8");
    hub.repositories.set("user/tales", { commit, files: { "tales-Q4_0.gguf": tales, "tales-Q8_0.gguf": large } });
    env = {
      HF_ENDPOINT: hub.endpoint,
      HF_HOME: join(folder, "hf"),
      HF_HUB_CACHE: "",
      HF_TOKEN: "",
      HOME: folder,
      LIGHTGPT_MODELS: join(folder, "own"),
      OLLAMA_MODELS: join(folder, "ollama"),
      PIP_NO_INDEX: "1",
    };
  });
  after(async () => {
    await hub.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it("fetches, lists, shows, runs and removes them", async () => {
    const shown = await run("show", "hf:user/tales");
    assertEquals(shown.code, 0, shown.stderr);
    assertMatch(
      shown.stdout,
      /^hf:user\/tales is not here; there is\n +Q4_0 +2\.8 MB +.* of memory with 512 tokens, at most .* tokens\/s.*tales-Q4_0\.gguf\n +Q8_0 +5\.0 MB .*proposed.*\n$/,
    );
    const pulled = await run("pull", "hf:user/tales:Q4_0", "--json");
    assertEquals(pulled.code, 0, pulled.stderr);
    const { path, bytes } = JSON.parse(pulled.stdout);
    assertEquals([bytes, readFileSync(path).length], [tales.length, tales.length]);
    const listed = JSON.parse((await run("list", "--json")).stdout);
    assertEquals(listed.map(({ name, type, path }: Record<string, unknown>) => [name, type, path]), [[
      "hf:user/tales:Q4_0",
      "Q4_0",
      path,
    ]]);
    assertMatch((await run("list")).stdout, /^hf:user\/tales:Q4_0 +2\.8 MB +Q4_0 +\/.*\n$/);
    const here = await run("show", "hf:user/tales:Q4_0");
    assertMatch(here.stdout, /^runs +yes$/m);
    assertMatch(here.stdout, /^speed +at most .* tokens\/s here, by how fast memory is read$/m);
    hub.calm();
    const story = await lightgpt([
      "run",
      "Once",
      "--model",
      "hf:user/tales:Q4_0",
      "--max-tokens",
      "3",
      "--temperature",
      "0",
    ], {
      env: { ...env, HF_HUB_OFFLINE: "1" },
    });
    assertEquals([story.code, story.stdout], [
      0,
      (await run("run", "Once", "--max-tokens", "3", "--temperature", "0")).stdout,
    ], story.stderr);
    assertEquals(hub.seen, []);
    assertStringIncludes((await run("inspect", "hf:user/tales:Q4_0")).stdout, "size          2.8 MB (2829312 bytes)");
    const removed = await run("rm", "hf:user/tales:Q4_0");
    assertStringIncludes(removed.stderr, "removed hf:user/tales:Q4_0: 2.8 MB are free again");
    assert(!existsSync(path));
    assertRefused(await run("rm", "hf:user/tales:Q4_0"), 1, "is not here; expected one of `lightgpt list`");
  });

  it("proposes a file where none is named, and says so", async () => {
    const pulled = await run("pull", "hf:user/tales");
    assertEquals(pulled.code, 0, pulled.stderr);
    assertStringIncludes(
      pulled.stderr,
      "hf:user/tales:Q8_0 (5.0 MB) fits this machine; `lightgpt show hf:user/tales` lists the others",
    );
    assertMatch(pulled.stdout, /tales-Q8_0\.gguf\n$/);
  });

  it("says what is missing", async () => {
    assertRefused(await run("pull"), 2, "pull needs a MODEL: smollm2:135m, ");
    assertRefused(await run("pull", "smolm2:135m"), 2, "expected smollm2:135m? There are");
    assertRefused(await run("run", "x", "--model", "hf:user/none"), 1, "the hub has no such repository");
    assertRefused(await run("chat", "ollama:none"), 1, "Ollama has no such model");
    assertRefused(
      await run("logits", "a.gguf", "--model", "b.gguf", "--tokens", "1", "--out", "x"),
      2,
      "--model is given twice",
    );
    assertRefused(
      await run("ps", "--url", "http://127.0.0.1:9"),
      1,
      "no server answers; expected a running `lightgpt serve`",
    );
    assertRefused(await run("ps", "--url", hub.endpoint), 1, "is no server of models (status 404)");
    assertRefused(await run("completions", "tcsh"), 2, "bash, zsh, fish");
  });

  it("lists the models of a server that runs", async () => {
    await using lm = await LightGPT.load(undefined, { threads: 1 });
    await using server = createServer({ models: { tales: lm }, keys: [{ key: "a-long-key" }] });
    const listening = await listen(server, { port: 0 });
    try {
      assertRefused(await run("ps", "--url", listening.url), 1, "it wants a key");
      const { stdout, stderr } = await run("ps", "--url", listening.url, "--key", "a-long-key");
      assertEquals(stdout, "tales\n", stderr);
    } finally {
      await listening.close();
    }
  });

  it("has completions that shells take, help for a command, and its version", async () => {
    const script = join(folder, "completions");
    for (const shell of ["bash", "zsh", "fish"]) {
      const { stdout, code } = await run("completions", shell);
      assertEquals(code, 0);
      for (const name of Object.keys(COMMANDS)) assertStringIncludes(stdout, name);
      assertStringIncludes(stdout, "temperature");
      writeFileSync(script, stdout);
      const checked = spawnSync(shell, ["-n", script], { encoding: "utf8" });
      if (checked.error === undefined) assertEquals([checked.status, checked.stderr], [0, ""], shell);
    }
    writeFileSync(script, (await run("completions", "bash")).stdout);
    const complete = (...words: string[]) => {
      const list = words.map((word) => `'${word}'`).join(" ");
      const text = `. ${script}; COMP_WORDS=(${list}); COMP_CWORD=${
        words.length - 1
      }; _lightgpt; echo "\${COMPREPLY[*]}"`;
      const { stdout, error } = spawnSync("bash", ["-c", text], { encoding: "utf8" });
      return error === undefined ? stdout.trim() : undefined;
    };
    if (complete("lightgpt", "") !== undefined) {
      assertEquals(complete("lightgpt", "pul"), "pull");
      assertEquals(complete("lightgpt", "run", "--tempe"), "--temperature");
      assertEquals(complete("lightgpt", "run", "--kv", "q"), "q8_0");
      assertEquals(complete("lightgpt", "chat", "gemma3:2"), "gemma3:270m");
    }
    assertEquals((await run("help", "run")).stdout, (await run("run", "--help")).stdout);
    assertMatch((await run("-v")).stdout, /^lightgpt \d/);
    assertRefused(await run("help", "walk"), 2, '"walk"');
  });

  it("leaves with 2 where the command line is wrong, whichever part of it finds that", async () => {
    for (
      const words of [
        ["run", "x", "--samplers", "foo"],
        ["run", "x", "--logit-bias", "foo"],
        ["quantize", embeddedModel(), join(folder, "o.gguf"), "--type", "q9"],
        ["logits", "--tokens", "99999", "--out", join(folder, "o")],
        ["inspect", "hf:x"],
      ]
    ) assertEquals((await run(...words)).code, 2, words.join(" "));
  });
});

describe("what fits a machine", () => {
  const room = { memoryBytes: 8e9, bytesPerSecond: 40e9 };
  const file = (type: string, gigabytes: number) => ({
    type,
    bytes: gigabytes * 1e9,
    fit: fitOf(gigabytes * 1e9, undefined, room),
  });

  it("is the file nearest to the original that fits and is as fast as a person reads", () => {
    const small = [file("Q4_K_M", 0.8), file("Q6_K", 1.1), file("Q8_0", 1.4), file("F16", 2.5)];
    assertEquals(propose(small)?.type, "Q8_0");
    const large = [file("Q2_K", 3), file("Q4_K_M", 4.9), file("Q6_K", 6.6), file("Q8_0", 8.5)];
    assertEquals(propose(large)?.type, "Q4_K_M");
    const slow = [file("Q2_K", 5.5), file("Q4_K_M", 6.1), file("Q8_0", 11)];
    assertEquals(propose(slow)?.type, "Q4_K_M", "slower than one reads, and the usual one");
    assertEquals(propose([file("Q4_K_M", 20)]), undefined);
    assertEquals(file("Q8_0", 8).fit.fits, false);
    assertEquals(Math.round(file("Q4_K_M", 5).fit.tokensPerSecond), 8);
  });
});
