/**
 * The tokens whose text contains a string. The bytes of all tokens are laid one after the other once for each tokenizer, so a
 * search is one pass over a few megabytes; what was found is kept, since requests ask for the same strings again.
 *
 * @module
 */
import { inSlices, SharedWork, type Sliceable } from "../../options/sliced.ts";
import { layOut, type TokenBytes } from "./token_bytes.ts";
import type { Tokenizer } from "./types.ts";

/** Tokens that are looked at between two places where the work may pause. */
const TOKENS_AT_ONCE = 1 << 12;
/** The most strings of which the tokens are kept, so that users of a server don't fill its memory. */
const KEPT_MOST = 32;

/** What is known of a vocabulary, or being found out. */
interface Known {
  readonly pieces: SharedWork<TokenBytes>;
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
  const known = vocabularies.get(tokenizer) ?? {
    pieces: new SharedWork(layOut(tokenizer.vocabularySize, (token) => tokenizer.piece(token))),
    found: new Map(),
  };
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

/** The tokens that contain `needle`, which has at least one byte. */
function* find(pieces: SharedWork<TokenBytes>, needle: Uint8Array): Sliceable<Uint32Array> {
  const { bytes, starts } = yield* pieces.get();
  const found: number[] = [];
  for (let token = 0; token + 1 < starts.length; token++) {
    if (contains(bytes, starts[token], starts[token + 1], needle)) found.push(token);
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
