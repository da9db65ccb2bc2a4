/**
 * Classes of characters as Python's strings know them: white space, line ends, what may be printed, letters, digits, and
 * the cases that JavaScript lacks. Classes come from the table of the pinned Unicode version.
 *
 * @module
 */
import { characterClasses, CLASS } from "../unicode.ts";

/** Whether Python's `str.isspace` and `str.strip` take a UTF-16 unit for white space. */
export function isSpace(unit: number): boolean {
  if (unit < 128) return unit === 32 || unit >= 9 && unit <= 13 || unit >= 28 && unit <= 31;
  return unit === 0x85 || unit === 0xa0 || unit === 0x1680 || unit >= 0x2000 && unit <= 0x200a || unit === 0x2028 ||
    unit === 0x2029 || unit === 0x202f || unit === 0x205f || unit === 0x3000;
}

/** A string without Python's white space at its ends. */
export function stripped(value: string): string {
  let [start, end] = [0, value.length];
  while (start < end && isSpace(value.charCodeAt(start))) start++;
  while (end > start && isSpace(value.charCodeAt(end - 1))) end--;
  return value.slice(start, end);
}

/** Whether `str.splitlines` ends a line at a UTF-16 unit. */
export function isLineEnd(unit: number): boolean {
  return unit >= 10 && unit <= 13 || unit >= 28 && unit <= 30 || unit === 0x85 || unit === 0x2028 || unit === 0x2029;
}

/** Whether `repr` shows a code point as it is. */
export function isPrintable(code: number): boolean {
  if (code < 127) return code >= 32;
  return (characterClasses()[code] & ~CLASS.space) !== 0;
}

/** Whether a code point is a letter. */
export function isLetter(code: number): boolean {
  return (characterClasses()[code] & CLASS.letter) !== 0;
}

/** Whether a character is a decimal digit. */
export function isDecimal(character: string): boolean {
  return /^\p{Nd}$/u.test(character);
}

/** A string with all decimal digits as those of ASCII. */
export function asciiDigits(value: string): string {
  return value.replace(/[^\x20-\x7e]/gu, (character) => {
    if (!isDecimal(character)) return character;
    const code = character.codePointAt(0) as number;
    // Digits come in runs from 0 to 9, some one after the other.
    let zero = code;
    while (isDecimal(String.fromCodePoint(zero - 1))) zero--;
    return String((code - zero) % 10);
  });
}

/** Digits that are no decimal ones: superscripts, circled and the like. */
const OTHER_DIGITS =
  /^[\u00b2\u00b3\u00b9\u1369-\u1371\u19da\u2070\u2074-\u2079\u2080-\u2089\u2460-\u2468\u2474-\u247c\u2488-\u2490\u24ea\u24f5-\u24fd\u24ff\u2776-\u277e\u2780-\u2788\u278a-\u2792\u{10a40}-\u{10a43}\u{10e60}-\u{10e68}\u{11052}-\u{1105a}\u{1f100}-\u{1f10a}]$/u;

/** Whether a character is a digit in Python's sense. */
export function isDigit(character: string): boolean {
  return isDecimal(character) || OTHER_DIGITS.test(character);
}

/** Han characters that are numbers. */
const HAN_NUMBERS = new Set(
  "\u3405\u3483\u382a\u3b4d\u4e00\u4e03\u4e07\u4e09\u4e5d\u4e8c\u4e94\u4e96\u4ebf\u4ec0\u4edf\u4ee8\u4f0d\u4f70" +
    "\u5104\u5146\u5169\u516b\u516d\u5341\u5343\u5344\u5345\u534c\u53c1\u53c2\u53c3\u53c4\u56db\u58f1\u58f9\u5e7a" +
    "\u5efe\u5eff\u5f0c\u5f0d\u5f0e\u5f10\u62fe\u634c\u67d2\u6f06\u7396\u767e\u8086\u842c\u8cae\u8cb3\u8d30\u9621" +
    "\u9646\u964c\u9678\u96f6\uf96b\uf973\uf978\uf9b2\uf9d1\uf9d3\uf9fd\u{20001}\u{20064}\u{200e2}\u{20121}" +
    "\u{2092a}\u{20983}\u{2098c}\u{2099c}\u{20aea}\u{20afd}\u{20b19}\u{22390}\u{22998}\u{23b1b}\u{2626d}\u{2f890}",
);

/** Whether a character is numeric in Python's sense. */
export function isNumeric(character: string): boolean {
  const code = character.codePointAt(0) as number;
  return (characterClasses()[code] & CLASS.number) !== 0 || HAN_NUMBERS.has(character);
}

/** Whether a character has a case: lower, upper or title. */
export function caseOf(character: string): "lower" | "upper" | "title" | undefined {
  if (character >= "a" && character <= "z") return "lower";
  if (character < "\x80") return character >= "A" && character <= "Z" ? "upper" : undefined;
  if (/^\p{Lt}$/u.test(character)) return "title";
  if (/^\p{Lowercase}$/u.test(character)) return "lower";
  return /^\p{Uppercase}$/u.test(character) ? "upper" : undefined;
}

/** Letters of two with a case of their own for titles. */
const TITLES: Readonly<Record<string, string>> = {
  "\u01c4": "\u01c5",
  "\u01c5": "\u01c5",
  "\u01c6": "\u01c5",
  "\u01c7": "\u01c8",
  "\u01c8": "\u01c8",
  "\u01c9": "\u01c8",
  "\u01ca": "\u01cb",
  "\u01cb": "\u01cb",
  "\u01cc": "\u01cb",
  "\u01f1": "\u01f2",
  "\u01f2": "\u01f2",
  "\u01f3": "\u01f2",
};

/** A character as the first of a title. */
export function titleCase(character: string): string {
  const known = TITLES[character];
  if (known !== undefined) return known;
  const code = character.codePointAt(0) as number;
  // Georgian letters stay, and Greek ones with a iota below keep it there.
  if (code >= 0x10d0 && code <= 0x10ff) return character;
  if (code >= 0x1f80 && code <= 0x1faf) return String.fromCodePoint(code | 8);
  if (/[\u1fb3\u1fc3\u1ff3]/.test(character)) return String.fromCodePoint(code + 9);
  if (/[\u1fbc\u1fcc\u1ffc]/.test(character)) return character;
  if (character === "\u0149") return "\u02bcN";
  const [first, ...others] = character.toUpperCase();
  return first + others.join("").replaceAll("\u0399", "\u0345").toLowerCase();
}

/** Whether a name may be a variable's. */
export function isIdentifier(name: string): boolean {
  return /^[\p{XID_Start}_]\p{XID_Continue}*$/u.test(name);
}

/** A character as `str.casefold` has it. */
export function foldCase(character: string): string {
  if (character === "\u0131") return character;
  if (/[\u13a0-\u13fd\uab70-\uabbf]/.test(character)) return character.toUpperCase();
  return character.toUpperCase().toLowerCase();
}
