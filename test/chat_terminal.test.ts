/**
 * `lightgpt chat` in a terminal: what is pasted is one turn, Ctrl-C stops what is going on before it ends the program, what was typed
 * is there the next time, and Tab knows the commands.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, describe, it } from "node:test";
import { Markdown } from "../cli/markdown.ts";
import { hasTerminal, inTerminal } from "./terminal.ts";

const directory = mkdtempSync(join(tmpdir(), "lightgpt-terminal-"));
const template = join(directory, "plain.jinja");
writeFileSync(template, "{% for m in messages %}{{ m.content }}\n{% endfor %}");
const env = { LIGHTGPT_CACHE: join(directory, "cache") };
const words = ["chat", "--template", template, "--seed", "7", "--max-tokens", "6"];
const contents = (file: string) =>
  (JSON.parse(readFileSync(file, "utf8")) as { role: string; content: string }[])
    .filter(({ role }) => role === "user").map(({ content }) => content);
const cut = "was cut after 6";

describe("lightgpt chat in a terminal", { skip: !hasTerminal && "no python3 with pty" }, () => {
  after(() => rmSync(directory, { recursive: true, force: true }));

  it("takes what is pasted, a block and a line that goes on as one turn each", async () => {
    const file = join(directory, "turns.json");
    const screen = await inTerminal(words, [
      ["> ", "one\rtwo\rthree"],
      ["three", " four\r"],
      [cut, '"""\r'],
      [". ", "five\r"],
      [". ", "six\r"],
      [". ", '"""\r'],
      [cut, "seven \\\r"],
      [". ", "eight\r"],
      [cut, `/save ${file}\r`],
      ["saved 6", "/tok\t"],
      ["/tokens", "\r"],
      [/of \d+ tokens are used/, "/exit\r"],
    ], env);
    assertEquals(contents(file), ["one\ntwo\nthree four", "five\nsix", "seven \neight"], screen);
    assertStringIncludes(screen, "[exit 0]");
  });

  it("keeps what was typed for the next time", async () => {
    const screen = await inTerminal(words, [["> ", "\x1b[A"], ["/exit", "\x1b[A\x1b[A"], ["/save", "\x03"], [
      /\n.*> /,
      "\x04",
    ]], env);
    assertStringIncludes(screen, "[exit 0]");
  });

  it("stops an answer by Ctrl-C, clears a line by it, and ends by two", async () => {
    const hot = ["--seed", "2", "--temperature", "1e9", "--top-k", "0", "--top-p", "1"];
    const screen = await inTerminal(["chat", "--template", template, ...hot], [
      ["> ", "Once\r"],
      [/\n[ -~]/, "\x03"], // the answer has begun
      ["was stopped", "half a line"],
      ["half a line", "\x03"],
      ["> ", "\x03"],
      ["once more ends", "\x03"],
    ], env);
    assertStringIncludes(screen, "[exit 130]");
  });

  it("answers anew, sets options, shows figures, and goes on from a file", async () => {
    const file = join(directory, "again.json");
    writeFileSync(file, JSON.stringify([{ role: "user", content: "A hen" }, { role: "assistant", content: "ran." }]));
    const screen = await inTerminal(words, [
      ["> ", `/load ${file}\r`],
      ["with 2 messages", "/set maxTokens 3\r"],
      ["maxTokens is 3", "/set temperature -1\r"],
      ["temperature: expected", "/set\r"],
      ['"maxTokens":3', "A fox\r"],
      ["was cut after 3", "/regenerate\r"],
      ["was cut after 3", "/stats\r"],
      ["3 tokens", "/load nowhere.json\r"],
      ["no such file", "/quit\r"],
    ], env);
    assertStringIncludes(screen, "[exit 0]");
  });
});

it("Markdown keeps each character, and styles across pieces", () => {
  const text = "# A *head*\nplain **bold `not bold`** `code` * x\n```js\nconst a = `b` ** 2;\n```\nend **";
  const coloured = Object.assign(Object.create(process.stdout), {
    isTTY: true,
    getColorDepth: () => 8,
    hasColors: () => true,
  });
  const show = (pieces: string[]) => {
    const markdown = new Markdown(coloured);
    return pieces.map((piece) => markdown.push(piece)).join("") + markdown.end();
  };
  // deno-lint-ignore no-control-regex -- the colours themselves
  const plain = (shown: string) => shown.replace(/\x1b\[\d+m/g, "");
  assertEquals(plain(show([text])), text);
  assertEquals(plain(show([...text])), text);
  assert(new Markdown(process.stdout).push("a").length === 1, "text is shown at once");
});
