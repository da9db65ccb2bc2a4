/**
 * What stands between the quotes of a string in a template, with Python's escapes read.
 *
 * @module
 */

const SIMPLE: Readonly<Record<string, string>> = {
  "\n": "",
  "\\": "\\",
  "'": "'",
  '"': '"',
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};
const DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

/** The characters of a string literal; an escape that nothing knows stays as it is. `fail` throws. */
export function unescape(source: string, fail: (reason: string) => never): string {
  if (!source.includes("\\")) return source;
  return source.replace(
    /\\(?:([xuU])([0-9a-fA-F]*)|([0-7]{1,3})|(N\{[^}]*\}?)|([^]))/gu,
    (whole, kind?: string, hex?: string, octal?: string, named?: string, other?: string) => {
      if (octal !== undefined) return String.fromCharCode(parseInt(octal, 8));
      if (named !== undefined) return fail("characters by their Unicode names (\\N) are not supported");
      if (kind !== undefined && hex !== undefined) return coded(kind, hex, fail);
      if (other === undefined) return whole;
      const known = SIMPLE[other];
      if (known !== undefined) return known;
      // Python spells what is beyond ASCII before it reads escapes.
      const code = other.codePointAt(0) as number;
      return code < 128 ? whole : `\\${spelled(code)}`;
    },
  ).toWellFormed();
}

function coded(kind: string, hex: string, fail: (reason: string) => never): string {
  const count = DIGITS[kind];
  if (hex.length < count) fail(`truncated \\${kind}${"X".repeat(count)} escape`);
  const code = parseInt(hex.slice(0, count), 16);
  if (code > 0x10ffff) fail("illegal Unicode character");
  return String.fromCodePoint(code) + hex.slice(count);
}

function spelled(code: number): string {
  const hex = code.toString(16);
  if (code < 0x100) return `x${hex.padStart(2, "0")}`;
  return code < 0x10000 ? `u${hex.padStart(4, "0")}` : `U${hex.padStart(8, "0")}`;
}
