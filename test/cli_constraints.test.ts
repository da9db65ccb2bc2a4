/**
 * The command with answers that are held to a schema, a grammar or a regular expression: what it prints, how it ends, and what it
 * says of files and flags that cannot be used.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { assertRefused, lightgpt } from "./command.ts";
import { own } from "./tool-templates.ts";

const directory = mkdtempSync(join(tmpdir(), "lightgpt-constraints-"));

function file(name: string, content: string | Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

const schema = file(
  "hero.json",
  JSON.stringify({
    type: "object",
    properties: { name: { type: "string", maxLength: 9 }, kind: { enum: ["fox", "hen"] } },
    required: ["name", "kind"],
    additionalProperties: false,
  }),
);
const wild = ["--temperature", "2", "--top-k", "0", "--top-p", "1", "--seed", "3"];

describe("lightgpt with a constraint", () => {
  after(() => rmSync(directory, { recursive: true, force: true }));

  it("answers with what was asked for", async () => {
    const run = (...words: string[]) => lightgpt(["run", "Once", "--max-tokens", "80", ...wild, ...words]);
    const object = await run("--schema", schema);
    assertEquals(object.code, 0, object.stderr);
    assert(["fox", "hen"].includes(JSON.parse(object.stdout).kind));
    const told = JSON.parse((await run("--schema", schema, "--json")).stdout);
    assertEquals([`${told.text}\n`, told.stopReason], [object.stdout, "endOfText"]);
    assertMatch((await run("--regex", "[A-Z][a-z]{2,4}!")).stdout, /^[A-Z][a-z]{2,4}!\n$/);
    const gbnf = file("pair.gbnf", 'root ::= [a-c]{2} "-" [0-9]\n');
    assertMatch((await run("--grammar", gbnf)).stdout, /^[a-c]{2}-[0-9]\n$/);
    const lark = file("pair.lark", 'start: /[a-c]{2}/ "-" DIGIT\n%import common.DIGIT\n');
    assertMatch((await run("--grammar", lark, "--syntax", "lark")).stdout, /^[a-c]{2}-[0-9]\n$/);
  });

  it("fails where the answer was cut before it was whole, and not where it could end", async () => {
    const cut = await lightgpt(["run", "Once", "--schema", schema, "--max-tokens", "3"]);
    assertEquals(cut.code, 1);
    assertStringIncludes(cut.stderr, "incomplete: --max-tokens cut it");
    const json = await lightgpt(["run", "Once", "--schema", schema, "--max-tokens", "3", "--json"]);
    assertEquals([json.code, JSON.parse(json.stdout).stopReason], [1, "maxTokens"]);
    assertEquals((await lightgpt(["run", "Once", "--regex", "[a-z]+", "--max-tokens", "3", ...wild])).code, 0);
  });

  it("holds each answer of a conversation", async () => {
    const template = file("plain.jinja", "{% for m in messages %}{{ m.content }}\n{% endfor %}");
    const words = ["chat", "--template", template, "--regex", "(yes|no)!", ...wild];
    const { code, stdout, stderr } = await lightgpt(words, { input: "Is it?\nReally?\n" });
    assertEquals(code, 0, stderr);
    assertMatch(stdout, /^(yes|no)!\n(yes|no)!\n$/);
    assertRefused(await lightgpt([...words.slice(0, 3), "--regex", "("], { input: "a\n" }), 2, "regex");
  });

  it("prints calls of tools, and takes their results", async () => {
    const template = file("tools.jinja", own.json);
    const parameters = {
      type: "object",
      properties: { city: { type: "string", minLength: 1, maxLength: 6 } },
      required: ["city"],
    };
    const list = [{ type: "function", function: { name: "weather", description: "The weather.", parameters } }];
    const tools = ["--tools", file("tools.json", JSON.stringify(list)), "--template", template];
    const one = ["--tool-choice", "weather", ...wild];
    const run = await lightgpt(["run", "How is it?", ...tools, ...one]);
    assertEquals(run.code, 0, run.stderr);
    const call = JSON.parse(run.stdout);
    assert(call.name === "weather" && call.arguments.city.length > 0, run.stdout);
    const json = JSON.parse((await lightgpt(["run", "How is it?", ...tools, ...one, "--json"])).stdout);
    assertEquals(json.toolCalls.map(({ name, input }: Record<string, unknown>) => ({ name, arguments: input })), [
      call,
    ]);
    const talk = await lightgpt(["chat", ...tools, ...one], { input: "How is it?\nWindy.\n" });
    assertEquals(talk.code, 0, talk.stderr);
    const said = talk.stdout.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
    assertEquals([said.length, said[0]], [2, call]);
    assertStringIncludes(talk.stderr, "what does weather give?");
    const refused: [string[], number, string][] = [
      [["--tool-choice", "none"], 2, "--tool-choice is of --tools"],
      [[...tools, "--regex", "a"], 2, "--tools and --regex"],
      [[...tools, "--tool-choice", "clock"], 2, "weather"],
    ];
    for (const [words, code, text] of refused) assertRefused(await lightgpt(["run", "x", ...words]), code, text);
  });

  it("says what is wrong with files and flags", async () => {
    const run = (...words: string[]) => lightgpt(["run", "Once", ...words]);
    assertRefused(await run("--schema", join(directory, "none.json")), 1, "cannot be read (ENOENT)");
    assertRefused(await run("--schema", file("text.json", "{ a")), 2, "text.json is no JSON");
    assertRefused(await run("--grammar", file("bad.gbnf", "root ::= (")), 2, "line 1");
    assertRefused(await run("--schema", file("slip.json", '{"maxmum": 3}')), 2, "maximum");
    assertRefused(await run("--regex", "a(?=b)"), 1, "not regular");
    assertRefused(await run("--schema", schema, "--regex", "a"), 2, "--schema and --regex");
    assertRefused(await run("--syntax", "lark"), 2, "--grammar");
  });
});
