/**
 * Tokenizers: text to tokens and back, as the vocabulary of a model file says. Here is what all kinds have in common:
 * special tokens, the beginning and end of a text, and decoding in pieces; the kinds are in files of their own.
 *
 * @module
 */
import { InvalidArgumentError } from "../../../ffi/errors.ts";
import type { Gguf } from "../../files/gguf/read.ts";
import { atOnce } from "../../machine/sliced.ts";
import { ByteLevel } from "./bpe.ts";
import type { TextRun } from "../types.ts";
import { claimEndTokens } from "./ends.ts";
import type { TextModel } from "./model.ts";
import { SentencePiece } from "./spm.ts";
import { type Fragment, SpecialTokens } from "./special.ts";
import { decodeUtf8, type StreamDecoder, Utf8Stream } from "./stream.ts";
import { joinRuns } from "./runs.ts";
import { KIND, Vocabulary } from "./vocabulary.ts";

export type { StreamDecoder } from "./stream.ts";

/** Options for turning text into tokens. */
export interface EncodeOptions {
  /** Put the tokens for the beginning and the end of a text around it, if the model wants them. Default: true. */
  readonly addSpecial?: boolean;
  /** Turn the texts of control tokens, such as `<|im_end|>`, into these tokens. Never for what a user typed. Default: false. */
  readonly parseSpecial?: boolean;
}

/** Options for turning tokens into text. */
export interface DecodeOptions {
  /** Show control tokens. Default: false. */
  readonly special?: boolean;
  /** The tokens go on after others, so a space at their beginning belongs to the text. Default: false. */
  readonly continued?: boolean;
}

/** A model's vocabulary at work. */
export interface Tokenizer {
  /** How many tokens there are. */
  readonly vocabularySize: number;
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
  /** The tokens of a text. A lone surrogate counts as U+FFFD. */
  encode(text: string, options?: EncodeOptions): Uint32Array;
  /**
   * The tokens of a prompt whose parts are told apart by where they came from. It is tokenized as the one text that it is;
   * control tokens are read where all their characters are a template's.
   */
  encodeRuns(runs: readonly TextRun[], options?: Pick<EncodeOptions, "addSpecial">): Uint32Array;
  /** The text of tokens. Bytes that are not UTF-8 become U+FFFD. */
  decode(tokens: ArrayLike<number>, options?: DecodeOptions): string;
  /** The bytes of one token; of a control token, its name's. */
  piece(token: number): Uint8Array;
  /** A decoder for tokens that arrive one by one. */
  stream(options?: DecodeOptions): StreamDecoder;
}

/** Options for making a tokenizer. */
export interface TokenizerOptions {
  /** Use the default pre-tokenizer where the file names an unknown one; the tokens may be slightly wrong then. */
  readonly allowUnknownPreTokenizer?: boolean;
}

const NOTHING = new Uint8Array(0);
/** Special ids that are checked though nothing here uses them: a user of them may rely on it. */
const OTHER_IDS = [
  "padding",
  "mask",
  "cls",
  "seperator",
  "separator",
  "fim_pre",
  "fim_suf",
  "fim_mid",
  "fim_pad",
  "fim_rep",
  "fim_sep",
  "prefix",
  "suffix",
  "middle",
];

/**
 * Makes the tokenizer of a model file.
 *
 * @example
 * ```ts
 * import { loadTokenizer, readGguf } from "@lightgpt/lightgpt";
 *
 * const tokenizer = loadTokenizer(readGguf("model.gguf"));
 * console.log(tokenizer.decode(tokenizer.encode("Once upon a time")));
 * ```
 */
export function loadTokenizer(gguf: Gguf, options: TokenizerOptions = {}): Tokenizer {
  return new FileTokenizer(gguf, options);
}

class FileTokenizer implements Tokenizer {
  readonly vocabularySize: number;
  readonly bos?: number;
  readonly eos?: number;
  readonly addBos: boolean;
  readonly addEos: boolean;
  readonly endOfGeneration: ReadonlySet<number>;
  readonly #vocabulary: Vocabulary;
  readonly #model: TextModel;
  readonly #special: SpecialTokens;

  constructor(gguf: Gguf, options: TokenizerOptions) {
    const { metadata } = gguf;
    const kind = metadata.text("tokenizer.ggml.model");
    if (kind !== "llama" && kind !== "gpt2") {
      throw metadata.wrong("tokenizer.ggml.model", "llama or gpt2", `'${kind}', which is not supported`);
    }
    const vocabulary = new Vocabulary(gguf);
    const sentencePiece = kind === "llama";
    const id = (name: string, fallback?: number) =>
      vocabulary.special(gguf, name, sentencePiece ? fallback : undefined);
    const bos = id("bos", 1);
    const eos = id("eos", 2);
    const unknown = id("unknown", 0);
    if (bos !== undefined) this.bos = bos;
    if (eos !== undefined) this.eos = eos;
    for (const name of OTHER_IDS) id(name);
    this.endOfGeneration = claimEndTokens(vocabulary, [eos, id("eot"), id("eom")]);
    const model = sentencePiece
      ? new SentencePiece(gguf, vocabulary, unknown)
      : new ByteLevel(gguf, vocabulary, unknown, options.allowUnknownPreTokenizer ?? false);
    const addBos = model instanceof ByteLevel ? model.addBos : true;
    this.addBos = metadata.flag("tokenizer.ggml.add_bos_token", addBos) && bos !== undefined;
    this.addEos = metadata.flag("tokenizer.ggml.add_eos_token", false) && eos !== undefined;
    this.vocabularySize = vocabulary.size;
    this.#vocabulary = vocabulary;
    this.#model = model;
    this.#special = new SpecialTokens(vocabulary, metadata);
  }

  encode(text: string, { addSpecial = true, parseSpecial = false }: EncodeOptions = {}): Uint32Array {
    if (typeof text !== "string") {
      throw new InvalidArgumentError(`The text to tokenize is a ${typeof text}; expected a string.`, { where: "text" });
    }
    return this.#join(atOnce(this.#special.split(text.toWellFormed(), parseSpecial)), addSpecial);
  }

  encodeRuns(runs: readonly TextRun[], { addSpecial = true }: Pick<EncodeOptions, "addSpecial"> = {}): Uint32Array {
    const { text, foreign } = joinRuns(runs);
    return this.#join(atOnce(this.#special.split(text, true, foreign)), addSpecial);
  }

  #join(fragments: readonly Fragment[], addSpecial: boolean): Uint32Array {
    const tokens: number[] = [];
    if (addSpecial && this.addBos && this.bos !== undefined) tokens.push(this.bos);
    let afterSpecial = true;
    for (const fragment of fragments) {
      if (typeof fragment === "number") tokens.push(fragment);
      else this.#model.encode(afterSpecial && this.#model.spacePrefix ? ` ${fragment}` : fragment, tokens);
      afterSpecial = typeof fragment === "number";
    }
    if (addSpecial && this.addEos && this.eos !== undefined) tokens.push(this.eos);
    return Uint32Array.from(tokens);
  }

  decode(tokens: ArrayLike<number>, options: DecodeOptions = {}): string {
    const visible = this.#visible(options);
    let bytes = new Uint8Array(4 * tokens.length + 64);
    let length = 0;
    for (let index = 0; index < tokens.length; index++) {
      const piece = visible(tokens[index]);
      if (length + piece.length > bytes.length) {
        const larger = new Uint8Array(2 * (length + piece.length));
        larger.set(bytes);
        bytes = larger;
      }
      bytes.set(piece, length);
      length += piece.length;
    }
    return decodeUtf8(bytes.subarray(0, length));
  }

  piece(token: number): Uint8Array {
    if (!(Number.isInteger(token) && token >= 0 && token < this.vocabularySize)) {
      throw new InvalidArgumentError(`There is no token ${token}; expected 0 to ${this.vocabularySize - 1}.`, {
        what: "no such token",
        where: "token",
        expected: `0 to ${this.vocabularySize - 1}`,
        got: `${token}`,
      });
    }
    return this.#model.piece(token);
  }

  stream(options: DecodeOptions = {}): StreamDecoder {
    const utf8 = new Utf8Stream();
    const visible = this.#visible(options);
    return { push: (token) => utf8.push(visible(token)), end: () => utf8.end() };
  }

  /** What each of a sequence of tokens adds to the text. */
  #visible({ special = false, continued = false }: DecodeOptions): (token: number) => Uint8Array {
    const { kinds } = this.#vocabulary;
    // The space that `encode` puts before a text.
    let prefixed = this.#model.spacePrefix && !continued;
    return (token) => {
      const piece = this.piece(token);
      const kind = kinds[token];
      if ((kind === KIND.control || kind === KIND.unknown) && !special) return NOTHING;
      const skip = prefixed && kind === KIND.normal && piece[0] === 32 ? 1 : 0;
      if (piece.length > 0) prefixed = false;
      return piece.subarray(skip);
    };
  }
}
