/**
 * How a Unigram vocabulary normalizes a text before it is cut into pieces, as sentencepiece does: user-defined tokens stay,
 * what the character map has is replaced, blanks are trimmed and joined where the file asks for it, and each becomes U+2581.
 *
 * @module
 */
import type { Metadata } from "../../files/gguf/read.ts";
import type { Sliceable } from "../../options/sliced.ts";
import { CharacterMap } from "./charsmap.ts";

const BLANK = 32;
const BLANK_BYTES = Uint8Array.of(BLANK);
const ESCAPED = Uint8Array.of(0xe2, 0x96, 0x81);
/** Bytes between two places where the work may pause. */
const BYTES_AT_ONCE = 1 << 14;

/** The rules of one file. */
export class Normalizer {
  /** Whether a blank is put in front of a text. */
  readonly addsSpace: boolean;
  readonly #trims: boolean;
  readonly #isSuffix: boolean;
  /** What a blank becomes. */
  readonly #space: Uint8Array;
  readonly #map: CharacterMap | undefined;

  /** Reads and checks them. */
  constructor(metadata: Metadata) {
    this.addsSpace = metadata.flag("tokenizer.ggml.add_space_prefix", true);
    this.#trims = metadata.flag("tokenizer.ggml.remove_extra_whitespaces", true);
    this.#isSuffix = metadata.flag("tokenizer.ggml.treat_whitespace_as_suffix", false);
    this.#space = metadata.flag("tokenizer.ggml.escape_whitespaces", true) ? ESCAPED : BLANK_BYTES;
    this.#map = CharacterMap.read(metadata);
  }

  /**
   * A well-formed text normalized.
   *
   * @param kept for each place the bytes from there on that stay as they are; undefined: none do
   */
  *normalize(bytes: Uint8Array, kept: Int32Array | undefined): Sliceable<Uint8Array> {
    const out = new Bytes(bytes.length + 8);
    let begun = false;
    let afterBlank = this.#trims;
    for (let at = 0, pause = BYTES_AT_ONCE; at < bytes.length;) {
      const [from, start, end, length] = this.#next(bytes, at, kept?.[at] ?? 0);
      at += length;
      let begin = start;
      if (afterBlank) { while (begin < end && from[begin] === BLANK) begin++; }
      if (begin < end) {
        if (!begun && this.addsSpace && !this.#isSuffix) out.add(this.#space, 0, this.#space.length);
        begun = true;
        for (let index = begin; index < end; index++) {
          if (from[index] === BLANK) out.add(this.#space, 0, this.#space.length);
          else out.add(from, index, index + 1);
        }
        afterBlank = this.#trims && from[end - 1] === BLANK;
      }
      if (at < pause) continue;
      yield;
      pause = at + BYTES_AT_ONCE;
    }
    if (this.#trims) { while (out.endsWith(this.#space)) out.length -= this.#space.length; }
    if (begun && this.addsSpace && this.#isSuffix) out.add(this.#space, 0, this.#space.length);
    return out.toArray();
  }

  /** What comes of the text at `at`: bytes from `start` to before `end`, in place of `length` bytes. */
  #next(bytes: Uint8Array, at: number, kept: number): [Uint8Array, number, number, number] {
    if (kept > 0) return [bytes, at, at + kept, kept];
    const found = this.#map?.find(bytes, at);
    if (found !== undefined) return [found.bytes, 0, found.bytes.length, found.length];
    const length = characterBytes(bytes[at]);
    return [bytes, at, at + length, length];
  }
}

/** The length of the UTF-8 character that begins with `byte`. */
export function characterBytes(byte: number): number {
  return byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

/** Bytes in an array that grows. */
class Bytes {
  length = 0;
  #bytes: Uint8Array;

  constructor(capacity: number) {
    this.#bytes = new Uint8Array(capacity);
  }

  add(from: Uint8Array, start: number, end: number): void {
    if (this.length + end - start > this.#bytes.length) {
      const larger = new Uint8Array(2 * (this.length + end - start));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    for (let at = start; at < end; at++) this.#bytes[this.length++] = from[at];
  }

  endsWith(tail: Uint8Array): boolean {
    if (this.length < tail.length) return false;
    return tail.every((byte, index) => this.#bytes[this.length - tail.length + index] === byte);
  }

  toArray(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }
}
