/**
 * `lightgpt chat` as a user sees it: turns through a pipe, its commands, and Ctrl-C, which ends an answer and not the program.
 *
 * @module
 */
import { assert, assertEquals, assertGreater, assertMatch, assertStringIncludes } from "@std/assert";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, describe, it } from "node:test";
import { embeddedModel } from "../src/files/embedded.ts";
import { repository } from "./kit.ts";

const directory = mkdtempSync(join(tmpdir(), "lightgpt-chat-"));
const template = join(directory, "plain.jinja");
writeFileSync(template, "{% for m in messages %}{{ m.content }}\n{% endfor %}");
const common = ["chat", "--template", template, "--seed", "7"];

/** A child that talks: what it printed so far, a way to type and to press Ctrl-C, and its end. */
function chat(words: string[]) {
  const start = "Deno" in globalThis ? ["run", "--allow-all", "--no-prompt", "--quiet"] : [];
  const child = spawn(process.execPath, [...start, join(repository, "cli/main.ts"), ...words], {
    cwd: repository,
    env: { ...process.env, NO_COLOR: "1", LIGHTGPT_DEBUG: "" },
  });
  const said = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => said.stdout += text);
  child.stderr.setEncoding("utf8").on("data", (text: string) => said.stderr += text);
  child.stdin.on("error", () => {}); // a program that fails at once reads nothing
  const ended = new Promise<number | null>((done, fail) => {
    child.on("error", fail);
    child.on("close", (code, signal) => done(code ?? (signal === "SIGINT" ? 130 : null)));
  });
  return { child, said, ended };
}

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 240_000;
  while (!condition()) {
    assert(performance.now() < end, "waited for four minutes");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe("lightgpt chat", () => {
  after(() => rmSync(directory, { recursive: true, force: true }));

  it("takes a turn a line, remembers them, and knows its commands", async () => {
    const saved = join(directory, "saved.json");
    const { child, said, ended } = chat([...common, "--max-tokens", "8", "--system", "Tell."]);
    child.stdin.end(
      [
        "Once upon a time",
        "",
        "/help",
        `/save ${saved}`,
        `/save ${saved}`,
        "/save",
        "/what",
        "/clear",
        "The red fox",
        `/save ${saved}2`,
        "/exit",
        "not read",
      ].join("\n"),
    );
    assertEquals(await ended, 0, said.stderr);
    const turns = JSON.parse(readFileSync(saved, "utf8")) as { role: string; content: string }[];
    assertEquals(turns.map(({ role }) => role), ["system", "user", "assistant"]);
    const later = JSON.parse(readFileSync(`${saved}2`, "utf8")) as { role: string; content: string }[];
    assertEquals(later.map(({ role }) => role), ["system", "user", "assistant"]);
    assertEquals(said.stdout, `${turns[2].content}\n${later[2].content}\n`);
    for (
      const part of [
        "was cut after 8 tokens; --max-tokens",
        "/clear",
        "saved 3 messages",
        "exists",
        "needs the name",
        "no /what",
        "begins anew",
      ]
    ) {
      assertStringIncludes(said.stderr, part);
    }
  });

  it("forgets the oldest turns when the context is full", async () => {
    const { child, said, ended } = chat([...common, "--max-tokens", "8", "--context", "64"]);
    child.stdin.end(`${"a cat ".repeat(8)}\n${"a dog ".repeat(8)}\n${"a fox ".repeat(8)}\n${"too long ".repeat(80)}\n`);
    assertEquals(await ended, 0, said.stderr);
    assertEquals(said.stdout.trimEnd().split("\n").length >= 3, true, said.stdout);
    assertMatch(said.stderr, /oldest \d+ messages/);
    assertMatch(said.stderr, /must stay of the conversation takes \d+ tokens, which is more than 56/);
  });

  it("gives each answer as a line of JSON", async () => {
    const { child, said, ended } = chat([...common, "--max-tokens", "4", "--json"]);
    child.stdin.end("Once upon a time\nThe red fox\n");
    assertEquals(await ended, 0, said.stderr);
    const replies = said.stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
    assertEquals(replies.map(({ stopReason, generatedTokens }) => [stopReason, generatedTokens]), [
      ["maxTokens", 4],
      ["maxTokens", 4],
    ]);
    assertGreater(replies[1].promptTokens, replies[0].promptTokens);
  });

  it("says that a full context cut an answer", async () => {
    const hot = ["--seed", "2", "--temperature", "1e9", "--top-k", "0", "--top-p", "1", "--context", "40"];
    const { child, said, ended } = chat(["chat", "--template", template, ...hot]);
    child.stdin.end("Once upon a time\n");
    assertEquals(await ended, 0, said.stderr);
    assertStringIncludes(said.stderr, "was cut: the context of 40 tokens is full");
  });

  it("stops an answer on Ctrl-C and goes on", async () => {
    // So hot that with this seed the text goes on to the end of the context.
    const hot = ["--seed", "2", "--temperature", "1e9", "--top-k", "0", "--top-p", "1"];
    const { child, said, ended } = chat(["chat", "--template", template, ...hot]);
    // Not child.kill, after which Deno takes the child for ended.
    const press = () => process.kill(child.pid as number, "SIGINT");
    child.stdin.write("Once upon a time\n");
    await until(() => said.stdout.length > 0);
    press();
    const before = said.stdout.length;
    const saved = join(directory, "stopped.json");
    child.stdin.write(`/save ${saved}\n`);
    await until(() => existsSync(saved) && said.stderr.includes("saved"));
    assert(said.stdout.length - before < 1000, "the answer went on");
    assertStringIncludes(said.stderr, "the answer was stopped");
    assertEquals(JSON.parse(readFileSync(saved, "utf8")).length, 2);
    press(); // nothing to stop: the program ends
    assertEquals(await ended, 130, said.stderr);
  });

  it("refuses a model that has no template, in one line, and says what to fetch where none is named", async () => {
    for (
      const [words, code, includes] of [
        [["chat", embeddedModel()], 1, "chat template"],
        [["chat"], 2, "such as `lightgpt chat smollm2:135m` (105 MB, fetched once); `lightgpt pull` shows others"],
      ] as const
    ) {
      const { child, said, ended } = chat([...words]);
      child.stdin.end("hello\n");
      assertEquals(await ended, code);
      assertEquals([said.stdout, said.stderr.trimEnd().split("\n").length], ["", 1]);
      assertStringIncludes(said.stderr, includes);
    }
  });
});
