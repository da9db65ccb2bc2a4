/**
 * The vocabularies of embedding models, Unigram and WordPiece, against sentencepiece and Hugging Face's tokenizers: every text
 * of the kit. And without the kit: rules on small vocabularies, hostile maps, tokens and texts.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { gunzipSync } from "node:zlib";
import { ModelFormatError } from "../ffi/errors.ts";
import { parseGguf } from "../src/files/gguf/read.ts";
import { loadTokenizer } from "./tokenizers.ts";
import type { Tokenizer } from "../src/text/tokenizer/types.ts";
import { encodeGguf, valuesOf } from "../scripts/gguf-writer.ts";
import { describeWholeKit, readJson } from "./kit.ts";
import { arrayOf, f32, flag, KIND, memorySource, metadataOnly, text, type Token, u32, type Values } from "./models.ts";
import { workedMs } from "./worked.ts";

interface Vector {
  text: string;
  ids: number[];
}

function load(file: Uint8Array): Tokenizer {
  return loadTokenizer(parseGguf(memorySource("vocabulary.gguf", file)));
}

function check(tokenizer: Tokenizer, vectors: readonly Vector[], options = {}): void {
  for (const { text, ids } of vectors) {
    assertEquals([...tokenizer.encode(text, options)], ids, JSON.stringify(text));
  }
}

describeWholeKit("vocabularies of embedding models", "embed", (directory) => {
  const open = (name: string) => gunzipSync(readFileSync(join(directory, `${name}.gguf.gz`)));

  for (const name of ["unigram", "unigram_bytes"]) {
    const { vectors, with_special } = readJson<{ vectors: Vector[]; with_special: Vector[] }>(
      directory,
      `${name}.json`,
    );
    it(`${name}: the ids of ${vectors.length} texts, and of ${with_special.length} with special tokens`, () => {
      const tokenizer = load(open(name));
      check(tokenizer, vectors, { addSpecial: false });
      check(tokenizer, with_special);
    });
  }

  interface WordPieceVectors {
    vectors: Vector[];
    special_recognised: Vector[];
    other_options: { lowercase: boolean; strip_accents: boolean | null; vectors: Vector[] }[];
  }
  const pieces = readJson<WordPieceVectors>(directory, "wordpiece.json");

  it(`wordpiece: the ids of ${pieces.vectors.length} texts, with and without special tokens in them`, () => {
    const tokenizer = load(open("wordpiece"));
    check(tokenizer, pieces.vectors);
    check(tokenizer, pieces.special_recognised, { parseSpecial: true });
    assertEquals(tokenizer.decode(tokenizer.encode("Hello, unaffable world")), "hello , unaffable world");
  });

  for (const { lowercase, strip_accents, vectors } of pieces.other_options) {
    it(`wordpiece: ${vectors.length} texts with lowercase ${lowercase} and strip_accents ${strip_accents}`, () => {
      const values = valuesOf(parseGguf(memorySource("wordpiece.gguf", open("wordpiece"))).metadata);
      values.set("tokenizer.ggml.normalizer.lowercase", flag(lowercase));
      if (strip_accents !== null) {
        values.set("tokenizer.ggml.normalizer.strip_accents", flag(strip_accents));
      }
      check(load(encodeGguf(values, [])), vectors);
    });
  }

  it("minilm: the ids of 41 texts", () => {
    const { texts } = readJson<{ texts: (Vector & { truncated_to?: number })[] }>(directory, "minilm.json");
    check(load(open("wordpiece")), texts.filter(({ truncated_to }) => truncated_to === undefined));
  });
});

/** A vocabulary of some kind. */
function vocabulary(model: string, tokens: readonly Token[], changes: Values = {}): Values {
  const all = tokens.map((token) => typeof token === "string" ? { text: token } : token);
  return {
    "tokenizer.ggml.model": text(model),
    "tokenizer.ggml.tokens": arrayOf("string", all.map(({ text }) => text)),
    "tokenizer.ggml.scores": arrayOf("float32", all.map(({ score }) => score ?? -1)),
    "tokenizer.ggml.token_type": arrayOf("int32", all.map(({ kind }) => kind ?? KIND.normal)),
    ...changes,
  };
}

const unigram = (tokens: readonly Token[], changes: Values = {}) =>
  loadTokenizer(metadataOnly(vocabulary("t5", [
    { text: "<pad>", kind: KIND.control },
    { text: "</s>", kind: KIND.control },
    { text: "<unk>", kind: KIND.unknown },
    ...tokens,
  ], changes)));

/** A character map that replaces `from`, one ASCII letter, by `to`. */
function mapOf(from: string, to: string): Uint8Array {
  const units = new Uint32Array(1024);
  // The root's children begin at 256; the letter's only child, of no byte, is its replacement.
  units[0] = 256 << 10;
  const letter = from.charCodeAt(0);
  const place = 256 ^ letter;
  units[place] = (512 ^ place) << 10 | 0x100 | letter;
  units[512] = 0x80000000;
  const replacement = new TextEncoder().encode(`${to}\0`);
  const blob = new Uint8Array(4 + units.byteLength + replacement.length);
  new DataView(blob.buffer).setUint32(0, units.byteLength, true);
  blob.set(new Uint8Array(units.buffer), 4);
  blob.set(replacement, 4 + units.byteLength);
  return blob;
}

const charsmap = (bytes: ArrayLike<number>): Values => ({
  "tokenizer.ggml.precompiled_charsmap": arrayOf("uint8", bytes),
});

describe("Unigram", () => {
  const plain = { addSpecial: false } as const;
  const abc: Token[] = ["▁", "a", "b", "c", { text: "ab", score: -1.5 }, { text: "bc", score: -1.25 }, "▁a"];

  it("takes the way of the greatest sum, and of equal ones that of the piece which begins first", () => {
    const ids = (text: string) => [...unigram(abc).encode(text, plain)].map((id) => id - 3);
    assertEquals(ids("abc"), [6, 5]); // "▁a" "bc": -2.25; "▁" "ab" "c": -3.5
    assertEquals(ids("bcab"), [0, 5, 4]);
    assertEquals([...unigram([{ text: "▁a", score: -2 }, "▁", "a"]).encode("a", plain)], [3]);
  });

  it("adds the end that the file asks for, drops blanks that are too much, and gives the text back", () => {
    const tokenizer = unigram(abc);
    assertEquals([...tokenizer.encode("  a   b ")], [9, 3, 5, 1]);
    assertEquals([...tokenizer.encode("   ")], [1]);
    assertEquals(tokenizer.decode(tokenizer.encode("a b")), "a b");
  });

  it("makes one unknown token of neighbours, or bytes where the file has all of them", () => {
    assertEquals([...unigram(abc).encode("axya", plain)], [9, 2, 4]);
    const bytes = Array.from({ length: 256 }, (_, byte) => ({
      text: `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
      kind: KIND.byte,
    }));
    assertEquals([...unigram([...abc, ...bytes]).encode("aé", plain)], [9, 10 + 0xc3, 10 + 0xa9]);
  });

  it("replaces what the character map has, but not in user-defined tokens", () => {
    const tokenizer = unigram([...abc, { text: "xx", kind: KIND.userDefined }], charsmap(mapOf("x", "b c")));
    assertEquals([...tokenizer.encode("ax", plain)], [9, 5, 3, 6]);
    assertEquals([...tokenizer.encode("axx", plain)], [9, 10]);
  });

  it("refuses damaged maps, and is not led out of one", () => {
    for (const bytes of [[1, 2, 3], [255, 255, 255, 127, 0], [3, 0, 0, 0, 0, 0, 0]]) {
      assertThrows(() => unigram(abc, charsmap(bytes)), ModelFormatError, "precompiled_charsmap");
    }
    assertThrows(() => unigram(abc, charsmap(mapOf("x", "b".repeat(300)))), ModelFormatError, "precompiled_charsmap");
    assertThrows(
      () => unigram(abc, { "tokenizer.ggml.precompiled_charsmap": f32(1) }),
      ModelFormatError,
      "precompiled_charsmap",
    );
    const noise = mapOf("x", "c");
    for (let seed = 1; seed < 200; seed++) {
      let state = seed;
      const bytes = noise.map((byte, at) => {
        if (at < 4) return byte;
        state = Math.imul(state, 1664525) + 1013904223 >>> 0;
        return state >>> 24;
      });
      // A replacement may be longer than is allowed.
      try {
        unigram(abc, charsmap(bytes)).encode("abcxyz äöü \u{10ffff}".repeat(20), plain);
      } catch (error) {
        assert(error instanceof ModelFormatError, String(error));
      }
    }
  });

  it("ends with scores that are not finite", () => {
    for (const score of [Infinity, -Infinity]) {
      const ids = unigram([{ text: "a", score }, { text: "ä", score }, { text: "\u00a4", score }]).encode("aäa", plain);
      assert(ids.length > 0);
    }
  });
});

describe("WordPiece", () => {
  const tokens: Token[] = [
    { text: "[UNK]", kind: KIND.control },
    { text: "[CLS]", kind: KIND.control },
    { text: "[SEP]", kind: KIND.control },
    "▁un",
    "aff",
    "able",
    "▁!",
    "▁a",
  ];
  const changes: Values = {
    "tokenizer.ggml.cls_token_id": u32(1),
    "tokenizer.ggml.seperator_token_id": u32(2),
    "tokenizer.ggml.unknown_token_id": u32(0),
    "tokenizer.ggml.add_eos_token": flag(false),
  };
  const bert = () => loadTokenizer(metadataOnly(vocabulary("bert", tokens, changes)));

  it("takes the longest piece, and one unknown token for a word that it cannot spell", () => {
    assertEquals([...bert().encode("Unaffable! unaffx")], [1, 3, 4, 5, 6, 0, 2]);
    assertEquals([...bert().encode("")], [1, 2]);
    assertEquals([...bert().encode(`${"a".repeat(101)} a`)], [1, 0, 7, 2]);
    assertEquals(bert().decode(bert().encode("unaffable!")), "unaffable !");
  });
});

describe("a quarter of a megabyte, with vocabularies made for it", () => {
  const size = 1 << 18;
  const texts = { letters: "a".repeat(size), words: "ab ".repeat(size / 3), marks: "a\u0301\u0316".repeat(size / 3) };
  // Every run of the letter up to some length, and one as long as half of the text.
  const runs = [...Array.from({ length: 60 }, (_, index) => "a".repeat(index + 1)), "a".repeat(size / 2)];
  const [unk, cls, sep] = ["[UNK]", "[CLS]", "[SEP]"].map((text) => ({ text, kind: KIND.control }));
  const ids = { "tokenizer.ggml.unknown_token_id": u32(0) };
  const ends = { "tokenizer.ggml.cls_token_id": u32(1), "tokenizer.ggml.seperator_token_id": u32(2) };
  const tokenizers: Record<string, () => Tokenizer> = {
    unigram: () => unigram(["▁", "b", ...runs, ...runs.map((run) => ({ text: `${run}b`, kind: KIND.userDefined }))]),
    wordpiece: () =>
      loadTokenizer(metadataOnly(vocabulary("bert", [unk, cls, sep, "▁a", "b", ...runs], { ...ids, ...ends }))),
  };
  for (const [name, make] of Object.entries(tokenizers)) {
    for (const [kind, content] of Object.entries(texts)) {
      it(`${name}: ${kind} take less than 3 s, and the event loop goes on`, async () => {
        const tokenizer = make();
        let turns = 0;
        const timer = setInterval(() => turns++, 1);
        const begin = workedMs();
        await tokenizer.encodeAsync(content);
        clearInterval(timer);
        const took = workedMs() - begin;
        assert(took < 3000, `${took} ms`);
        assert(turns >= Math.floor(took / 200), `${turns} turns in ${took} ms`);
      });
    }
  }
});
