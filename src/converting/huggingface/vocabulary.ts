/**
 * `tokenizer.json` of a Hugging Face folder as the vocabulary of a GGUF file: byte-level BPE as `gpt2`, with its merges and
 * the name of its pre-tokenizer; BPE with byte fallback, which was made from a SentencePiece model, as `llama`, with scores
 * that put merges in the same order.
 *
 * @module
 */
import { ModelFormatError, UnsupportedError } from "../../../ffi/errors.ts";
import { VALUE_TYPE } from "../../files/gguf/metadata.ts";
import type { NewValue } from "../../files/gguf/encode.ts";
import { isObject, type JsonFile } from "./json.ts";
import { type Set, setUnigram, setWordPiece, unigramEntries, unsupported } from "./text_vocabulary.ts";
import { flat, preTokenizerName } from "./pretokenizer.ts";

/** Kinds of tokens, as GGUF numbers them. */
const KIND = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** The files that a vocabulary is told by. */
export interface VocabularyFiles {
  readonly path: string;
  readonly tokenizer: JsonFile;
  readonly tokenizerConfig: JsonFile | undefined;
  readonly generationConfig: JsonFile | undefined;
  readonly config: JsonFile;
  /** What GGUF calls the family's pre-tokenizer, where others have the same one; `gemma4` is a kind of vocabulary. */
  readonly pre: string | undefined;
  /** Types of tokens, of a model that reads whole texts. */
  readonly types: number | undefined;
}

/** Tokens by id, with their kinds. */
interface Tokens {
  readonly texts: string[];
  readonly kinds: number[];
  readonly ids: Map<string, number>;
}

/** The metadata of a vocabulary of `size` tokens. */
export function readVocabulary(files: VocabularyFiles, size: number, allowUnknown: boolean): Map<string, NewValue> {
  const { tokenizer } = files;
  const model = tokenizer.object("model");
  const type = model?.text("type") ?? (model?.get("merges") === undefined ? "absent" : "BPE");
  // Only models that read whole texts have these.
  const expected = files.types === undefined ? ["BPE"] : ["BPE", "WordPiece", "Unigram"];
  if (model === undefined || !expected.includes(type)) {
    throw new UnsupportedError(
      `${files.path}: model.type is ${type}, which is not supported; expected ${expected.join(", ")}.`,
      { what: "an unsupported kind of tokenizer", where: "model.type", expected: expected.join(", "), got: type },
    );
  }
  const pieces = model.flag("byte_fallback", false);
  const tokens = readTokens(files, model, size, pieces);
  const merges = type === "BPE" ? readMerges(model) : [];
  const metadata = new Map<string, NewValue>();
  const set = (key: string, value: NewValue) => metadata.set(`tokenizer.ggml.${key}`, value);
  const isRaw = pieces && files.pre === "gemma4";
  if (type === "BPE") set("model", { type: VALUE_TYPE.string, value: isRaw ? "gemma4" : pieces ? "llama" : "gpt2" });
  let texts = tokens.texts;
  if (type === "WordPiece") {
    const isSpecial = (id: number) => tokens.kinds[id] !== KIND.normal;
    texts = setWordPiece(files, model, tokens.texts, isSpecial, set);
  } else if (type === "Unigram") {
    setUnigram(files, model, size, set);
  } else if (isRaw) {
    if (beginsWithSpace(files)) throw unsupported(files.path, "normalizer", "Prepend", "no space before a text");
    set("merges", { type: VALUE_TYPE.string, value: joinedPairs(merges) });
  } else if (pieces) {
    set("pre", { type: VALUE_TYPE.string, value: "default" });
    set("scores", { type: VALUE_TYPE.float32, value: scoresOf(tokens, merges, model) });
    set("add_space_prefix", { type: VALUE_TYPE.bool, value: beginsWithSpace(files) });
  } else {
    checkNormalizer(files);
    const wholeWords = model.flag("ignore_merges", false);
    const pre = preTokenizerName(tokenizer.get("pre_tokenizer"), wholeWords, files, allowUnknown);
    set("pre", { type: VALUE_TYPE.string, value: pre });
    set("merges", { type: VALUE_TYPE.string, value: joinedPairs(merges) });
  }
  set("tokens", { type: VALUE_TYPE.string, value: texts });
  set("token_type", { type: VALUE_TYPE.int32, value: tokens.kinds });
  setSpecial(files, tokens, set);
  if (files.types !== undefined) {
    setAroundPairs(files, tokens, set);
    set("token_type_count", { type: VALUE_TYPE.uint32, value: files.types });
  }
  setTemplates(files, metadata);
  return metadata;
}

/** Pairs as a GGUF file has them. */
function joinedPairs(merges: readonly [string, string][]): string[] {
  return merges.map(([left, right]) => `${left} ${right}`);
}

function readTokens({ tokenizer }: VocabularyFiles, model: JsonFile, size: number, pieces: boolean): Tokens {
  const texts = new Array<string>(size);
  const kinds = new Array<number>(size).fill(KIND.unused);
  const ids = new Map<string, number>();
  const put = (text: unknown, id: unknown, kind: number, where: JsonFile, key: string) => {
    if (
      typeof text !== "string" || text === "" || typeof id !== "number" || !Number.isInteger(id) || id < 0 || id >= size
    ) {
      throw where.wrong(
        key,
        `tokens with ids below vocab_size, ${size} (${JSON.stringify(text)} has ${JSON.stringify(id)})`,
      );
    }
    texts[id] = text;
    kinds[id] = kind;
    ids.set(text, id);
  };
  // Added tokens beyond the embedding, as gemma3's for pictures, are none of a model that has no row for them.
  const added = (tokenizer.list("added_tokens") ?? []).map((token) => isObject(token) ? token : {});
  const beyond = new Map(
    added.filter(({ id }) => Number.isSafeInteger(id) && Number(id) >= size).map(({ content, id }) => [content, id]),
  );
  const isBeyond = (text: unknown, id: unknown) => beyond.has(text) && beyond.get(text) === id;
  const vocabulary = model.text("type") === "Unigram" ? unigramEntries(model) : model.object("vocab")?.entries();
  if (vocabulary === undefined) throw model.wrong("vocab", "an object of tokens and their ids");
  for (const [text, id] of vocabulary) {
    if (isBeyond(text, id)) continue;
    const isByte = pieces && /^<0x[0-9A-Fa-f]{2}>$/.test(text);
    put(text, id, isByte ? KIND.byte : KIND.normal, model, "vocab");
  }
  for (const { id, content, special } of added) {
    if (isBeyond(content, id)) continue;
    put(content, id, special === true ? KIND.control : KIND.userDefined, tokenizer, "added_tokens");
  }
  const unknown = model.text("type") === "Unigram"
    ? texts[model.count("unk_id", { least: 0 })]
    : model.text("unk_token");
  if (model.text("type") !== "WordPiece" && unknown !== undefined && ids.has(unknown)) {
    kinds[ids.get(unknown) as number] = KIND.unknown;
  }
  for (let id = 0; id < size; id++) texts[id] ??= `[PAD${id}]`;
  return { texts, kinds, ids };
}

/** Pairs in the order in which they merge: older files join them by a space. */
function readMerges(model: JsonFile): [string, string][] {
  const list = model.list("merges");
  if (list === undefined) throw model.wrong("merges", "an array of pairs");
  return list.map((merge, index) => {
    const pair = typeof merge === "string" ? merge.split(" ") : merge;
    if (Array.isArray(pair) && pair.length === 2 && pair.every((part) => typeof part === "string" && part !== "")) {
      return [pair[0], pair[1]];
    }
    throw model.wrong("merges", `pairs of tokens (entry ${index} is ${JSON.stringify(merge)?.slice(0, 100)})`);
  });
}

/** A token's score is above those of all that are merged later; what no merge makes has the lowest. */
function scoresOf({ texts, ids }: Tokens, merges: readonly [string, string][], model: JsonFile): number[] {
  const scores = new Array<number>(texts.length).fill(-1e6);
  merges.forEach(([left, right], rank) => {
    const id = ids.get(left + right);
    if (id === undefined) throw model.wrong("merges", `pairs that make a token (entry ${rank} does not)`);
    if (scores[id] === -1e6) scores[id] = -rank;
  });
  return scores;
}

/** Whether a text gets a space before it. */
function beginsWithSpace({ tokenizer, tokenizerConfig, path }: VocabularyFiles): boolean {
  const normalizers = flat(tokenizer.get("normalizer"));
  for (const { type, content, pattern } of normalizers) {
    const replaced = isObject(pattern) ? pattern.String : undefined;
    if (type === "Prepend" || type === "Replace" && replaced === " " && content === "\u2581") continue;
    throw unsupported(path, "normalizer", `${type}`, "none but a space before the text, and spaces as U+2581");
  }
  for (const { type, prepend_scheme: scheme, add_prefix_space: prefix } of flat(tokenizer.get("pre_tokenizer"))) {
    if (type === "Metaspace") return scheme === undefined ? prefix !== false : scheme !== "never";
    if (type !== "Split") throw unsupported(path, "pre_tokenizer", `${type}`, "Metaspace, or none");
  }
  return normalizers.some(({ type }) => type === "Prepend") &&
    (tokenizerConfig?.flag("add_prefix_space", true) ?? true);
}

/** Byte-level text is taken as it is, or composed (NFC), which GGUF has no word for and texts mostly are. */
function checkNormalizer({ tokenizer, path }: VocabularyFiles): void {
  for (const { type } of flat(tokenizer.get("normalizer"))) {
    if (type !== "NFC") throw unsupported(path, "normalizer", `${type}`, "NFC, or none");
  }
}

/** Tokens with a meaning, and whether a text begins or ends with one. */
function setSpecial(files: VocabularyFiles, { ids, texts }: Tokens, set: (key: string, value: NewValue) => void): void {
  const { config, tokenizerConfig, generationConfig, tokenizer } = files;
  const idOf = (name: string): number | undefined => {
    const named = tokenizerConfig?.get(`${name}_token`);
    const text = isObject(named) ? named.content : named;
    if (typeof text === "string" && ids.has(text)) return ids.get(text);
    return idsUnder(config, `${name}_token_id`, texts.length)[0];
  };
  const put = (key: string, id: number | undefined) => {
    if (id !== undefined) set(`${key}_token_id`, { type: VALUE_TYPE.uint32, value: id });
  };
  // What BERT begins and ends a text with has names of its own.
  const [bos, eos] = files.types === undefined
    ? [idOf("bos"), idOf("eos")]
    : [idOf("cls") ?? idOf("bos"), idOf("sep") ?? idOf("eos")];
  put("bos", bos);
  put("eos", eos);
  put("unknown", idOf("unk"));
  put("padding", idOf("pad"));
  // Others that end a generation: the end of a turn, and of a message.
  const ends = [generationConfig, config].flatMap((file) =>
    file === undefined ? [] : idsUnder(file, "eos_token_id", texts.length)
  );
  const [eot, eom] = new Set(ends.filter((id) => id !== eos));
  put("eot", eot);
  put("eom", eom);
  const around = aroundTexts(tokenizer);
  const says = (key: string, id: number | undefined, found: boolean) =>
    set(key, { type: VALUE_TYPE.bool, value: id !== undefined && (tokenizerConfig?.flag(key, found) ?? found) });
  says("add_bos_token", bos, bos !== undefined && around.before.includes(texts[bos]));
  says("add_eos_token", eos, eos !== undefined && around.behind.includes(texts[eos]));
}

/** Tokens that models of whole texts have else, and whether two stand between the texts of a pair. */
function setAroundPairs({ tokenizerConfig, tokenizer }: VocabularyFiles, { ids }: Tokens, set: Set): void {
  const names = [["seperator", "sep"], ["cls", "cls"], ["mask", "mask"]] as const; // the first is spelled so in files
  for (const [key, name] of names) {
    const named = tokenizerConfig?.get(`${name}_token`);
    const text = isObject(named) ? named.content : named;
    const id = typeof text === "string" ? ids.get(text) : undefined;
    if (id !== undefined) set(`${key}_token_id`, { type: VALUE_TYPE.uint32, value: id });
  }
  const isDoubled = flat(tokenizer.get("post_processor")).some(({ type, pair }) => {
    if (type === "RobertaProcessing") return true;
    const steps = Array.isArray(pair) ? pair.map((step) => isObject(step) && isObject(step.SpecialToken)) : [];
    const second = steps.lastIndexOf(false);
    return second >= 2 && steps[second - 1] === true && steps[second - 2] === true;
  });
  set("add_sep_token", { type: VALUE_TYPE.bool, value: isDoubled });
}

/** One id or several, checked. */
function idsUnder(file: JsonFile, key: string, size: number): number[] {
  const value = file.get(key);
  const list = value === undefined ? [] : Array.isArray(value) ? value : [value];
  if (list.some((id) => !Number.isInteger(id) || id < 0 || id >= size)) {
    throw file.wrong(key, `ids from 0 to ${size - 1}`);
  }
  return list;
}

/** The special tokens before and behind a single text. */
function aroundTexts(tokenizer: JsonFile): { before: string[]; behind: string[] } {
  const around = { before: [] as string[], behind: [] as string[] };
  for (const step of flat(tokenizer.get("post_processor"))) {
    if (step.type === "BertProcessing" || step.type === "RobertaProcessing") {
      const [cls, sep] = [step.cls, step.sep].map((token) => Array.isArray(token) ? token[0] : undefined);
      if (typeof cls === "string") around.before.push(cls);
      if (typeof sep === "string") around.behind.push(sep);
    }
    if (step.type !== "TemplateProcessing" || !Array.isArray(step.single)) continue;
    let list = around.before;
    for (const part of step.single) {
      const special = isObject(part) && isObject(part.SpecialToken) ? part.SpecialToken.id : undefined;
      if (typeof special === "string") list.push(special);
      else list = around.behind;
    }
  }
  return around;
}

/** Chat templates: one, or several by name. */
function setTemplates({ tokenizerConfig, path }: VocabularyFiles, metadata: Map<string, NewValue>): void {
  const value = tokenizerConfig?.get("chat_template");
  const list = value === undefined ? [] : Array.isArray(value) ? value : [{ name: "default", template: value }];
  for (const entry of list) {
    const { name, template } = isObject(entry) ? entry : {};
    if (typeof name !== "string" || typeof template !== "string" || !/^\w{1,64}$/.test(name)) {
      throw new ModelFormatError(`${path}: chat_template is damaged; expected a text, or an array of names and texts`, {
        field: "chat_template",
      });
    }
    const key = name === "default" ? "tokenizer.chat_template" : `tokenizer.chat_template.${name}`;
    metadata.set(key, { type: VALUE_TYPE.string, value: template });
  }
}
