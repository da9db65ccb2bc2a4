/**
 * Texts that have more tokens than a context holds. Most are refused before they are tokenized: no token is longer than the
 * longest of the vocabulary, so a text of so many bytes has at least so many tokens.
 *
 * @module
 */
import { InvalidArgumentError } from "../../../ffi/errors.ts";

/** The error for a text of `tokens` tokens, such as `at least 9000`, where the context holds fewer. */
export function tooLong(what: string, tokens: string, context: number): InvalidArgumentError {
  return new InvalidArgumentError(`${what}: ${tokens} tokens are more than the context of ${context} holds.`, {
    what: "too long for the context",
    where: what,
    expected: `at most ${context} tokens`,
    got: tokens,
  });
}

/** What a vocabulary says about the bytes of a text. */
export interface ByteRules {
  /** By byte, 1 where a character that has only such bytes is always part of a token. */
  readonly spelled: Uint8Array;
  /** Whether special tokens take white space with them that is then part of no token. */
  readonly strips: boolean;
  /** The bytes of the longest token. */
  readonly longest: number;
}

/**
 * A number of tokens that a text certainly has.
 *
 * @param enough stops counting here
 */
export function leastTokens(text: string, { spelled, strips, longest }: ByteRules, enough: number): number {
  const isAsciiSpelled = (code: number) => spelled[code] !== 0 && !(strips && (code === 32 || code >= 9 && code <= 13));
  const ascii = Uint8Array.from({ length: 0x80 }, (_, code) => isAsciiSpelled(code) ? 1 : 0);
  const isRestSpelled = spelled.subarray(0x80, 0xf5).every((bit) => bit !== 0);
  const bytesMost = enough * longest;
  let bytes = 0;
  for (let at = 0; at < text.length && bytes < bytesMost; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x80) bytes += ascii[code];
    // Two bytes are certain for half a surrogate pair, and for all but the characters of three.
    else if (isRestSpelled) bytes += 2;
  }
  return Math.ceil(bytes / longest);
}
