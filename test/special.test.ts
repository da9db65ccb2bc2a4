/**
 * Special tokens are cut out as llama.cpp does it, by a pass over the text for each, whatever the words, the foreign parts and
 * the white space; and in time in proportion to the text, whatever a vocabulary holds.
 *
 * @module
 */
import { assertEquals, assertLess } from "@std/assert";
import { describe, it } from "node:test";
import { atOnce } from "../src/options/sliced.ts";
import { type Fragment, SpecialTokens } from "../src/text/tokenizer/special.ts";
import { Vocabulary } from "../src/text/tokenizer/vocabulary.ts";
import { byteLevel, KIND, metadataOnly, randomNumbers, text, type Values } from "./models.ts";
import { workedMs } from "./worked.ts";

/** A special token as a test gives it. */
interface Special {
  text: string;
  kind: number;
}

function specialTokens(tokens: readonly Special[], changes: Values = {}): SpecialTokens {
  const gguf = metadataOnly(byteLevel([], tokens, changes));
  return atOnce(SpecialTokens.of(atOnce(Vocabulary.read(gguf)), gguf.metadata, true));
}

const first = 256;

/** The same by a pass over all places for each token; a code unit of a text is foreign where its flag is set. */
function byPasses(tokens: readonly Special[], text: string, parse: boolean, isForeign: boolean[], strips: boolean) {
  const bytes = (text: string) => new TextEncoder().encode(text).length;
  const order = tokens.map((token, index) => ({ ...token, id: first + index }))
    .filter(({ kind }) => parse || kind === KIND.userDefined)
    .sort((left, right) => bytes(right.text) - bytes(left.text));
  const owner = new Array<number>(text.length).fill(0);
  for (const { text: word, kind, id } of order) {
    for (let at = 0; at + word.length <= text.length; at++) {
      const end = at + word.length;
      if (text.slice(at, end) !== word || owner.slice(at, end).some((id) => id !== 0)) continue;
      if (kind !== KIND.userDefined && isForeign.slice(at, end).some((foreign) => foreign)) continue;
      owner.fill(-1, at, end);
      owner[at] = id;
      for (let after = end; strips && owner[after] === 0 && /[ \t\n\v\f\r]/.test(text[after]); after++) {
        owner[after] = -1;
      }
    }
  }
  const fragments: Fragment[] = [];
  let isOpen = false;
  for (let at = 0; at < text.length; at++) {
    if (owner[at] > 0) fragments.push(owner[at]);
    else if (owner[at] === 0 && isOpen) fragments.push(`${fragments.pop()}${text[at]}`);
    else if (owner[at] === 0) fragments.push(text[at]);
    isOpen = owner[at] === 0;
  }
  return fragments;
}

/** Beginning and end of each run of foreign units. */
function bordersOf(isForeign: readonly boolean[]): number[] {
  const borders = isForeign.flatMap((foreign, at) => foreign !== (isForeign[at - 1] ?? false) ? [at] : []);
  return borders.length % 2 === 0 ? borders : [...borders, isForeign.length];
}

describe("special tokens by their first two characters", () => {
  const tokens = [
    { text: "x", kind: KIND.userDefined },
    { text: "é!", kind: KIND.control },
    { text: "<é>", kind: KIND.control },
    { text: "<b>", kind: KIND.userDefined },
  ];
  const special = specialTokens(tokens);

  it("are found at the beginning, inside and at the end of a text, and where only the first is there, not", () => {
    const parts = ["", "x", "é!", "<é>", "<b>", "é", "<", "b>", "☃", "ab"];
    for (const parse of [true, false]) {
      for (const text of parts.flatMap((left) => parts.map((right) => left + right))) {
        assertEquals(
          atOnce(special.split(text, parse)),
          byPasses(tokens, text, parse, [], false),
          JSON.stringify(text),
        );
      }
    }
  });
});

describe("special tokens are cut out as by a pass over the text for each", () => {
  for (const strips of [false, true]) {
    it(strips ? "with white space after them" : "with foreign parts", () => {
      const random = randomNumbers(strips ? 7 : 3);
      const characters = [...(strips ? "ab \n" : "ab<é😀")];
      const word = (length: number) => Array.from({ length }, () => characters[random(characters.length)]).join("");
      for (let round = 0; round < 3000; round++) {
        const texts = [...new Set(Array.from({ length: 1 + random(7) }, () => word(1 + random(6))))];
        const kinds = [KIND.control, KIND.userDefined, KIND.unknown];
        const tokens = texts.map((text) => ({ text, kind: kinds[random(3)] }));
        const special = specialTokens(tokens, strips ? { "general.name": text("phi-3") } : {});
        const sample = word(random(50));
        const flip = 2 + random(12);
        let foreign = false;
        const isForeign = Array.from(
          { length: sample.length },
          () => foreign = random(flip) === 0 ? !foreign : foreign,
        );
        for (const parse of [false, true]) {
          const borders = round % 2 === 0 ? bordersOf(isForeign) : [];
          const marks = round % 2 === 0 ? isForeign : isForeign.map(() => false);
          assertEquals(
            atOnce(special.split(sample, parse, borders)),
            byPasses(tokens, sample, parse, marks, strips),
            JSON.stringify({ tokens, sample, parse, borders }),
          );
        }
      }
    });
  }
});

describe("special tokens take time in proportion to the text", () => {
  const nested = Array.from({ length: 1500 }, (_, index) => "a".repeat(index + 1));
  const long = "a".repeat(4000);
  const cases: [what: string, tokens: string[], sample: string][] = [
    ["one letter", ["#"], "#".repeat(1e6)],
    ["words inside one another", nested, "a".repeat(1e6)],
    ["words inside one another, in a text that has each", nested, nested.map((word) => `${word}b`).join("")],
    ["long words that end otherwise", [..."bcdefgh"].map((last) => long + last), "a".repeat(1e6)],
    [
      "long words that begin otherwise",
      [..."bcdefgh"].map((first) => first + long),
      `b${"a".repeat(3999)}`.repeat(250),
    ],
    ["halves of words", ["ab".repeat(500), "ba".repeat(400), "ab", "b"], "ab".repeat(5e5)],
    ["none of them", ["<|im_start|>", "<|im_end|>"], "<|im_".repeat(2e5)],
  ];
  for (const kind of [KIND.control, KIND.userDefined]) {
    for (const [what, tokens, sample] of cases) {
      it(`${kind === KIND.control ? "control" : "user-defined"}: ${what}`, () => {
        const special = specialTokens(tokens.map((text) => ({ text, kind })));
        const begin = workedMs();
        const fragments = atOnce(special.split(sample, true));
        // About 0.1 to 0.4 s for the million; square time would be minutes.
        assertLess(workedMs() - begin, 5000);
        const written = fragments.map((part) => typeof part === "number" ? tokens[part - first] : part).join("");
        assertEquals(written.length, sample.length);
      });
    }
  }
});
