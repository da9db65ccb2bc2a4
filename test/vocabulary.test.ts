/**
 * Tokenizers by small vocabularies made up here: what the metadata keys mean and what is wrong with them, and special
 * tokens.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import { InvalidArgumentError, ModelFormatError, UnsupportedError } from "../ffi/errors.ts";
import { loadTokenizer } from "./tokenizers.ts";
import type { Tokenizer, TokenizerOptions } from "../src/text/tokenizer/types.ts";
import {
  arrayOf,
  bpe,
  byteCharacters,
  byteLevel,
  f32,
  flag,
  KIND,
  metadataOnly,
  pieces,
  randomNumbers,
  sentencePiece,
  spm,
  text,
  u32,
  type Values,
} from "./models.ts";

const load = (values: Values, options?: TokenizerOptions) => loadTokenizer(metadataOnly(values), options);
const ids = (tokenizer: Tokenizer, sample: string, parseSpecial = false) => [
  ...tokenizer.encode(sample, { addSpecial: false, parseSpecial }),
];

const firstPiece = 259;
const pieceId = (piece: string) => firstPiece + pieces.indexOf(piece);

describe("SentencePiece", () => {
  it("merges by score, leftmost first, and spells the rest in bytes", () => {
    const tokenizer = load(spm());
    assertEquals(ids(tokenizer, "the"), [pieceId("▁the")]);
    assertEquals(ids(tokenizer, "abc"), [pieceId("▁"), pieceId("abc")]);
    assertEquals(ids(tokenizer, "é☃"), [pieceId("▁"), pieceId("é"), 3 + 0xe2, 3 + 0x98, 3 + 0x83]);
    assertEquals(ids(tokenizer, ""), []);
    assertEquals(tokenizer.encode("").length, 1);
  });

  it("puts a space before a text unless the file says otherwise, and takes it away again", () => {
    assertEquals(ids(load(spm({ "tokenizer.ggml.add_space_prefix": flag(false) })), "the"), [
      pieceId("t"),
      pieceId("he"),
    ]);
    const tokenizer = load(spm());
    assertEquals(tokenizer.decode(ids(tokenizer, " the")), " the");
    assertEquals(tokenizer.decode([pieceId("▁the")], { continued: true }), " the");
  });

  it("begins with BOS and ends without EOS unless the file says otherwise", () => {
    const encode = (changes: Values) => [...load(spm(changes)).encode("the")];
    const the = pieceId("▁the");
    assertEquals(encode({}), [1, the]);
    assertEquals(encode({ "tokenizer.ggml.add_bos_token": flag(false) }), [the]);
    assertEquals(encode({ "tokenizer.ggml.add_eos_token": flag(true) }), [1, the, 2]);
    const { "tokenizer.ggml.bos_token_id": _, "tokenizer.ggml.eos_token_id": __, ...rest } = spm();
    const tokenizer = load(rest);
    assertEquals([tokenizer.bos, tokenizer.eos], [1, 2]);
  });

  it("needs scores and kinds", () => {
    for (const key of ["tokenizer.ggml.scores", "tokenizer.ggml.token_type"]) {
      const { [key]: _, ...rest } = spm();
      assertEquals(assertThrows(() => load(rest), ModelFormatError, "is missing").field, key);
    }
  });

  it("takes the first of two equal tokens and skips empty ones", () => {
    const tokenizer = load(sentencePiece(["▁the", "▁the", "", ...pieces.slice(1)]));
    assertEquals(ids(tokenizer, "the"), [firstPiece]);
    assertEquals(tokenizer.decode([firstPiece + 1, firstPiece + 2]), "the");
  });
});

describe("byte-level BPE", () => {
  it("merges by rank inside words", () => {
    const tokenizer = load(bpe());
    const id = (piece: string) => 256 + ["he", "Ġt", "Ġthe", "ab", "abc"].indexOf(piece);
    assertEquals(ids(tokenizer, " the abc"), [id("Ġthe"), 32, id("abc")]);
  });

  it("has no BOS unless the file or the pre-tokenizer says so", () => {
    const bos = { "tokenizer.ggml.bos_token_id": u32(7) };
    assertEquals([load(bpe()).bos, load(bpe()).eos], [undefined, undefined]);
    assertEquals(load(bpe(bos)).addBos, false);
    assertEquals(load(bpe({ ...bos, "tokenizer.ggml.add_bos_token": flag(true) })).addBos, true);
    assertEquals(load(bpe({ ...bos, "tokenizer.ggml.pre": text("llama-bpe") })).addBos, true);
    assertEquals(
      load(bpe({ ...bos, "tokenizer.ggml.pre": text("llama-bpe"), "tokenizer.ggml.add_bos_token": flag(false) }))
        .addBos,
      false,
    );
    assertEquals(load(bpe({ "tokenizer.ggml.pre": text("llama-bpe") })).addBos, false);
  });

  it("takes whole words that are tokens where the pre-tokenizer asks for it", () => {
    const whole = (pre: string) => load(byteLevel([], ["hello"], { "tokenizer.ggml.pre": text(pre) }));
    assertEquals(ids(whole("llama-bpe"), "hello"), [256]);
    assertEquals(ids(whole("gpt-2"), "hello").length, 5);
  });

  it("goes on from a merge that is no token, and from cyclic ones", () => {
    const values = byteLevel([], ["abc"], { "tokenizer.ggml.merges": arrayOf("string", ["a b", "ab c", "ab a"]) });
    const tokenizer = load(values);
    assertEquals(ids(tokenizer, "abc"), [256]);
    assertEquals(tokenizer.decode(ids(tokenizer, "abab")), "abab");
  });

  it("names what is wrong with merges", () => {
    for (const merge of ["", "ab", "a ", " a"]) {
      const error = assertThrows(
        () => load(bpe({ "tokenizer.ggml.merges": arrayOf("string", ["a b", merge]) })),
        ModelFormatError,
        "entry 1",
      );
      assertEquals(error.field, "tokenizer.ggml.merges");
    }
    const { "tokenizer.ggml.merges": _, ...rest } = bpe();
    assertThrows(() => load(rest), ModelFormatError, "is missing");
  });

  it("refuses an unknown pre-tokenizer unless told otherwise", () => {
    const values = bpe({ "tokenizer.ggml.pre": text("nosuch") });
    const { message } = assertThrows(() => load(values), UnsupportedError, "allowUnknownPreTokenizer");
    assert(message.includes("test.gguf") && message.includes("tokenizer.ggml.pre"), message);
    assertEquals(ids(load(values, { allowUnknownPreTokenizer: true }), "abc"), ids(load(bpe()), "abc"));
  });
});

describe("special tokens", () => {
  for (const [kind, values] of [["SentencePiece", spm()], ["byte-level", bpe()]] as const) {
    const tokenizer = load(values);
    const last = tokenizer.vocabularySize - 1;

    it(`${kind}: control tokens only when asked for, user-defined ones always, the longest first`, () => {
      assert(!ids(tokenizer, "a<|im_end|>").includes(last - 2));
      assert(ids(tokenizer, "a<|im_end|>", true).includes(last - 2));
      assertEquals(ids(tokenizer, "<tool>s<tool>"), [last, last - 1]);
      assertEquals(tokenizer.decode(ids(tokenizer, "a<|im_end|>")), "a<|im_end|>");
    });

    it(`${kind}: control tokens are shown only when asked for`, () => {
      assertEquals(tokenizer.decode([last - 2]), "");
      assertEquals(tokenizer.decode([last - 2], { special: true }), "<|im_end|>");
      assertEquals(tokenizer.decode([last]), "<tool>s");
    });
  }

  it("end a text by id or by name, whatever their kind", () => {
    const values = byteLevel([], ["<|im_end|>", "</s>", { text: "<|eot_id|>", kind: KIND.control }, "x>"], {
      "tokenizer.ggml.eos_token_id": u32(5),
      "tokenizer.ggml.eot_token_id": u32(6),
      "tokenizer.ggml.eom_token_id": u32(7),
    });
    const tokenizer = load(values);
    assertEquals([...tokenizer.endOfGeneration].sort((a, b) => a - b), [5, 6, 7, 256, 257, 258]);
    // The file calls it a normal token; a user's text must not end the model's turn all the same.
    assert(!ids(tokenizer, "<|im_end|>").includes(256));
    assertEquals(ids(tokenizer, "<|im_end|>", true), [256]);
  });

  it("<|end|> ends no text where <|return|> and <|call|> do", () => {
    const tokenizer = load(byteLevel([], ["<|end|>", "<|return|>", "<|call|>"]));
    assertEquals([...tokenizer.endOfGeneration], [257, 258]);
  });

  it("of Phi-3 take the white space after them", () => {
    const tokens = ["<|user|>", "<|end|>", "<|endoftext|>"].map((text) => ({ text, kind: KIND.control }));
    const named = (name: string) => load(byteLevel([], tokens, { "general.name": text(name) }));
    const sample = "<|user|>\n a<|end|>\n<|endoftext|>\n";
    assertEquals(
      named("Phi-3.5 mini").decode(ids(named("Phi-3.5 mini"), sample, true), { special: true }),
      sample.replace("\n a", "a").replace("<|end|>\n", "<|end|>"),
    );
    assertEquals(named("other").decode(ids(named("other"), sample, true), { special: true }), sample);
  });

  it("are cut out as if one pass over the text was made for each", () => {
    const random = randomNumbers(3);
    const characters = [..."ab<é😀"];
    const word = (length: number) => Array.from({ length }, () => characters[random(characters.length)]).join("");
    for (let round = 0; round < 300; round++) {
      const texts = [...new Set(Array.from({ length: 1 + random(6) }, () => word(1 + random(4))))];
      const tokens = texts.map((text) => ({ text, kind: KIND.userDefined }));
      const tokenizer = load(byteLevel([], tokens));
      const sample = word(random(40));
      const bytes = new TextEncoder();
      const order = texts.map((text, index) => ({ text, id: 256 + index }))
        .sort((left, right) => bytes.encode(right.text).length - bytes.encode(left.text).length);
      let fragments: (string | number)[] = [sample];
      for (const { text, id } of order) {
        fragments = fragments.flatMap((fragment) =>
          typeof fragment === "number"
            ? [fragment]
            : fragment.split(text).flatMap((part, at) => at > 0 ? [id, part] : [part])
        );
      }
      const expected = fragments.flatMap((fragment) =>
        typeof fragment === "number" ? [fragment] : Array.from(bytes.encode(fragment))
      );
      assertEquals(ids(tokenizer, sample), expected, JSON.stringify({ texts, sample }));
    }
  });

  it("that occur often are cut out too", () => {
    const tokenizer = load(byteLevel([], ["ab", "b", "bab"].map((text) => ({ text, kind: KIND.userDefined }))));
    assertEquals(ids(tokenizer, "ab".repeat(5000)), Array.from({ length: 5000 }, (_, at) => at % 2 === 0 ? 97 : 258));
  });
});

it("a vocabulary of a kind that is not supported is told from a damaged one", () => {
  for (const kind of ["nosuch", "rwkv", "plamo2"]) {
    const error = assertThrows(() => load(spm({ "tokenizer.ggml.model": text(kind) })), UnsupportedError, `'${kind}'`);
    assertEquals([error.code, error.detail.where], ["unsupported", "tokenizer.ggml.model"]);
    assert(error.message.includes("test.gguf"), error.message);
  }
});

describe("wrong keys are named", () => {
  const size = spm()["tokenizer.ggml.tokens"].value as { length: number } & object;
  const tokens = size.length;
  const wrong: [what: string, key: string, values: Values][] = [
    ["too few scores", "scores", spm({ "tokenizer.ggml.scores": arrayOf("float32", [1]) })],
    [
      "scores of another type",
      "scores",
      spm({ "tokenizer.ggml.scores": arrayOf("float64", new Array(tokens).fill(0)) }),
    ],
    [
      "a score that is no number",
      "scores",
      spm({ "tokenizer.ggml.scores": arrayOf("float32", new Array(tokens).fill(NaN)) }),
    ],
    ["too few kinds", "token_type", spm({ "tokenizer.ggml.token_type": arrayOf("int32", [1]) })],
    [
      "kinds of another type",
      "token_type",
      spm({ "tokenizer.ggml.token_type": arrayOf("uint8", new Array(tokens).fill(1)) }),
    ],
    [
      "a kind that does not exist",
      "token_type",
      spm({ "tokenizer.ggml.token_type": arrayOf("int32", new Array(tokens).fill(7)) }),
    ],
    [
      "tokens that are no strings",
      "tokens",
      spm({ "tokenizer.ggml.tokens": arrayOf("int32", new Array(tokens).fill(7)) }),
    ],
    ["no tokens", "tokens", spm({ "tokenizer.ggml.tokens": arrayOf("string", []) })],
    ["a byte token that is none", "tokens", sentencePiece([{ text: "<0xZZ>", kind: KIND.byte }])],
    ["a byte token with a sign", "tokens", sentencePiece([{ text: "<0x-1>", kind: KIND.byte }])],
    ["a model that is no string", "model", spm({ "tokenizer.ggml.model": u32(1) })],
    ["merges that are no strings", "merges", bpe({ "tokenizer.ggml.merges": arrayOf("int32", [1]) })],
    ["a pre-tokenizer that is no string", "pre", bpe({ "tokenizer.ggml.pre": u32(1) })],
    ["a flag that is a number", "add_bos_token", spm({ "tokenizer.ggml.add_bos_token": u32(1) })],
    ["a flag that is a number", "add_space_prefix", spm({ "tokenizer.ggml.add_space_prefix": u32(1) })],
    ["a default id outside the vocabulary", "bos_token_id", vocabularyOfOne()],
    ...["bos", "eos", "eot", "eom", "unknown", "padding", "seperator", "mask", "fim_pre", "middle"].flatMap((name) => {
      const key = `${name}_token_id`;
      return [
        ["an id outside the vocabulary", key, spm({ [`tokenizer.ggml.${key}`]: u32(tokens) })],
        ["an id that is no integer", key, spm({ [`tokenizer.ggml.${key}`]: f32(1) })],
      ] satisfies [string, string, Values][];
    }),
  ];
  for (const [what, key, values] of wrong) {
    it(`${key}: ${what}`, () => {
      const error = assertThrows(() => load(values), ModelFormatError);
      assertEquals(error.field, `tokenizer.ggml.${key}`);
    });
  }

  function vocabularyOfOne(): Values {
    const { "tokenizer.ggml.bos_token_id": _, ...rest } = sentencePiece([], {
      "tokenizer.ggml.tokens": arrayOf("string", ["a"]),
      "tokenizer.ggml.scores": arrayOf("float32", [0]),
      "tokenizer.ggml.token_type": arrayOf("int32", [1]),
    });
    return rest;
  }
});

it("a character that a vocabulary cannot spell is left out, or unknown, and never a control token", () => {
  const letters = byteCharacters.slice(97);
  const values = bpe({
    "tokenizer.ggml.tokens": arrayOf("string", letters),
    "tokenizer.ggml.scores": arrayOf("float32", letters.map(() => 0)),
    "tokenizer.ggml.token_type": arrayOf("int32", letters.map(() => 1)),
  });
  assertEquals(ids(load(values), "a b"), [0, 1]);
  assertEquals(ids(load({ ...values, "tokenizer.ggml.unknown_token_id": u32(1) }), "a b"), [0, 1]);
  const withoutBytes = (kind: number, id: number) =>
    load({
      "tokenizer.ggml.model": text("llama"),
      "tokenizer.ggml.tokens": arrayOf("string", ["?", "<s>", "</s>", "\u2581", "a", "b"]),
      "tokenizer.ggml.scores": arrayOf("float32", [0, 0, 0, 0, 0, 0]),
      "tokenizer.ggml.token_type": arrayOf("int32", [kind, KIND.control, KIND.control, 1, 1, 1]),
      "tokenizer.ggml.unknown_token_id": u32(id),
      "tokenizer.ggml.add_space_prefix": flag(false),
    });
  assertEquals(ids(withoutBytes(KIND.unknown, 0), "ac\u{40000} b"), [4, 0, 0, 3, 5]);
  assertEquals(ids(withoutBytes(KIND.control, 0), "ac\u{40000} b"), [4, 3, 5]);
  // An end of text is one by its id, too.
  assertEquals(ids(withoutBytes(KIND.unknown, 2), "ac\u{40000} b"), [4, 3, 5]);
  // @ts-expect-error a mistake of a caller in JavaScript
  assertThrows(() => load(values).encode(undefined), InvalidArgumentError, "expected a string");
  for (const token of [-1, letters.length, 0.5, NaN]) {
    assertThrows(() => load(values).decode([token]), InvalidArgumentError, "tokens[0]: expected an id");
  }
});
