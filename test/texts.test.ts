/**
 * Any text and any tokens, with small vocabularies and with the kit's: round trips, streams, control tokens that no text
 * becomes, and work in proportion to the text.
 *
 * @module
 */
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { gunzipSync } from "node:zlib";
import { parseGguf } from "../src/files/gguf/read.ts";
import { LearnedPairs, Merger } from "../src/text/tokenizer/merge.ts";
import { loadTokenizer } from "./tokenizers.ts";
import type { Tokenizer } from "../src/text/tokenizer/types.ts";
import { excerptDirectory, kitDirectory } from "./kit.ts";
import { bpe, memorySource, metadataOnly, randomNumbers, spm } from "./models.ts";
import { often } from "./counts.ts";

const load = (values: Parameters<typeof metadataOnly>[0]) => loadTokenizer(metadataOnly(values));

/** The vocabularies of the kit, or of its excerpt, and the small ones. */
function vocabularies(): [string, Tokenizer][] {
  const found: [string, Tokenizer][] = [["small SentencePiece", load(spm())], ["small byte-level", load(bpe())]];
  for (const name of ["llama-spm", "gpt-2", "llama-bpe", "qwen2", "baichuan"]) {
    const file = gunzipSync(readFileSync(join(kitDirectory ?? excerptDirectory, "tokenizers", `${name}.gguf.gz`)));
    found.push([name, loadTokenizer(parseGguf(memorySource(name, file)))]);
  }
  return found;
}

/** Characters of all lengths, of all classes, and what tokenizers treat in their own ways; a few words among them. */
const telling = [
  ..."aZ09 '\n\t\r.,!_/é½٣ж你の가กा\u0301\u200d\u00a0\u2003\ufeff\ufffd😀🏽\u{10ffff}\0\x7f",
  " the",
  "<s>",
  "</s>",
  "<|endoftext|>",
  "<0x0A>",
  "'ll",
  "   ",
  "\r\n",
];

describe("any text", () => {
  const all = vocabularies();

  for (const [name, tokenizer] of all) {
    it(`${name}: comes back from its tokens, whole and in a stream`, () => {
      const random = randomNumbers(11);
      for (let round = 0; round < often(800, 20_000); round++) {
        const few = Array.from({ length: 1 + random(8) }, () => telling[random(telling.length)]);
        const sample = Array.from({ length: random(20) }, () => few[random(few.length)]).join("");
        const tokens = tokenizer.encode(sample);
        assertEquals(tokenizer.decode(tokens), sample);
        const stream = tokenizer.stream();
        const parts = Array.from(tokens, (token) => stream.push(token));
        assert(parts.every((part) => part.isWellFormed()));
        assertEquals(parts.join("") + stream.end(), sample);
      }
    });

    it(`${name}: has no control token but BOS`, () => {
      const hidden = Array.from({ length: tokenizer.vocabularySize }, (_, token) => token)
        .filter((token) => tokenizer.decode([token], { continued: true }) === "" && tokenizer.piece(token).length > 0);
      const begin = tokenizer.addBos ? 1 : 0;
      for (const token of hidden.slice(0, 300)) {
        const named = new TextDecoder().decode(tokenizer.piece(token));
        for (const sample of [named, `x${named}${named} `]) {
          const tokens = tokenizer.encode(sample).subarray(begin);
          assert(!tokens.some((token) => hidden.includes(token)), `${sample} gives ${tokens}`);
        }
      }
      // Some name is always found, or nothing was tested.
      assert(hidden.length > 0);
    });

    it(`${name}: any tokens give text, and the same in a stream`, () => {
      const random = randomNumbers(5);
      for (let round = 0; round < 200; round++) {
        const tokens = Array.from({ length: random(30) }, () => random(Math.min(700, tokenizer.vocabularySize)));
        const bytes = tokens.flatMap((token) => [...tokenizer.piece(token)]);
        const whole = tokenizer.decode(tokens, { special: true, continued: true });
        assert(whole.isWellFormed());
        assertEquals(whole, new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes)));
      }
    });

    it(`${name}: half a surrogate pair counts as U+FFFD`, () => {
      for (const half of ["\ud83d", "\ude00"]) {
        assertEquals([...tokenizer.encode(`a${half}b`)], [...tokenizer.encode("a\ufffdb")]);
      }
    });
  }
});

/** The powers of two that make up a number, largest first. */
function powersOf(count: number): number[] {
  return Array.from({ length: 31 }, (_, bit) => 30 - bit).filter((bit) => count >> bit & 1);
}

describe("the work grows with the text, also in one long word", () => {
  it("merging looks at each pair a few times", () => {
    // a + a = b, b + b = c, and so on: as many merges as there can be.
    const pairs = new LearnedPairs((left, right, found) => {
      found.rank = left === right ? left : -1;
      found.merged = left + 1;
    });
    for (const count of [10, 1000, 100_000]) {
      let looks = 0;
      const counted = {
        find(left: number, right: number) {
          looks++;
          return pairs.find(left, right);
        },
        get entries() {
          return pairs.entries;
        },
      };
      const symbols = new Int32Array(count);
      const left = new Merger().merge(symbols, count, counted);
      assertEquals([...symbols.subarray(0, left)], powersOf(count));
      assertLessOrEqual(looks, 3 * count);
    }
  });

  it("a few symbols merge as many do", () => {
    const random = randomNumbers(17);
    for (let round = 0; round < 300; round++) {
      const ranks = Array.from({ length: 16 }, () => random(6) - 2);
      const pairs = new LearnedPairs((left, right, found) => {
        found.rank = left < 4 && right < 4 ? ranks[4 * left + right] : -1;
        found.merged = (left + right) % 5;
      });
      const word = Int32Array.from({ length: 2 + random(22) }, () => random(4));
      // A symbol that merges with nothing, so often that a heap is used.
      const long = Int32Array.from({ length: 100 }, (_, at) => word[at] ?? 9);
      const expected = [...long.subarray(0, new Merger().merge(long, long.length, pairs))].filter((symbol) =>
        symbol !== 9
      );
      assertEquals([...word.subarray(0, new Merger().merge(word, word.length, pairs))], expected);
    }
  });

  for (const [name, tokenizer] of vocabularies().slice(0, 2)) {
    it(`${name}: a million letters in one word`, () => {
      const word = "abc".repeat(333_333);
      const tokens = tokenizer.encode(word);
      assertEquals(tokenizer.decode(tokens), word);
    });
  }
});
