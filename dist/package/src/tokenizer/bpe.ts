/**
 * Byte-level BPE (`gpt2`): the text is cut into words by a pre-tokenizer, the bytes of each word are merged by the file's
 * list of merges, first in the list first. Files write bytes as printable characters (GPT-2's alphabet); here tokens and
 * merges are turned back into bytes once, at load.
 *
 * @module
 */
import type { Gguf, StringTable } from "../gguf.ts";
import { Merger, PairTable, RANKS_MOST } from "./merge.ts";
import type { TextModel } from "./model.ts";
import { findPreTokenizer, type PreTokenizer, splitWords } from "./pretokenize.ts";
import { inexpressible } from "./spm.ts";
import { KIND, readScores, TokenIndex, type Vocabulary } from "./vocabulary.ts";

const MERGES = "tokenizer.ggml.merges";
const STRING = 8;
const encoder = new TextEncoder();

/** The byte-level BPE model of a vocabulary. */
export class ByteLevel implements TextModel {
  readonly spacePrefix = false;
  /** Whether a text begins with BOS if the file does not say. */
  readonly addBos: boolean;
  readonly #size: number;
  readonly #pre: PreTokenizer;
  readonly #table: StringTable;
  readonly #index: TokenIndex;
  readonly #merges: PairTable;
  readonly #pairs: { slot(left: number, right: number): number; ranks: Int32Array; merged: Int32Array };
  /** The symbol of each byte. */
  readonly #bytes = new Int32Array(256);
  /** Symbols that are no tokens, numbered after the tokens: parts of merges that lead nowhere. */
  readonly #strangers: Uint8Array[] = [];
  readonly #strangerIds = new Map<string, number>();
  readonly #unknown: number | undefined;
  readonly #merger = new Merger();
  #symbols = new Int32Array(64);

  constructor(gguf: Gguf, vocabulary: Vocabulary, unknown: number | undefined, allowUnknownPre: boolean) {
    const { metadata } = gguf;
    readScores(gguf, vocabulary.size); // not used, but if they are there they have to be right
    this.#pre = findPreTokenizer(metadata, allowUnknownPre);
    this.addBos = this.#pre.addBos ?? false;
    this.#unknown = unknown;
    this.#size = vocabulary.size;
    this.#table = rawTokens(vocabulary);
    const { kinds } = vocabulary;
    this.#index = new TokenIndex(this.#table, (token) => {
      const kind = kinds[token];
      return kind !== KIND.control && kind !== KIND.unknown && kind !== KIND.byte;
    });
    for (let byte = 0; byte < 256; byte++) this.#bytes[byte] = this.#symbol(Uint8Array.of(byte), 0, 1);
    const merges = metadata.array(MERGES, STRING);
    if (merges === undefined) throw metadata.wrongType(MERGES, "an array of string");
    if (merges.length > RANKS_MOST) {
      throw metadata.wrong(MERGES, `at most ${RANKS_MOST} merges`, `an array of ${merges.length}`);
    }
    this.#merges = new PairTable(merges.length);
    const bad = this.#readMerges(merges.strings());
    if (bad >= 0) {
      const text = JSON.stringify(merges.at(bad));
      throw metadata.wrong(MERGES, "two texts with a space between them", `an array whose entry ${bad} is ${text}`);
    }
    const { ranks, merged } = this.#merges;
    const table = this.#merges;
    this.#pairs = { slot: (left, right) => Math.max(-1, table.find(left, right)), ranks, merged };
  }

  encode(text: string, out: number[]): void {
    const bytes = encoder.encode(text);
    splitWords(this.#pre, bytes, (start, end) => this.#encodeWord(bytes, start, end, out));
  }

  piece(token: number): Uint8Array {
    return this.#table.bytes.slice(this.#table.starts[token], this.#table.ends[token]);
  }

  #encodeWord(bytes: Uint8Array, start: number, end: number, out: number[]): void {
    if (this.#pre.wholeWords || end - start === 1) {
      const token = this.#index.find(bytes, start, end);
      if (token >= 0) {
        out.push(token);
        return;
      }
    }
    if (this.#symbols.length < end - start) this.#symbols = new Int32Array(2 * (end - start));
    const symbols = this.#symbols;
    for (let at = start; at < end; at++) symbols[at - start] = this.#bytes[bytes[at]];
    const count = this.#merger.merge(symbols, end - start, this.#pairs);
    for (let at = 0; at < count; at++) {
      if (symbols[at] < this.#size) out.push(symbols[at]);
      else this.#spell(this.#strangers[symbols[at] - this.#size], out);
    }
  }

  /** The single bytes of a symbol that is no token. */
  #spell(bytes: Uint8Array, out: number[]): void {
    for (const byte of bytes) {
      const token = this.#bytes[byte] < this.#size ? this.#bytes[byte] : this.#unknown;
      if (token === undefined) throw inexpressible(byte);
      out.push(token);
    }
  }

  /** The symbol with these bytes: a token, or a stranger. */
  #symbol(bytes: Uint8Array, start: number, end: number): number {
    const token = this.#index.find(bytes, start, end);
    if (token >= 0) return token;
    const key = bytes.subarray(start, end).join();
    const known = this.#strangerIds.get(key);
    if (known !== undefined) return known;
    const id = this.#size + this.#strangers.push(bytes.slice(start, end)) - 1;
    this.#strangerIds.set(key, id);
    return id;
  }

  /** Fills the table of merges; returns the first one that can't be read, or -1. */
  #readMerges({ bytes, starts, ends }: StringTable): number {
    let scratch = new Uint8Array(256);
    for (let rank = 0; rank < starts.length; rank++) {
      const [start, end] = [starts[rank], ends[rank]];
      // The left text may itself begin with a space, hence not the first byte.
      const space = bytes.indexOf(32, start + 1);
      if (space < 0 || space >= end - 1) return rank;
      if (scratch.length < end - start) scratch = new Uint8Array(2 * (end - start));
      const middle = rawBytes(bytes, start, space, scratch, 0);
      const length = rawBytes(bytes, space + 1, end, scratch, middle);
      const left = this.#symbol(scratch, 0, middle);
      const right = this.#symbol(scratch, middle, length);
      if (this.#merges.find(left, right) >= 0) continue;
      this.#merges.add(left, right, rank, this.#symbol(scratch, 0, length));
    }
    return -1;
  }
}

/** The bytes of GPT-2's alphabet by code point, -1 for characters that it does not have. */
const ALPHABET: Int16Array = alphabet();

function alphabet(): Int16Array {
  const bytes = new Int16Array(0x100 + 68).fill(-1);
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = byte > 32 && byte < 127 || byte > 160 && byte !== 173;
    bytes[printable ? byte : next++] = byte;
  }
  return bytes;
}

/** Turns GPT-2's characters into bytes; others stay as they are. Returns the end of what was written. */
function rawBytes(source: Uint8Array, start: number, end: number, target: Uint8Array, to: number): number {
  for (let at = start; at < end;) {
    const byte = source[at];
    // The alphabet's characters have one or two bytes in UTF-8.
    const two = byte >= 0xc2 && byte <= 0xc5 && at + 1 < end && source[at + 1] >> 6 === 2;
    const raw = ALPHABET[two ? (byte & 31) << 6 | source[at + 1] & 63 : byte] ?? -1;
    if ((two || byte < 128) && raw >= 0) {
      target[to++] = raw;
      at += two ? 2 : 1;
    } else {
      target[to++] = byte;
      at++;
    }
  }
  return to;
}

/** The tokens' bytes; those with a meaning of their own are written plainly in the file. */
function rawTokens({ texts, kinds, size }: Vocabulary): StringTable {
  const bytes = new Uint8Array(texts.ends[size - 1] - texts.starts[0]);
  const starts = new Uint32Array(size);
  const ends = new Uint32Array(size);
  let at = 0;
  for (let token = 0; token < size; token++) {
    starts[token] = at;
    const kind = kinds[token];
    if (kind === KIND.control || kind === KIND.unknown || kind === KIND.userDefined) {
      const text = texts.bytes.subarray(texts.starts[token], texts.ends[token]);
      bytes.set(text, at);
      at += text.length;
    } else {
      at = rawBytes(texts.bytes, texts.starts[token], texts.ends[token], bytes, at);
    }
    ends[token] = at;
  }
  return { bytes: bytes.slice(0, at), starts, ends };
}
