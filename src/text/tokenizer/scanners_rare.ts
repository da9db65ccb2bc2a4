/**
 * Scanners that one or two families of models have each; `scanners.ts` has the common ones and says what a scanner is.
 *
 * @module
 */
import { CLASS } from "../unicode.ts";
import * as scan from "./scanners.ts";
import type { Scanner, Text } from "./scanners.ts";

const { letter: L, number: N, punctuation: P, mark: M, space: W } = CLASS;
const [TAB, LF, SPACE] = [9, 10, 32];
const [ZERO, NINE] = [48, 57];

function isDigit(code: number): boolean {
  return code >= ZERO && code <= NINE;
}

/** `[^\n]+|[\n]+` */
export const lines: Scanner = ({ codes }, at, end) => {
  const isBreak = codes[at] === LF;
  while (at < end && (codes[at] === LF) === isBreak) at++;
  return at;
};

/** `\S+` */
export const nonSpaces: Scanner = (text, at, end) => scan.runWithout(text, at, end, W);

/** Numbers (`\p{N}`) in threes, counted from the end of their run. The first pass only: the text before `at` is looked at. */
export const numbersFromEnd: Scanner = (text, at, end) => {
  if ((text.classes[at] & N) === 0) return at;
  // Behind the first of a run only threes are left.
  if (at > 0 && (text.classes[at - 1] & N) !== 0) return at + 3;
  const length = scan.run(text, at, end, N) - at;
  return at + (length % 3 || Math.min(length, 3));
};

/** `(?=(\d{3})+(?!\d))`: a cut before each three digits of ASCII, counted from the end of their run; no cut elsewhere. */
export const digitsFromEnd: Scanner = ({ codes }, at, end, tried) => {
  const cut = (from: number): number => {
    for (let stop = from; stop < end;) {
      let after = stop;
      while (after < end && isDigit(codes[after])) after++;
      const length = after - stop;
      if (length >= 3) return stop + length % 3;
      stop = Math.max(after, stop + 1);
    }
    return end;
  };
  // A match ends before threes.
  const isCut = tried === at && at > 0 && isDigit(codes[at - 1]) && isDigit(codes[at]);
  const first = isCut ? at : cut(at);
  if (first > at) return first;
  // Threes follow as far as the run goes; what comes behind them belongs to the last.
  return at + 3 < end && isDigit(codes[at + 3]) ? at + 3 : cut(at + 3);
};

/**
 * `[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|
 * \s+(?!\S)|\s+`
 */
export function suffixedWordsOf(digits: number): Scanner {
  return (text, at, end) => {
    const start = scan.wordStart(text, at, end, L | M);
    if (start < 0) return scan.numbersSignsSpaces(text, at, end, digits, scan.isBreakOrSlash, W | L | N);
    const stop = scan.run(text, start, end, L | M);
    return stop < end ? scan.contraction(text, stop, end, true) : stop;
  };
}

/** Chinese characters, as Kimi K2 counts them. */
const han = scan.inRanges(
  "\u4e00\u9fff\u3400\u4dbf\u{20000}\u{2a6df}\u{2a700}\u{2b73f}\u{2b740}\u{2b81f}\u{2b820}\u{2ceaf}\u{2ceb0}\u{2ebef}" +
    "\uf900\ufaff\u{2f800}\u{2fa1f}",
);

/**
 * `\p{Han}+|[^\r\n\p{L}\p{N}]?[\p{L}--\p{Han}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
 * \s*[\r\n]+|\s+(?!\S)|\s+`
 */
export const kimiWords: Scanner = (text, at, end) => {
  const chinese = han(text, at, end);
  if (chinese > at) return chinese;
  const isLetter = (index: number) =>
    index < end && (text.classes[index] & L) !== 0 && han(text, index, index + 1) === index;
  let stop = scan.wordStart(text, at, end, L);
  if (stop < 0 || !isLetter(stop)) {
    return scan.numbersSignsSpaces(text, at, end, 3, scan.isBreak, W | L | N);
  }
  while (isLetter(stop)) stop++;
  return stop < end ? scan.contraction(text, stop, end, true) : stop;
};

/**
 * `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|
 * \s*[\r\n]|\s+(?!\S)|\s+`: words with single spaces between them are one.
 */
export const phrases: Scanner = (text, at, end) => {
  const short = scan.contraction(text, at, end, true);
  if (short > at) return short;
  const { codes, classes } = text;
  let stop = scan.wordStart(text, at, end, L);
  if (stop < 0) {
    const number = scan.digits(text, at, end, 1);
    if (number > at) return number;
    const marks = scan.signs(text, at, end, () => false, W | L | N);
    if (marks > at) return marks < end && scan.isBreakOrSlash(codes[marks]) ? marks + 1 : marks;
    const broken = scan.spacesWithBreak(text, at, end);
    return broken > at ? broken : scan.spaces(text, at, end);
  }
  for (;;) {
    stop = scan.run(text, scan.run(text, stop, end, L), end, M);
    if (stop < end && (classes[stop] & L) !== 0) continue;
    if (stop + 1 >= end || codes[stop] !== SPACE || (classes[stop + 1] & L) === 0) return stop;
    stop++;
  }
};

/** The runs of blanks that Jais 2 has tokens for, but for one and two. */
const BLANKS = [512, 256, 128, 64, 32, 16, 8, 4] as const;
const jaisWords = scan.wordsOf({ digits: 3 });

/**
 * As `wordsOf({ digits: 3 })`, but blanks without a line break are cut by `\s{512}(?!\S)|\s{256}(?!\S)|...|\s{4}(?!\S)|
 * \s{1,2}(?!\S)|\s{1}`.
 */
export const blanksByPowers: Scanner = (text, at, end) => {
  const { codes, classes } = text;
  const isBlank = (index: number) => (classes[index] & W) !== 0;
  if (!isBlank(at) || at + 1 < end && !isBlank(at + 1)) return jaisWords(text, at, end, at);
  // In the middle of a run no break follows: the first match took all up to the last one.
  const isInside = at > 0 && isBlank(at - 1) && !scan.isBreak(codes[at - 1]);
  const broken = isInside ? at : scan.spacesWithBreak(text, at, end);
  if (broken > at) return broken;
  const length = scan.run(text, at, Math.min(end, at + BLANKS[0] + 1), W) - at;
  const most = at + length === end ? length : length - 1;
  return at + (BLANKS.find((count) => count <= most) ?? Math.max(1, Math.min(2, most)));
};

/** `<sentinel:[0-9]+>` */
export const sentinel: Scanner = (text, at, end) => {
  const begin = literal(text, at, end, "<sentinel:");
  let stop = begin;
  while (stop < end && isDigit(text.codes[stop])) stop++;
  return begin > at && stop > begin && stop < end && text.codes[stop] === 62 ? stop + 1 : at;
};

/** `(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z` */
export const imageToken: Scanner = (text, at, end) => {
  const begin = literal(text, at, end, "IMGIMG");
  let stop = begin;
  while (stop < end && stop < begin + 4 && text.codes[stop] >= 65 && text.codes[stop] <= 73) stop++;
  return begin > at && stop > begin && stop < end && text.codes[stop] === 90 ? stop + 1 : at;
};

function literal({ codes }: Text, at: number, end: number, wanted: string): number {
  if (at + wanted.length > end) return at;
  for (let index = 0; index < wanted.length; index++) if (codes[at + index] !== wanted.charCodeAt(index)) return at;
  return at + wanted.length;
}

/** `([\t\n]|    |  )` */
export const indents: Scanner = ({ codes }, at, end) => {
  if (codes[at] === TAB || codes[at] === LF) return at + 1;
  let stop = at;
  while (stop < end && stop < at + 4 && codes[stop] === SPACE) stop++;
  const blanks = stop - at;
  return blanks === 4 ? at + 4 : blanks >= 2 ? at + 2 : at;
};

/** ``[\p{P}!-/:-@\[-`{-~]`` */
export const oneSign: Scanner = ({ codes, classes }, at) => {
  const code = codes[at];
  const isAscii = code >= 33 && code <= 47 || code >= 58 && code <= 64 || code >= 91 && code <= 96 ||
    code >= 123 && code <= 126;
  return isAscii || (classes[at] & P) !== 0 ? at + 1 : at;
};

const hangul = scan.inRanges("\uac00\ud7a3\u3131\u318e");
const fullSigns = scan.inRanges(
  "\uff01\uff01\u2026\u2026\u201c\u201d\u2018\u2019\u2014\u2014\uff1a\uff1b\uff0c\uff0c\u3001\u303f\ufe30\ufe4f",
);
const bopomofo = scan.inRanges("\u3105\u312f");

/** `[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+` */
export const asianRuns: Scanner = (text, at, end, tried) => {
  for (const scanner of [hangul, fullSigns, bopomofo]) {
    const stop = scanner(text, at, end);
    if (stop > at) return stop;
  }
  return scan.kanaOrHan(text, at, end, tried);
};

/** `[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+`, where the third range begins at U+8C48, as in llama.cpp. */
export const unspacedScripts: Scanner = scan.inRanges(
  "\u4e00\u9fff\u3400\u4dbf\u8c48\ufaff\u3040\u309f\u30a0\u30ff\uff65\uff9f\u2f00\u2fdf\u0e40\u0e7f\u0e80\u0eff\u1780\u17ff" +
    "\u1000\u109f\uaa60\uaa7f\ua9e0\ua9ff\uac00\ud7af\u1100\u11ff",
);
