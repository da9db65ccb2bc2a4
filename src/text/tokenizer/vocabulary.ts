/**
 * The tokens of a vocabulary: their bytes, where they lie in the header, their kinds, and a hash index from bytes to token.
 * No token becomes a JavaScript string, so 200 000 of them are ready in milliseconds. The index has a random key, so that the
 * author of a file cannot choose tokens that all collide.
 *
 * @module
 */
import { given } from "../../options/schema.ts";
import { LIMITS } from "../../../ffi/wire.ts";
import type { Sliceable } from "../../options/sliced.ts";
import type { Gguf, StringTable } from "../../files/gguf/read.ts";
import { LENGTH_BYTES, type Metadata, MetadataArray } from "../../files/gguf/read.ts";

/** Kinds of tokens, as in `tokenizer.ggml.token_type`. */
export const KIND = { undefined: 0, normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

const STRING = 8;
const INT32 = 5;
const TOKENS = "tokenizer.ggml.tokens";
const KINDS = "tokenizer.ggml.token_type";
const MOST = LIMITS.vocabularyMax;
/** The most strings, and bytes of them, between two places where the work may pause: each takes about a millisecond. */
const STRINGS_AT_ONCE = 1 << 13;
const BYTES_AT_ONCE = 1 << 18;
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Tokens with their kinds. */
export class Vocabulary {
  /** How many tokens there are. */
  readonly size: number;
  /** Their texts as the file has them. */
  readonly texts: StringTable;
  /** Their kinds. */
  readonly kinds: Uint8Array;

  private constructor(texts: StringTable, size: number) {
    this.size = size;
    this.texts = texts;
    this.kinds = new Uint8Array(size).fill(KIND.normal);
  }

  /** Reads and checks the tokens of a file. */
  static *read(gguf: Gguf): Sliceable<Vocabulary> {
    const { metadata } = gguf;
    const tokens = metadata.array(TOKENS, STRING);
    if (tokens === undefined) throw metadata.wrongType(TOKENS, "an array of string");
    const size = vocabularySize(gguf);
    const kinds = metadata.array(KINDS, INT32);
    if (kinds !== undefined && kinds.length !== size) {
      throw metadata.wrong(KINDS, `${size} entries, one for each token`, `an array of ${kinds.length}`);
    }
    const vocabulary = new Vocabulary(tokens.strings(), size);
    if (kinds !== undefined) yield* vocabulary.inRanges((from, to) => vocabulary.#readKinds(metadata, kinds, from, to));
    return vocabulary;
  }

  #readKinds(metadata: Metadata, stated: MetadataArray, from: number, to: number): void {
    const { kinds } = this;
    const bytes = stated.encoded();
    for (let token = from, at = 4 * from; token < to; token++, at += 4) {
      const kind = bytes[at];
      if (kind > KIND.byte || (bytes[at + 1] | bytes[at + 2] | bytes[at + 3]) !== 0) {
        throw metadata.wrong(KINDS, "kinds from 0 to 6", `an array with ${stated.at(token)} for token ${token}`);
      }
      kinds[token] = kind;
      if (kind === KIND.byte && this.byteOf(token) < 0) {
        const text = JSON.stringify(this.text(token));
        throw metadata.wrong(TOKENS, "<0x00> to <0xFF> for a byte token", `an array whose token ${token} is ${text}`);
      }
    }
  }

  /** Goes through the tokens in ranges, `from` to before `to`, between which the work may pause. */
  inRanges(work: (from: number, to: number) => void): Sliceable<void> {
    return inRanges(this.texts.starts, work);
  }

  /** The text of a token. */
  text(token: number): string {
    return decoder.decode(this.bytes(token));
  }

  /** Where a token's text ends. */
  endOf(token: number): number {
    return this.texts.starts[token + 1] - LENGTH_BYTES;
  }

  /** The bytes of a token's text, as a view. */
  bytes(token: number): Uint8Array {
    return this.texts.bytes.subarray(this.texts.starts[token], this.endOf(token));
  }

  /** The byte that a byte token `<0xNN>` stands for, or -1. */
  byteOf(token: number): number {
    const { bytes, starts } = this.texts;
    const start = starts[token];
    // "<0x" and ">" around two hexadecimal digits.
    if (this.endOf(token) - start !== 6 || bytes[start] !== 60 || bytes[start + 1] !== 48) return -1;
    if (bytes[start + 2] !== 120 || bytes[start + 5] !== 62) return -1;
    const [high, low] = [hexadecimal(bytes[start + 3]), hexadecimal(bytes[start + 4])];
    return high < 0 || low < 0 ? -1 : 16 * high + low;
  }

  /** Notes the first byte token of each byte. */
  noteByteTokens(tokens: Int32Array): void {
    const { kinds } = this;
    for (let token = kinds.lastIndexOf(KIND.byte); token >= 0;) {
      tokens[this.byteOf(token)] = token;
      token = token === 0 ? -1 : kinds.lastIndexOf(KIND.byte, token - 1);
    }
  }

  /** The id under a metadata key; undefined where there is none. */
  special(gguf: Gguf, name: string, fallback?: number): number | undefined {
    return specialId(gguf, name, this.size, fallback);
  }
}

/**
 * How many tokens a model has: as many as its vocabulary lists. The key `vocab_size`, which many files get wrong, counts
 * only where there is no list.
 */
export function vocabularySize({ metadata }: Gguf): number {
  const tokens = metadata.get(TOKENS);
  if (!(tokens instanceof MetadataArray)) {
    return metadata.count(`${metadata.text("general.architecture")}.vocab_size`, { most: MOST });
  }
  if (tokens.length < 1 || tokens.length > MOST) {
    throw metadata.wrong(TOKENS, `1 to ${MOST} tokens`, `an array of ${tokens.length}`);
  }
  return tokens.length;
}

/** What writers put where there is no token: -1, also as an unsigned number. */
const NO_TOKEN: ReadonlySet<unknown> = new Set([-1, 2 ** 32 - 1]);

/**
 * The id of a token under a metadata key.
 *
 * @param size how many tokens there are
 * @param fallback the id where the file has no such key
 * @returns the id, or undefined where there is none
 * @throws {ModelFormatError} if there is no such token
 */
export function specialId({ metadata }: Gguf, name: string, size: number, fallback?: number): number | undefined {
  const key = `tokenizer.ggml.${name}_token_id`;
  if (!metadata.has(key) && fallback === undefined) return undefined;
  if (NO_TOKEN.has(metadata.get(key))) return undefined;
  return metadata.count(key, { least: 0, most: size - 1, ...given({ fallback }) });
}

/** The scores of a vocabulary, one for each token; undefined where the file has none. */
export function readScores({ metadata }: Gguf, size: number): Float32Array | undefined {
  const key = "tokenizer.ggml.scores";
  const value = metadata.get(key);
  if (value === undefined) return undefined;
  const scores = metadata.array(key, 6);
  if (!(scores instanceof MetadataArray) || scores.length !== size) {
    throw metadata.wrong(key, `${size} entries, one for each token`, `an array of ${scores?.length}`);
  }
  const floats = scores.floats();
  for (let token = 0; token < size; token++) {
    if (floats[token] !== floats[token]) throw metadata.wrong(key, "numbers", `an array with NaN for token ${token}`);
  }
  return floats;
}

function hexadecimal(character: number): number {
  if (character >= 48 && character <= 57) return character - 48;
  const letter = character | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}

/** Goes through strings, which begin at `starts`, in ranges from one to before another; the work may pause between two. */
export function* inRanges(starts: Uint32Array, work: (from: number, to: number) => void): Sliceable<void> {
  const count = starts.length - 1;
  for (let from = 0, to = 0; from < count; from = to) {
    to = Math.min(count, from + STRINGS_AT_ONCE);
    while (to > from + 1 && starts[to] - starts[from] > BYTES_AT_ONCE) to = (from + to) >> 1;
    work(from, to);
    yield;
  }
}

/** Finds tokens by their bytes. Of two with the same bytes, the first is found. */
export class TokenIndex {
  readonly #table: StringTable;
  readonly #index: HashIndex;

  private constructor({ texts, size }: Vocabulary) {
    this.#table = texts;
    this.#index = new HashIndex(size);
  }

  /** An index of the tokens that text may become: not of control, unknown and byte tokens, nor of empty ones. */
  static *of(vocabulary: Vocabulary): Sliceable<TokenIndex> {
    const index = new TokenIndex(vocabulary);
    yield* vocabulary.inRanges((from, to) => index.#add(vocabulary.kinds, from, to));
    return index;
  }

  #add(kinds: Uint8Array, from: number, to: number): void {
    const { bytes, starts } = this.#table;
    const index = this.#index;
    const seed = index.seed;
    for (let token = from; token < to; token++) {
      const kind = kinds[token];
      const start = starts[token], end = starts[token + 1] - LENGTH_BYTES;
      if (start === end || kind === KIND.control || kind === KIND.unknown || kind === KIND.byte) continue;
      index.add(hashOf(seed, bytes, start, end), token);
    }
  }

  /** The token whose bytes are those from `start` to before `end`, or -1. */
  find(bytes: Uint8Array, start: number, end: number): number {
    const table = this.#table;
    const hash = hashOf(this.#index.seed, bytes, start, end);
    for (let slot = this.#index.first(hash);; slot = this.#index.next(slot)) {
      const token = this.#index.at(slot);
      if (token < 0) return -1;
      const from = table.starts[token];
      const length = table.starts[token + 1] - LENGTH_BYTES - from;
      if (length === end - start && isEqual(table.bytes, from, bytes, start, end)) return token;
    }
  }
}

/**
 * Numbers of strings by the strings' hashes. A lookup walks the numbers of one hash, in the order in which they were added,
 * and compares the strings itself. Nothing is compared while the index is filled, so hundreds of thousands take little time.
 */
export class HashIndex {
  /** The hash of no bytes: random, so that the author of a file cannot choose strings that all collide. */
  readonly seed: number = crypto.getRandomValues(new Int32Array(1))[0];
  readonly #slots: Int32Array;
  readonly #mask: number;

  /** An index with room for `count` numbers. */
  constructor(count: number) {
    // At most three quarters are used.
    const capacity = 1 << Math.ceil(Math.log2(4 / 3 * count + 2));
    this.#slots = new Int32Array(capacity);
    this.#mask = capacity - 1;
  }

  /** Adds a number. */
  add(hash: number, number: number): void {
    let slot = this.first(hash);
    while (this.#slots[slot] !== 0) slot = slot + 1 & this.#mask;
    this.#slots[slot] = number + 1;
  }

  /** The first slot that a string of this hash can be in. */
  first(hash: number): number {
    return Math.imul(hash ^ hash >>> 15, 0x2c1b3c6d) >>> 8 & this.#mask;
  }

  /** The slot after that. */
  next(slot: number): number {
    return slot + 1 & this.#mask;
  }

  /** The number in a slot, or -1 if there are no more. */
  at(slot: number): number {
    return this.#slots[slot] - 1;
  }
}

/** The hash of the bytes from `start` to before `end`, after those whose hash is `state`. */
export function hashOf(state: number, bytes: Uint8Array, start: number, end: number): number {
  for (let at = start; at < end; at++) state = Math.imul(state ^ bytes[at], 0x01000193);
  return state;
}

/** Whether the bytes of `left` from `from` on are those of `right` from `start` to before `end`. */
export function isEqual(left: Uint8Array, from: number, right: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (left[from + at - start] !== right[at]) return false;
  return true;
}

/** Two pieces as one. */
export function joined(left: Uint8Array, right: Uint8Array): Uint8Array {
  const both = new Uint8Array(left.length + right.length);
  both.set(left);
  both.set(right, left.length);
  return both;
}
