/**
 * From a model file to its tokenizer. What reads a kind of vocabulary is loaded when a file has one of that kind: a program that
 * imports LightGPT waits for none of it.
 *
 * @module
 */
import { checkGguf, type Gguf, readGguf } from "../../files/gguf/read.ts";
import { modelFile } from "../../files/model_file.ts";
import { inSlices } from "../../options/sliced.ts";
import { guarded } from "../../options/checks.ts";
import { readOptions } from "../../options/schema.ts";
import type { ModelReader } from "./model.ts";
import { tokenizerFields } from "./options.ts";
import type { KindName } from "./tokenizer.ts";
import type { Tokenizer, TokenizerOptions } from "./types.ts";

const KIND_KEY = "tokenizer.ggml.model";

/** What reads each kind of vocabulary, by the kind's name in files. */
export const MODEL_READERS: Readonly<Record<KindName, () => Promise<ModelReader>>> = {
  llama: async () => (await import("./spm.ts")).SentencePiece,
  gpt2: () => import("./byte_pairs.ts"),
  gemma4: () => import("./byte_pairs.ts"),
  t5: async () => (await import("./unigram.ts")).Unigram,
  bert: async () => (await import("./wordpiece.ts")).WordPiece,
};

/**
 * Makes the tokenizer of a model file. The event loop has its turn every few milliseconds: a vocabulary of 262 144 tokens takes a
 * tenth of a second.
 *
 * @param model what `readGguf` gives, the path of a file, or a model's name
 * @returns a tokenizer; of a file without vocabulary (`none`, `no_vocab`), one that knows ids only
 * @throws {UnsupportedError} if the vocabulary's kind or its pre-tokenizer is not supported
 * @throws {ModelFormatError} if the vocabulary is damaged
 * @throws {CancelledError} once the signal is aborted
 * @example
 * ```ts
 * import { loadTokenizer, readGguf } from "@lightgpt/lightgpt";
 *
 * const tokenizer = await loadTokenizer(readGguf("model.gguf"));
 * console.log(tokenizer.decode(tokenizer.encode("Once upon a time")));
 * ```
 */
export async function loadTokenizer(model: Gguf | string | URL, options: TokenizerOptions = {}): Promise<Tokenizer> {
  const { allowUnknownPreTokenizer, signal } = readOptions(tokenizerFields, options);
  const gguf = await openModel(model, signal);
  const kind = kindOf(gguf);
  if (kind === undefined) return new (await import("./ids_only.ts")).IdsOnly(gguf);
  const [{ FileTokenizer }, reader] = await Promise.all([import("./tokenizer.ts"), MODEL_READERS[kind]()]);
  return await inSlices(FileTokenizer.read(gguf, kind, reader, allowUnknownPreTokenizer), signal);
}

async function openModel(model: Gguf | string | URL, signal: AbortSignal | undefined): Promise<Gguf> {
  const isPlace = guarded("model", () => typeof model === "string" || model instanceof URL);
  if (isPlace) return readGguf(await modelFile("model", model, { signal, onProgress: undefined }));
  checkGguf("model", model);
  return model;
}

/** The kind of a file's vocabulary; undefined where it has none. */
export function kindOf({ metadata }: Gguf): KindName | undefined {
  const kind = metadata.text(KIND_KEY);
  if (kind === "none" || kind === "no_vocab") return undefined;
  if (isTextKind(kind)) return kind;
  throw metadata.unsupported(KIND_KEY, `${Object.keys(MODEL_READERS).join(", ")} or none`, `'${kind}'`);
}

function isTextKind(name: string): name is KindName {
  return Object.hasOwn(MODEL_READERS, name);
}
