/**
 * The tokens of a vocabulary as a trie of their bytes, as native code builds and walks it: built once for a tokenizer.
 *
 * @module
 */
import { native } from "../../ffi/native.ts";
import { inSlices, SharedWork, type Sliceable } from "../machine/sliced.ts";
import { layOut } from "../text/tokenizer/token_bytes.ts";
import type { Tokenizer } from "../text/tokenizer/types.ts";

/** A trie. */
export interface TokenTrie {
  /** How many nodes there are, tokens, bytes of the longest token; then the nodes. Native code alone reads these. */
  readonly words: Uint32Array;
  /** How many nodes there are. */
  readonly nodes: number;
  /** Tokens of the vocabulary. */
  readonly tokens: number;
  /** Bytes of the longest token. */
  readonly longest: number;
  /** Room for the places of one walk: how many, then those that are walked, and those that are found. */
  readonly open: Uint32Array;
}

const tries = new WeakMap<Tokenizer, SharedWork<TokenTrie>>();

/** The trie of a tokenizer, of all tokens that are part of a text; the event loop goes on while the first caller's is built. */
export async function trieOf(tokenizer: Tokenizer): Promise<TokenTrie> {
  let trie = tries.get(tokenizer);
  if (trie === undefined) tries.set(tokenizer, trie = new SharedWork(build(tokenizer)));
  return await inSlices(trie.get());
}

function* build(tokenizer: Tokenizer): Sliceable<TokenTrie> {
  const { vocabularySize, endOfGeneration } = tokenizer;
  const bytesOf = (token: number) => endOfGeneration.has(token) ? none : tokenizer.textBytes(token);
  const { bytes, starts } = yield* layOut(vocabularySize, bytesOf);
  // Three words before the nodes, three for each, of which there are at most as many as bytes, and one for each token.
  const room = new Uint32Array(3 + 3 * bytes.length + vocabularySize);
  yield;
  const end = native().trie({ text: bytes, starts, trie: room });
  yield;
  const words = room.slice(0, end);
  const nodes = words[0];
  return { words, nodes, tokens: words[1], longest: words[2], open: new Uint32Array(1 + 4 * (nodes + 1)) };
}

const none = new Uint8Array(0);
