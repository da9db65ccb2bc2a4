/**
 * BPE over text as it is (Gemma 4 and a few others): a file's tokens and merges are UTF-8, with spaces as U+2581 where the
 * family writes them so, and a line is merged as a whole, character by character. A character that is no token in the end
 * becomes byte tokens.
 *
 * @module
 */
import type { Gguf } from "../../files/gguf/read.ts";
import type { Sliceable } from "../../options/sliced.ts";
import { type Found, LearnedPairs, Merger } from "./merge.ts";
import { Merges } from "./merges.ts";
import { BYTES_AT_ONCE, type TextModel } from "./model.ts";
import { type PreTokenizer, splitWords } from "./pretokenize.ts";
import { pieceOf } from "./spm.ts";
import type { TokenList } from "./token_list.ts";
import { characterBytes } from "./unigram_text.ts";
import { joined, readScores, TokenIndex, type Vocabulary } from "./vocabulary.ts";

const SPACE = "\u2581";
const LF = 10;
/** The most symbols without a token that are kept from one text to the next. */
const STRANGERS_MOST = 1 << 16;
const encoder = new TextEncoder();

/** What was found out about a text's symbols. A text in work keeps it, while the next may begin with nothing known. */
interface Known {
  /** Symbols that are no tokens, numbered after the tokens, and their numbers by their bytes. */
  readonly strangers: Uint8Array[];
  readonly ids: Map<string, number>;
  readonly pairs: LearnedPairs;
}

/** The raw BPE model of a vocabulary. */
export class RawBpe implements TextModel {
  readonly spacePrefix = false;
  readonly spelled = new Uint8Array(256);
  readonly addsBos: boolean;
  readonly #vocabulary: Vocabulary;
  readonly #pre: PreTokenizer;
  readonly #isEscaped: boolean;
  readonly #wholeBreaks: boolean;
  readonly #index: TokenIndex;
  readonly #merges: Merges;
  readonly #byteTokens = new Int32Array(256).fill(-1);
  readonly #merger = new Merger();
  readonly #symbols = new Int32Array(BYTES_AT_ONCE);
  #known: Known;

  private constructor(vocabulary: Vocabulary, pre: PreTokenizer, index: TokenIndex, merges: Merges) {
    this.#vocabulary = vocabulary;
    this.addsBos = pre.addBos === true;
    this.#pre = pre;
    this.#isEscaped = pre.raw?.escaped === true;
    this.#wholeBreaks = pre.raw?.wholeBreaks === true;
    this.#index = index;
    this.#merges = merges;
    this.#known = this.#nothingKnown();
    vocabulary.noteByteTokens(this.#byteTokens);
    for (let byte = 0; byte < 256; byte++) {
      const isToken = byte < 0x80 && this.#index.find(Uint8Array.of(byte), 0, 1) >= 0;
      this.spelled[byte] = isToken || this.#byteTokens[byte] >= 0 ? 1 : 0;
    }
    // A space becomes U+2581.
    if (this.#isEscaped && encoder.encode(SPACE).some((byte) => this.spelled[byte] === 0)) this.spelled[32] = 0;
  }

  /** Reads and checks what is special to this kind of vocabulary. */
  static *read(gguf: Gguf, vocabulary: Vocabulary, pre: PreTokenizer): Sliceable<RawBpe> {
    readScores(gguf, vocabulary.size); // not used, but a file that has them has to have them right
    const index = yield* TokenIndex.of(vocabulary);
    return new RawBpe(vocabulary, pre, index, yield* Merges.read(gguf.metadata));
  }

  *encode(text: string, out: TokenList): Sliceable<void> {
    const bytes = encoder.encode(this.#isEscaped ? text.replaceAll(" ", SPACE) : text);
    const ends = yield* splitWords(this.#pre, bytes);
    if (this.#known.strangers.length > STRANGERS_MOST) this.#known = this.#nothingKnown();
    const known = this.#known;
    let start = 0;
    let pause = BYTES_AT_ONCE;
    for (const end of ends) {
      const whole = this.#wholeBreaks && bytes[start] === LF ? this.#index.find(bytes, start, end) : -1;
      if (whole >= 0) out.push(whole);
      else if (end - start > BYTES_AT_ONCE) yield* this.#encodeLongWord(known, bytes.subarray(start, end), out);
      else this.#encodeShortWord(known, bytes, start, end, out);
      start = end;
      if (end < pause) continue;
      yield;
      pause = end + BYTES_AT_ONCE;
    }
  }

  piece(token: number): Uint8Array {
    return pieceOf(this.#vocabulary, token, this.#isEscaped);
  }

  #encodeShortWord(known: Known, bytes: Uint8Array, start: number, end: number, out: TokenList): void {
    const symbols = this.#symbols;
    let count = 0;
    for (let at = start; at < end;) {
      const next = at + characterBytes(bytes[at]);
      symbols[count++] = this.#symbol(known, bytes.subarray(at, next));
      at = next;
    }
    count = this.#merger.merge(symbols, count, known.pairs);
    for (let at = 0; at < count; at++) this.#write(known, symbols[at], out);
  }

  /** Tokenizes a long line in slices, apart from what is kept for short ones: these may come meanwhile. */
  *#encodeLongWord(known: Known, line: Uint8Array, out: TokenList): Sliceable<void> {
    const symbols = new Int32Array(line.length);
    let count = 0;
    for (let at = 0; at < line.length;) {
      const next = at + characterBytes(line[at]);
      symbols[count++] = this.#symbol(known, line.subarray(at, next));
      at = next;
      if (count % BYTES_AT_ONCE === 0) yield;
    }
    count = yield* new Merger().slices(symbols, count, known.pairs);
    for (let at = 0; at < count; at++) {
      this.#write(known, symbols[at], out);
      if (at % BYTES_AT_ONCE === 0) yield;
    }
  }

  #nothingKnown(): Known {
    const known: Known = {
      strangers: [],
      ids: new Map(),
      pairs: new LearnedPairs((left, right, found: Found) => {
        const [first, second] = [this.#bytesOf(known, left), this.#bytesOf(known, right)];
        found.rank = this.#merges.rankOf(first, second);
        if (found.rank >= 0) found.merged = this.#symbol(known, joined(first, second));
      }),
    };
    return known;
  }

  #bytesOf({ strangers }: Known, symbol: number): Uint8Array {
    const { size } = this.#vocabulary;
    return symbol < size ? this.#vocabulary.bytes(symbol) : strangers[symbol - size];
  }

  /** The symbol of some bytes: a token, or one that is not. */
  #symbol({ strangers, ids }: Known, bytes: Uint8Array): number {
    const token = this.#index.find(bytes, 0, bytes.length);
    if (token >= 0) return token;
    const key = bytes.join();
    const known = ids.get(key);
    if (known !== undefined) return known;
    const id = this.#vocabulary.size + strangers.push(bytes.slice()) - 1;
    ids.set(key, id);
    return id;
  }

  /** Appends the token of a symbol, or the byte tokens that there are. */
  #write({ strangers }: Known, symbol: number, out: TokenList): void {
    const { size } = this.#vocabulary;
    if (symbol < size) out.push(symbol);
    else {
      for (const byte of strangers[symbol - size]) {
        if (this.#byteTokens[byte] >= 0) out.push(this.#byteTokens[byte]);
      }
    }
  }
}
