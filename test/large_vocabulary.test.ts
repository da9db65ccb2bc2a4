/**
 * Vocabularies as large as any: they are read, and made a trie for grammars, while the event loop goes on; and tokens as long
 * as a header may have cost time in proportion to their bytes.
 *
 * @module
 */
import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { describe, it } from "node:test";
import { CancelledError, InvalidArgumentError, ModelFormatError } from "../ffi/errors.ts";
import { Grammar, loadTokenizer } from "../mod.ts";
import { inRanges } from "../src/text/tokenizer/vocabulary.ts";
import { KIND, metadataOnly, randomNumbers, sentencePiece } from "./models.ts";
import { longestStall } from "./stall.ts";
import { loadTokenizer as makeAtOnce } from "./tokenizers.ts";
import { workedMs } from "./worked.ts";

/** The longest stall that may be, in milliseconds: a person doesn't notice it in a stream. */
const stallMs = 50;

/** Texts of two to eleven letters, all different. */
function words(count: number): string[] {
  const next = randomNumbers(15);
  return Array.from({ length: count }, (_, index) => {
    const letters = Array.from({ length: next(6) }, () => String.fromCharCode(97 + next(26)));
    return `${index % 2 === 0 ? "▁" : ""}${letters.join("")}${index.toString(36)}`;
  });
}

describe("a vocabulary of 262 144 tokens", () => {
  const gguf = metadataOnly(sentencePiece(words(1 << 18)));

  it("is read in slices, and gives what it gives at once", async () => {
    assertLess(await longestStall(() => loadTokenizer(gguf), stallMs), stallMs);
    const text = "the quick brown fox";
    assertEquals((await loadTokenizer(gguf)).encode(text), makeAtOnce(gguf).encode(text));
  });

  it("is gone through in ranges of few tokens or few bytes, with a pause after each", () => {
    // Short ones, long ones, and one that is longer than a range.
    const lengths = [...Array(20_000).fill(8), ...Array(2000).fill(1000), 1 << 20, 8];
    const starts = Uint32Array.from({ length: lengths.length + 1 });
    lengths.forEach((length, index) => starts[index + 1] = starts[index] + length);
    const ranges: [number, number][] = [];
    let pauses = 0;
    for (const _ of inRanges(starts, (from, to) => ranges.push([from, to]))) pauses++;
    assertEquals(pauses, ranges.length);
    assertEquals([0, ...ranges.map(([, to]) => to)], [...ranges.map(([from]) => from), lengths.length]);
    for (const [from, to] of ranges) {
      assert(to - from === 1 || to - from <= 1 << 13 && starts[to] - starts[from] <= 1 << 18, `${from} to ${to}`);
    }
  });

  it("ends by its signal between two slices", async () => {
    const controller = new AbortController();
    const given = loadTokenizer(gguf, { signal: controller.signal });
    controller.abort();
    await assertRejects(() => given, CancelledError);
    await assertRejects(() => loadTokenizer(gguf, { signal: 1 as never }), InvalidArgumentError);
  });
});

describe("a grammar's first use of a vocabulary", () => {
  const gguf = metadataOnly(sentencePiece(words(1 << 17)));

  it("makes the trie in slices, once for all grammars that are made meanwhile", async () => {
    const make = async () => {
      const tokenizer = await loadTokenizer(gguf);
      const grammars = await Promise.all(["[a-z]+", "[0-9]+"].map((source) => Grammar.regex(source, tokenizer)));
      return grammars.map((grammar) => grammar.matcher().isComplete);
    };
    assertLess(await longestStall(make, stallMs), stallMs);
    assertEquals(await make(), [false, false]);
  });
});

describe("tokens as long as a header may have", () => {
  const letters = ["▁", "a", "b", "c", "d"];
  const word = (length: number) => {
    const next = randomNumbers(3);
    return Array.from({ length }, () => letters[1 + next(4)]).join("");
  };

  it("become a machine for special tokens in slices", async () => {
    const long = word(1 << 18);
    const gguf = metadataOnly(sentencePiece([...letters, { text: long, kind: KIND.userDefined }]));
    const encode = async () => {
      const tokenizer = await loadTokenizer(gguf);
      return await tokenizer.encodeAsync(`${long}${long}`, { addSpecial: false });
    };
    assertLess(await longestStall(encode, stallMs), stallMs);
    assertEquals([...new Set(await encode())].length, 1);
  });

  it("are refused where special ones have more than 4 Mi characters", async () => {
    const long = word(1 << 20);
    const tokens = Array.from({ length: 5 }, (_, index) => ({ text: `${long}${index}`, kind: KIND.control }));
    await assertRejects(
      () => loadTokenizer(metadataOnly(sentencePiece(tokens))),
      ModelFormatError,
      "special tokens of at most 4194304 characters together",
    );
  });

  it("cost a text time in proportion to it", () => {
    const long = word(1000);
    const tokenizer = makeAtOnce(
      metadataOnly(sentencePiece([...letters, ...Array.from(long, (_, end) => long.slice(0, end)).slice(2)])),
    );
    const processorMs = (text: string) => {
      const before = workedMs();
      assertEquals(tokenizer.decode(tokenizer.encode(text)), text);
      return workedMs() - before;
    };
    const texts = [long.repeat(40), long.repeat(320)];
    const [short, all] = texts.map((text) => Math.min(...Array.from({ length: 5 }, () => processorMs(text))));
    assertLess(all, 8 * 3 * short + 20);
  });
});
