/**
 * What a tokenizer is to the rest of the program: text to tokens and back, with its options.
 *
 * @module
 */
import type { TextRun } from "../types.ts";
import type { StreamDecoder } from "./stream.ts";

/**
 * Options for turning text into tokens.
 *
 * @example
 * ```ts
 * import { type EncodeOptions, LightGPT } from "@lightgpt/lightgpt";
 *
 * const options: EncodeOptions = { addSpecial: false };
 * await using lm = await LightGPT.load();
 * console.log(lm.tokenize("Once upon a time", options));
 * ```
 */
export interface EncodeOptions {
  /**
   * Put the tokens for the beginning and the end of a text around it, if the file asks for them.
   *
   * @default {true}
   */
  readonly addSpecial?: boolean;
  /**
   * Turn the texts of control tokens, such as `<|im_end|>`, into these tokens. Never do this with text that users wrote.
   *
   * @default {false}
   */
  readonly parseSpecial?: boolean;
  /**
   * The text is a prompt, which is to be continued: the token for the end of a text does not follow it, even if the file asks
   * for one (`add_eos_token`).
   *
   * @default {false}
   */
  readonly isPrompt?: boolean;
}

/**
 * Options for tokenizing a text of any length while the event loop goes on.
 *
 * @example
 * ```ts
 * import { type EncodeAsyncOptions, LightGPT } from "@lightgpt/lightgpt";
 *
 * const options: EncodeAsyncOptions = { signal: AbortSignal.timeout(1000), addSpecial: false };
 * await using lm = await LightGPT.load();
 * const tokens = await lm.model.tokenizer.encodeAsync("Once upon a time ".repeat(1000), options);
 * console.log(tokens.length);
 * ```
 */
export interface EncodeAsyncOptions extends EncodeOptions {
  /** Ends the work, with a `CancelledError`. */
  readonly signal?: AbortSignal;
  /**
   * Tokens that the text may have. A longer one is refused, mostly before it is tokenized.
   *
   * @default {any number}
   */
  readonly context?: number;
  /**
   * What the error calls a text that is too long.
   *
   * @default {"text"}
   */
  readonly name?: string;
}

/**
 * Options for turning tokens into text.
 *
 * @example
 * ```ts
 * import { type DecodeOptions, LightGPT } from "@lightgpt/lightgpt";
 *
 * const options: DecodeOptions = { special: true };
 * await using lm = await LightGPT.load();
 * const { tokenizer } = lm.model;
 * console.log(tokenizer.decode(tokenizer.encode("Once upon a time"), options)); // with "<s>"
 * ```
 */
export interface DecodeOptions {
  /**
   * Show control tokens.
   *
   * @default {false}
   */
  readonly special?: boolean;
  /**
   * The tokens go on after others, so a space at their beginning belongs to the text.
   *
   * @default {false}
   */
  readonly continued?: boolean;
}

/**
 * A model's vocabulary at work: text to tokens and back.
 *
 * @example
 * ```ts
 * import { LightGPT, type Tokenizer } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const tokenizer: Tokenizer = lm.model.tokenizer;
 * console.log(tokenizer.vocabularySize, tokenizer.encode("Once upon a time"));
 * ```
 */
export interface Tokenizer {
  /** How many tokens there are. */
  readonly vocabularySize: number;
  /** Whether the file has a vocabulary. Without one, ids have no text: all that takes or gives text throws. */
  readonly hasText: boolean;
  /** The token for the beginning of a text. */
  readonly bos?: number;
  /** The token for its end. */
  readonly eos?: number;
  /** Whether `encode` begins with `bos`. */
  readonly addBos: boolean;
  /** Whether `encode` ends with `eos`. */
  readonly addEos: boolean;
  /** The tokens that end a generated text. */
  readonly endOfGeneration: ReadonlySet<number>;
  /**
   * Turns a text into tokens, all at once. A lone surrogate counts as U+FFFD; what the vocabulary cannot spell is dropped or
   * becomes the unknown token, as in llama.cpp.
   *
   * @returns the ids
   * @throws {InvalidArgumentError} if `text` is not a string
   */
  encode(text: string, options?: EncodeOptions): Uint32Array;
  /**
   * Turns a prompt into tokens whose parts are told apart by where they came from. It is tokenized as the one text that it is;
   * control tokens are read where all their characters are a template's. No second `bos` is put before a prompt that begins
   * with one.
   *
   * @returns the ids
   */
  encodeRuns(runs: readonly TextRun[], options?: Pick<EncodeOptions, "addSpecial">): Uint32Array;
  /**
   * Does what `encode`, or for runs `encodeRuns`, does; the event loop has its turn every few milliseconds.
   *
   * @returns the ids
   * @throws {CancelledError} once the signal is aborted
   * @throws {InvalidArgumentError} if the text has more tokens than `context`
   */
  encodeAsync(text: string | readonly TextRun[], options?: EncodeAsyncOptions): Promise<Uint32Array>;
  /**
   * Turns tokens into text. Bytes that are not UTF-8 become U+FFFD.
   *
   * @returns the text
   * @throws {InvalidArgumentError} if one is not the id of a token
   */
  decode(tokens: ArrayLike<number>, options?: DecodeOptions): string;
  /**
   * The bytes of one token; those of a control token are its name's.
   *
   * @returns a copy
   * @throws {InvalidArgumentError} if it is not the id of a token
   */
  piece(token: number): Uint8Array;
  /**
   * The bytes that a token adds to a text that goes on: none for a control token, and what {@link piece} gives for others.
   *
   * @throws InvalidArgumentError for an id that the vocabulary doesn't have.
   */
  textBytes(token: number): Uint8Array;
  /**
   * A decoder for tokens that arrive one by one.
   *
   * @returns a decoder for one text
   */
  stream(options?: DecodeOptions): StreamDecoder;
}

/**
 * Options for making the tokenizer of a file.
 *
 * @example
 * ```ts
 * import { loadTokenizer, readGguf, type TokenizerOptions } from "@lightgpt/lightgpt";
 *
 * const options: TokenizerOptions = { allowUnknownPreTokenizer: true };
 * console.log((await loadTokenizer(readGguf("model.gguf"), options)).vocabularySize);
 * ```
 */
export interface TokenizerOptions {
  /**
   * Use the default pre-tokenizer where the file names an unknown one; the tokens may be slightly wrong then.
   *
   * @default {false}
   */
  readonly allowUnknownPreTokenizer?: boolean;
  /** Ends the work, with a `CancelledError`. */
  readonly signal?: AbortSignal;
}
