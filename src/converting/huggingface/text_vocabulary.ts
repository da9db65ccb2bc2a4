/**
 * Vocabularies of models that read whole texts: WordPiece as `bert`, with a mark in front of what begins a word where the folder
 * marks what goes on; Unigram as `t5`, with its character map.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { UnsupportedError } from "../../../ffi/errors.ts";
import { VALUE_TYPE } from "../../files/gguf/metadata.ts";
import type { NewValue } from "../../files/gguf/encode.ts";
import { isObject, type JsonFile, type JsonObject } from "./json.ts";
import { flat } from "./pretokenizer.ts";
import { flag, text } from "./own_keys.ts";

export type Set = (key: string, value: NewValue) => void;

/** A tokenizer of a folder, and what it is called in errors. */
interface Place {
  readonly path: string;
  readonly tokenizer: JsonFile;
}

const wordBegins = "\u2581";
const goesOn = "##";
/** Characters of a word that is one unknown token beyond them. */
const wordMost = 100;

/** WordPiece; `isSpecial` tells tokens that stay as they are. Returns the texts of the file's tokens. */
export function setWordPiece(
  { path, tokenizer }: Place,
  model: JsonFile,
  texts: readonly string[],
  isSpecial: (id: number) => boolean,
  set: Set,
): string[] {
  const stated = (key: string, usual: unknown) => {
    const value = model.get(key);
    if (value !== undefined && value !== usual) throw unsupported(path, `model.${key}`, value, usual);
  };
  stated("continuing_subword_prefix", goesOn);
  stated("max_input_chars_per_word", wordMost);
  const [normalizer, ...more] = flat(tokenizer.get("normalizer"));
  if (normalizer?.type !== "BertNormalizer" || more.length > 0) {
    throw unsupported(path, "normalizer", more[0]?.type ?? normalizer?.type, "BertNormalizer");
  }
  for (const key of ["clean_text", "handle_chinese_chars"]) {
    if (normalizer[key] === false) throw unsupported(path, `normalizer.${key}`, false, true);
  }
  const [splitter, ...others] = flat(tokenizer.get("pre_tokenizer"));
  if (splitter?.type !== "BertPreTokenizer" || others.length > 0) {
    throw unsupported(path, "pre_tokenizer", others[0]?.type ?? splitter?.type, "BertPreTokenizer");
  }
  set("model", text("bert"));
  set("pre", text("jina-v2-en")); // what published files of this kind name; nothing reads it
  set("normalizer.lowercase", flag(normalizer.lowercase !== false));
  if (typeof normalizer.strip_accents === "boolean") set("normalizer.strip_accents", flag(normalizer.strip_accents));
  return texts.map((token, id) =>
    isSpecial(id) ? token : token.startsWith(goesOn) ? token.slice(goesOn.length) : wordBegins + token
  );
}

/** What no text is cut into. */
const absentScore = -10_000;

/** Unigram: its pieces lie in the order of their ids. */
export function setUnigram({ path, tokenizer }: Place, model: JsonFile, size: number, set: Set): void {
  const pieces = model.list("vocab") ?? [];
  const scores = new Array<number>(size).fill(absentScore);
  pieces.forEach((piece, id) => scores[id] = (piece as [string, number])[1]);
  const normalizers = flat(tokenizer.get("normalizer"));
  const splitters = flat(tokenizer.get("pre_tokenizer"));
  const maps = normalizers.filter(({ type }) => type === "Precompiled");
  const known = [...normalizers.map(normalizes), ...splitters.map(splits)];
  const foreign = known.find((one) => one !== "ok" && one !== "runs");
  if (foreign !== undefined || maps.length > 1) {
    throw unsupported(
      path,
      "normalizer",
      foreign ?? `${maps.length} of Precompiled`,
      "Precompiled once at most, and Metaspace",
    );
  }
  const metaspace = splitters.find(({ type }) => type === "Metaspace");
  const { prepend_scheme: scheme, add_prefix_space: prefix } = metaspace ?? {};
  set("model", text("t5"));
  set("pre", text("default"));
  set("scores", { type: VALUE_TYPE.float32, value: scores });
  for (const { precompiled_charsmap: map } of maps) {
    if (typeof map !== "string") throw unsupported(path, "normalizer.precompiled_charsmap", map, "a text");
    set("precompiled_charsmap", { type: VALUE_TYPE.uint8, value: [...Buffer.from(map, "base64")] });
  }
  set("add_space_prefix", flag(scheme === undefined ? prefix !== false : scheme !== "never"));
  set("remove_extra_whitespaces", flag(known.includes("runs")));
}

/** The pieces of a Unigram vocabulary and their ids, as those of other kinds have them. */
export function unigramEntries(model: JsonFile): [string, number][] {
  const pieces = model.list("vocab");
  if (pieces === undefined) throw model.wrong("vocab", "an array of pieces and scores");
  return pieces.map((piece, id) => {
    const isPiece = Array.isArray(piece) && typeof piece[0] === "string" && Number.isFinite(piece[1]);
    if (!isPiece) {
      throw model.wrong("vocab", `pieces and scores (entry ${id} is ${JSON.stringify(piece)?.slice(0, 100)})`);
    }
    return [piece[0], id];
  });
}

/** Whether a step is known; `runs`: it makes one blank of several. */
function normalizes({ type, pattern }: JsonObject): string {
  if (type === "Precompiled") return "ok";
  const expression = isObject(pattern) ? pattern.Regex : undefined;
  if (type === "Strip" || (type === "Replace" && expression === " {2,}")) return "runs";
  return `${type}`;
}

function splits({ type }: JsonObject): string {
  return type === "WhitespaceSplit" ? "runs" : type === "Metaspace" ? "ok" : `${type}`;
}

/** The error about a part of a tokenizer that has no place in a file. */
export function unsupported(path: string, where: string, got: unknown, expected: unknown): UnsupportedError {
  return new UnsupportedError(`${path}: the ${where} is ${got}, which is not supported; expected ${expected}.`, {
    what: "an unsupported tokenizer",
    where,
    expected: `${expected}`,
    got: `${got}`,
  });
}
