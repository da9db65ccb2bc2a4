/**
 * What tests of folders of models that read whole texts share: tokenizers made of a file's vocabulary, what sentence-transformers puts
 * beside a model, and what a file holds.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Gguf, type MetadataArray, readGguf } from "../mod.ts";
import type { Folder } from "./huggingface.ts";

/** `tokenizer.json` and `tokenizer_config.json` of WordPiece and Unigram. */
export function tokenizerOf(gguf: Gguf): Pick<Folder, "tokenizer" | "tokenizerConfig"> {
  const { metadata } = gguf;
  const tokens = [...metadata.get("tokenizer.ggml.tokens") as MetadataArray] as string[];
  const kinds = [...metadata.get("tokenizer.ggml.token_type") as MetadataArray] as number[];
  const token = (key: string) => tokens[metadata.get(`tokenizer.ggml.${key}_token_id`) as number] as string;
  const special = (id: number) => ({ id, content: tokens[id], special: kinds[id] === 3 });
  const [cls, sep] = [token("bos"), token("eos")];
  const SpecialToken = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
  const Sequence = (id: string) => ({ Sequence: { id, type_id: 0 } });
  const isPieces = metadata.get("tokenizer.ggml.model") === "bert";
  const between = isPieces ? [sep] : [sep, sep];
  const pair = [cls, "A", ...between, "B", sep].map((id) => id === "A" || id === "B" ? Sequence(id) : SpecialToken(id));
  const post_processor = {
    type: "TemplateProcessing",
    single: [SpecialToken(cls), Sequence("A"), SpecialToken(sep)],
    pair,
  };
  const added_tokens = tokens.flatMap((_, id) => kinds[id] === 3 || kinds[id] === 4 ? [special(id)] : []);
  const tokenizerConfig = {
    cls_token: cls,
    sep_token: sep,
    pad_token: token("padding"),
    unk_token: token("unknown"),
    mask_token: token("mask"),
    ...(isPieces ? {} : { bos_token: cls, eos_token: sep }),
  };
  const flag = (key: string) => metadata.flag(`tokenizer.ggml.${key}`, true);
  if (isPieces) {
    const isPlain = (id: number) => kinds[id] === 1;
    const own = (text: string) => text.startsWith("\u2581") ? text.slice(1) : `##${text}`;
    const vocab = Object.fromEntries(tokens.map((text, id) => [isPlain(id) ? own(text) : text, id]));
    const model = { type: "WordPiece", unk_token: token("unknown"), continuing_subword_prefix: "##", vocab };
    const normalizer = { type: "BertNormalizer", clean_text: true, handle_chinese_chars: true, lowercase: true };
    return {
      tokenizer: { added_tokens, normalizer, pre_tokenizer: { type: "BertPreTokenizer" }, post_processor, model },
      tokenizerConfig,
    };
  }
  const scores = [...metadata.get("tokenizer.ggml.scores") as MetadataArray] as number[];
  const map = metadata.get("tokenizer.ggml.precompiled_charsmap") as MetadataArray | undefined;
  const model = {
    type: "Unigram",
    unk_id: metadata.get("tokenizer.ggml.unknown_token_id"),
    vocab: tokens.map((text, id) => [text, scores[id]]),
  };
  const bytes = map === undefined ? undefined : Buffer.from([...map] as number[]);
  const normalizers = bytes ? [{ type: "Precompiled", precompiled_charsmap: bytes.toString("base64") }] : [];
  const normalizer = { type: "Sequence", normalizers };
  const metaspace = { type: "Metaspace", add_prefix_space: flag("add_space_prefix") };
  const splitters = flag("remove_extra_whitespaces") ? [{ type: "WhitespaceSplit" }, metaspace] : [metaspace];
  const pre_tokenizer = { type: "Sequence", pretokenizers: splitters };
  return { tokenizer: { added_tokens, normalizer, pre_tokenizer, post_processor, model }, tokenizerConfig };
}

/** What sentence-transformers puts beside a model. */
export function writePooling(path: string, name: string, more: object[] = []): void {
  const type = (kind: string) => `sentence_transformers.models.${kind}`;
  const modules = [{ type: type("Transformer"), path: "" }, { type: type("Pooling"), path: "1_Pooling" }, ...more];
  writeFileSync(join(path, "modules.json"), JSON.stringify(modules));
  mkdirSync(join(path, "1_Pooling"), { recursive: true });
  writeFileSync(join(path, "1_Pooling/config.json"), JSON.stringify({ [`pooling_mode_${name}`]: true }));
}

/** The tensors of a file: sizes, types, bytes. */
export function contents(path: string) {
  const bytes = readFileSync(path);
  return new Map(
    [...readGguf(path).tensors.values()].map(({ name, dims, type, offset, bytes: length }) => [
      name,
      { dims: [...dims], type, data: [...bytes.subarray(offset, offset + length)] },
    ]),
  );
}
