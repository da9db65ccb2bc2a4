/**
 * Random schemas, the same for the same numbers: schemas of zod, whose own check says what is valid without asking LightGPT, and
 * damaged texts of schemas, grammars and regular expressions.
 *
 * @module
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { dataDirectory } from "./kit.ts";

/** Gives a whole number from 0 to below `limit`. */
export type Random = (limit: number) => number;

/** A schema whose values are short, mostly. */
export function randomSchema(random: Random, depth = 0): z.ZodType {
  const inner = () => randomSchema(random, depth + 1);
  const some = <T>(make: () => T, least: number, most: number) =>
    Array.from({ length: least + random(most - least + 1) }, make);
  switch (random(depth < 3 ? 14 : 8)) {
    case 0:
      return z.string().min(random(3)).max(3 + random(8));
    case 1:
      return z.string().regex([/^[A-Z][a-z]{1,6}$/, /^\d{3}-\d{2}$/, /^(ab|cd)*e?$/, /[xyz]/][random(4)]).max(12);
    case 2:
      return [z.uuid(), z.iso.date(), z.ipv4(), z.email().max(20)][random(4)];
    case 3:
      return z.int().min(-random(1000)).max(random(100_000));
    case 4:
      return z.number().gte(-random(10)).lt(1 + random(50));
    case 5:
      return z.int().multipleOf(1 + random(12)).min(0).max(1000);
    case 6:
      return [z.boolean(), z.null(), z.literal("only"), z.literal([1, true, "x"])][random(4)];
    case 7:
      return z.enum(["red", "green", 'qu"ote', "ümlaut", ""].slice(random(3)) as [string]);
    case 8:
      return z.array(inner()).min(random(2)).max(2 + random(2));
    case 9:
      return z.tuple([inner(), inner()]);
    case 10:
      return z.union([inner(), inner(), z.null()]);
    case 11:
      return z.record(z.enum(["one", "two"]), inner());
    case 12:
      return inner().nullable();
    default: {
      const names = ["name", "size", "a b", "ä", "__proto_", 'q"', "list"];
      const fields = some(() => [names[random(names.length)], random(3) === 0 ? inner().optional() : inner()], 1, 4);
      return z.object(Object.fromEntries(fields));
    }
  }
}

/** A schema of objects that come back to themselves. */
export function randomTree(random: Random): z.ZodType {
  const value = randomSchema(random, 3);
  const tree: z.ZodType = z.object({
    value,
    get kids() {
      return z.array(tree).max(1 + random(2)).optional();
    },
  });
  return tree;
}

/** What a text is. */
export type TextKind = "schema" | "gbnf" | "lark" | "regex";

const larkBases = [
  'start: expr\nexpr: expr "+" term | term\nterm: NUMBER | "(" expr ")"\n%import common.NUMBER\n%ignore /[ \\t]+/',
  'start: item ("," item)~1..3 [END]\nitem: "a"i | /b{2,4}/s\nEND: "." & ~"!" | "x".."z"',
];
const regexBases = ["^(?:a|b)*c{2,30}$", "[^a-f\\d]+(?i:x)?\\p{L}", "(\\w+@\\w+\\.com|\\u{1f600}|[ä-ü]{0,9})"];
const words = [
  "$ref",
  "allOf",
  "anyOf",
  "oneOf",
  "not",
  "if",
  "then",
  "items",
  "prefixItems",
  "contains",
  "properties",
  "patternProperties",
  "additionalProperties",
  "unevaluatedProperties",
  "propertyNames",
  "required",
  "dependentSchemas",
  "minItems",
  "maxLength",
  "multipleOf",
  "pattern",
  "enum",
  "type",
];
const values: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  0.1,
  1e9,
  1e308,
  "",
  "object",
  "#",
  "#/$defs/x",
  "(a|b)*",
  [],
  {},
  ["a", "b"],
  { type: "string" },
  { $ref: "#" },
  { properties: { a: { $ref: "#" } } },
];

/** The texts that are damaged, by what they are. */
export function bases(random: Random): Readonly<Record<TextKind, readonly string[]>> {
  const folder = join(dataDirectory, "grammars");
  const gbnf = readdirSync(folder).filter((name) => name.endsWith(".gbnf")).sort();
  const schemas = Array.from({ length: 40 }, () => z.toJSONSchema(randomSchema(random), { io: "input" }));
  const tree = z.toJSONSchema(randomTree(random), { io: "input" });
  return {
    schema: [...schemas, tree].map((schema) => JSON.stringify(schema)),
    gbnf: gbnf.map((name) => readFileSync(join(folder, name), "utf8")),
    lark: larkBases,
    regex: regexBases,
  };
}

/** A damaged text of a kind. */
export function damaged(kind: TextKind, all: readonly string[], random: Random): string {
  let text = all[random(all.length)];
  for (let damage = 0; damage <= random(3); damage++) {
    text = kind === "schema" && random(4) > 0 ? damagedJson(text, random) : damagedText(text, all, random);
  }
  return text;
}

function damagedText(text: string, all: readonly string[], random: Random): string {
  const at = random(text.length + 1);
  const other = all[random(all.length)];
  const piece = other.slice(random(other.length), random(other.length));
  const marks = [
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "*",
    "+",
    "?",
    "|",
    '"',
    "\\",
    "^",
    "0",
    "999999999",
    "\u0000",
    "\ud800",
    "𐀀",
  ];
  switch (random(4)) {
    case 0:
      return text.slice(0, at) + text.slice(at + 1 + random(9));
    case 1:
      return text.slice(0, at) + marks[random(marks.length)] + text.slice(at);
    case 2:
      return text.slice(0, at) + piece + text.slice(at);
    default:
      return text.slice(0, at) + text.slice(at).replace(/\d+/, String([0, 1, 300, 1e9][random(4)]));
  }
}

/** One value or name of a JSON text replaced, where it is one. */
function damagedJson(text: string, random: Random): string {
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return text;
  }
  let left = random(40);
  const change = (value: unknown): unknown => {
    if (left-- === 0) return values[random(values.length)];
    if (Array.isArray(value)) return value.map(change);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(
      Object.entries(value).flatMap(([name, inner]) => {
        if (left-- === 0) return [[words[random(words.length)], inner], [name, change(inner)]];
        return [[name, change(inner)]];
      }),
    );
  };
  return JSON.stringify(change(root)) ?? "null";
}
