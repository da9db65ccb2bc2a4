/**
 * Patterns that come together: schemas that ask for some, forbid others and bound the length, beside what regular expressions of the
 * runtime say of each text; and how much is made of searches that come together.
 *
 * @module
 */
import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { describe, it } from "node:test";
import { Grammar, loadTokenizer } from "../mod.ts";
import { GrammarBudget } from "../src/grammar/budget.ts";
import { ALL_CHARACTERS, oneOf } from "../src/grammar/characters.ts";
import { Derivatives } from "../src/grammar/derivatives.ts";
import { type Lexeme, Lexemes, NOTHING } from "../src/grammar/lexemes.ts";
import { regexOf } from "../src/grammar/regex.ts";
import { has, tokenizer, useTokenizer } from "./grammars.ts";
import { metadataOnly, sentencePiece } from "./models.ts";
import { randomFrom } from "./simulation.ts";

useTokenizer();

type Schema = Readonly<Record<string, unknown>>;
type Random = (below: number) => number;

const patterns = [
  "ab",
  "aba",
  "b.b",
  "[^a]b",
  "é",
  "\\n",
  '"',
  "\\\\",
  "^a",
  "b$",
  "(ab|ba){2}",
  "[é-ü]a",
  "^[ab]*$",
  "😀|a😀",
  "\\S\\s",
];
const pieces = ["a", "b", "ab", "ba", "é", "ö", "\n", '"', "\\", "😀", " ", "\u0001"];

/** A schema of patterns, and which texts it holds. */
function randomDemand(random: Random, depth: number): [Schema, (text: string) => boolean] {
  const kind = random(depth > 0 ? 6 : 2);
  if (kind === 0) {
    const most = random(6);
    return [{ maxLength: most }, (text) => Array.from(text).length <= most];
  }
  if (kind === 1) {
    const pattern = patterns[random(patterns.length)];
    const regex = new RegExp(pattern, "u");
    return [{ pattern }, (text) => regex.test(text)];
  }
  const parts = Array.from({ length: kind === 5 ? 1 : 2 + random(2) }, () => randomDemand(random, depth - 1));
  const schemas = parts.map(([schema]) => schema);
  const count = (text: string) => parts.filter(([, holds]) => holds(text)).length;
  if (kind === 2) return [{ allOf: schemas }, (text) => count(text) === parts.length];
  if (kind === 3) return [{ anyOf: schemas }, (text) => count(text) > 0];
  if (kind === 4) return [{ oneOf: schemas }, (text) => count(text) === 1];
  return [{ not: schemas[0] }, (text) => count(text) === 0];
}

/** How many terms texts lead to, of one term. */
function reached(write: (lexemes: Lexemes, search: (source: string) => Lexeme, anything: Lexeme) => Lexeme): number {
  const budget = new GrammarBudget();
  const lexemes = new Lexemes(budget);
  const character = oneOf(lexemes, ALL_CHARACTERS);
  lexemes.characters.add(character);
  const anything = lexemes.repeat(character, 0);
  const start = write(
    lexemes,
    (source) =>
      regexOf(lexemes, source, {
        where: "",
        whole: false,
        anything,
        spell: (characters) => oneOf(lexemes, characters),
      }),
    anything,
  );
  const derivatives = new Derivatives(lexemes, budget);
  const found = new Set([start]);
  for (const lexeme of found) {
    for (let own = 0; own < derivatives.byteOf.length; own++) {
      const left = derivatives.derive(lexeme, own);
      if (left !== NOTHING) found.add(left);
    }
  }
  return found.size;
}

describe("patterns that come together", () => {
  it("hold the texts that each of them says", async () => {
    const random = randomFrom(21);
    for (let round = 0; round < 60; round++) {
      const [schema, holds] = randomDemand(random, 2);
      let grammar: Grammar | undefined;
      try {
        grammar = await Grammar.schema({ type: "string", ...schema }, tokenizer);
      } catch (error) {
        assertEquals((error as Error).message.includes("contradict"), true, String(error));
      }
      for (let trial = 0; trial < 40; trial++) {
        const text = Array.from({ length: random(6) }, () => pieces[random(pieces.length)]).join("");
        const ours = grammar !== undefined && has(grammar, JSON.stringify(text));
        assertEquals(ours, holds(text), `${JSON.stringify(schema)}: ${JSON.stringify(text)}`);
      }
    }
  });

  it("have the masks of each token alone, and a text to the end, whatever is left of their length", async () => {
    const random = randomFrom(22);
    const demands: readonly [Schema, RegExp, RegExp][] = [
      [{ pattern: "the end of a story", not: { pattern: "z" } }, /the end of a story/, /z/],
      [{ pattern: "ab", not: { pattern: "ba" } }, /ab/, /ba/],
      [{ pattern: "[0-9].*é", not: { pattern: "[a-z]{3}" } }, /[0-9].*é/, /[a-z]{3}/],
      [{ pattern: "^[a-c]{0,40}x[a-c]{0,40}$", not: { pattern: "aa" } }, /^[a-c]{0,40}x[a-c]{0,40}$/, /aa/],
    ];
    for (const [schema, asked, forbidden] of demands) {
      for (const maxLength of [20, 33, 50]) {
        const matcher = (await Grammar.schema({ type: "string", ...schema, maxLength }, tokenizer)).matcher();
        let text = new Uint8Array();
        while (!matcher.isDone) {
          const allowed: number[] = [];
          for (let token = 0; token < tokenizer.vocabularySize; token++) {
            const bytes = tokenizer.textBytes(token);
            const goesOn = bytes.length > 0 && matcher.clone().follow(bytes);
            if (goesOn) allowed.push(token);
            if (!tokenizer.endOfGeneration.has(token)) assertEquals(matcher.allows(token), goesOn, String(token));
          }
          const token = allowed[random(allowed.length)];
          text = Uint8Array.of(...text, ...tokenizer.textBytes(token));
          matcher.accept(token);
        }
        const value: string = JSON.parse(new TextDecoder().decode(text));
        assertEquals([asked.test(value), forbidden.test(value)], [true, false], value);
        assertLess(Array.from(value).length, maxLength + 1);
      }
    }
  });

  it("have masks in slices, the same as at once", async () => {
    const words = ["customer", "maker", "operator", "admin"].map((pattern) => ({ pattern }));
    const schema = {
      type: "string",
      oneOf: [{ oneOf: words.slice(0, 2) }, { oneOf: words.slice(2) }],
      maxLength: 60,
    };
    const [sliced, atOnce] = [await Grammar.schema(schema, tokenizer), await Grammar.schema(schema, tokenizer)]
      .map((grammar) => grammar.matcher());
    const { now } = performance;
    let [time, calls, masks] = [0, 0, 0];
    performance.now = () => time++; // so that a slice ends after some derivatives
    try {
      for (; masks < 8; masks++) {
        do calls++; while (!sliced.prepare());
        assertEquals(sliced.words(), atOnce.words());
        const allowed = Array.from({ length: tokenizer.vocabularySize }, (_, token) => token).filter((token) =>
          atOnce.allows(token) && !tokenizer.endOfGeneration.has(token)
        );
        for (const matcher of [sliced, atOnce]) matcher.accept(allowed[(37 * masks) % allowed.length]);
      }
    } finally {
      performance.now = now;
    }
    assertGreater(calls, 2 * masks);
  });

  it("have masks in slices that come to an end, also where more is found than is kept", async () => {
    const range = (count: number) => Array.from({ length: count }, (_, index) => index);
    const letters = [..."abcdefghijkl"];
    const texts = [letters];
    while (texts.length < 4) texts.push(texts[texts.length - 1].flatMap((text) => letters.map((own) => text + own)));
    const vocabulary = await loadTokenizer(metadataOnly(sentencePiece(texts.flat())));
    const rules = range(60).map((index) =>
      `r${index}: A${index} "!" start? B${index}\nA${index}: /[a-l]+(#${index})?/\nB${index}: "${index}"`
    );
    const grammar = `start: ${range(60).map((index) => `r${index}`).join(" | ")}\n${rules.join("\n")}`;
    const [sliced, atOnce] = [await Grammar.lark(grammar, vocabulary), await Grammar.lark(grammar, vocabulary)]
      .map((grammar) => grammar.matcher());
    const { now } = performance;
    let [time, calls] = [0, 0];
    performance.now = () => time += 4; // so that a slice ends after some walks
    try {
      for (const text of ["ab", "#7!", "c"]) {
        while (!sliced.prepare()) assertLess(calls++, 500);
        assertEquals(sliced.words(), atOnce.words());
        for (const matcher of [sliced, atOnce]) assert(matcher.follow(new TextEncoder().encode(text)));
      }
    } finally {
      performance.now = now;
    }
    assertGreater(calls, 30);
  });

  it("are as many terms as there are places in their words, not as many as ways in which they come together", () => {
    const words = ["customer", "maker", "operator", "admin", "designer"];
    assertLess(reached((_, search) => search("customer")), 25);
    const none = reached((lexemes, search, anything) =>
      lexemes.both(anything, ...words.map((word) => lexemes.not(search(word))))
    );
    assertLess(none, 50);
    const one = reached((lexemes, search) =>
      lexemes.oneOf(
        words.map((word) =>
          lexemes.both(
            search(word),
            ...words.filter((other) => other !== word).map((other) => lexemes.not(search(other))),
          )
        ),
      )
    );
    assertLess(one, 250);
  });
});
