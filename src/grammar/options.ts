/**
 * The option of a request that holds its answer to a grammar: what users see, its schema, and the compiled grammars of a
 * tokenizer, which are kept, for many requests come with the same one.
 *
 * @module
 */
import { checkText, refuseOption } from "../options/checks.ts";
import { keep } from "../options/keep.ts";
import { choice, type FieldsOf, given, other, readOptions, type Resolved, text } from "../options/schema.ts";
import type { Tokenizer } from "../text/tokenizer/types.ts";
import type { RuleWriter } from "./compile.ts";
import { Grammar, schemaText } from "./grammar.ts";

/**
 * Options for what an answer must be: one of `schema`, `regex`, `grammar` and `choice`.
 *
 * @example
 * ```ts
 * import { type ConstraintOptions, LightGPT } from "@lightgpt/lightgpt";
 *
 * const constraint: ConstraintOptions = { choice: ["happy", "sad"] };
 * await using lm = await LightGPT.load();
 * const { text } = await lm.complete("The end of the story is ", { constraint });
 * console.log(text); // one of the two
 * ```
 */
export interface ConstraintOptions {
  /**
   * A JSON schema, drafts 4 to 2020-12, or a schema of a library (Standard Schema), whose objects have no properties but those
   * that it lists: the answer is a value that meets it. What is not enforced is refused.
   * @default {none}
   */
  readonly schema?: NonNullable<unknown>;
  /**
   * The blanks between values, beside `schema`: none, or wherever JSON allows them one, or the end of a line and its indentation.
   * @default {"indent"}
   */
  readonly whitespace?: "compact" | "indent";
  /**
   * A regular expression that the whole answer matches.
   * @default {none}
   */
  readonly regex?: string;
  /**
   * A grammar as text, or one that is compiled already.
   * @default {none}
   */
  readonly grammar?: string | Grammar;
  /**
   * The notation of `grammar` as text: llama.cpp's, from the rule `root`, or Lark's, from the rule `start`.
   * @default {"gbnf"}
   */
  readonly syntax?: "gbnf" | "lark";
  /**
   * The texts of which the answer is one.
   * @default {none}
   */
  readonly choice?: readonly string[];
}

/** The schema of {@link ConstraintOptions}. */
export const constraintFields = {
  schema: other<NonNullable<unknown>, string>()(
    {
      about: "A JSON schema that the answer meets.",
      expected: "a JSON schema",
      flag: { value: "FILE", about: "answer with a value of the JSON schema in FILE" },
    },
    schemaText,
  ),
  // Without a default of its own: beside another kind it means nothing.
  whitespace: choice(["compact", "indent"], {
    about: "The blanks between values of a schema.",
    otherwise: '"indent"',
  }),
  regex: text({
    about: "A regular expression that the whole answer matches.",
    flag: { value: "TEXT", about: "answer with a text that matches the regular expression TEXT as a whole" },
  }),
  grammar: other<string | Grammar>()(
    {
      about: "A grammar as text, or one that is compiled.",
      expected: "a string or a Grammar",
      flag: { value: "FILE", about: "answer with a text of the grammar in FILE" },
    },
    (value, name) => {
      if (value instanceof Grammar) return value;
      if (typeof value !== "string") refuseOption(name, "a string or a Grammar", value);
      return value;
    },
  ),
  syntax: choice(["gbnf", "lark"], {
    about: "The notation of a grammar as text.",
    otherwise: '"gbnf"',
    flag: { about: "the notation of the file of --grammar" },
  }),
  choice: other<readonly string[]>()(
    { about: "The texts of which the answer is one.", expected: "an array of strings" },
    (value, name) => {
      if (!Array.isArray(value) || value.length === 0) refuseOption(name, "an array of one string and more", value);
      value.forEach((text, index) => checkText(`${name}[${index}]`, text));
      return [...value] as readonly string[];
    },
  ),
} as const satisfies FieldsOf<ConstraintOptions>;

/** A constraint whose options have been checked. */
export type ResolvedConstraint = Resolved<typeof constraintFields>;

/** Reads the option; exactly one of its kinds must be there. */
export function readConstraint(value: unknown, name: string): ResolvedConstraint {
  const read = readOptions(constraintFields, value, name);
  const kinds = (["schema", "regex", "grammar", "choice"] as const).filter((kind) => read[kind] !== undefined);
  if (kinds.length !== 1) refuseOption(name, "one of schema, regex, grammar and choice", kinds.join(" and ") || "none");
  const beside = { whitespace: read.schema !== undefined, syntax: typeof read.grammar === "string" };
  for (const option of ["whitespace", "syntax"] as const) {
    if (read[option] === undefined || beside[option]) continue;
    refuseOption(`${name}.${option}`, `none beside ${kinds[0]}`, read[option]);
  }
  return read;
}

/** Compiled grammars that are kept for a tokenizer. */
const keptMost = 64;
const kept = new WeakMap<Tokenizer, Map<string, Promise<Grammar>>>();

/** The compiled grammar of a constraint: compiled once for all that ask while it is; one that cannot be is not kept. */
export async function grammarOf(constraint: ResolvedConstraint, tokenizer: Tokenizer): Promise<Grammar> {
  const { schema, whitespace, regex, grammar, syntax, choice } = constraint;
  if (grammar instanceof Grammar) {
    grammar.checkTokenizer(tokenizer);
    return grammar;
  }
  const key = JSON.stringify([schema, whitespace, regex, grammar, syntax, choice]);
  let grammars = kept.get(tokenizer);
  if (!grammars) kept.set(tokenizer, grammars = new Map());
  return await keep(grammars, keptMost, key, () => compiledOf(constraint, tokenizer));
}

function compiledOf(constraint: ResolvedConstraint, tokenizer: Tokenizer): Promise<Grammar> {
  const { schema, whitespace, regex, grammar, syntax, choice } = constraint;
  if (schema !== undefined) {
    return Grammar.schema(JSON.parse(schema), tokenizer, { order: "schema", ...given({ whitespace }) });
  }
  if (regex !== undefined) return Grammar.regex(regex, tokenizer);
  if (choice !== undefined) return Grammar.choice(choice, tokenizer);
  return Grammar[syntax ?? "gbnf"](grammar as string, tokenizer);
}

/** The rules of a constraint, for what is composed with others. */
export async function rulesOfConstraint(constraint: ResolvedConstraint): Promise<RuleWriter> {
  const { schema, whitespace = "indent", regex, grammar, syntax, choice } = constraint;
  if (grammar instanceof Grammar) {
    refuseOption(
      "constraint.grammar",
      "the text of a grammar: a compiled one cannot begin behind thoughts",
      "a Grammar",
    );
  }
  const front = await import("./compile.ts");
  if (schema !== undefined) return front.schemaRulesOf(JSON.parse(schema), { whitespace, order: "schema" });
  if (regex !== undefined) return front.regexRules(regex);
  if (choice !== undefined) return front.choiceRules(choice);
  return syntax === "lark" ? front.larkRules(grammar as string) : front.gbnfRules(grammar as string);
}
