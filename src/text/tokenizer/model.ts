/**
 * What a kind of vocabulary offers: text to tokens, and a token's bytes. Special tokens, the beginning and the end of a text
 * and the decoding of streams are the same for all kinds and lie in `tokenizer.ts`.
 *
 * @module
 */
import type { Gguf } from "../../files/gguf/read.ts";
import type { Sliceable } from "../../options/sliced.ts";
import type { TokenList } from "./token_list.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** Bytes of a text that are tokenized between two places where the work may pause; a longer word pauses by itself. */
export const BYTES_AT_ONCE = 1 << 14;

/** Turns text without special tokens into tokens, and tokens into bytes. */
export interface TextModel {
  /** Whether `encode` puts a space before a text and before what follows a special token, so that decoding takes it off. */
  readonly spacePrefix: boolean;
  /** By byte, 1 where a character that has only such bytes is always part of a token: it is never dropped. */
  readonly spelled: Uint8Array;
  /** Whether a text begins with `bos` where the file doesn't say; undefined where all vocabularies of the kind are alike. */
  readonly addsBos?: boolean;
  /**
   * Appends the tokens of a well-formed text to `out`. What the vocabulary cannot spell is dropped or the unknown token.
   *
   * @param afterSpecial whether the text begins, or follows a special token
   */
  encode(text: string, out: TokenList, afterSpecial: boolean): Sliceable<void>;
  /** The bytes of a token, as a copy. */
  piece(token: number): Uint8Array;
}

/** Options for reading a model, beside the file. */
export interface ModelOptions {
  /** The kind's name in the file. */
  readonly kind: string;
  /** The unknown token, where it may stand for text. */
  readonly unknown: number | undefined;
  /** Whether an unknown pre-tokenizer is the default one. */
  readonly allowUnknown: boolean;
}

/** What reads and checks what is special to a kind of vocabulary: the class of its model. */
export interface ModelReader {
  read(gguf: Gguf, vocabulary: Vocabulary, options: ModelOptions): Sliceable<TextModel>;
}
