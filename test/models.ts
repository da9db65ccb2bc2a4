/**
 * Model files made up by tests: metadata values in few words, vocabularies of a few hundred tokens.
 *
 * @module
 */
import { encodeGguf, type NewValue } from "../scripts/gguf-writer.ts";
import { type Gguf, parseGguf } from "../src/files/gguf/read.ts";
import { VALUE_TYPE } from "../src/files/gguf/metadata.ts";
import type { ByteSource } from "../src/files/gguf/reader.ts";

/** Metadata by key. */
export type Values = Record<string, NewValue>;

/** A u32. */
export const u32 = (value: number): NewValue => ({ type: VALUE_TYPE.uint32, value });
/** An f32. */
export const f32 = (value: number): NewValue => ({ type: VALUE_TYPE.float32, value });
/** A bool. */
export const flag = (value: boolean): NewValue => ({ type: VALUE_TYPE.bool, value });
/** A string. */
export const text = (value: string): NewValue => ({ type: VALUE_TYPE.string, value });

/** An array of one type. */
export function arrayOf(type: keyof typeof VALUE_TYPE, values: ArrayLike<number | string | boolean>): NewValue {
  const elements = Array.from(values);
  return { type: VALUE_TYPE.array, value: Object.assign(elements, { elementType: VALUE_TYPE[type] }) };
}

/** Bytes as a source that the parser reads. */
export function memorySource(name: string, bytes: Uint8Array): ByteSource {
  return {
    name,
    size: bytes.length,
    read(target, offset) {
      const part = bytes.subarray(offset, offset + target.length);
      target.set(part);
      return part.length;
    },
  };
}

/** A file with nothing but metadata. */
export function metadataOnly(values: Values): Gguf {
  return parseGguf(memorySource("test.gguf", encodeGguf(new Map(Object.entries(values)), [])));
}

/** The kinds of tokens, by their numbers in the format. */
export const KIND = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** A token with its kind and score; a text alone is a normal one. */
export type Token = string | { text: string; kind?: number; score?: number };

/** The metadata of a SentencePiece vocabulary: `<unk>`, `<s>`, `</s>`, all bytes, then `tokens`, best score first. */
export function sentencePiece(tokens: readonly Token[], changes: Values = {}): Values {
  const bytes = Array.from({ length: 256 }, (_, byte) => ({
    text: `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
    kind: KIND.byte,
  }));
  const all = [
    { text: "<unk>", kind: KIND.unknown },
    { text: "<s>", kind: KIND.control },
    { text: "</s>", kind: KIND.control },
    ...bytes,
    ...tokens,
  ];
  return vocabulary("llama", all, {
    "tokenizer.ggml.bos_token_id": u32(1),
    "tokenizer.ggml.eos_token_id": u32(2),
    ...changes,
  });
}

/** The metadata of a byte-level vocabulary: all bytes, then what `merges` make, then `tokens`. */
export function byteLevel(merges: readonly string[], tokens: readonly Token[], changes: Values = {}): Values {
  const made = merges.map((merge) => merge.replace(/(.) /, "$1"));
  return vocabulary("gpt2", [...byteCharacters, ...made, ...tokens], {
    "tokenizer.ggml.merges": arrayOf("string", merges),
    "tokenizer.ggml.pre": text("gpt-2"),
    ...changes,
  });
}

function vocabulary(model: string, tokens: readonly Token[], changes: Values): Values {
  const all = tokens.map((token) => typeof token === "string" ? { text: token } : token);
  return {
    "tokenizer.ggml.model": text(model),
    "tokenizer.ggml.tokens": arrayOf("string", all.map(({ text }) => text)),
    "tokenizer.ggml.scores": arrayOf("float32", all.map(({ score }, token) => score ?? -token)),
    "tokenizer.ggml.token_type": arrayOf("int32", all.map(({ kind }) => kind ?? KIND.normal)),
    ...changes,
  };
}

/** Words that merge: `▁the`, `▁a`, `ab`, `abc` and their parts. */
export const pieces: readonly string[] = [
  "▁the",
  "▁th",
  "he",
  "▁t",
  "abc",
  "ab",
  "bc",
  "▁a",
  "▁",
  "t",
  "h",
  "e",
  "a",
  "b",
  "c",
  "é",
];
const merges = ["h e", "Ġ t", "Ġt he", "a b", "ab c"];
const specials = [
  { text: "<|im_end|>", kind: KIND.control },
  { text: "<tool>", kind: KIND.userDefined },
  { text: "<tool>s", kind: KIND.userDefined },
];
/** A SentencePiece vocabulary of these pieces, a control token and two user-defined ones. */
export const spm = (changes: Values = {}): Values => sentencePiece([...pieces, ...specials], changes);
/** A byte-level vocabulary with such words, a control token and two user-defined ones. */
export const bpe = (changes: Values = {}): Values => byteLevel(merges, specials, changes);

/** GPT-2's character for each byte. */
export const byteCharacters: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  if (isPrintable(byte)) return String.fromCharCode(byte);
  const before = Array.from({ length: byte }, (_, other) => other).filter((other) => !isPrintable(other)).length;
  return String.fromCharCode(0x100 + before);
});

function isPrintable(byte: number): boolean {
  return byte >= 33 && byte <= 126 || byte >= 161 && byte <= 172 || byte >= 174;
}

/** Random whole numbers below what is asked for: the same for the same seed, whatever the runtime. */
export function randomNumbers(seed: number): (below: number) => number {
  let state = seed | 0;
  return (below) => {
    state = state + 0x9e3779b9 | 0;
    let mixed = Math.imul(state ^ state >>> 16, 0x21f0aaad);
    mixed = Math.imul(mixed ^ mixed >>> 15, 0x735a2d97);
    return Math.floor(((mixed ^ mixed >>> 15) >>> 0) / 2 ** 32 * below);
  };
}
