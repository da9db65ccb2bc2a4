/**
 * The scanners of the pre-tokenizers. Each stands for a regular expression, which its comment has, and finds where a match
 * ends that begins at a given place. They are written by hand: their time is in proportion to the match, and their version of
 * Unicode does not depend on the engine.
 *
 * @module
 */
import { CLASS } from "../unicode.ts";

/** A text as code points and the class of each. */
export interface Text {
  readonly codes: Uint32Array;
  readonly classes: Uint8Array;
}

/**
 * The end of the match that begins at `at` and stays before `end`; `at` where there is none. No match begins at the places
 * from `tried` to before `at`.
 */
export type Scanner = (text: Text, at: number, end: number, tried: number) => number;

const { letter: L, number: N, punctuation: P, symbol: S, mark: M, space: W } = CLASS;
const SPACE = 32;
const APOSTROPHE = 39;
const [LF, CR, SLASH] = [10, 13, 47];

/** The end of the longest run of characters of these classes. */
export function run({ classes }: Text, at: number, end: number, mask: number): number {
  while (at < end && (classes[at] & mask) !== 0) at++;
  return at;
}

/** The end of the longest run of characters of none of these classes. */
export function runWithout({ classes }: Text, at: number, end: number, mask: number): number {
  while (at < end && (classes[at] & mask) === 0) at++;
  return at;
}

export function isBreak(code: number): boolean {
  return code === LF || code === CR;
}

export function isBreakOrSlash(code: number): boolean {
  return isBreak(code) || code === SLASH;
}

function isLower(code: number): boolean {
  return code >= 97 && code <= 122;
}

function isUpper(code: number): boolean {
  return code >= 65 && code <= 90;
}

/** `'s|'t|'re|'ve|'m|'ll|'d`, in lower case or in any. */
export function contraction({ codes }: Text, at: number, end: number, anyCase: boolean): number {
  if (codes[at] !== APOSTROPHE || at + 1 >= end) return at;
  const fold = anyCase ? 32 : 0;
  const letterAt = (index: number) => isUpper(codes[index]) ? codes[index] | fold : codes[index];
  const first = String.fromCharCode(letterAt(at + 1));
  if ("stmd".includes(first)) return at + 2;
  if (at + 2 >= end) return at;
  return ["re", "ve", "ll"].includes(first + String.fromCharCode(letterAt(at + 2))) ? at + 3 : at;
}

/** `\s+(?!\S)|\s+`: white space, but for its last character where a word follows. */
export function spaces(text: Text, at: number, end: number): number {
  const stop = run(text, at, end, W);
  return stop < end && stop - at > 1 ? stop - 1 : stop;
}

/** `\s*[\r\n]+`: white space up to its last line break. */
export function spacesWithBreak(text: Text, at: number, end: number): number {
  for (let stop = run(text, at, end, W); stop > at; stop--) {
    if (isBreak(text.codes[stop - 1])) return stop;
  }
  return at;
}

/** `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+` */
export const gpt2: Scanner = (text, at, end) => {
  const short = contraction(text, at, end, false);
  if (short > at) return short;
  const start = text.codes[at] === SPACE ? at + 1 : at;
  if (start < end && (text.classes[start] & W) === 0) {
    const kind = text.classes[start] & (L | N);
    return kind === 0 ? runWithout(text, start, end, W | L | N) : run(text, start, end, kind);
  }
  return spaces(text, at, end);
};

/** ` ?[^\s\p{L}\p{N}]+`, or without characters of more classes, and what may follow of `after`. */
export function signs(text: Text, at: number, end: number, after: (code: number) => boolean, without: number): number {
  const start = text.codes[at] === SPACE ? at + 1 : at;
  let stop = runWithout(text, start, end, without);
  if (stop === start) return at;
  while (stop < end && after(text.codes[stop])) stop++;
  return stop;
}

/** Where the letters of a word begin: `[^\r\n\p{L}\p{N}]?` before a letter, or before another of these classes. */
export function wordStart({ codes, classes }: Text, at: number, end: number, letters: number): number {
  if ((classes[at] & letters) !== 0) return at;
  const prefix = (classes[at] & N) === 0 && !isBreak(codes[at]) && at + 1 < end && (classes[at + 1] & letters) !== 0;
  return prefix ? at + 1 : -1;
}

/** `\p{N}{1,most}` */
export function digits(text: Text, at: number, end: number, most: number): number {
  return run(text, at, Math.min(end, at + most), N);
}

/**
 * `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|
 * \s+(?!\S)|\s+`; with `marks`, `\p{M}` stands beside each `\p{L}` but the first; with `loneBreaks`, no line break
 * belongs to the signs before it; without `contractions`, the first alternative is left out.
 */
export function wordsOf(
  { digits: most, marks = false, loneBreaks = false, contractions = true }: {
    digits: number;
    marks?: boolean;
    loneBreaks?: boolean;
    contractions?: boolean;
  },
): Scanner {
  const letters = marks ? L | M : L;
  const afterSigns = loneBreaks ? () => false : isBreak;
  return (text, at, end) => {
    const short = contractions ? contraction(text, at, end, true) : at;
    if (short > at) return short;
    const start = wordStart(text, at, end, letters);
    if (start >= 0) return run(text, start, end, letters);
    return numbersSignsSpaces(text, at, end, most, afterSigns, W | N | letters);
  };
}

export function numbersSignsSpaces(
  text: Text,
  at: number,
  end: number,
  most: number,
  afterSigns: (code: number) => boolean,
  noSigns: number,
): number {
  const numbers = digits(text, at, end, most);
  if (numbers > at) return numbers;
  const marks = signs(text, at, end, afterSigns, noSigns);
  if (marks > at) return marks;
  const broken = spacesWithBreak(text, at, end);
  return broken > at ? broken : spaces(text, at, end);
}

/**
 * Words that end where capitals begin again, in ASCII:
 * `[^\r\n\p{L}\p{N}]?U*W+s?|[^\r\n\p{L}\p{N}]?U+W*s?|\p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
 * where U is a letter that is not a-z, W one that is not A-Z, and s, with `suffixes`, a contraction; with `marks`, a mark counts
 * as such a letter.
 */
export function casedWordsOf(
  { digits: most, suffixes, marks = false }: { digits: number; suffixes: boolean; marks?: boolean },
): Scanner {
  const letters = marks ? L | M : L;
  return (text, at, end) => {
    const start = wordStart(text, at, end, letters);
    if (start < 0) return numbersSignsSpaces(text, at, end, most, isBreakOrSlash, W | L | N);
    const stop = casedWord(text, start, end, letters);
    return suffixes && stop < end ? contraction(text, stop, end, true) : stop;
  };
}

function casedWord({ codes, classes }: Text, start: number, end: number, letters: number): number {
  const isLetter = (index: number) => index < end && (classes[index] & letters) !== 0;
  let upper = start;
  while (isLetter(upper) && !isLower(codes[upper])) upper++;
  let stop = upper;
  while (isLetter(stop) && !isUpper(codes[stop])) stop++;
  if (stop > upper) return stop;
  // No small letters follow. Those without case count as both, so the word ends after the last of them.
  for (let index = upper - 1; index >= start; index--) {
    if (!isUpper(codes[index])) return index + 1;
  }
  return upper;
}

/** `\p{N}` */
export const number: Scanner = (text, at, end) => digits(text, at, end, 1);

/** `\p{N}+` */
export const numbers: Scanner = (text, at, end) => run(text, at, end, N);

/** `\p{N}{1,3}` */
export const upToThreeNumbers: Scanner = (text, at, end) => digits(text, at, end, 3);

/** `[0-9][0-9][0-9]` */
export const threeDigits: Scanner = ({ codes }, at, end) => {
  if (at + 3 > end) return at;
  for (let index = at; index < at + 3; index++) if (codes[index] < 48 || codes[index] > 57) return at;
  return at + 3;
};

/** `[\p{P}...]+` with some more signs of ASCII. */
export function punctuationAnd(more: string): Scanner {
  return ({ codes, classes }, at, end) => {
    while (
      at < end && ((classes[at] & P) !== 0 || codes[at] < 128 && more.includes(String.fromCharCode(codes[at])))
    ) {
      at++;
    }
    return at;
  };
}

/** ` ?[^(\s|.,!?…。，、।۔،)]+` */
export const untilPunctuation: Scanner = ({ codes, classes }, at, end) => {
  const isEnd = (index: number) =>
    (classes[index] & W) !== 0 ||
    "(|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)".includes(String.fromCodePoint(codes[index]));
  const start = codes[at] === SPACE ? at + 1 : at;
  let stop = start;
  while (stop < end && !isEnd(stop)) stop++;
  return stop > start ? stop : at;
};

/** `[\r\n]` */
export const lineBreak: Scanner = ({ codes }, at) => isBreak(codes[at]) ? at + 1 : at;

/** `\s?` and then a run; no match without the run. */
function afterSpace(
  text: Text,
  at: number,
  end: number,
  scanner: (text: Text, at: number, end: number) => number,
): number {
  const start = (text.classes[at] & W) !== 0 ? at + 1 : at;
  if (start >= end) return at;
  const stop = scanner(text, start, end);
  return stop > start ? stop : at;
}

/** `\s?\p{L}+` */
export const letters: Scanner = (text, at, end) => afterSpace(text, at, end, (_, from, to) => run(text, from, to, L));

/** `\s?\p{P}+` */
export const punctuation: Scanner = (text, at, end) =>
  afterSpace(text, at, end, (_, from, to) => run(text, from, to, P));

/** `\s+$`: white space is walked through once, since it ends where it ended from the place before. */
export const spacesAtEnd: Scanner = (text, at, end, tried) => {
  if (at > tried && (text.classes[at - 1] & W) !== 0) return at;
  return run(text, at, end, W) === end ? end : at;
};

/** A run of characters in one of these ranges, written `first last` for each. */
export function inRanges(ranges: string): (text: Text, at: number, end: number) => number {
  let codes: readonly number[] | undefined; // read when first asked for: most vocabularies need none of them
  const isIn = (codes: readonly number[], code: number) => {
    for (let index = 0; index < codes.length; index += 2) {
      if (code >= codes[index] && code <= codes[index + 1]) return true;
    }
    return false;
  };
  return (text, at, end) => {
    const read = codes ??= Array.from(ranges, (character) => character.codePointAt(0) ?? 0);
    while (at < end && isIn(read, text.codes[at])) at++;
    return at;
  };
}

/** `[一-龥぀-ゟ゠-ヿ]+` */
export const kanaOrHan: Scanner = inRanges("\u4e00\u9fa5\u3040\u309f\u30a0\u30ff");

/** `[一-龥ࠀ-一가-퟿]+` */
export const deepseekHan: Scanner = inRanges("\u4e00\u9fa5\u0800\u4e00\uac00\ud7ff");

// The ideographic space U+3000 counts as white space only, although the expression lists it.
const deepseekSigns = inRanges("!/:~\uff01\uff0f\uff1a\uff5e\u2018\u201f\u3001\u3002");

/** `\s?[!-/:-~！-／：-～‘-‟\u3000-。]+` */
export const deepseekPunctuation: Scanner = (text, at, end) => afterSpace(text, at, end, deepseekSigns);

/** Letters that have case in Latin, Greek, Cyrillic, Armenian and a few more scripts, as DeepSeek LLM lists them. */
const deepseekLetters = inRanges(
  "AZaz\u00b5\u00b5\u00c0\u00d6\u00d8\u00f6\u00f8\u01ba\u01bc\u01bf\u01c4\u0293\u0295\u02af\u0370\u0373\u0376\u0377" +
    "\u037b\u037d\u037f\u037f\u0386\u0386\u0388\u038a\u038c\u038c\u038e\u03a1\u03a3\u03f5\u03f7\u0481\u048a\u052f" +
    "\u0531\u0556\u10a0\u10c5\u13a0\u13f5\u13f8\u13fd\u1c90\u1cba\u1cbd\u1cbf\u1d00\u1d2b\u1d6b\u1d77\u1d79\u1d9a" +
    "\u1e00\u1f15\u1f18\u1f1d\u1f20\u1f45\u1f48\u1f4d\u1f50\u1f57\u1f59\u1f59\u1f5b\u1f5b\u1f5d\u1f5d\u1f5f\u1f7d" +
    "\u1f80\u1fb4\u1fb6\u1fbc\u1fbe\u1fbe\u1fc2\u1fc4\u1fc6\u1fcc\u1fd0\u1fd3\u1fd6\u1fdb\u1fe0\u1fec\u1ff2\u1ff4" +
    "\u1ff6\u1ffc\u2102\u2102\u2107\u2107\u210a\u2113\u2115\u2115\u2119\u211d\u2124\u2124\u2126\u2126\u2128\u2128" +
    "\u212a\u212d\u212f\u2134\u2139\u2139\u213c\u213f\u2145\u2149\u214e\u214e\u2183\u2184\u2c00\u2c7b\u2c7e\u2ce4" +
    "\u2ceb\u2cee\u2cf2\u2cf3\ua640\ua66d\ua680\ua69b\ua722\ua76f\ua771\ua787\ua78b\ua78e\uab70\uabbf\ufb00\ufb06" +
    "\ufb13\ufb17\uff21\uff3a\uff41\uff5a\u{10400}\u{1044f}\u{104b0}\u{104d3}\u{104d8}\u{104fb}\u{10c80}\u{10cb2}" +
    "\u{10cc0}\u{10cf2}\u{118a0}\u{118df}\u{1e900}\u{1e943}",
);

/** `\s?` and such letters. */
export const casedLetters: Scanner = (text, at, end) => afterSpace(text, at, end, deepseekLetters);

/**
 * ``[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|
 * \s*[\r\n]+|\s+(?!\S)|\s+``; with `loneBreaks`, no line break belongs to the signs before it, and each is by itself.
 */
export function deepseekWordOf({ loneBreaks }: { loneBreaks: boolean }): Scanner {
  return (text, at, end) => {
    const { codes, classes } = text;
    const isAscii = (index: number) => index < end && (isLower(codes[index]) || isUpper(codes[index]));
    if (codes[at] < 128 && (classes[at] & (P | S)) !== 0 && isAscii(at + 1)) {
      let stop = at + 1;
      while (isAscii(stop)) stop++;
      return stop;
    }
    const prefix = (classes[at] & (L | P | S)) === 0 && !isBreak(codes[at]);
    if (prefix && at + 1 < end && (classes[at + 1] & (L | M)) !== 0) return run(text, at + 1, end, L | M);
    if ((classes[at] & (L | M)) !== 0) return run(text, at, end, L | M);
    const start = codes[at] === SPACE ? at + 1 : at;
    let stop = run(text, start, end, P | S);
    if (stop > start) {
      while (!loneBreaks && stop < end && isBreak(codes[stop])) stop++;
      return stop;
    }
    if (loneBreaks) return isBreak(codes[at]) ? at + 1 : spaces(text, at, end);
    const broken = spacesWithBreak(text, at, end);
    return broken > at ? broken : spaces(text, at, end);
  };
}
