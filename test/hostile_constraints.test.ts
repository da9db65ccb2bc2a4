/**
 * Schemas and grammars that multiply while they are compiled: each is compiled, or refused by what is counted, and others have
 * their turns meanwhile. What they would take without a limit is minutes, or more than there is.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import { Grammar, LightGPTError, type Tokenizer } from "../mod.ts";
import { circlesOf } from "../src/grammar/circles.ts";
import { vocabularyWith } from "./tool-templates.ts";

const tokenizer: Tokenizer = await vocabularyWith([]);

type Kind = "schema" | "gbnf" | "lark" | "regex";

const range = (count: number) => Array.from({ length: count }, (_, index) => index);
const members = (count: number, of: (index: number) => [string, unknown]) => Object.fromEntries(range(count).map(of));
const needing = (name: string) => ({ properties: { [name]: true }, required: [name] });
const matching = (pattern: string) => ({ pattern });
const words = ["customer", "maker", "operator", "admin", "designer", "manager"];

/** What is compiled, and what comes of it: its code where it is refused. */
const cases: Record<string, readonly [kind: Kind, source: () => unknown, code: string]> = {
  "repetitions that meet": ["schema", () => ({
    allOf: [matching("(abc|d){5000,}"), matching("(ab|cd){4000,}")],
    maxLength: 100_000,
  }), "limit"],
  "names of properties that search far": ["schema", () => ({
    patternProperties: { "a.{12}b": {}, "c.{12}d": { type: "string" }, "e.{12}f": { minLength: 3 } },
    additionalProperties: false,
  }), "limit"],
  "patterns that no text can meet": ["schema", () => ({
    allOf: [matching("^(a|b)*a(a|b){20}$"), matching("^(a|b)*b(a|b){20}$")],
    type: "string",
  }), "limit"],
  "alternatives that multiply": ["schema", () => ({
    type: "object",
    allOf: range(16).map((index) => ({ anyOf: [needing(`a${index}`), needing(`b${index}`)] })),
  }), "limit"],
  "alternatives of constants": ["schema", () => ({
    oneOf: range(3000).map((index) => ({ const: `c${index}` })),
  }), "limit"],
  "another list than a long one": ["schema", () => ({ not: { const: range(5000) } }), "limit"],
  "many numbers": ["schema", () => ({ enum: range(100_000) }), "limit"],
  "many texts under not": ["schema", () => ({ not: { enum: range(20_000).map((index) => `v${index}`) } }), "none"],
  "thousands of properties": ["schema", () => ({
    type: "object",
    properties: members(5000, (index) => [`p${index}`, { type: "integer" }]),
  }), "none"],
  "documents that lead to each other": ["schema", () => ({
    $id: "http://x/r",
    $ref: "s0",
    $defs: members(40, (index) => [`s${index}`, {
      $id: `http://x/s${index}`,
      $dynamicAnchor: `n${index % 8}`,
      properties: { a: { $ref: `s${(index * 3 + 1) % 40}` }, b: { $ref: `s${(index * 7 + 2) % 40}` } },
    }]),
  }), "limit"],
  "a long chain of names": [
    "gbnf",
    () => `root ::= a0\n${range(20_000).map((index) => `a${index} ::= "x" a${index + 1}`).join("\n")}\na20000 ::= "y"`,
    "limit",
  ],
  "rules that all use the first": [
    "gbnf",
    () =>
      `root ::= ${range(20_000).map((index) => `a${index}`).join(" | ")}\n${
        range(20_000).map((index) => `a${index} ::= "x${index}" root?`).join("\n")
      }`,
    "limit",
  ],
  "rules that begin with each other": [
    "gbnf",
    () =>
      `root ::= a0\n${
        range(30).map((index) => `a${index} ::= a${(index + 1) % 30} "x" | a${(index + 2) % 30} "y" | "${index}"`)
          .join("\n")
      }`,
    "limit",
  ],
  "terminals without regard to case": [
    "lark",
    () => `start: A\nA: ${range(2000).map((index) => `/wo(r|d)${index}/i`).join(" | ")}`,
    "none",
  ],
  "a long expression without regard to case": [
    "regex",
    () => `(?i:${range(3000).map((index) => `Wort${index}`).join("|")})`,
    "none",
  ],
};

async function codeOf(kind: Kind, source: unknown): Promise<string> {
  try {
    await (kind === "schema" ? Grammar.schema(source, tokenizer) : Grammar[kind](source as string, tokenizer));
    return "none";
  } catch (error) {
    if (!(error instanceof LightGPTError)) throw error;
    return error.code;
  }
}

describe("constraints that multiply", () => {
  for (const [name, [kind, source, code]] of Object.entries(cases)) {
    it(`are compiled, or refused by what is counted: ${name}`, async () => {
      assertEquals(await codeOf(kind, source()), code);
      // What was counted for one is not counted for another.
      assertEquals(await codeOf("schema", { type: "string", pattern: words.join("|") }), "none");
    });
  }

  it("let others have their turns while they are compiled", async () => {
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    const [, source] = cases["documents that lead to each other"];
    const hostile = { allOf: [source(), { oneOf: words.map((word) => ({ properties: { [word]: matching(word) } })) }] };
    await codeOf("schema", { $defs: members(12, (index) => [`d${index}`, hostile]), ...(hostile as object) });
    await codeOf("schema", {
      type: "string",
      oneOf: range(30).map((index) => matching(`${words[index % 6]}${index}`)),
    });
    clearInterval(timer);
    assert(turns > 0);
  });
});

describe("circles", () => {
  it("are what leads to itself, alone or through others", () => {
    assertEquals(circlesOf([[1], [2], [0, 3], [4], [4], []]).map((circle) => circle.toSorted()), [[4], [0, 1, 2]]);
    const long = range(50_000).map((index) => [index + 1]);
    assertEquals(circlesOf([...long, []]), []);
    assertEquals(circlesOf([...long, [0]]).map(({ length }) => length), [50_001]);
  });
});
