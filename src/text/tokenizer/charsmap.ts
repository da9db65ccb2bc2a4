/**
 * The character map of a Unigram vocabulary: which bytes become which others before the text is cut into pieces. A file has it
 * as a double array, a trie in which a child lies at its parent's base, turned by its byte (XOR), and the replacements behind
 * it. Files are hostile: every index is checked against the sizes.
 *
 * @module
 */
import { MetadataArray } from "../../files/gguf/read.ts";
import type { Metadata } from "../../files/gguf/read.ts";

const KEY = "tokenizer.ggml.precompiled_charsmap";
/** The most bytes of what is replaced, and of a replacement: longer ones would let a map make texts slow or large. */
const KEY_BYTES_MOST = 128;
const REPLACEMENT_BYTES_MOST = 256;
const LEAF = 0x100;

/** What a place of a text is replaced by: so many of its bytes by some of `bytes`. */
export interface Replacement {
  readonly length: number;
  readonly bytes: Uint8Array;
}

/** A map from runs of bytes to others. */
export class CharacterMap {
  readonly #units: DataView;
  readonly #count: number;
  readonly #replacements: Uint8Array;

  /** Reads and checks the map of a file; undefined where it has none. */
  static read(metadata: Metadata): CharacterMap | undefined {
    const value = metadata.get(KEY);
    if (value === undefined) return undefined;
    if (!(value instanceof MetadataArray)) throw metadata.wrongType(KEY, "an array of bytes");
    const blob = value.octets();
    if (blob === undefined) throw metadata.wrongType(KEY, "an array of bytes");
    if (blob.length === 0) return undefined;
    const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
    const size = blob.length < 4 ? -1 : view.getUint32(0, true);
    if (size < 4 || size % 4 !== 0 || size > blob.length - 4) {
      throw metadata.wrong(KEY, "a size in bytes, a multiple of 4, and so many bytes", `an array of ${blob.length}`);
    }
    const replacements = blob.subarray(4 + size);
    let length = 0;
    for (const byte of replacements) {
      length = byte === 0 ? 0 : length + 1;
      if (length <= REPLACEMENT_BYTES_MOST) continue;
      throw metadata.wrong(
        KEY,
        `replacements of at most ${REPLACEMENT_BYTES_MOST} bytes`,
        "an array with a longer one",
      );
    }
    return new CharacterMap(new DataView(blob.buffer, blob.byteOffset + 4, size), replacements);
  }

  private constructor(units: DataView, replacements: Uint8Array) {
    this.#units = units;
    this.#count = units.byteLength / 4;
    this.#replacements = replacements;
  }

  /** The replacement of the longest run of bytes that begins at `start`; undefined where none does. */
  find(bytes: Uint8Array, start: number): Replacement | undefined {
    let node = base(this.#unit(0));
    let found = -1;
    let length = 0;
    const end = Math.min(bytes.length, start + KEY_BYTES_MOST);
    for (let at = start; at < end && bytes[at] !== 0; at++) {
      node ^= bytes[at];
      if (node >= this.#count) break;
      const unit = this.#unit(node);
      if ((unit & 0x800000ff) >>> 0 !== bytes[at]) break;
      node ^= base(unit);
      if (node >= this.#count) break;
      if ((unit & LEAF) === 0) continue;
      found = this.#unit(node) & 0x7fffffff;
      length = at + 1 - start;
    }
    if (found < 0 || found >= this.#replacements.length) return undefined;
    const stop = this.#replacements.indexOf(0, found);
    return { length, bytes: this.#replacements.subarray(found, stop < 0 ? this.#replacements.length : stop) };
  }

  #unit(node: number): number {
    return this.#units.getUint32(4 * node, true);
  }
}

/** Where the children of a unit begin. */
function base(unit: number): number {
  return (unit >>> 10 << ((unit & 0x200) >>> 6)) >>> 0;
}
