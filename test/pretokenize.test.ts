/**
 * Pre-tokenizers against the regular expressions that they stand for: random texts of telling characters, cut by the
 * engine's own `RegExp` one expression after the other, as llama.cpp does.
 *
 * @module
 */
import { assertEquals, assertThrows } from "@std/assert";
import { it } from "node:test";
import { UnsupportedError } from "../ffi/errors.ts";
import { atOnce } from "../src/options/sliced.ts";
import { findPreTokenizer, splitWords } from "../src/text/tokenizer/pretokenize.ts";
import { metadataOnly, randomNumbers, text } from "./models.ts";

const contractions = "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]";
const spaces = String.raw`\s*[\r\n]+|\s+(?!\S)|\s+`;
const gpt2 = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)`;
const words = (digits: string, signs = String.raw` ?[^\s\p{L}\p{N}]+[\r\n]*`) =>
  String.raw`(?:${contractions})|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}${digits}|${signs}|${spaces}`;
const cased = (suffix: string, digits: string) =>
  String.raw`[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+${suffix}|` +
  String.raw`[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+((?=[\p{L}])([^A-Z]))*${suffix}|` +
  String.raw`\p{N}${digits}| ?[^\s\p{L}\p{N}]+[\r\n\/]*|${spaces}`;
const marked = (suffix: string, digits: string) =>
  String
    .raw`[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+(?:${contractions})?${suffix}|${digits}| ?[^\s\p{L}\p{N}]+[\r\n\/]*|${spaces}`;
const untilPunctuation = String.raw` ?[^\(\s\|.,!?…。，、।۔،\)]+`;
const han = "[一-龥\u0800-一가-퟿]+";

const expressions: Record<string, string[]> = {
  default: [String.raw`[\p{P}\$\+<=>\^~\|]+`, gpt2, String.raw`\p{N}+`, "[0-9][0-9][0-9]"],
  "gpt-2": [gpt2],
  "llama-bpe": [words("{1,3}")],
  dbrx: [words("{1,3}")],
  qwen2: [words("")],
  qwen35: [
    String.raw`(?:${contractions})|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|${spaces}`,
  ],
  "seed-coder": [words("", String.raw` ?[^\s\p{L}\p{N}\r\n]+`)],
  bailingmoe: [words("").replace(String.raw`\s*[\r\n]+`, String.raw`\s*[\r\n]`)],
  smollm: [String.raw`\p{N}`, gpt2],
  "gpt-4o": [cased(`(?:${contractions})?`, "{1,3}")],
  tekken: [cased("", "")],
  falcon: [String.raw`[\p{P}\$\+<=>\^~\|${"`"}]+`, gpt2, "[0-9][0-9][0-9]"],
  bloom: [untilPunctuation],
  viking: [untilPunctuation, String.raw`\p{N}`],
  "deepseek-v3": [
    String.raw`\p{N}{1,3}`,
    "[一-龥\u3040-ゟ゠-ヿ]+",
    String.raw`[!"#$%&'\(\)*+,\-.\/:;<=>?@\[\\\]^_${"`"}\{\|\}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|` +
    String.raw` ?[\p{P}\p{S}]+[\r\n]*|${spaces}`,
  ],
  "deepseek-coder": ["[\r\n]", String.raw`\s?\p{L}+`, String.raw`\s?\p{P}+`, han, String.raw`\p{N}`],
  minicpm5: [String.raw`\p{N}{1,3}`, words("+")],
  ufakzeka: [words("").replace(`(?:${contractions})|`, "")],
  laguna: [String.raw`[^\n]+|[\n]+`, words("")],
  "jais-2": [
    words("{1,3}").replace(
      String.raw`\s+(?!\S)|\s+`,
      [512, 256, 128, 64, 32, 16, 8, 4].map((count) => String.raw`\s{${count}}(?!\S)|`).join("") +
        String.raw`\s{1,2}(?!\S)|\s{1}`,
    ),
  ],
  youtu: [
    "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥\u3040-ゟ゠-ヿ]+",
    marked("", String.raw`\p{N}`),
  ],
  tiny_aya: [String.raw`\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))`, marked("", String.raw`\p{N}{1,3}`)],
  "granite-embed-multi-97m": [
    cased(`(?:${contractions})?`, "{1,3}").replaceAll(String.raw`(?=[\p{L}])`, String.raw`(?=[\p{L}\p{M}])`),
  ],
  "kimi-k2": [
    String.raw`[一-鿿㐀-䶿\u{20000}-\u{2ebef}]+|[^\r\n\p{L}\p{N}]?(?:(?![一-鿿㐀-䶿\u{20000}-\u{2ebef}])\p{L})+` +
    `(?:${contractions})?|` + String.raw`\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|${spaces}`,
  ],
  superbpe: [String.raw`\p{N}+`, String.raw`(?=(\d{3})+(?!\d))`],
  "exaone-moe": [
    String
      .raw`(?:${contractions})|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n\/]?|` +
    String.raw`\s*[\r\n]|\s+(?!\S)|\s+`,
  ],
  chameleon: [
    "<sentinel:[0-9]+>",
    "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z",
    String.raw`([\t\n]|    |  )`,
    String.raw`\p{N}`,
    String.raw`[\p{P}!-\/:-@\[-${"`"}\{-~]`,
    gpt2,
  ],
  spark2_5: [
    String.raw`\p{N}{1,3}`,
    "[一-龥\u3040-ゟ゠-ヿ]+",
    String.raw`[!"#$%&'\(\)*+,\-.\/:;<=>?@\[\\\]^_${"`"}\{\|\}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|` +
    String.raw` ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+`,
    String.raw`\p{N}`,
  ],
  gemma4: [String.raw`[^\n]+|[\n]+`],
  whitespace: [String.raw`\S+`],
  "deepseek-llm": [
    "[\r\n]",
    // Of the long list of letters with case, those of the alphabet below.
    String.raw`\s?[A-Za-zµÀ-ÖØ-öø-ƺǄ-ʓΑ-ΡΣ-ϵЀ-ҁԱ-Ֆﬀ-ﬆ\u{10400}-\u{1044f}]+`,
    // U+3000 is left out, see the scanner.
    String.raw`\s?[!-\/:-~！-／：-～‘-‟、。]+`,
    String.raw`\s+$`,
    han,
    String.raw`\p{N}+`,
  ],
};

// White space other than U+0085 and U+FEFF, of which JavaScript's \s thinks otherwise.
const alphabet = [
  ..."aZbsStTreveLlmMdDxQ''''  \t\n\r\u00a0\u3000\u2003\u000b0123456789٣²½Ⅷ一二龥你好あアーㄱ가힣ࠀ",
  ...'éßÀÖµǅʓΑΩЖжԱաءاکاก!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~…。，、।۔،“”‘’！？～€©★😀🏽\u0301\u0300\u093e\u200d\u{10400}ﬁ\0',
];

function cut(patterns: readonly RegExp[], whole: string): string[] {
  return patterns.reduce((pieces, pattern) =>
    pieces.flatMap((piece) => {
      const found: string[] = [];
      let end = 0;
      for (const match of piece.matchAll(pattern)) {
        if (match.index > end) found.push(piece.slice(end, match.index));
        if (match[0] !== "") found.push(match[0]);
        end = Math.max(end, match.index + match[0].length);
      }
      if (end < piece.length) found.push(piece.slice(end));
      return found;
    }), [whole]);
}

function randomText(random: (below: number) => number): string {
  // Few different characters, so that runs and their ends are frequent.
  const few = Array.from({ length: 1 + random(6) }, () => alphabet[random(alphabet.length)]);
  return Array.from({ length: 1 + random(12) }, () => few[random(few.length)]).join("");
}

for (const [name, sources] of Object.entries(expressions)) {
  it(`${name} cuts as its expressions do`, () => {
    const pre = findPreTokenizer(metadataOnly({ "tokenizer.ggml.pre": text(name) }).metadata, false);
    const patterns = sources.map((source) => new RegExp(source, "gu"));
    const random = randomNumbers(7);
    for (let round = 0; round < 5000; round++) {
      const sample = randomText(random);
      const bytes = new TextEncoder().encode(sample);
      const ends = atOnce(splitWords(pre, bytes));
      const found = ends.map((end, index) => new TextDecoder().decode(bytes.subarray(ends[index - 1] ?? 0, end)));
      assertEquals(found, cut(patterns, sample), JSON.stringify(sample));
    }
  });
}

it("an unknown pre-tokenizer is refused by name, unless the default may stand for it", () => {
  const { metadata } = metadataOnly({ "tokenizer.ggml.pre": text("nosuch") });
  const error = assertThrows(() => findPreTokenizer(metadata, false), UnsupportedError, "'nosuch'");
  assertEquals(error.detail.where, "tokenizer.ggml.pre");
  const byDefault = findPreTokenizer(metadataOnly({}).metadata, false);
  assertEquals(findPreTokenizer(metadata, true), byDefault);
});
