/**
 * The tokenizer of a model file without vocabulary: ids have no text. The model runs on ids; what would need their text is
 * refused.
 *
 * @module
 */
import { UnsupportedError } from "../../../ffi/errors.ts";
import type { Gguf } from "../../files/gguf/read.ts";
import { checkInteger } from "../../options/checks.ts";
import type { StreamDecoder } from "./stream.ts";
import type { Tokenizer } from "./types.ts";
import { specialId, vocabularySize } from "./vocabulary.ts";

/** Ids of tokens without texts. */
export class IdsOnly implements Tokenizer {
  readonly vocabularySize: number;
  readonly hasText = false;
  readonly bos?: number;
  readonly eos?: number;
  readonly addBos = false;
  readonly addEos = false;
  readonly endOfGeneration: ReadonlySet<number>;
  readonly #file: string;

  /** Reads the number of tokens, and the ids that begin and end a text where the file has them. */
  constructor(gguf: Gguf) {
    this.#file = gguf.files[0];
    this.vocabularySize = vocabularySize(gguf);
    const id = (name: string) => specialId(gguf, name, this.vocabularySize);
    const [bos, eos] = [id("bos"), id("eos")];
    if (bos !== undefined) this.bos = bos;
    if (eos !== undefined) this.eos = eos;
    this.endOfGeneration = new Set([eos, id("eot"), id("eom")].filter((token) => token !== undefined));
  }

  encode(): never {
    throw this.#withoutText();
  }

  encodeRuns(): never {
    throw this.#withoutText();
  }

  encodeAsync(): Promise<never> {
    return Promise.reject(this.#withoutText());
  }

  decode(): never {
    throw this.#withoutText();
  }

  piece(token: number): never {
    checkToken(token, this.vocabularySize);
    throw this.#withoutText();
  }

  textBytes(token: number): never {
    checkToken(token, this.vocabularySize);
    throw this.#withoutText();
  }

  /** A decoder that gives no text: pieces of a generated sequence have their ids. */
  stream(): StreamDecoder {
    return { isHolding: false, push: () => "", end: () => "" };
  }

  #withoutText(): UnsupportedError {
    return new UnsupportedError(
      `${this.#file} has no vocabulary (tokenizer.ggml.model): its tokens have no text; expected token ids in place of text.`,
      { what: "text for a model without vocabulary", where: "tokenizer.ggml.model", expected: "token ids" },
    );
  }
}

/** Throws unless `token` is an id of a vocabulary of `size` tokens. */
export function checkToken(token: number, size: number): void {
  checkInteger("token", token, 0, size - 1);
}
