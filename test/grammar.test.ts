/**
 * Grammars: regular expressions against the runtime's own, GBNF and rules that come back to themselves against lists of texts,
 * masks against each token tried alone, and what is refused.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { after, before, describe, it } from "node:test";
import {
  type GenerateOptions,
  Grammar,
  InvalidArgumentError,
  LightGPT,
  LightGPTError,
  type Matcher,
  UnsupportedError,
} from "../mod.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import { has, tokenizer, useTokenizer } from "./grammars.ts";
import { randomFrom } from "./simulation.ts";

useTokenizer();

function gbnf(source: string): Promise<Grammar> {
  return Grammar.gbnf(source, tokenizer);
}

async function verdicts(made: Promise<Grammar>, texts: Readonly<Record<string, boolean>>): Promise<void> {
  const grammar = await made;
  for (const [text, expected] of Object.entries(texts)) {
    assertEquals(has(grammar, text), expected, JSON.stringify(text));
  }
}

/** The tokens that a matcher allows, found out one by one. */
function tried(matcher: Matcher): number[] {
  return Array.from({ length: tokenizer.vocabularySize }, (_, token) => token).filter((token) => {
    if (tokenizer.endOfGeneration.has(token)) return matcher.isComplete;
    const bytes = tokenizer.textBytes(token);
    return bytes.length > 0 && matcher.clone().follow(bytes);
  });
}

describe("a regular expression", () => {
  const letters = ["a", "b", "c", "ä", "0", "\n"];
  const random = randomFrom(7);
  const pick = <T>(list: readonly T[]) => list[random(list.length)];
  function expression(depth: number): string {
    const kind = depth === 0 ? 0 : random(7);
    const inner = () => expression(depth - 1);
    if (kind === 1) return `${inner()}${inner()}`;
    if (kind === 2) return `(?:${inner()}|${inner()})`;
    if (kind === 3) return `(${inner()})${pick(["*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}", "*?"])}`;
    if (kind === 4) return pick(["[ab]", "[^a]", "[a-c0]", "[^ä]", "[\\d\\n]", "[^\\w]"]);
    if (kind === 5) return pick([".", "\\d", "\\D", "\\w", "\\W", "\\s", "\\S", "\\u00e4", "\\x61", "\\p{L}"]);
    return pick(["a", "b", "c", "ä", "0"]);
  }
  const texts = Array.from(
    { length: 60 },
    () => Array.from({ length: random(6) }, () => pick(letters)).join(""),
  );

  it("has the texts that the runtime's own matches", async () => {
    let matches = 0;
    for (let round = 0; round < 300; round++) {
      const source = expression(3);
      const [grammar, own] = [await Grammar.regex(source, tokenizer), new RegExp(`^(?:${source})$`, "u")];
      for (const text of texts) {
        assertEquals(has(grammar, text), own.test(text), `${source} on ${JSON.stringify(text)}`);
        matches += Number(own.test(text));
      }
    }
    assert(matches > 1000);
  });

  it("says what it does not take", async () => {
    for (const source of ["a(?=b)", "\\bword", "(a)\\1", "(?<!a)b", "\\p{Script=Greek}"]) {
      await assertRejects(() => Grammar.regex(source, tokenizer), UnsupportedError);
    }
    await assertRejects(() => Grammar.regex("\\p{Lu}", tokenizer), UnsupportedError, "none of the categories");
    await assertRejects(() => Grammar.regex("(?m:a)", tokenizer), UnsupportedError, "i and s");
    for (const source of ["a(", "a)", "[a", "*", "a{2,1}", "\\", "[b-a]", "\\u{110000}", "\\q"]) {
      await assertRejects(() => Grammar.regex(source, tokenizer), InvalidArgumentError);
    }
    await assertRejects(() => Grammar.regex("[]", tokenizer), InvalidArgumentError, "No text fits");
  });

  it("counts without unrolling", async () => {
    const grammar = Grammar.regex('"[a-z]{3,100000}"', tokenizer);
    await verdicts(grammar, { '"ab"': false, '"abc"': true, [`"${"x".repeat(5000)}"`]: true });
    const many = await Grammar.regex("(ab){1000000000}", tokenizer);
    assertEquals(has(many, "abab"), false);
    await assertRejects(() => Grammar.regex(`${"(".repeat(300)}a${")".repeat(300)}`, tokenizer), LightGPTError);
  });
});

describe("a grammar in GBNF", () => {
  it("has names, groups, classes, counts, escapes and comments", async () => {
    await verdicts(
      gbnf(`# a list
root  ::= item ("," item){1,2} end? # the end may be missing
item  ::= [a-c\\x30-\\x39]+ |
          "\\u00e4\\""
end   ::= [^a] .`),
      {
        "a,b": true,
        'a0,ä"': true,
        "a,b,c": true,
        "a,b,c,c": true,
        "a,b,c,c,c": false,
        a: false,
        "a,b\ne": true,
        "a,b\n": false,
      },
    );
  });

  it("may come back to itself, in the middle, on the right and on the left", async () => {
    await verdicts(gbnf('root ::= "(" root ")" root | ""'), {
      "": true,
      "()": true,
      "(()())()": true,
      "(()": false,
      ")": false,
    });
    await verdicts(gbnf('root ::= root "+" term | term\nterm ::= term "*" [0-9] | [0-9] | "(" root ")"'), {
      "1": true,
      "1+2*3": true,
      "(1+2)*3+4": true,
      "1+": false,
      "+1": false,
      "(1+2": false,
    });
    await verdicts(gbnf('root ::= b "x" | "r"\nb ::= root "y" | "z"'), {
      r: true,
      zx: true,
      ryx: true,
      ryxyx: true,
      ry: false,
    });
    const deep = await gbnf('root ::= "[" root "]" | "a"');
    assert(has(deep, "[".repeat(3000) + "a" + "]".repeat(3000)));
  });

  it("may be ambiguous, and repeat what may be empty", async () => {
    const ambiguous = gbnf('root ::= root root | "a" | "b"');
    await verdicts(ambiguous, { ["ab".repeat(60)]: true, [`${"ab".repeat(60)}c`]: false, "": false });
    await verdicts(gbnf('root ::= (a*){2,3} "b"\na ::= "a" | "(" a ")"'), {
      b: true,
      aab: true,
      "aaaaaa(a)b": true,
      a: false,
    });
    await verdicts(gbnf('root ::= x{0,1000000000} "."\nx ::= ("(" x ")")?'), {
      ".": true,
      "()(()).": true,
      "(.": false,
    });
  });

  it("says what is wrong, and in which line", async () => {
    for (
      const [source, words] of [
        ['root ::= "a', "line 1"],
        ["root ::= a", '"a"'],
        ['x ::= "a"', "root"],
        ['root ::= "a"\nroot ::= "b"', "line 2"],
        ["root ::= [b-a]", "range"],
        ['root ::= "\\q"', "escape"],
        ["root ::= a\na ::= a", "No text fits"],
        ["root ::= ( a", "line 1"],
        ['root ::= "a"{3,2}', "at least 3"],
      ]
    ) {
      await assertRejects(() => gbnf(source), InvalidArgumentError, words);
    }
    await assertRejects(() => gbnf('root ::= a root "x" | "y"\na ::= "b"?'), UnsupportedError, "root");
    for (const token of ["<[10]>", "!<[10]>", "<think>"]) {
      await assertRejects(() => gbnf(`root ::= "a" ${token}`), UnsupportedError, `line 1: the token ${token}`);
    }
    await assertRejects(() => gbnf(`root ::= ${"(".repeat(400)}"a"${")".repeat(400)}`), LightGPTError, "depth");
    await assertRejects(() => gbnf(`root ::= "${"a".repeat(2_000_000)}"`), LightGPTError, "characters");
  });
});

describe("a mask", () => {
  it("has the tokens that a walk of each alone finds", async () => {
    const json = await gbnf(`root ::= object
object ::= "{" (pair ("," pair)*)? "}"
pair ::= string ":" (string | object | [0-9]{1,5} | "true")
string ::= "\\"" [^"\\\\]{0,2000} "\\""`);
    const matcher = json.matcher();
    let states = 0;
    for (const byte of new TextEncoder().encode('{"name":{"once":"upon a time"},"b":12345}')) {
      const words = matcher.words();
      const mask = Array.from({ length: tokenizer.vocabularySize }, (_, token) => token)
        .filter((token) => (words[token >>> 5] >>> (token & 31)) & 1);
      assertEquals(mask, tried(matcher));
      states += Number(mask.length > 0);
      assert(matcher.follow(Uint8Array.of(byte)));
    }
    assert(states > 40 && matcher.isComplete && matcher.isDone);
  });

  it("has them where lexemes end within tokens, in several ways and again and again", async () => {
    const schema = {
      properties: {
        once: { type: "string", maxLength: 7 },
        upon: { type: "string", pattern: "ti[a-m]{2}e?" },
        on: { anyOf: [{ type: "number" }, { enum: ["once", "on", null] }] },
        a: { type: "array", items: { type: "integer", maximum: 120 }, maxItems: 3 },
      },
      additionalProperties: { type: "boolean" },
    };
    const text = '{"once": "a time", "upon": "once upon a time", "on": 12, "a": [1, 12, 110], "time": true}';
    const cases: [Grammar, string][] = [
      [await Grammar.schema(schema, tokenizer, { order: "schema" }), text],
      [await Grammar.schema(schema, tokenizer), text],
      // Each text of small letters in many ways, which end behind one another.
      [await gbnf('root ::= item root | "."\nitem ::= [ a-z]{2} | [ a-z]{3}'), "once upon a time there was "],
      [await gbnf('root ::= (word | "."+)+ root? "!"\nword ::= [a-z]+ " "?'), "once upon.there was..a cat"],
      [await gbnf('root ::= blank "the" blank root | "end"\nblank ::= (" " blank)?'), "the the  the end"],
      [await Grammar.regex("(?:[^:\\s]+(?:: ?|\\s)){1,9}|the (?:the )*[^/]{3}", tokenizer), "the the: a cat:b "],
      [await Grammar.choice(["once", "once upon", "once upon a time", "onces"], tokenizer), "once upon a"],
    ];
    for (const [grammar, text] of cases) {
      const matcher = grammar.matcher();
      for (const byte of new TextEncoder().encode(text)) {
        const words = matcher.words();
        const mask = Array.from({ length: tokenizer.vocabularySize }, (_, token) => token)
          .filter((token) => (words[token >>> 5] >>> (token & 31)) & 1);
        assertEquals(mask, tried(matcher), text);
        assert(matcher.follow(Uint8Array.of(byte)), `${text}: ${String.fromCharCode(byte)}`);
      }
    }
  });

  it("is the same whatever was asked before", async () => {
    const source = '[ab]{2,40}c|x*"[^"]{0,9}"';
    const walk = (grammar: Grammar, text: string) => {
      const matcher = grammar.matcher();
      return Array.from(new TextEncoder().encode(text), (byte) => {
        const mask = matcher.words().join();
        matcher.follow(Uint8Array.of(byte));
        return mask;
      });
    };
    const warm = await Grammar.regex(source, tokenizer);
    for (const text of ["aaaa", 'x"yes', "bababac"]) walk(warm, text);
    assertEquals(walk(warm, 'xx"abc"'), walk(await Grammar.regex(source, tokenizer), 'xx"abc"'));
  });

  it("lets a text end where it is whole, and only there", async () => {
    const matcher = (await Grammar.choice(["yes", "yesterday"], tokenizer)).matcher();
    const [end] = tokenizer.endOfGeneration;
    assertEquals([matcher.allows(end), matcher.isDone], [false, false]);
    assertThrows(() => matcher.accept(end), LightGPTError);
    assertEquals(new TextDecoder().decode(matcher.forced()), "yes");
    assert(matcher.follow(new TextEncoder().encode("yes")));
    assertEquals([matcher.allows(end), matcher.isDone, matcher.forced().length], [true, false, 0]);
    const copy = matcher.clone();
    copy.accept(end);
    assertEquals([copy.isDone, matcher.isDone], [true, false]);
  });
});

describe("a constraint of a request", () => {
  let lm: LightGPT;
  before(async () => {
    lm = await LightGPT.load(embeddedModel(), { threads: 1 });
  });
  after(() => lm.dispose());

  it("holds the answer to a regular expression, a grammar, a choice", async () => {
    const grammar = 'root ::= "{" pair ("," pair){0,2} "}"\npair ::= "\\"" [a-z]{1,8} "\\":" [1-9] [0-9]{0,2}';
    for (let seed = 0; seed < 8; seed++) {
      const sampling = { seed, temperature: 2, topK: 0, topP: 1 };
      const one = await lm.complete("Once", { constraint: { regex: "[A-Z][a-z]{2,6}( [a-z]{1,5}){2}\\." }, sampling });
      assertMatch(one.text, /^[A-Z][a-z]{2,6}( [a-z]{1,5}){2}\.$/);
      const two = await lm.complete("Once", { constraint: { grammar }, sampling });
      assert(Object.keys(JSON.parse(two.text)).length > 0);
      const three = await lm.complete("Once", { constraint: { choice: ["yes", "no", "yesterday"] }, sampling });
      assert(["yes", "no", "yesterday"].includes(three.text));
      assertEquals([one, two, three].map(({ stopReason }) => stopReason), Array(3).fill("endOfText"));
    }
  });

  it("gives the same tokens for the same seed, alone and together, with a grammar that is fresh or was used", async () => {
    const constraint = { regex: '"([^"\\\\]|\\\\["\\\\n]){0,60}"' };
    const options = { constraint, maxTokens: 60, sampling: { seed: 3, temperature: 1.5 } };
    const alone = await lm.complete("Lily said", options);
    await using other = await LightGPT.load(embeddedModel(), { threads: 1 });
    const together = await Promise.all(
      [1, 2, 3].map((index) =>
        other.complete(index === 2 ? "Lily said" : `Tom ran ${index}`, index === 2 ? options : { maxTokens: 40 })
      ),
    );
    assertEquals(together[1].tokens, alone.tokens);
    assert(alone.tokens.length > 1);
  });

  it("may be cut by maxTokens, and goes with conversations of tokens, a grammar of one's own, and no other's", async () => {
    const grammar = await Grammar.regex("[a-z]{50,}", lm.model.tokenizer);
    const cut = await lm.complete(lm.tokenize("Once"), { constraint: { grammar }, maxTokens: 5 });
    assertEquals([cut.stopReason, cut.tokens.length], ["maxTokens", 5]);
    const foreign = await Grammar.regex("[a-z]", tokenizer);
    await assertRejects(
      () => lm.complete("Once", { constraint: { grammar: foreign } }),
      InvalidArgumentError,
      "tokenizer",
    );
  });

  it("refuses what it cannot hold", async () => {
    const matcher = (await Grammar.regex("a", lm.model.tokenizer)).matcher();
    const refused: [GenerateOptions, string][] = [
      [{ constraint: {} }, "constraint"],
      [{ constraint: { regex: "a", choice: ["b"] } }, "regex and choice"],
      [{ constraint: { regex: "(" } }, "regex"],
      [{ constraint: { grammar: matcher as never } }, "a string or a Grammar"],
      [{ constraint: { regex: "a" }, stop: "b" }, "stop"],
      [{ constraint: { choice: [] } }, "choice"],
      [
        { constraint: { regex: "[a-z]+" }, sampling: { allowed: [...lm.tokenize("9", { addSpecial: false })] } },
        "allowed",
      ],
    ];
    for (const [options, words] of refused) {
      await assertRejects(() => lm.complete("Once", { ...options, maxTokens: 5 }), InvalidArgumentError, words);
    }
    const { running, queued } = lm.batcher.stats();
    assertEquals([running, queued], [0, 0]);
  });
});
