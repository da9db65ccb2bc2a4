/**
 * SentencePiece-BPE (`llama`): the text with spaces as U+2581, cut into characters, and neighbours merged whose
 * concatenation is a token, highest score first. What is no token in the end becomes byte tokens.
 *
 * @module
 */
import { UnsupportedError } from "../../ffi/errors.ts";
import type { Gguf } from "../gguf.ts";
import { Merger, type Pairs, PairTable } from "./merge.ts";
import type { TextModel } from "./model.ts";
import { KIND, readScores, TokenIndex, type Vocabulary } from "./vocabulary.ts";

const SPACE = "\u2581";
const SPACE_BYTES = [0xe2, 0x96, 0x81];
const encoder = new TextEncoder();

/** The SentencePiece-BPE model of a vocabulary. */
export class SentencePiece implements TextModel {
  readonly spacePrefix: boolean;
  readonly #vocabulary: Vocabulary;
  readonly #index: TokenIndex;
  readonly #ranks: Int32Array;
  readonly #byteTokens = new Int32Array(256).fill(-1);
  readonly #unknown: number | undefined;
  readonly #merger = new Merger();

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
    // Text never becomes a control, unknown or byte token by being spelt like one.
    this.#index = new TokenIndex(vocabulary.texts, (token) => {
      const kind = kinds[token];
      return kind !== KIND.control && kind !== KIND.unknown && kind !== KIND.byte;
    });
    for (let token = size - 1; token >= 0; token--) {
      if (kinds[token] === KIND.byte) this.#byteTokens[vocabulary.byteOf(token)] = token;
    }
  }

  encode(text: string, out: number[]): void {
    const bytes = encoder.encode(text.replaceAll(" ", SPACE));
    const pairs = new ConcatenatedPairs(this.#vocabulary, this.#index, this.#ranks, bytes);
    const symbols = new Int32Array(bytes.length);
    let count = 0;
    for (let start = 0; start < bytes.length;) {
      const end = start + characterBytes(bytes[start]);
      symbols[count++] = pairs.character(start, end);
      start = end;
    }
    count = this.#merger.merge(symbols, count, pairs);
    for (let at = 0; at < count; at++) {
      const symbol = symbols[at];
      if (symbol < this.#vocabulary.size) out.push(symbol);
      else this.#spell(pairs.bytesOf(symbol), out);
    }
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
    if (SPACE_BYTES.every((byte, index) => bytes[at + index] === byte)) {
      out[length++] = 32;
      at += SPACE_BYTES.length;
    } else {
      out[length++] = bytes[at++];
    }
  }
  return out.slice(0, length);
}

/** The length of the UTF-8 character that begins with `byte`. */
function characterBytes(byte: number): number {
  return byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

/** Scores as ranks: the highest has rank 0, equal ones share theirs. */
function ranksOf(scores: Float32Array): Int32Array {
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

/** Pairs whose concatenation is a token, looked up once a text. Characters that are no tokens get numbers of their own. */
class ConcatenatedPairs implements Pairs {
  readonly #vocabulary: Vocabulary;
  readonly #index: TokenIndex;
  readonly #tokenRanks: Int32Array;
  readonly #text: Uint8Array;
  readonly #table = new PairTable(64);
  readonly #characters = new Map<number, number>();
  readonly #strangers: { start: number; end: number }[] = [];

  constructor(vocabulary: Vocabulary, index: TokenIndex, tokenRanks: Int32Array, text: Uint8Array) {
    this.#vocabulary = vocabulary;
    this.#index = index;
    this.#tokenRanks = tokenRanks;
    this.#text = text;
  }

  get ranks(): Int32Array {
    return this.#table.ranks;
  }

  get merged(): Int32Array {
    return this.#table.merged;
  }

  /** The symbol of the character at `start .. end` of the text. */
  character(start: number, end: number): number {
    let code = 0;
    for (let at = start; at < end; at++) code = code * 256 + this.#text[at];
    const known = this.#characters.get(code);
    if (known !== undefined) return known;
    let symbol = this.#index.find(this.#text, start, end);
    if (symbol < 0) symbol = this.#vocabulary.size + this.#strangers.push({ start, end }) - 1;
    this.#characters.set(code, symbol);
    return symbol;
  }

  /** The bytes of a symbol. */
  bytesOf(symbol: number): Uint8Array {
    if (symbol < this.#vocabulary.size) return this.#vocabulary.bytes(symbol);
    const { start, end } = this.#strangers[symbol - this.#vocabulary.size];
    return this.#text.subarray(start, end);
  }

  slot(left: number, right: number): number {
    let slot = this.#table.find(left, right);
    if (slot < 0) {
      const [first, second] = [this.bytesOf(left), this.bytesOf(right)];
      const token = this.#index.findPair(first, 0, first.length, second, 0, second.length);
      slot = this.#table.add(left, right, token < 0 ? -1 : this.#tokenRanks[token], token);
    }
    return this.#table.merged[slot] < 0 ? -1 : slot;
  }
}
