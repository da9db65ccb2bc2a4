/**
 * Vocabularies with merges (`gpt2`, `gemma4`): the pre-tokenizer that the file names says whether merges are of bytes or of text
 * as it is.
 *
 * @module
 */
import type { Gguf } from "../../files/gguf/read.ts";
import type { Sliceable } from "../../options/sliced.ts";
import { ByteLevel } from "./bpe.ts";
import type { ModelOptions, TextModel } from "./model.ts";
import { findPreTokenizer, GEMMA4 } from "./pretokenize.ts";
import { RawBpe } from "./raw_bpe.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** Reads and checks what is special to such a vocabulary. */
export function* read(gguf: Gguf, vocabulary: Vocabulary, options: ModelOptions): Sliceable<TextModel> {
  const pre = options.kind === "gemma4" ? GEMMA4 : findPreTokenizer(gguf.metadata, options.allowUnknown);
  return yield* (pre.raw === undefined ? ByteLevel : RawBpe).read(gguf, vocabulary, pre);
}
