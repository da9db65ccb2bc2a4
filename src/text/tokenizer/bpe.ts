/**
 * Byte-level BPE (`gpt2`): a pre-tokenizer cuts the text into words, and the bytes of each word merge by the file's list of
 * merges, the first of the list first. Files write bytes as printable characters (GPT-2's alphabet); tokens and merges are
 * compared in that form, and become bytes when they are decoded.
 *
 * @module
 */
import type { Gguf } from "../../files/gguf/read.ts";
import type { Sliceable } from "../../options/sliced.ts";
import { type Found, LearnedPairs, Merger } from "./merge.ts";
import { Merges } from "./merges.ts";
import { BYTES_AT_ONCE, type TextModel } from "./model.ts";
import { type PreTokenizer, splitWords } from "./pretokenize.ts";
import type { TokenList } from "./token_list.ts";
import { joined, KIND, readScores, TokenIndex, type Vocabulary } from "./vocabulary.ts";

const encoder = new TextEncoder();

/** The byte-level BPE model of a vocabulary. */
export class ByteLevel implements TextModel {
  readonly spacePrefix = false;
  readonly spelled = new Uint8Array(256);
  readonly addsBos: boolean;
  readonly #vocabulary: Vocabulary;
  readonly #pre: PreTokenizer;
  readonly #index: TokenIndex;
  readonly #merges: Merges;
  readonly #pairs = new LearnedPairs((left, right, found) => this.#look(left, right, found));
  /** The symbol of each byte. */
  readonly #bytes = new Int32Array(256);
  /** Symbols that are not tokens, in the file's form; they are numbered after the tokens. Merges may make them. */
  readonly #strangers: Uint8Array[] = [];
  readonly #strangerIds = new Map<string, number>();
  readonly #merger = new Merger();
  readonly #symbols = new Int32Array(BYTES_AT_ONCE);
  #scratch = new Uint8Array(128);

  private constructor(vocabulary: Vocabulary, pre: PreTokenizer, index: TokenIndex, merges: Merges) {
    this.addsBos = pre.addBos === true;
    this.#pre = pre;
    this.#vocabulary = vocabulary;
    this.#index = index;
    this.#merges = merges;
    for (let byte = 0; byte < 256; byte++) {
      const end = this.#writeForm(Uint8Array.of(byte), 0, 1);
      this.#bytes[byte] = this.#symbol(this.#scratch.slice(0, end));
      this.spelled[byte] = this.#bytes[byte] < vocabulary.size ? 1 : 0;
    }
  }

  /** Reads and checks what is special to this kind of vocabulary. */
  static *read(gguf: Gguf, vocabulary: Vocabulary, pre: PreTokenizer): Sliceable<ByteLevel> {
    readScores(gguf, vocabulary.size); // not used, but a file that has them has to have them right
    const index = yield* TokenIndex.of(vocabulary);
    return new ByteLevel(vocabulary, pre, index, yield* Merges.read(gguf.metadata));
  }

  *encode(text: string, out: TokenList): Sliceable<void> {
    const bytes = encoder.encode(text);
    const ends = yield* splitWords(this.#pre, bytes);
    let start = 0;
    let pause = BYTES_AT_ONCE;
    for (const end of ends) {
      if (end - start > BYTES_AT_ONCE) yield* this.#encodeLongWord(bytes.subarray(start, end), out);
      else this.#encodeShortWord(bytes, start, end, out);
      start = end;
      if (end < pause) continue;
      yield;
      pause = end + BYTES_AT_ONCE;
    }
  }

  piece(token: number): Uint8Array {
    const { kinds } = this.#vocabulary;
    const text = this.#vocabulary.bytes(token);
    // Files write tokens with a meaning of their own plainly.
    if (kinds[token] === KIND.control || kinds[token] === KIND.unknown || kinds[token] === KIND.userDefined) {
      return text.slice();
    }
    return rawBytes(text);
  }

  #encodeShortWord(bytes: Uint8Array, start: number, end: number, out: TokenList): void {
    if (this.#pre.wholeWords) {
      const token = this.#index.find(this.#scratch, 0, this.#writeForm(bytes, start, end));
      if (token >= 0) {
        out.push(token);
        return;
      }
    }
    const symbols = this.#symbols;
    for (let at = start; at < end; at++) symbols[at - start] = this.#bytes[bytes[at]];
    const count = this.#merger.merge(symbols, end - start, this.#pairs);
    for (let at = 0; at < count; at++) this.#write(symbols[at], out);
  }

  /** Tokenizes a long word in slices, apart from what is kept for short ones: these may come meanwhile. */
  *#encodeLongWord(word: Uint8Array, out: TokenList): Sliceable<void> {
    if (this.#pre.wholeWords) {
      const token = this.#index.find(this.#scratch, 0, this.#writeForm(word, 0, word.length));
      if (token >= 0) {
        out.push(token);
        return;
      }
    }
    const symbols = new Int32Array(word.length);
    for (let at = 0; at < word.length; at++) {
      symbols[at] = this.#bytes[word[at]];
      if (at % BYTES_AT_ONCE === 0) yield;
    }
    const count = yield* new Merger().slices(symbols, word.length, this.#pairs);
    for (let at = 0; at < count; at++) {
      this.#write(symbols[at], out);
      if (at % BYTES_AT_ONCE === 0) yield;
    }
  }

  /** Appends the token of a symbol, or those of its bytes; as in llama.cpp, a byte without a token is left out. */
  #write(symbol: number, out: TokenList): void {
    const { size } = this.#vocabulary;
    if (symbol < size) {
      out.push(symbol);
      return;
    }
    for (const byte of rawBytes(this.#strangers[symbol - size])) {
      if (this.spelled[byte] !== 0) out.push(this.#bytes[byte]);
    }
  }

  /** Writes bytes in the file's form to the scratch; returns its end. */
  #writeForm(bytes: Uint8Array, start: number, end: number): number {
    if (this.#scratch.length < 2 * (end - start)) this.#scratch = new Uint8Array(4 * (end - start));
    const scratch = this.#scratch;
    let to = 0;
    for (let at = start; at < end; at++) {
      const code = CODES[bytes[at]];
      if (code < 0x80) {
        scratch[to++] = code;
      } else {
        scratch[to++] = 0xc0 | code >> 6;
        scratch[to++] = 0x80 | code & 63;
      }
    }
    return to;
  }

  /** The symbol of a text in the file's form: a token, or one that is not. */
  #symbol(form: Uint8Array): number {
    const token = this.#index.find(form, 0, form.length);
    if (token >= 0) return token;
    const key = form.join();
    const known = this.#strangerIds.get(key);
    if (known !== undefined) return known;
    const id = this.#vocabulary.size + this.#strangers.push(form) - 1;
    this.#strangerIds.set(key, id);
    return id;
  }

  #form(symbol: number): Uint8Array {
    const { size } = this.#vocabulary;
    return symbol < size ? this.#vocabulary.bytes(symbol) : this.#strangers[symbol - size];
  }

  #look(left: number, right: number, found: Found): void {
    const first = this.#form(left), second = this.#form(right);
    found.rank = this.#merges.rankOf(first, second);
    if (found.rank >= 0) found.merged = this.#symbol(joined(first, second));
  }
}

/** The code point of GPT-2's character for each byte. */
const CODES: Uint16Array = alphabet();
/** The byte of each such code point, -1 for other characters. */
const BYTES: Int16Array = new Int16Array(0x100 + 68).fill(-1);
CODES.forEach((code, byte) => BYTES[code] = byte);

function alphabet(): Uint16Array {
  let next = 0x100;
  return Uint16Array.from({ length: 256 }, (_, byte) => {
    const printable = byte > 32 && byte < 127 || byte > 160 && byte !== 173;
    return printable ? byte : next++;
  });
}

/** Turns GPT-2's characters into bytes; other characters stay as they are. */
function rawBytes(form: Uint8Array): Uint8Array {
  const raw = new Uint8Array(form.length);
  let to = 0;
  for (let at = 0; at < form.length;) {
    const byte = form[at];
    // The alphabet's characters have one or two bytes in UTF-8.
    const two = byte >= 0xc2 && byte <= 0xc5 && at + 1 < form.length && form[at + 1] >> 6 === 2;
    const found = BYTES[two ? (byte & 31) << 6 | form[at + 1] & 63 : byte] ?? -1;
    if ((two || byte < 128) && found >= 0) {
      raw[to++] = found;
      at += two ? 2 : 1;
    } else {
      raw[to++] = byte;
      at++;
    }
  }
  return raw.subarray(0, to);
}
