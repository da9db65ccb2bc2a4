/**
 * What a kind of vocabulary has to offer: text to tokens, and a token's bytes. Special tokens, the beginning and end of a
 * text and the decoding of streams are the same for all and lie in `tokenizer.ts`.
 *
 * @module
 */

/** Turns text without special tokens into tokens, and tokens into bytes. */
export interface TextModel {
  /** Whether a space is put before a text, and before what follows a special token. */
  readonly spacePrefix: boolean;
  /** Appends the tokens of a well-formed text to `out`. */
  encode(text: string, out: number[]): void;
  /** The bytes of a token, as a copy. */
  piece(token: number): Uint8Array;
}
