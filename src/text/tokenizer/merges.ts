/**
 * The merges of a byte-level vocabulary: texts `left right` in the order of their ranks. They stay where they lie in the
 * header; loading computes their hashes only.
 *
 * @module
 */
import { LENGTH_BYTES, type Metadata, type StringTable } from "../../files/gguf/read.ts";
import type { Sliceable } from "../../options/sliced.ts";
import { RANKS_MOST } from "./merge.ts";
import { HashIndex, hashOf, inRanges, isEqual } from "./vocabulary.ts";

const MERGES = "tokenizer.ggml.merges";
const STRING = 8;
const SPACE = 32;

/** The ranks of pairs of texts. Of two equal merges, the first counts. */
export class Merges {
  readonly #table: StringTable;
  readonly #index: HashIndex;

  private constructor(table: StringTable) {
    this.#table = table;
    this.#index = new HashIndex(table.starts.length - 1);
  }

  /** Reads and checks the merges of a file. */
  static *read(metadata: Metadata): Sliceable<Merges> {
    const merges = metadata.array(MERGES, STRING);
    if (merges === undefined) throw metadata.wrongType(MERGES, "an array of string");
    if (merges.length > RANKS_MOST) {
      throw metadata.wrong(MERGES, `at most ${RANKS_MOST} merges`, `an array of ${merges.length}`);
    }
    const found = new Merges(merges.strings());
    yield* inRanges(found.#table.starts, (from, to) => {
      const bad = found.#add(from, to);
      if (bad < 0) return;
      const text = JSON.stringify(merges.at(bad));
      throw metadata.wrong(MERGES, "two texts with a space between them", `an array whose entry ${bad} is ${text}`);
    });
    return found;
  }

  /**
   * Adds the merges of a range.
   *
   * @returns the first entry that is no merge, or -1
   */
  #add(from: number, to: number): number {
    const { bytes, starts } = this.#table;
    for (let rank = from; rank < to; rank++) {
      const start = starts[rank], end = starts[rank + 1] - LENGTH_BYTES;
      if (separator(bytes, start, end) >= end - 1) return rank;
      this.#index.add(hashOf(this.#index.seed, bytes, start, end), rank);
    }
    return -1;
  }

  /** The rank of a pair of texts in the file's form, or -1 if it does not merge. */
  rankOf(left: Uint8Array, right: Uint8Array): number {
    const { bytes, starts } = this.#table;
    const { seed } = this.#index;
    let hash = hashOf(seed, left, 0, left.length);
    hash = hashOf(hash, SPACE_BYTE, 0, 1);
    hash = hashOf(hash, right, 0, right.length);
    const length = left.length + 1 + right.length;
    for (let slot = this.#index.first(hash);; slot = this.#index.next(slot)) {
      const rank = this.#index.at(slot);
      if (rank < 0) return -1;
      const start = starts[rank], end = starts[rank + 1] - LENGTH_BYTES;
      const space = start + left.length;
      if (end - start !== length || bytes[space] !== SPACE || !isEqual(bytes, start, left, 0, left.length)) {
        continue;
      }
      // A left text may begin with a space; the first space after that one separates.
      if (isEqual(bytes, space + 1, right, 0, right.length) && separator(bytes, start, end) === space) {
        return rank;
      }
    }
  }
}

const SPACE_BYTE = Uint8Array.of(SPACE);

/** Where the space between the texts of a merge is. It is not the first byte, since the left text is not empty. */
function separator(bytes: Uint8Array, start: number, end: number): number {
  let space = start + 1;
  while (space < end && bytes[space] !== SPACE) space++;
  return space;
}
