/**
 * The tokens of a vocabulary as a trie of their bytes, as native code builds and walks it: built once for a tokenizer.
 *
 * @module
 */
import { native } from "../../ffi/native.ts";
import type { Tokenizer } from "../text/tokenizer/tokenizer.ts";

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

const tries = new WeakMap<Tokenizer, TokenTrie>();

/** The trie of a tokenizer: of all tokens that are part of a text. */
export function trieOf(tokenizer: Tokenizer): TokenTrie {
  let trie = tries.get(tokenizer);
  if (!trie) tries.set(tokenizer, trie = build(tokenizer));
  return trie;
}

function build(tokenizer: Tokenizer): TokenTrie {
  const { vocabularySize, endOfGeneration } = tokenizer;
  const starts = new Uint32Array(vocabularySize + 1);
  let text = new Uint8Array(16 * vocabularySize);
  let length = 0;
  for (let token = 0; token < vocabularySize; token++) {
    const bytes = endOfGeneration.has(token) ? none : tokenizer.textBytes(token);
    if (length + bytes.length > text.length) {
      const larger = new Uint8Array(2 * (length + bytes.length));
      larger.set(text);
      text = larger;
    }
    text.set(bytes, length);
    starts[token + 1] = length += bytes.length;
  }
  // Three words before the nodes, three for each, of which there are at most as many as bytes, and one for each token.
  const room = new Uint32Array(3 + 3 * length + vocabularySize);
  const words = room.slice(0, native().trie({ text: text.subarray(0, length), starts, trie: room }));
  const nodes = words[0];
  return { words, nodes, tokens: words[1], longest: words[2], open: new Uint32Array(1 + 4 * (nodes + 1)) };
}

const none = new Uint8Array(0);
