/**
 * Grammars in Lark's notation and llama.cpp's own in GBNF: verdicts on texts, what is refused, and llama.cpp's sample grammars.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { Grammar, InvalidArgumentError, LightGPT, LightGPTError, UnsupportedError } from "../mod.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import { COMMON } from "../src/grammar/lark/common.ts";
import { has, tokenizer, useTokenizer } from "./grammars.ts";
import { repository } from "./kit.ts";

useTokenizer();

async function verdicts(source: string, fits: readonly string[], others: readonly string[]): Promise<void> {
  const grammar = await Grammar.lark(source, tokenizer);
  for (const text of fits) assert(has(grammar, text), `${JSON.stringify(text)} by ${source}`);
  for (const text of others) assert(!has(grammar, text), `${JSON.stringify(text)} by ${source}`);
}

describe("a grammar in Lark's notation", () => {
  it("has rules, terminals, alternatives over lines, groups, counts and comments", async () => {
    await verdicts(
      `// a list
start: item ("," item)~1..2 [end] # the end may be missing
?item: WORD   -> word
     | NUMBER -> number
!end: "." ~ 2
    | "!"{1,3}
WORD: LETTER+ "-"?
LETTER: "a".."c" | "\\u00e4"
NUMBER: /[0-9]{2,}/`,
      ["a,b", "ä,12,c-", "a,b..", "a,b!", "a,b!!!"],
      ["a", "a,b,c,a", "a,1", "a,b.", "a,b!!!!", "d,a", "a-b,c", ""],
    );
    await verdicts('start: "a"{2} "b"{,2} "c"{1,} "d" ~ 3', ["aacddd", "aabbccddd"], [
      "acddd",
      "aaddd",
      "aabbbcddd",
      "aacdd",
    ]);
    await verdicts('start: a b\na: | "x"\nb: "y" |', ["", "x", "y", "xy"], ["yx"]);
  });

  it("ignores between terminals, and nowhere else", async () => {
    const source = `%import common (WS, INT)
%ignore WS
%ignore /#[^\\n]*\\n/
start: "let" NAME "=" sum ";"
sum: sum "+" INT | INT
NAME: /[a-z]+/`;
    await verdicts(
      source,
      ["let x=1+2;", " let  x =\n1 # one\n + 23 ; ", "letx=1;"],
      ["l et x=1;", "let x=1+;", "let x=1 2;", "let x=1", "let x y=1;"],
    );
  });

  it("may come back to itself, on the left, in the middle and on the right", async () => {
    await verdicts(
      `start: expr
expr: expr "+" term | term
term: term "*" factor | factor
factor: "(" expr ")" | /[0-9]+/`,
      ["1", "1+2*3", "((1+2))*3", "12*3+4"],
      ["1+", "(1", "1+*2", "1 + 2"],
    );
    await verdicts('start: "[" [start ("," start)*] "]"', ["[]", "[[],[[]]]"], ["[", "[,]", "[[]"]);
  });

  it("has flags, negation and intersection", async () => {
    await verdicts('start: "Yes"i | /n[ä-ö]+/i | /a.b/s | /a(?i:b)c/', [
      "YES",
      "yEs",
      "NÄÖ",
      "nä",
      "a\nb",
      "aBc",
      "abc",
    ], [
      "y",
      "N",
      "Abc",
      "abC",
    ]);
    await verdicts("start: NOT_A\nNOT_A: /[^a]/i", ["b", "B", "\n"], ["a", "A"]);
    await verdicts('start: A\nA: /[a-z]+/ & ~WORDS & /.{1,3}/ | "1"\nWORDS: "no" | "not"', ["n", "nob", "1"], [
      "no",
      "not",
      "abcd",
      "",
    ]);
  });

  it("imports what is common", async () => {
    const examples: Readonly<Record<string, readonly [string, string]>> = {
      DIGIT: ["7", "77"],
      HEXDIGIT: ["f", "g"],
      INT: ["077", "-7"],
      SIGNED_INT: ["-7", "7-"],
      DECIMAL: ["1.", "1"],
      _EXP: ["e-3", "e"],
      FLOAT: ["1e3", "1"],
      SIGNED_FLOAT: ["-.5E+2", "-5"],
      NUMBER: ["1.5", "."],
      SIGNED_NUMBER: ["+3", "++3"],
      ESCAPED_STRING: ['"a\\"b"', '"a\\"'],
      LCASE_LETTER: ["a", "A"],
      UCASE_LETTER: ["A", "a"],
      LETTER: ["Z", "0"],
      WORD: ["abC", "ab1"],
      CNAME: ["_a1", "1a"],
      WS_INLINE: [" \t", "\n"],
      WS: [" \r\n\f\t", "a"],
      CR: ["\r", "\n"],
      LF: ["\n", "\r"],
      NEWLINE: ["\n\r\n", "\r"],
      SH_COMMENT: ["# a", "# a\n"],
      CPP_COMMENT: ["// a/*", "/ a"],
      C_COMMENT: ["/* a **\n*/", "/* a */ */"],
      SQL_COMMENT: ["-- a", "- a"],
    };
    assertEquals(Object.keys(examples), [...COMMON.keys()]);
    for (const [name, [fits, other]] of Object.entries(examples)) {
      await verdicts(`start: ${name}\n%import common.${name}`, [fits], [other]);
    }
    await verdicts("%llguidance {}\nstart: N\n%import common.INT -> N", ["12"], ["x"]);
  });

  it("says what it does not take, and where", async () => {
    const unsupported: Readonly<Record<string, string>> = {
      'start: A\nA.2: "a"': "priorities",
      'start: pair{A}\npair{x}: x x\nA: "a"': "templates",
      'pair{x}: x\nstart: "a"': "templates",
      "start[lazy]: /a+/": "attributes",
      'start: <|eot|> "a"': "<|eot|>",
      "start: <[12]>": "<[12]>",
      'start: %json { "type": "object" }': "%json",
      "start: A\n%declare A": "%declare",
      "start: A\n%import python.A": "python",
      "start: @other": "@",
      '%llguidance { "no_forcing": true }\nstart: "a"': "%llguidance",
      "start: /a(?=b)/": "(?=",
      "start: /(a)\\1/": "\\1",
    };
    for (const [source, words] of Object.entries(unsupported)) {
      const error = await assertRejects(() => Grammar.lark(source, tokenizer), UnsupportedError, words);
      assert(error.message.includes("line"), error.message);
    }
    const wrong: Readonly<Record<string, string>> = {
      "": "start",
      'rule: "a"': "start",
      'start: "a"\n\nstart: "b"': "line 3",
      "start: A": "a definition of A",
      "start: other": "other",
      'start: A\nA: B\nB: A "x"': "come back",
      "start: A\nA: start": "rule start",
      'start: "a': "line 1",
      'start: "a" )': "end of the definition",
      'start: ("a"': '")"',
      'start: "\\q"': "escape",
      'start: "ab".."c"': "single characters",
      'start: "b".."a"': "before it begins",
      'start: "a"~3..2': "at least 3",
      "start: /a/m": "flags",
      "start: WHAT\n%import common.WHAT": "DIGIT",
      "start: start": "No text fits",
      'start "a"': '":"',
      "start: /[a/": "regular expression",
      "start: aB": "line 1",
      'start: "a" ->': "the name of a rule",
      'start: "a" -> "b"': "the name of a rule",
    };
    for (const [source, words] of Object.entries(wrong)) {
      await assertRejects(() => Grammar.lark(source, tokenizer), InvalidArgumentError, words);
    }
    const deep = `start: ${"(".repeat(400)}"a"${")".repeat(400)}`;
    await assertRejects(() => Grammar.lark(deep, tokenizer), LightGPTError, "depth");
    await assertRejects(
      () => Grammar.lark(`start: "${"a".repeat(2_000_000)}"`, tokenizer),
      LightGPTError,
      "characters",
    );
  });

  it("holds an answer, beside syntax", async () => {
    await using lm = await LightGPT.load(embeddedModel(), { threads: 1 });
    const grammar = 'start: NAME ("," NAME)~2\nNAME: /[A-Z][a-z]{1,6}/\n%ignore " "';
    const options = { maxTokens: 60, sampling: { temperature: 2, seed: 1, topK: 0, topP: 1 } };
    const { text, stopReason } = await lm.complete("They are ", {
      ...options,
      constraint: { grammar, syntax: "lark" },
    });
    assert(stopReason === "maxTokens" || /^ *[A-Z][a-z]{1,6}( *, *[A-Z][a-z]{1,6}){2} *$/.test(text), text);
    for (const constraint of [{ regex: "a", syntax: "lark" }, { choice: ["a"], whitespace: "compact" }] as const) {
      await assertRejects(() => lm.complete("x", { constraint }), InvalidArgumentError, "none beside");
    }
  });
});

describe("llama.cpp's sample grammars", () => {
  const folder = join(repository, "test/data/grammars");
  /** Texts that fit, and texts that don't. */
  const texts: Readonly<Record<string, readonly [readonly string[], readonly string[]]>> = {
    "arithmetic.gbnf": [["1 +2 = 3\n", "(a+b)*c=x1\n"], ["1 + = 3\n", "1+2=3"]],
    "c.gbnf": [
      ["int main(){return 0;}", "float f(int x){x = x+1;while(x<3){x = x*2;}return g(x, -1);}char c(){}"],
      ["int main(){return 0}", "main(){}"],
    ],
    "chess.gbnf": [["1. e4 e5\n2. Nf3 d5\n", "1. Nf3 d5\n2. O-O Qxd4+\n13. exd8=Q# Rad1\n"], [
      "1. e9 e5\n2. e4 e5\n",
      "1. e4 e5\n",
      "e4 e5\n2. e4 e5\n",
    ]],
    "english.gbnf": [["It is I, isn't it?", "A"], ["ä", ""]],
    "japanese.gbnf": [["これは", "日本、です。"], ["hello", ""]],
    "json.gbnf": [
      ['{"a": [1, -2.5e3, null], "b\\n": {"c": true}}', "{}"],
      ['{"a": }', "{'a': 1}", "[1]"],
    ],
    "json_arr.gbnf": [['[\n"a",\n{"b": 1}]'], ["{}", "[1"]],
    "list.gbnf": [["- one\n- two\n"], ["- one", "one\n", "- \n"]],
  };

  it("are all here", () => {
    assertEquals(readdirSync(folder).filter((name) => name.endsWith(".gbnf")).sort(), Object.keys(texts));
  });

  for (const [name, [fits, others]] of Object.entries(texts)) {
    it(`${name} gives the right verdicts`, async () => {
      const grammar = await Grammar.gbnf(readFileSync(join(folder, name), "utf8"), tokenizer);
      for (const text of fits) assert(has(grammar, text), JSON.stringify(text));
      for (const text of others) assert(!has(grammar, text), JSON.stringify(text));
    });
  }
});
