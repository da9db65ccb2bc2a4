/**
 * Pre-tokenizers: how a text is cut into words before the merges of byte-level BPE. Each is a list of passes; a pass goes
 * over the pieces of the pass before it and cuts them where its scanner matches. The scanners are the regular expressions of
 * the models' own tokenizers, written by hand in `scanners.ts`.
 *
 * @module
 */
import type { Metadata } from "../../files/gguf/read.ts";
import type { Sliceable } from "../../options/sliced.ts";
import { characterClasses } from "../unicode.ts";
import * as scan from "./scanners.ts";
import * as rare from "./scanners_rare.ts";

/** How a family of models cuts words. */
export interface PreTokenizer {
  /** Scanners, one after the other. */
  readonly passes: readonly scan.Scanner[];
  /** A word that is a token becomes that token, whatever the merges would make of it. */
  readonly wholeWords?: true;
  /** A text begins with BOS where the file has no `add_bos_token`. */
  readonly addBos?: true;
  /** Tokens and merges are text as it is, not bytes as GPT-2 writes them; with `escaped`, spaces are U+2581 in them. */
  readonly raw?: { readonly escaped: boolean; readonly wholeBreaks: boolean };
}

const LLAMA3 = scan.wordsOf({ digits: 3 });
const GPT2: PreTokenizer = { passes: [scan.gpt2] };
const LLAMA_BPE: PreTokenizer = { passes: [LLAMA3], wholeWords: true, addBos: true };
const GPT4: PreTokenizer = { passes: [LLAMA3] };
const QWEN2: PreTokenizer = { passes: [scan.wordsOf({ digits: 1 })] };
const STARCODER: PreTokenizer = { passes: [scan.number, scan.gpt2] };
const GPT4O: PreTokenizer = { passes: [scan.casedWordsOf({ digits: 3, suffixes: true })] };
const DEFAULT: PreTokenizer = {
  passes: [scan.punctuationAnd("$+<=>^~|"), scan.gpt2, scan.numbers, scan.threeDigits],
};
const DEEPSEEK_WORD = scan.deepseekWordOf({ loneBreaks: false });
const DEEPSEEK3: PreTokenizer = { passes: [scan.upToThreeNumbers, scan.kanaOrHan, DEEPSEEK_WORD] };
/** The pre-tokenizer of `tokenizer.ggml.model` = `gemma4`. */
export const GEMMA4: PreTokenizer = { passes: [rare.lines], raw: { escaped: true, wholeBreaks: true } };

/** Pre-tokenizers by the name in `tokenizer.ggml.pre`. */
const PRE_TOKENIZERS: ReadonlyMap<string, PreTokenizer> = new Map([
  ["default", DEFAULT],
  ...named(
    GPT2,
    "gpt-2 phi-2 mpt olmo jais jina-es jina-de jina-v2-es jina-v2-de gigachat roberta-bpe trillion a.x-4.0 mellum " +
      "exaone4 granite-docling modern-bert jina-v1-en jina-v2-code",
  ),
  ...named(LLAMA_BPE, "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano"),
  ...named(GPT4, "dbrx smaug-bpe chatglm-bpe glm4"),
  ...named(
    QWEN2,
    "qwen2 deepseek-r1-qwen stablelm2 megrez hunyuan kormo f2llmv2 grok-2 solar-open bailingmoe " +
      "bailingmoe2 llada-moe",
  ),
  ["seed-coder", { passes: [scan.wordsOf({ digits: 1, loneBreaks: true })] }],
  ["qwen35", { passes: [scan.wordsOf({ digits: 1, marks: true })] }],
  ...named(STARCODER, "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2"),
  ...named(GPT4O, "gpt-4o llama4 minimax-m2 kanana2 talkie"),
  ["tekken", { passes: [scan.casedWordsOf({ digits: 1, suffixes: false })], wholeWords: true, addBos: true }],
  ["falcon", { passes: [scan.punctuationAnd("$+<=>^~|`"), scan.gpt2, scan.threeDigits] }],
  ...named({ passes: [scan.untilPunctuation] }, "poro-chat bloom gpt3-finnish"),
  ["viking", { passes: [scan.untilPunctuation, scan.number] }],
  ...named(DEEPSEEK3, "deepseek-v3 hunyuan-dense joyai-llm hy_v4"),
  ["deepseek-llm", {
    passes: [
      scan.lineBreak,
      scan.casedLetters,
      scan.deepseekPunctuation,
      scan.spacesAtEnd,
      scan.deepseekHan,
      scan.numbers,
    ],
  }],
  ["spark2_5", {
    passes: [scan.upToThreeNumbers, scan.kanaOrHan, scan.deepseekWordOf({ loneBreaks: true }), scan.number],
  }],
  ["minicpm5", { passes: [scan.upToThreeNumbers, scan.wordsOf({ digits: Infinity })], wholeWords: true }],
  ["ufakzeka", { passes: [scan.wordsOf({ digits: 1, contractions: false })] }],
  ["laguna", { passes: [rare.lines, scan.wordsOf({ digits: 1 })] }],
  ["jais-2", { passes: [rare.blanksByPowers] }],
  ["youtu", { passes: [rare.asianRuns, rare.suffixedWordsOf(1)], wholeWords: true }],
  ...named({ passes: [rare.numbersFromEnd, rare.suffixedWordsOf(3)] }, "tiny_aya cohere2moe"),
  ["granite-embed-multi-97m", {
    passes: [scan.casedWordsOf({ digits: 3, suffixes: true, marks: true })],
    wholeWords: true,
  }],
  ["kimi-k2", { passes: [rare.kimiWords] }],
  ["superbpe", { passes: [scan.numbers, rare.digitsFromEnd] }],
  ["exaone-moe", { passes: [rare.phrases] }],
  ["afmoe", { passes: [rare.numbersFromEnd, rare.unspacedScripts, DEEPSEEK_WORD] }],
  ["chameleon", {
    passes: [rare.sentinel, rare.imageToken, rare.indents, scan.number, rare.oneSign, scan.gpt2],
    addBos: true,
  }],
  ...named(GEMMA4, "gemma4 granite-embed-multi-311m"),
  ["sarvam-moe", { passes: [rare.lines], raw: { escaped: true, wholeBreaks: false } }],
  ["whitespace", { passes: [rare.nonSpaces], raw: { escaped: false, wholeBreaks: false } }],
  ["deepseek-coder", {
    passes: [scan.lineBreak, scan.letters, scan.punctuation, scan.deepseekHan, scan.number],
  }],
]);

function named(pre: PreTokenizer, names: string): [string, PreTokenizer][] {
  return names.split(" ").map((name) => [name, pre]);
}

/** Whether two names are of one pre-tokenizer. */
export function cutsAlike(name: string, other: string): boolean {
  const found = PRE_TOKENIZERS.get(name);
  return found !== undefined && found === PRE_TOKENIZERS.get(other);
}

/** The pre-tokenizer that a file names; an unknown one is refused unless `allowUnknown` is set. */
export function findPreTokenizer(metadata: Metadata, allowUnknown: boolean): PreTokenizer {
  const key = "tokenizer.ggml.pre";
  const name = metadata.text(key, "default");
  const found = PRE_TOKENIZERS.get(name) ?? (allowUnknown ? DEFAULT : undefined);
  if (found !== undefined) return found;
  const known = `one of ${PRE_TOKENIZERS.size} names such as llama-bpe, qwen2 and tekken`;
  throw metadata.unsupported(key, `${known} (or allowUnknownPreTokenizer, for the default)`, `'${name}'`);
}

/** Characters that are read between two places where the work may pause. */
const AT_ONCE = 1 << 15;

/**
 * Cuts a well-formed UTF-8 text into words.
 *
 * @returns where the words end, in bytes; each begins where the one before it ends
 */
export function* splitWords(pre: PreTokenizer, bytes: Uint8Array): Sliceable<number[]> {
  const { text, offsets } = yield* decode(bytes);
  let cuts = text.codes.length === 0 ? [] : [text.codes.length];
  for (const scanner of pre.passes) cuts = yield* pass(scanner, text, cuts);
  for (let index = 0; index < cuts.length; index++) {
    cuts[index] = offsets[cuts[index]];
    if (index % AT_ONCE === 0) yield;
  }
  return cuts;
}

/** Cuts each piece further: what the scanner matches, and what lies between its matches. Cuts are where pieces end. */
function* pass(scanner: scan.Scanner, text: scan.Text, cuts: readonly number[]): Sliceable<number[]> {
  const finer: number[] = [];
  let at = 0;
  let pause = AT_ONCE;
  for (const end of cuts) {
    let unmatched = at;
    while (at < end) {
      if (at >= pause) {
        yield;
        pause = at + AT_ONCE;
      }
      const to = scanner(text, at, end, unmatched);
      if (to > at) {
        if (at > unmatched) finer.push(at);
        finer.push(to);
        unmatched = at = to;
      } else {
        at++;
      }
    }
    if (end > unmatched) finer.push(end);
  }
  return finer;
}

/** Code points with their classes, and the byte where each begins. */
function* decode(bytes: Uint8Array): Sliceable<{ text: scan.Text; offsets: Uint32Array }> {
  const codes = new Uint32Array(bytes.length);
  const classes = new Uint8Array(bytes.length);
  const offsets = new Uint32Array(bytes.length + 1);
  const all = characterClasses();
  let count = 0;
  for (let at = 0; at < bytes.length;) {
    for (const pause = Math.min(bytes.length, at + AT_ONCE); at < pause;) {
      const first = bytes[at];
      offsets[count] = at;
      let code = first;
      if (first < 0x80) {
        at += 1;
      } else if (first < 0xe0) {
        code = (first & 31) << 6 | bytes[at + 1] & 63;
        at += 2;
      } else if (first < 0xf0) {
        code = (first & 15) << 12 | (bytes[at + 1] & 63) << 6 | bytes[at + 2] & 63;
        at += 3;
      } else {
        code = (first & 7) << 18 | (bytes[at + 1] & 63) << 12 | (bytes[at + 2] & 63) << 6 | bytes[at + 3] & 63;
        at += 4;
      }
      classes[count] = all[code];
      codes[count++] = code;
    }
    yield;
  }
  offsets[count] = bytes.length;
  return { text: { codes: codes.subarray(0, count), classes: classes.subarray(0, count) }, offsets };
}
