/**
 * The tokenizer of a model file, made at once, for tests of many small vocabularies; a program awaits `loadTokenizer`.
 *
 * @module
 */
import type { Gguf } from "../src/files/gguf/read.ts";
import { atOnce } from "../src/options/sliced.ts";
import { IdsOnly } from "../src/text/tokenizer/ids_only.ts";
import { kindOf, MODEL_READERS } from "../src/text/tokenizer/load.ts";
import { FileTokenizer } from "../src/text/tokenizer/tokenizer.ts";
import type { Tokenizer, TokenizerOptions } from "../src/text/tokenizer/types.ts";

const readers = new Map(
  await Promise.all(Object.entries(MODEL_READERS).map(async ([kind, load]) => [kind, await load()] as const)),
);

/** Does at once what `loadTokenizer` of the package does. */
export function loadTokenizer(gguf: Gguf, options: TokenizerOptions = {}): Tokenizer {
  const kind = kindOf(gguf);
  if (kind === undefined) return new IdsOnly(gguf);
  return atOnce(FileTokenizer.read(gguf, kind, readers.get(kind)!, options.allowUnknownPreTokenizer === true));
}
