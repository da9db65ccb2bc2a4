/**
 * The terminals of Lark's module `common`, as regular expressions.
 *
 * @module
 */
const digits = "[0-9]+";
const decimal = `(?:${digits}\\.(?:${digits})?|\\.${digits})`;
const exponent = `(?:[eE][+-]?${digits})`;
const float = `(?:${digits}${exponent}|${decimal}${exponent}?)`;
const number = `(?:${float}|${digits})`;

/** By name. */
export const COMMON: ReadonlyMap<string, string> = new Map(Object.entries({
  DIGIT: "[0-9]",
  HEXDIGIT: "[0-9a-fA-F]",
  INT: digits,
  SIGNED_INT: `[+-]?${digits}`,
  DECIMAL: decimal,
  _EXP: exponent,
  FLOAT: float,
  SIGNED_FLOAT: `[+-]?${float}`,
  NUMBER: number,
  SIGNED_NUMBER: `[+-]?${number}`,
  ESCAPED_STRING: '"(?:[^"\\\\\\n]|\\\\.)*"',
  LCASE_LETTER: "[a-z]",
  UCASE_LETTER: "[A-Z]",
  LETTER: "[a-zA-Z]",
  WORD: "[a-zA-Z]+",
  CNAME: "[_a-zA-Z][_a-zA-Z0-9]*",
  WS_INLINE: "[ \\t]+",
  WS: "[ \\t\\f\\r\\n]+",
  CR: "\\r",
  LF: "\\n",
  NEWLINE: "(?:\\r?\\n)+",
  SH_COMMENT: "#[^\\n]*",
  CPP_COMMENT: "\\/\\/[^\\n]*",
  C_COMMENT: "\\/\\*(?:[^*]|\\*+[^*\\/])*\\*+\\/",
  SQL_COMMENT: "--[^\\n]*",
}));
