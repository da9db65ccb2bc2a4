/**
 * The tokens of a vocabulary as a trie of their bytes, flat and in the order of a walk: a node's children come right behind it,
 * and each node knows where its subtree ends, so that a byte which may not come skips all tokens that begin so. Built once for a
 * vocabulary.
 *
 * @module
 */

/** A trie; node 0 is the first child of the root. */
export interface TokenTrie {
  /** Tokens of the vocabulary. */
  readonly tokens: number;
  /** Bytes of the longest token. */
  readonly longest: number;
  /** The byte of each node. */
  readonly bytes: Uint8Array;
  /** The node behind the subtree of each node. */
  readonly ends: Uint32Array;
  /** How many bytes lead to each node, its own not counted. */
  readonly depths: Uint16Array;
  /** The token that ends at a node, or -1; of those with the same bytes the first in `same`. */
  readonly ids: Int32Array;
  /** The next token with the same bytes, or -1. */
  readonly same: Int32Array;
}

/** Tokens longer than this are in no trie: none of them is ever allowed. */
const longestMost = 1024;

/**
 * Builds the trie of `tokens` tokens.
 *
 * @param bytesOf the bytes of a token; none where it is never part of a text, such as a control token.
 */
export function buildTrie(tokens: number, bytesOf: (token: number) => Uint8Array): TokenTrie {
  const texts: string[] = [];
  const order: number[] = [];
  for (let token = 0; token < tokens; token++) {
    const bytes = bytesOf(token);
    // A character for each byte: the runtime compares strings faster than any loop here compares arrays.
    texts.push(String.fromCharCode(...bytes.subarray(0, longestMost + 1)));
    if (bytes.length > 0 && bytes.length <= longestMost) order.push(token);
  }
  order.sort((a, b) => texts[a] < texts[b] ? -1 : texts[a] > texts[b] ? 1 : a - b);
  const most = order.reduce((sum, token) => sum + texts[token].length, 0);
  const [bytes, depths, ids, ends] = [
    new Uint8Array(most),
    new Uint16Array(most),
    new Int32Array(most).fill(-1),
    new Uint32Array(most),
  ];
  const same = new Int32Array(tokens).fill(-1);
  const path: number[] = []; // the nodes of the token before
  let count = 0;
  let longest = 0;
  let before = "";
  for (const [index, token] of order.entries()) {
    const text = texts[token];
    longest = Math.max(longest, text.length);
    if (index > 0 && text === before) {
      let last = ids[path[path.length - 1]];
      while (same[last] !== -1) last = same[last];
      same[last] = token;
      continue;
    }
    const shared = sharedLength(text, before);
    while (path.length > shared) ends[path.pop() as number] = count;
    for (let at = shared; at < text.length; at++) {
      bytes[count] = text.charCodeAt(at);
      depths[count] = at;
      path.push(count++);
    }
    ids[path[path.length - 1]] = token;
    before = text;
  }
  while (path.length > 0) ends[path.pop() as number] = count;
  const cut = <T extends { slice(begin: number, end: number): T }>(array: T) => array.slice(0, count);
  return { tokens, longest, bytes: cut(bytes), ends: cut(ends), depths: cut(depths), ids: cut(ids), same };
}

function sharedLength(a: string, b: string): number {
  let length = 0;
  while (length < a.length && length < b.length && a.charCodeAt(length) === b.charCodeAt(length)) length++;
  return length;
}
