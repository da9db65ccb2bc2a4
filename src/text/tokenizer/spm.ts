/**
 * SentencePiece-BPE (`llama`): the text with spaces as U+2581 is cut into characters, and neighbours merge whose
 * concatenation is a token, the highest score first. A character that is no token in the end becomes byte tokens.
 *
 * @module
 */
import { type Gguf, LENGTH_BYTES } from "../../files/gguf/read.ts";
import type { Sliceable } from "../../options/sliced.ts";
import { type Found, LearnedPairs, Merger } from "./merge.ts";
import { BYTES_AT_ONCE, type ModelOptions, type TextModel } from "./model.ts";
import { ranksOf } from "./score_ranks.ts";
import type { TokenList } from "./token_list.ts";
import { characterBytes } from "./unigram_text.ts";
import { joined, KIND, readScores, TokenIndex, type Vocabulary } from "./vocabulary.ts";

const SPACE = "\u2581";
const SPACE_BYTES = [0xe2, 0x96, 0x81];
/** The most characters that are kept from one text to the next, so that texts in all scripts don't fill the memory. */
const CHARACTERS_MOST = 1 << 16;
const encoder = new TextEncoder();

/** What was found out about the characters of texts. A text in work keeps it, while the next begins with nothing known. */
interface Known {
  /** The symbols of characters by their bytes as a number; those that are not tokens are numbered after the tokens. */
  readonly characters: Map<number, number>;
  /** The bytes of characters that are not tokens. */
  readonly strangers: Uint8Array[];
  /** Pairs merge whose concatenation is a token. */
  readonly pairs: LearnedPairs;
}

/** What the file says of such a vocabulary beside its tokens. */
interface Parts {
  readonly index: TokenIndex;
  /** Of each token, where it stands in the order of merges. */
  readonly ranks: Int32Array;
  readonly splits: boolean;
  readonly spacePrefix: boolean;
  readonly unknown: number | undefined;
}

/** The SentencePiece-BPE model of a vocabulary. */
export class SentencePiece implements TextModel {
  readonly spacePrefix: boolean;
  readonly spelled = new Uint8Array(256);
  readonly #vocabulary: Vocabulary;
  readonly #index: TokenIndex;
  readonly #ranks: Int32Array;
  /** Whether words can be merged one by one, since no token reaches over the beginning of a word. */
  readonly #splits: boolean;
  readonly #byteTokens = new Int32Array(256).fill(-1);
  readonly #unknown: number | undefined;
  readonly #merger = new Merger();
  readonly #symbols = new Int32Array(BYTES_AT_ONCE);
  #known: Known;

  private constructor(vocabulary: Vocabulary, { index, ranks, splits, spacePrefix, unknown }: Parts) {
    this.#vocabulary = vocabulary;
    this.#known = this.#nothingKnown();
    this.#unknown = unknown;
    this.#ranks = ranks;
    this.spacePrefix = spacePrefix;
    this.#index = index;
    this.#splits = splits;
    vocabulary.noteByteTokens(this.#byteTokens);
    for (let byte = 0; byte < 256; byte++) {
      const isToken = byte < 0x80 && this.#index.find(Uint8Array.of(byte), 0, 1) >= 0;
      this.spelled[byte] = unknown !== undefined || isToken || this.#byteTokens[byte] >= 0 ? 1 : 0;
    }
    // A space becomes U+2581.
    if (SPACE_BYTES.some((byte) => this.spelled[byte] === 0)) this.spelled[32] = 0;
  }

  /**
   * Reads and checks what is special to this kind of vocabulary.
   *
   * @param options `unknown`: the token for a character that no tokens can spell; without it, such a character is dropped
   */
  static *read(gguf: Gguf, vocabulary: Vocabulary, { unknown }: ModelOptions): Sliceable<SentencePiece> {
    const { metadata } = gguf;
    const scores = readScores(gguf, vocabulary.size);
    if (scores === undefined) throw metadata.wrongType("tokenizer.ggml.scores", "an array of float32");
    const kindsKey = "tokenizer.ggml.token_type";
    if (!metadata.has(kindsKey)) throw metadata.wrongType(kindsKey, "an array of int32");
    const ranks = ranksOf(scores);
    yield;
    const spacePrefix = metadata.flag("tokenizer.ggml.add_space_prefix", true);
    const index = yield* TokenIndex.of(vocabulary);
    let spans = false;
    yield* vocabulary.inRanges((from, to) => spans ||= spansWords(vocabulary, from, to));
    return new SentencePiece(vocabulary, { index, ranks, splits: !spans, spacePrefix, unknown });
  }

  *encode(text: string, out: TokenList, afterSpecial: boolean): Sliceable<void> {
    const prefix = afterSpecial && this.spacePrefix ? SPACE : "";
    const bytes = encoder.encode(prefix + text.replaceAll(" ", SPACE));
    if (this.#known.characters.size > CHARACTERS_MOST) this.#known = this.#nothingKnown();
    const known = this.#known;
    let pause = BYTES_AT_ONCE;
    for (let start = 0; start < bytes.length;) {
      const end = this.#splits ? endOfWord(bytes, start) : bytes.length;
      if (end - start > BYTES_AT_ONCE) yield* this.#encodeLongWord(known, bytes.subarray(start, end), out);
      else this.#encodeShortWord(known, bytes, start, end, out);
      start = end;
      if (end < pause) continue;
      yield;
      pause = end + BYTES_AT_ONCE;
    }
  }

  piece(token: number): Uint8Array {
    return pieceOf(this.#vocabulary, token, true);
  }

  #encodeShortWord(known: Known, bytes: Uint8Array, start: number, end: number, out: TokenList): void {
    const symbols = this.#symbols;
    let count = 0;
    for (let at = start; at < end;) {
      const next = at + characterBytes(bytes[at]);
      symbols[count++] = this.#character(known, bytes, at, next);
      at = next;
    }
    count = this.#merger.merge(symbols, count, known.pairs);
    for (let at = 0; at < count; at++) this.#write(known, symbols[at], out);
  }

  /** Tokenizes a long word in slices, apart from what is kept for short ones: these may come meanwhile. */
  *#encodeLongWord(known: Known, word: Uint8Array, out: TokenList): Sliceable<void> {
    const symbols = new Int32Array(word.length);
    let count = 0;
    for (let at = 0; at < word.length;) {
      const next = at + characterBytes(word[at]);
      symbols[count++] = this.#character(known, word, at, next);
      at = next;
      if (count % BYTES_AT_ONCE === 0) yield;
    }
    count = yield* new Merger().slices(symbols, count, known.pairs);
    for (let at = 0; at < count; at++) {
      this.#write(known, symbols[at], out);
      if (at % BYTES_AT_ONCE === 0) yield;
    }
  }

  /** The symbol of a character. */
  #character({ characters, strangers }: Known, bytes: Uint8Array, start: number, end: number): number {
    let code = 0;
    for (let at = start; at < end; at++) code = code * 256 + bytes[at];
    const known = characters.get(code);
    if (known !== undefined) return known;
    let symbol = this.#index.find(bytes, start, end);
    if (symbol < 0) symbol = this.#vocabulary.size + strangers.push(bytes.slice(start, end)) - 1;
    characters.set(code, symbol);
    return symbol;
  }

  #nothingKnown(): Known {
    const strangers: Uint8Array[] = [];
    const { size } = this.#vocabulary;
    const bytesOf = (symbol: number) => symbol < size ? this.#vocabulary.bytes(symbol) : strangers[symbol - size];
    const pairs = new LearnedPairs((left: number, right: number, found: Found) => {
      const both = joined(bytesOf(left), bytesOf(right));
      found.merged = this.#index.find(both, 0, both.length);
      if (found.merged >= 0) found.rank = this.#ranks[found.merged];
    });
    return { characters: new Map(), strangers, pairs };
  }

  /** Appends the token of a symbol, or the byte tokens of a character without one. */
  #write({ strangers }: Known, symbol: number, out: TokenList): void {
    const { size } = this.#vocabulary;
    if (symbol < size) {
      out.push(symbol);
      return;
    }
    const bytes = strangers[symbol - size];
    if (bytes.every((byte) => this.#byteTokens[byte] >= 0)) bytes.forEach((byte) => out.push(this.#byteTokens[byte]));
    else if (this.#unknown !== undefined) out.push(this.#unknown);
  }
}

/** The bytes that a token stands for; `isEscaped`: its text has U+2581 for spaces. */
export function pieceOf(vocabulary: Vocabulary, token: number, isEscaped: boolean): Uint8Array {
  const kind = vocabulary.kinds[token];
  if (kind === KIND.byte) return Uint8Array.of(vocabulary.byteOf(token));
  const bytes = vocabulary.bytes(token);
  const isPlain = kind === KIND.control || kind === KIND.unknown || kind === KIND.userDefined;
  return isPlain || !isEscaped ? bytes.slice() : withSpaces(bytes);
}

/** The bytes of a token with U+2581 turned back into spaces. */
export function withSpaces(bytes: Uint8Array): Uint8Array {
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

/** Whether a U+2581 begins at this place. */
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

/** Whether some token of a range has a U+2581 after another character. */
function spansWords({ texts: { bytes, starts }, kinds }: Vocabulary, from: number, to: number): boolean {
  for (let token = from; token < to; token++) {
    const kind = kinds[token];
    if (kind === KIND.control || kind === KIND.unknown || kind === KIND.byte) continue;
    const end = starts[token + 1] - LENGTH_BYTES;
    let at = starts[token];
    while (bytes[at] === SPACE_BYTES[0] && at + 3 <= end && isSpace(bytes, at)) at += 3;
    for (; at < end - 2; at++) if (bytes[at] === SPACE_BYTES[0] && isSpace(bytes, at)) return true;
  }
  return false;
}
