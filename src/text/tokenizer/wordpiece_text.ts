/**
 * How a WordPiece vocabulary (BERT) normalizes a text and cuts it into words, as Hugging Face's BertNormalizer and
 * BertPreTokenizer do: control characters are dropped, accents and capitals as the file says, Chinese characters and
 * punctuation are words of their own. Character classes are those of the pinned Unicode version; what a character decomposes
 * into and its small letter come from the engine.
 *
 * @module
 */
import type { Metadata } from "../../files/gguf/read.ts";
import { characterClasses, CLASS } from "../unicode.ts";

const { punctuation, nonspacing, space, control, mark } = CLASS;
/** What is decomposed at once, in units: a run of marks is put in order in time that grows with its square. */
const DECOMPOSED_AT_ONCE = 512;
/** Other white space that is a control character; the rest becomes a blank. */
const [TAB, LF, CR, VT, FF, NEL, REPLACEMENT] = [9, 10, 13, 11, 12, 0x85, 0xfffd];
const DROPPED: ReadonlySet<number> = new Set([0, VT, FF, NEL, REPLACEMENT]);
/** Signs of ASCII that count as punctuation beside the categories P: `$ + < = > ^ | ~` and the backtick. */
const ASCII_SIGNS: ReadonlySet<number> = new Set(Array.from("$+<=>^|~`", (sign) => sign.charCodeAt(0)));
/** Marks of Unicode 14 in the block of combining marks, which Hugging Face's table does not have yet: they stay. */
const [NEW_MARK_FIRST, NEW_MARK_LAST] = [0x1ac1, 0x1ace];
/** Ranges of Chinese characters, first and last; U+2B820 to U+2B91F are left out, as in BERT's own code. */
const CHINESE = [
  [0x4e00, 0x9fff],
  [0x3400, 0x4dbf],
  [0x20000, 0x2a6df],
  [0x2a700, 0x2b73f],
  [0x2b740, 0x2b81f],
  [0x2b920, 0x2ceaf],
  [0xf900, 0xfaff],
  [0x2f800, 0x2fa1f],
] as const;

/** The rules of one file. */
export class BertWords {
  readonly #lowers: boolean;
  readonly #strips: boolean;
  readonly #classes = characterClasses();

  /** Reads them. */
  constructor(metadata: Metadata) {
    this.#lowers = metadata.flag("tokenizer.ggml.normalizer.lowercase", true);
    this.#strips = metadata.flag("tokenizer.ggml.normalizer.strip_accents", this.#lowers);
  }

  /** The words of a well-formed text, some at a time. */
  *words(text: string): Generator<readonly string[], void, void> {
    const cutter: Cutter = { words: [], word: "" };
    for (let begin = 0; begin < text.length;) {
      const end = this.#endOfPart(text, begin);
      const part = text.slice(begin, end);
      this.#cut(this.#strips ? part.normalize("NFD") : part, cutter);
      yield cutter.words.splice(0);
      begin = end;
    }
    if (cutter.word !== "") yield [cutter.word];
  }

  /** Cuts a part of a text; what it ends with may go on in the next. */
  #cut(part: string, cutter: Cutter): void {
    for (let at = 0; at < part.length; at++) {
      const code = part.codePointAt(at) ?? 0;
      if (code > 0xffff) at++;
      const classes = this.#classes[code];
      if (code === TAB || code === LF || code === CR) endWord(cutter);
      else if (DROPPED.has(code) || (classes & control) !== 0) continue;
      else if ((classes & space) !== 0) endWord(cutter);
      else if (this.#strips && (classes & nonspacing) !== 0 && !isNewMark(code)) continue;
      else if ((classes & punctuation) !== 0 || ASCII_SIGNS.has(code) || isChinese(code)) {
        endWord(cutter);
        cutter.words.push(String.fromCodePoint(code));
      } else if (!this.#lowers) cutter.word += String.fromCodePoint(code);
      else if (code < 0x80) cutter.word += String.fromCharCode(code >= 65 && code <= 90 ? code + 32 : code);
      else cutter.word += String.fromCodePoint(code).toLowerCase();
    }
  }

  /** Where a part ends that is normalized at once: before a character that is no mark, where there is one. */
  #endOfPart(text: string, begin: number): number {
    const most = Math.min(text.length, begin + DECOMPOSED_AT_ONCE);
    let end = most;
    while (end < text.length && end > begin && this.#continues(text, end)) end--;
    if (end > begin) return end;
    return isLowSurrogate(text, most) ? most - 1 : most;
  }

  /** Whether a part must not begin here: in the middle of a character, or with a mark. */
  #continues(text: string, at: number): boolean {
    return isLowSurrogate(text, at) || (this.#classes[text.codePointAt(at) ?? 0] & mark) !== 0;
  }
}

/** Words that are found, and the one that goes on. */
interface Cutter {
  readonly words: string[];
  word: string;
}

function endWord(cutter: Cutter): void {
  if (cutter.word !== "") cutter.words.push(cutter.word);
  cutter.word = "";
}

function isNewMark(code: number): boolean {
  return code >= NEW_MARK_FIRST && code <= NEW_MARK_LAST;
}

function isLowSurrogate(text: string, at: number): boolean {
  return text.charCodeAt(at) >> 10 === 0xdc00 >> 10;
}

function isChinese(code: number): boolean {
  return code >= 0x3400 && CHINESE.some(([first, last]) => code >= first && code <= last);
}
