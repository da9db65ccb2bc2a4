/**
 * The tokens whose text contains a string. The bytes of all tokens are laid one after the other once for each tokenizer, so a
 * search is one pass over a few megabytes; what was found is kept, since requests ask for the same strings again.
 *
 * @module
 */
import { inSlices, SharedWork, type Sliceable } from "../../machine/sliced.ts";
import type { Tokenizer } from "./types.ts";

/** Tokens that are looked at between two places where the work may pause. */
const TOKENS_AT_ONCE = 1 << 12;
/** The most strings of which the tokens are kept, so that users of a server don't fill its memory. */
const KEPT_MOST = 32;

/** The bytes of all tokens. */
interface Pieces {
  readonly bytes: Uint8Array;
  /** Where the bytes of each token end. */
  readonly ends: Uint32Array;
}

/** What is known of a vocabulary, or being found out. */
interface Known {
  readonly pieces: SharedWork<Pieces>;
  /** The tokens that contain a string. */
  readonly found: Map<string, SharedWork<Uint32Array>>;
}

const vocabularies = new WeakMap<Tokenizer, Known>();

/**
 * Finds the tokens that contain any of these strings, while the event loop goes on.
 *
 * @returns their ids, each once
 * @throws {CancelledError} once the signal is aborted
 */
export async function tokensContaining(
  tokenizer: Tokenizer,
  strings: readonly string[],
  signal: AbortSignal,
): Promise<Set<number>> {
  return await inSlices(findAll(tokenizer, strings), signal);
}

function* findAll(tokenizer: Tokenizer, strings: readonly string[]): Sliceable<Set<number>> {
  const known = vocabularies.get(tokenizer) ?? { pieces: new SharedWork(layOut(tokenizer)), found: new Map() };
  vocabularies.set(tokenizer, known);
  const all = new Set<number>();
  for (const string of strings) {
    if (!known.found.has(string) && known.found.size >= KEPT_MOST) known.found.clear();
    const search = known.found.get(string) ?? new SharedWork(find(known.pieces, new TextEncoder().encode(string)));
    known.found.set(string, search);
    for (const token of yield* search.get()) all.add(token);
  }
  return all;
}

function* layOut(tokenizer: Tokenizer): Sliceable<Pieces> {
  let bytes = new Uint8Array(16 * tokenizer.vocabularySize);
  const ends = new Uint32Array(tokenizer.vocabularySize);
  let end = 0;
  for (let token = 0; token < ends.length; token++) {
    const piece = tokenizer.piece(token);
    if (end + piece.length > bytes.length) {
      const larger = new Uint8Array(2 * (end + piece.length));
      larger.set(bytes);
      bytes = larger;
    }
    bytes.set(piece, end);
    ends[token] = end += piece.length;
    if (token % TOKENS_AT_ONCE === 0) yield;
  }
  return { bytes: bytes.slice(0, end), ends };
}

/** The tokens that contain `needle`, which has at least one byte. */
function* find(pieces: SharedWork<Pieces>, needle: Uint8Array): Sliceable<Uint32Array> {
  const { bytes, ends } = yield* pieces.get();
  const found: number[] = [];
  for (let token = 0, begin = 0; token < ends.length; begin = ends[token++]) {
    if (contains(bytes, begin, ends[token], needle)) found.push(token);
    if (token % TOKENS_AT_ONCE === 0) yield;
  }
  return Uint32Array.from(found);
}

function contains(bytes: Uint8Array, begin: number, end: number, needle: Uint8Array): boolean {
  for (let at = begin; at + needle.length <= end; at++) {
    let length = 0;
    while (length < needle.length && bytes[at + length] === needle[length]) length++;
    if (length === needle.length) return true;
  }
  return false;
}
