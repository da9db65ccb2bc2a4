/**
 * SentencePiece-BPE (`llama`): the text with spaces as U+2581, cut into characters, and neighbours merged whose
 * concatenation is a token, highest score first. What is no token in the end becomes byte tokens.
 *
 * @module
 */
import { UnsupportedError } from "../../../ffi/errors.ts";
import type { Gguf } from "../../files/gguf/read.ts";
import { type Found, LearnedPairs, Merger } from "./merge.ts";
import type { TextModel } from "./model.ts";
import { joined, KIND, readScores, TokenIndex, type Vocabulary } from "./vocabulary.ts";

const SPACE = "\u2581";
const SPACE_BYTES = [0xe2, 0x96, 0x81];
/** Kept from one text to the next; texts in all scripts may not fill the memory. */
const CHARACTERS_MOST = 1 << 16;
const encoder = new TextEncoder();

/** The SentencePiece-BPE model of a vocabulary. */
export class SentencePiece implements TextModel {
  readonly spacePrefix: boolean;
  readonly #vocabulary: Vocabulary;
  readonly #index: TokenIndex;
  readonly #ranks: Int32Array;
  /** Whether no token reaches over the beginning of a word, so that words can be merged one by one. */
  readonly #splits: boolean;
  readonly #byteTokens = new Int32Array(256).fill(-1);
  readonly #unknown: number | undefined;
  readonly #merger = new Merger();
  #pairs = this.#newPairs();
  /** The symbols of characters; those that are no tokens have numbers of their own after the tokens. */
  readonly #characters = new Map<number, number>();
  readonly #strangers: Uint8Array[] = [];
  #symbols = new Int32Array(0);

  constructor(gguf: Gguf, vocabulary: Vocabulary, unknown: number | undefined) {
    const { metadata } = gguf;
    const { kinds, size } = vocabulary;
    const scores = readScores(gguf, size);
    if (scores === undefined) throw metadata.wrongType("tokenizer.ggml.scores", "an array of float32");
    const kindsKey = "tokenizer.ggml.token_type";
    if (!metadata.has(kindsKey)) throw metadata.wrongType(kindsKey, "an array of int32");
    this.#vocabulary = vocabulary;
    this.#unknown = unknown;
    this.#ranks = ranksOf(scores);
    this.spacePrefix = metadata.flag("tokenizer.ggml.add_space_prefix", true);
    this.#index = new TokenIndex(vocabulary);
    this.#splits = !spansWords(vocabulary);
    for (let token = size - 1; token >= 0; token--) {
      if (kinds[token] === KIND.byte) this.#byteTokens[vocabulary.byteOf(token)] = token;
    }
  }

  encode(text: string, out: number[]): void {
    const bytes = encoder.encode(text.replaceAll(" ", SPACE));
    if (this.#characters.size > CHARACTERS_MOST) this.#forget();
    if (this.#symbols.length < bytes.length) this.#symbols = new Int32Array(bytes.length);
    for (let start = 0; start < bytes.length;) {
      const end = this.#splits ? endOfWord(bytes, start) : bytes.length;
      this.#encodeWord(bytes, start, end, out);
      start = end;
    }
  }

  #encodeWord(bytes: Uint8Array, start: number, end: number, out: number[]): void {
    const symbols = this.#symbols;
    let count = 0;
    for (let at = start; at < end;) {
      const next = at + characterBytes(bytes[at]);
      symbols[count++] = this.#character(bytes, at, next);
      at = next;
    }
    count = this.#merger.merge(symbols, count, this.#pairs);
    for (let at = 0; at < count; at++) {
      const symbol = symbols[at];
      if (symbol < this.#vocabulary.size) out.push(symbol);
      else this.#spell(this.#bytesOf(symbol), out);
    }
  }

  /** The symbol of a character. */
  #character(bytes: Uint8Array, start: number, end: number): number {
    let code = 0;
    for (let at = start; at < end; at++) code = code * 256 + bytes[at];
    const known = this.#characters.get(code);
    if (known !== undefined) return known;
    let symbol = this.#index.find(bytes, start, end);
    if (symbol < 0) symbol = this.#vocabulary.size + this.#strangers.push(bytes.slice(start, end)) - 1;
    this.#characters.set(code, symbol);
    return symbol;
  }

  #bytesOf(symbol: number): Uint8Array {
    const { size } = this.#vocabulary;
    return symbol < size ? this.#vocabulary.bytes(symbol) : this.#strangers[symbol - size];
  }

  /** Pairs merge whose concatenation is a token. */
  #newPairs(): LearnedPairs {
    return new LearnedPairs((left: number, right: number, found: Found) => {
      const both = joined(this.#bytesOf(left), this.#bytesOf(right));
      found.merged = this.#index.find(both, 0, both.length);
      if (found.merged >= 0) found.rank = this.#ranks[found.merged];
    });
  }

  /** Forgets characters, and pairs, which refer to them. */
  #forget(): void {
    this.#characters.clear();
    this.#strangers.length = 0;
    this.#pairs = this.#newPairs();
  }

  /** The bytes of a character that is no token. */
  #spell(bytes: Uint8Array, out: number[]): void {
    for (const byte of bytes) {
      const token = this.#byteTokens[byte] >= 0 ? this.#byteTokens[byte] : this.#unknown;
      if (token === undefined) throw inexpressible(byte);
      out.push(token);
    }
  }

  piece(token: number): Uint8Array {
    const { kinds } = this.#vocabulary;
    if (kinds[token] === KIND.byte) return Uint8Array.of(this.#vocabulary.byteOf(token));
    const bytes = this.#vocabulary.bytes(token);
    if (kinds[token] === KIND.control || kinds[token] === KIND.unknown || kinds[token] === KIND.userDefined) {
      return bytes.slice();
    }
    return withSpaces(bytes);
  }
}

/** The error for text that a vocabulary has no tokens for. */
export function inexpressible(byte: number): UnsupportedError {
  const name = `0x${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  return new UnsupportedError(`The vocabulary has no token for the byte ${name} and no token for unknown text.`, {
    what: "text that the vocabulary cannot express",
    where: `byte ${name}`,
    expected: "a vocabulary with a token for every byte, or one for unknown text",
  });
}

/** The bytes of a token with U+2581 turned back into spaces. */
function withSpaces(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes.length);
  let length = 0;
  for (let at = 0; at < bytes.length;) {
    if (isSpace(bytes, at)) {
      out[length++] = 32;
      at += SPACE_BYTES.length;
    } else {
      out[length++] = bytes[at++];
    }
  }
  return out.slice(0, length);
}

/** Whether U+2581 is at this place. */
function isSpace(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === SPACE_BYTES[0] && bytes[at + 1] === SPACE_BYTES[1] && bytes[at + 2] === SPACE_BYTES[2];
}

/** The end of the word that begins at `start`: where a U+2581 follows another character. */
function endOfWord(bytes: Uint8Array, start: number): number {
  let at = start;
  while (isSpace(bytes, at)) at += SPACE_BYTES.length;
  while (at < bytes.length && !isSpace(bytes, at)) at++;
  return at;
}

/** Whether some token has a U+2581 after another character. */
function spansWords(vocabulary: Vocabulary): boolean {
  const { texts: { bytes, starts }, kinds, size } = vocabulary;
  for (let token = 0; token < size; token++) {
    if (kinds[token] === KIND.control || kinds[token] === KIND.unknown || kinds[token] === KIND.byte) continue;
    const end = vocabulary.endOf(token);
    let inWord = false;
    for (let at = starts[token]; at < end; at++) {
      if (bytes[at] !== SPACE_BYTES[0] || at + 3 > end || !isSpace(bytes, at)) inWord = true;
      else if (inWord) return true;
      else at += 2;
    }
  }
  return false;
}

/** The length of the UTF-8 character that begins with `byte`. */
function characterBytes(byte: number): number {
  return byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

/** Scores as ranks: a higher score has a lower rank, equal ones share theirs. */
function ranksOf(scores: Float32Array): Int32Array {
  return ranksOfFalling(scores) ?? ranksBySorting(scores);
}

/** Most files have their tokens in the order of merging: then ranks need no sorting. */
function ranksOfFalling(scores: Float32Array): Int32Array | undefined {
  const ranks = new Int32Array(scores.length);
  for (let token = 1; token < scores.length; token++) {
    if (scores[token] > scores[token - 1]) return undefined;
    ranks[token] = ranks[token - 1] + (scores[token] < scores[token - 1] ? 1 : 0);
  }
  return ranks;
}

function ranksBySorting(scores: Float32Array): Int32Array {
  const bits = new Int32Array(1);
  const float = new Float32Array(bits.buffer);
  // One key for score and token: the score's bits made to sort downwards, then the token.
  const keys = Float64Array.from(scores, (score, token) => {
    float[0] = score === 0 ? 0 : score;
    const descending = bits[0] < 0 ? bits[0] >>> 0 : 0x7fffffff - bits[0];
    return descending * scores.length + token;
  }).sort();
  const ranks = new Int32Array(scores.length);
  let rank = -1;
  let last = NaN;
  for (const key of keys) {
    const token = key % scores.length;
    if (scores[token] !== last) rank++;
    last = scores[token];
    ranks[token] = rank;
  }
  return ranks;
}
