/**
 * The rules of the arguments of a tool, in the way in which a model writes them. As JSON and between quotes of a format's own, the
 * arguments are one value; between tags and as Python writes them, each is a value of its own.
 *
 * @module
 */
import { UnsupportedError } from "../../ffi/errors.ts";
import type { Lexeme, Lexemes } from "../grammar/lexemes.ts";
import type { Alternative, RuleSymbol } from "../grammar/rules.ts";
import {
  JSON_NOTATION,
  type Notation,
  PYTHON_NOTATION,
  PYTHON_WORDS,
  quotedNotation,
  rawNotation,
} from "../grammar/schema/notation.ts";
import { schemaRules, type SchemaWriter, type Style } from "../grammar/schema/rules_of_cases.ts";
import type { Json } from "../grammar/schema/types.ts";
import type { WireArguments } from "./format.ts";
import type { ToolDeclaration, ValueType } from "./types.ts";
import { bytesOfWire, type Wire, wireOfText } from "./wire.ts";

type Tagged = Extract<WireArguments, { kind: "tagged" }>;
type Schema = { readonly [keyword: string]: Json };

/** The rule of the arguments of a tool whose schema is `schema`, with all of its objects closed. */
export function argumentRule(format: WireArguments, tool: ToolDeclaration, schema: Json, writer: SchemaWriter): number {
  switch (format.kind) {
    case "json":
      return schemaRules(schema, { whitespace: "indent", order: "schema" }, writer).root;
    case "quoted": {
      const notation = quotedNotation(bytesOfWire(format.quote));
      return schemaRules(schema, { whitespace: "compact", order: "any", notation }, writer).root;
    }
    case "pythonic":
      return new Listed(tool, schema as Schema, writer).named(
        format.values === "json" ? JSON_NOTATION : PYTHON_NOTATION,
      );
    default:
      return new Listed(tool, schema as Schema, writer).tagged(format);
  }
}

/** Keywords that say nothing about what arguments there are beyond `properties`. */
const known = new Set([
  "type",
  "properties",
  "required",
  "additionalProperties",
  "title",
  "description",
  "default",
  "examples",
  "$schema",
  "$id",
  "$comment",
  "$defs",
  "definitions",
]);

/** Arguments that are written one by one. */
class Listed {
  readonly #writer: SchemaWriter;
  readonly #lexemes: Lexemes;
  readonly #definitions: Schema;
  readonly #properties: readonly (readonly [name: string, schema: Json])[];
  readonly #required: ReadonlySet<string>;

  constructor({ name }: ToolDeclaration, schema: Schema, writer: SchemaWriter) {
    const other = Object.keys(schema).find((keyword) => !known.has(keyword)) ??
      (schema.additionalProperties ? "additionalProperties" : undefined);
    if (other !== undefined) {
      const expected = "properties and required alone: this model writes each argument by itself";
      throw new UnsupportedError(
        `The input of the tool ${name} has "${other}" beside its properties; expected ${expected}.`,
        {
          what: "arguments that are no list of properties",
          where: `tools.${name}.input`,
          expected,
          got: other,
        },
      );
    }
    const { $defs, definitions } = schema;
    this.#writer = writer;
    this.#lexemes = writer.lexemes;
    this.#definitions = {
      ...($defs === undefined ? {} : { $defs }),
      ...(definitions === undefined ? {} : { definitions }),
    };
    this.#properties = Object.entries((schema.properties ?? {}) as Schema);
    this.#required = new Set((schema.required ?? []) as readonly string[]);
  }

  /** Between tags. */
  tagged(format: Tagged): number {
    const written = this.#properties.map(([name, schema]) => this.#tag(name, schema, format));
    return this.#list(written, () => [], [{ lexeme: this.#literal(format.empty) }]);
  }

  /** As Python writes arguments with names. */
  named(notation: Notation): number {
    const comma = this.#literal(", ");
    const written = this.#properties.map(([name, schema]): Alternative[] => [[
      { lexeme: this.#literal(`${wireOfText(name)}=`) },
      { rule: this.#value(schema, undefined, { whitespace: "indent", order: "schema", notation }) },
    ]]);
    const list = this.#list(written, (isFirst) => isFirst ? [] : [{ lexeme: comma }], []);
    return this.#writer.rules.add("arguments", [[
      { lexeme: this.#literal("(") },
      { rule: list },
      { lexeme: this.#literal(")") },
    ]]);
  }

  /** One argument between tags: its types may have different ones. */
  #tag(name: string, schema: Json, format: Tagged): Alternative[] {
    const wire = wireOfText(name);
    const close = format.afterValue(wire);
    return format.starts.flatMap(({ text, types }) => {
      const open: RuleSymbol = { lexeme: this.#literal(format.beforeName + wire + text) };
      const spelled = this.#spellings(types, format.words, close);
      return spelled.map(({ types, notation }): Alternative => [
        open,
        { rule: this.#value(schema, types, { whitespace: "indent", order: "schema", notation }) },
        { lexeme: this.#literal(close) },
      ]);
    });
  }

  #spellings(
    types: readonly ValueType[],
    words: Tagged["words"],
    close: Wire,
  ): { types: ValueType[]; notation: Notation }[] {
    const some = (wanted: readonly ValueType[]) => types.filter((type) => wanted.includes(type));
    const ofWords = words === "python" ? { ...JSON_NOTATION, words: PYTHON_WORDS } : JSON_NOTATION;
    return [
      { types: some(["string"]), notation: rawNotation(bytesOfWire(close)) },
      { types: some(["boolean", "null"]), notation: ofWords },
      { types: some(["number", "object", "array"]), notation: JSON_NOTATION },
    ].filter(({ types }) => types.length > 0);
  }

  #value(schema: Json, types: readonly ValueType[] | undefined, style: Style): number {
    const whole = types === undefined ? { allOf: [schema] } : { allOf: [schema], type: types };
    return schemaRules({ ...this.#definitions, ...whole } as Json, style, this.#writer).root;
  }

  /** Arguments in their order; those that are not required may be missing, and `none` stands there where all are. */
  #list(
    written: readonly (readonly Alternative[])[],
    before: (isFirst: boolean) => RuleSymbol[],
    none: RuleSymbol[],
  ): number {
    const { rules } = this.#writer;
    // From the last to the first: what may follow where one was there, and where none was.
    let behind = rules.add("arguments", [[]]);
    let first = rules.add("no arguments", [none]);
    for (let index = written.length - 1; index >= 0; index--) {
      const isRequired = this.#required.has(this.#properties[index][0]);
      const one = (isFirst: boolean): Alternative[] =>
        written[index].map((symbols) => [...before(isFirst), ...symbols, { rule: behind }]);
      const [later, earlier] = [one(false), one(true)];
      const next = rules.add("arguments", isRequired ? later : [...later, [{ rule: behind }]]);
      first = rules.add("arguments", isRequired ? earlier : [...earlier, [{ rule: first }]]);
      behind = next;
    }
    return first;
  }

  #literal(wire: Wire): Lexeme {
    return this.#lexemes.literal(bytesOfWire(wire));
  }
}
