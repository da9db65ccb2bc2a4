/**
 * What a kind of vocabulary offers: text to tokens, and a token's bytes. Special tokens, the beginning and the end of a text
 * and the decoding of streams are the same for all kinds and lie in `tokenizer.ts`.
 *
 * @module
 */
import type { Sliceable } from "../../machine/sliced.ts";
import type { TokenList } from "./token_list.ts";

/** Bytes of a text that are tokenized between two places where the work may pause; a longer word pauses by itself. */
export const BYTES_AT_ONCE = 1 << 14;

/** Turns text without special tokens into tokens, and tokens into bytes. */
export interface TextModel {
  /** Whether `encode` puts a space before a text and before what follows a special token, so that decoding takes it off. */
  readonly spacePrefix: boolean;
  /** By byte, 1 where a character that has only such bytes is always part of a token: it is never dropped. */
  readonly spelled: Uint8Array;
  /**
   * Appends the tokens of a well-formed text to `out`. What the vocabulary cannot spell is dropped or the unknown token.
   *
   * @param afterSpecial whether the text begins, or follows a special token
   */
  encode(text: string, out: TokenList, afterSpecial: boolean): Sliceable<void>;
  /** The bytes of a token, as a copy. */
  piece(token: number): Uint8Array;
}
