/**
 * Writes src/text/unicode.ts: the character classes that pre-tokenizers ask for, from the Unicode data of the Node that runs
 * this. Run it with the Node whose version is to be pinned; the tokens of every model with such text depend on it.
 */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const CLASSES = [
  ["L", /\p{L}/u],
  ["N", /\p{N}/u],
  ["P", /\p{P}/u],
  ["S", /\p{S}/u],
  ["D", /\p{Mn}/u],
  ["M", /\p{M}/u],
  ["W", /\p{White_Space}/u],
  ["C", /\p{Cc}|\p{Cf}|\p{Co}/u],
];
const CODE_POINTS = 0x110000;
const LINE = 100;

const classOf = (code) => {
  if (code >= 0xd800 && code < 0xe000) return "";
  const character = String.fromCodePoint(code);
  return CLASSES.find(([, pattern]) => pattern.test(character))?.[0] ?? "";
};

let text = "";
for (let code = 0, last = 0; code < CODE_POINTS;) {
  const name = classOf(code);
  const start = code;
  while (code < CODE_POINTS && classOf(code) === name) code++;
  if (name === "") continue;
  const gap = start - last;
  text += name + (gap === 0 ? "" : gap.toString(36)) + (code - start === 1 ? "" : `,${(code - start).toString(36)}`);
  last = code;
}

const lines = text.match(new RegExp(`.{1,${LINE}}`, "g")).map((line) => `  "${line}",`).join("\n");
const source = `/**
 * Character classes of Unicode ${process.versions.unicode}: letters, numbers, punctuation, symbols, marks, white space, control characters. Made by
 * scripts/unicode.js; do not edit. Pre-tokenizers use this table and not the engine's \`\\p{...}\`, so that a text has the
 * same tokens in every version of every runtime.
 *
 * @module
 */

/** The version of Unicode that the classes are of. */
export const UNICODE_VERSION = "${process.versions.unicode}";

/**
 * Classes as bits, so that a set of them is one number. A character has one class or none; marks that take no room (Mn) have
 * a bit more. \`control\` are the categories Cc, Cf and Co, without white space.
 */
export const CLASS = { letter: 1, number: 2, punctuation: 4, symbol: 8, mark: 16, space: 32, nonspacing: 64, control: 128 } as const;

/** Runs in order: class, distance from the run before, length (both in base 36; none: 0, 1). */
const RUNS = [
${lines}
];

const BITS: Readonly<Record<string, number>> = { L: 1, N: 2, P: 4, S: 8, M: 16, W: 32, D: 80, C: 128 };
let table: Uint8Array | undefined;

/** The class of every code point; made on first use. */
export function characterClasses(): Uint8Array {
  if (table !== undefined) return table;
  table = new Uint8Array(0x110000);
  let at = 0;
  for (const [, name, gap, length] of RUNS.join("").matchAll(/([A-Z])([0-9a-z]*)(?:,([0-9a-z]+))?/g)) {
    const start = at + (gap === "" ? 0 : parseInt(gap, 36));
    at = start + (length === undefined ? 1 : parseInt(length, 36));
    table.fill(BITS[name], start, at);
  }
  return table;
}
`;
writeFileSync(fileURLToPath(new URL("../src/text/unicode.ts", import.meta.url)), source);
