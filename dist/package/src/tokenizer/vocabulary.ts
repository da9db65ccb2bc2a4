/**
 * The tokens of a vocabulary: their bytes, where they lie in the header, their kinds, and a hash index from bytes to
 * token. No token becomes a JavaScript string, so 200 000 of them are ready in milliseconds. The index has a key of the
 * process, because whoever writes a model file could otherwise choose tokens that all collide.
 *
 * @module
 */
import type { Gguf, StringTable } from "../gguf.ts";
import { MetadataArray } from "../gguf.ts";

/** Kinds of tokens, as in `tokenizer.ggml.token_type`. */
export const KIND = { undefined: 0, normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

const STRING = 8;
const INT32 = 5;
const TOKENS = "tokenizer.ggml.tokens";
const KINDS = "tokenizer.ggml.token_type";
const MOST = 1 << 22;
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Tokens with their kinds. */
export class Vocabulary {
  /** How many tokens there are. */
  readonly size: number;
  /** Their texts as the file has them. */
  readonly texts: StringTable;
  /** Their kinds. */
  readonly kinds: Int32Array;

  /** Reads and checks the tokens of a file. */
  constructor({ metadata }: Gguf) {
    const tokens = metadata.array(TOKENS, STRING);
    if (tokens === undefined) throw metadata.wrongType(TOKENS, "an array of string");
    if (tokens.length < 1 || tokens.length > MOST) {
      throw metadata.wrong(TOKENS, `1 to ${MOST} tokens`, `an array of ${tokens.length}`);
    }
    this.size = tokens.length;
    this.texts = tokens.strings();
    const kinds = metadata.array(KINDS, INT32);
    if (kinds !== undefined && kinds.length !== this.size) {
      throw metadata.wrong(KINDS, `${this.size} entries, one for each token`, `an array of ${kinds.length}`);
    }
    this.kinds = kinds?.integers() ?? new Int32Array(this.size).fill(KIND.normal);
    const bad = this.kinds.findIndex((kind) => kind < KIND.undefined || kind > KIND.byte);
    if (bad >= 0) throw metadata.wrong(KINDS, "kinds from 0 to 6", `${this.kinds[bad]} for token ${bad}`);
    for (let token = 0; token < this.size; token++) {
      if (this.kinds[token] === KIND.byte && this.byteOf(token) < 0) {
        const text = JSON.stringify(this.text(token));
        throw metadata.wrong(TOKENS, "<0x00> to <0xFF> for a byte token", `an array whose token ${token} is ${text}`);
      }
    }
  }

  /** The text of a token. */
  text(token: number): string {
    return decoder.decode(this.bytes(token));
  }

  /** The bytes of a token's text, as a view. */
  bytes(token: number): Uint8Array {
    return this.texts.bytes.subarray(this.texts.starts[token], this.texts.ends[token]);
  }

  /** The byte that a byte token `<0xNN>` stands for, or -1. */
  byteOf(token: number): number {
    const { bytes, starts, ends } = this.texts;
    const start = starts[token];
    // "<0x" and ">" around two hexadecimal digits.
    if (ends[token] - start !== 6 || bytes[start] !== 60 || bytes[start + 1] !== 48) return -1;
    if (bytes[start + 2] !== 120 || bytes[start + 5] !== 62) return -1;
    const [high, low] = [hexadecimal(bytes[start + 3]), hexadecimal(bytes[start + 4])];
    return high < 0 || low < 0 ? -1 : 16 * high + low;
  }

  /** The id under a metadata key, checked; undefined where the file has none and there is no default. */
  special({ metadata }: Gguf, name: string, fallback?: number): number | undefined {
    const key = `tokenizer.ggml.${name}_token_id`;
    if (!metadata.has(key) && fallback === undefined) return undefined;
    const most = this.size - 1;
    return metadata.count(key, { least: 0, most, ...(fallback === undefined ? {} : { fallback }) });
  }
}

/** The numbers of an array that must have one f32 for each token. */
export function readScores({ metadata }: Gguf, size: number): Float32Array | undefined {
  const key = "tokenizer.ggml.scores";
  const value = metadata.get(key);
  if (value === undefined) return undefined;
  const scores = metadata.array(key, 6);
  if (!(scores instanceof MetadataArray) || scores.length !== size) {
    throw metadata.wrong(key, `${size} entries, one for each token`, `an array of ${scores?.length}`);
  }
  const floats = scores.floats();
  const bad = floats.findIndex(Number.isNaN);
  if (bad >= 0) throw metadata.wrong(key, "numbers", `an array with NaN for token ${bad}`);
  return floats;
}

function hexadecimal(character: number): number {
  if (character >= 48 && character <= 57) return character - 48;
  const letter = character | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}

/** Finds tokens by their bytes. Of two with the same bytes the first counts. */
export class TokenIndex {
  readonly #table: StringTable;
  readonly #slots: Int32Array;
  readonly #mask: number;
  readonly #key = crypto.getRandomValues(new Int32Array(1))[0];

  /** An index over the tokens of `table` for which `include` says so; empty ones are left out. */
  constructor(table: StringTable, include: (token: number) => boolean) {
    const size = table.starts.length;
    const capacity = 2 << Math.ceil(Math.log2(size + 1));
    this.#table = table;
    this.#mask = capacity - 1;
    this.#slots = new Int32Array(capacity).fill(-1);
    const { bytes, starts, ends } = table;
    for (let token = 0; token < size; token++) {
      if (starts[token] === ends[token] || !include(token)) continue;
      const hash = this.#hash(this.#key, bytes, starts[token], ends[token]);
      const slot = this.#probe(hash, bytes, starts[token], ends[token], bytes, 0, 0);
      if (this.#slots[slot] < 0) this.#slots[slot] = token;
    }
  }

  /** The token whose bytes are `bytes[start .. end]`, or -1. */
  find(bytes: Uint8Array, start: number, end: number): number {
    return this.#slots[this.#probe(this.#hash(this.#key, bytes, start, end), bytes, start, end, bytes, 0, 0)];
  }

  /** The token whose bytes are two pieces after one another, or -1. */
  findPair(
    left: Uint8Array,
    leftStart: number,
    leftEnd: number,
    right: Uint8Array,
    rightStart: number,
    rightEnd: number,
  ): number {
    const hash = this.#hash(this.#hash(this.#key, left, leftStart, leftEnd), right, rightStart, rightEnd);
    return this.#slots[this.#probe(hash, left, leftStart, leftEnd, right, rightStart, rightEnd)];
  }

  #hash(state: number, bytes: Uint8Array, start: number, end: number): number {
    for (let at = start; at < end; at++) state = Math.imul(state ^ bytes[at], 0x01000193);
    return state;
  }

  /** The slot of the token with these bytes, or the empty slot where it would be. */
  #probe(
    hash: number,
    left: Uint8Array,
    leftStart: number,
    leftEnd: number,
    right: Uint8Array,
    rightStart: number,
    rightEnd: number,
  ): number {
    const { bytes, starts, ends } = this.#table;
    const leftLength = leftEnd - leftStart;
    const length = leftLength + rightEnd - rightStart;
    let slot = Math.imul(hash ^ hash >>> 15, 0x2c1b3c6d) >>> 8 & this.#mask;
    for (;; slot = slot + 1 & this.#mask) {
      const token = this.#slots[slot];
      if (token < 0) return slot;
      const start = starts[token];
      if (ends[token] - start !== length) continue;
      let at = 0;
      while (at < leftLength && bytes[start + at] === left[leftStart + at]) at++;
      if (at < leftLength) continue;
      while (at < length && bytes[start + at] === right[rightStart + at - leftLength]) at++;
      if (at === length) return slot;
    }
  }
}
