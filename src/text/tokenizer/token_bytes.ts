/**
 * The bytes of all tokens of a vocabulary, laid one after the other, for what looks at all of them: a search in their texts, a
 * trie.
 *
 * @module
 */
import type { Sliceable } from "../../options/sliced.ts";

/** The most tokens, and bytes of them, between two places where the work may pause. */
const TOKENS_AT_ONCE = 1 << 12;
const BYTES_AT_ONCE = 1 << 18;

/** The bytes of all tokens. */
export interface TokenBytes {
  readonly bytes: Uint8Array;
  /** Token `t` has the bytes from `starts[t]` to before `starts[t + 1]`. */
  readonly starts: Uint32Array;
}

/** Lays the bytes of `count` tokens one after the other; `bytesOf` gives those of one. */
export function* layOut(count: number, bytesOf: (token: number) => Uint8Array): Sliceable<TokenBytes> {
  let bytes = new Uint8Array(16 * count);
  const starts = new Uint32Array(count + 1);
  let end = 0;
  for (let token = 0, pauseToken = TOKENS_AT_ONCE, pauseByte = BYTES_AT_ONCE; token < count; token++) {
    const piece = bytesOf(token);
    if (end + piece.length > bytes.length) {
      const larger = new Uint8Array(2 * (end + piece.length));
      larger.set(bytes);
      bytes = larger;
    }
    bytes.set(piece, end);
    starts[token + 1] = end += piece.length;
    if (token < pauseToken && end < pauseByte) continue;
    yield;
    pauseToken = token + TOKENS_AT_ONCE;
    pauseByte = end + BYTES_AT_ONCE;
  }
  return { bytes: bytes.subarray(0, end), starts };
}
