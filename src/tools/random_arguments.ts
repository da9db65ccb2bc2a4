/**
 * Random arguments for verifying a format: of all types that it writes, with quotes, brackets, tags, ends of lines, and the texts of
 * its own marks and control tokens in the strings.
 *
 * @module
 */
import type { JsonValue } from "../text/chat/inputs.ts";
import type { WireFormat } from "./format.ts";
import { newWord } from "./nonces.ts";
import type { ToolDeclaration, ValueType } from "./types.ts";
import { CONTROL, type Wire } from "./wire.ts";

/** Values of each type by their schemas. */
const types: readonly (readonly [ValueType, JsonValue])[] = [
  ["string", { type: "string" }],
  ["number", { type: "integer" }],
  ["number", { type: "number" }],
  ["boolean", { type: "boolean" }],
  ["array", { type: "array", items: { type: "string" } }],
  ["object", {
    type: "object",
    properties: { inner: { type: "string" }, on: { type: "boolean" } },
    required: ["inner", "on"],
    additionalProperties: false,
  }],
];

/** Makes arguments. */
export class RandomArguments {
  readonly #random: (below: number) => number;
  readonly #properties: readonly { readonly name: string; readonly type: ValueType; readonly schema: JsonValue }[];
  readonly #words: string[];
  #isMarked = false;
  /** Texts that no string holds. */
  readonly #ends: readonly string[];

  /** For a format; `random` gives a number from 0 up to below the one that it gets. */
  constructor(format: WireFormat, random: (below: number) => number) {
    const given = format.arguments;
    this.#random = random;
    const isWritten = (type: ValueType) =>
      given.kind !== "tagged" || given.starts.some((start) => start.types.includes(type));
    this.#properties = types.filter(([type]) => isWritten(type)).map(([type, schema]) => ({
      name: newWord(),
      type,
      schema,
    }));
    const own = [format.format.before, format.format.between, format.format.end]
      .flatMap((parts) => parts.filter((part) => typeof part === "string"));
    this.#words = ["a", "Zoë", "日本", "😀", " ", "\n", '"', "{", "}", "</", ">", ",", ": ", "<|im_end|>", ...own];
    // Templates write strings between single quotes as they are, so that one with such a quote is another text.
    if (given.kind !== "pythonic" || given.values === "json") this.#words.push("'", "\\");
    this.#ends = ends(format);
  }

  /** The schema of the arguments. */
  schema(): ToolDeclaration["parameters"] {
    const described = (schema: JsonValue) => ({ ...schema as object, description: "A value." });
    const properties = Object.fromEntries(this.#properties.map(({ name, schema }) => [name, described(schema)]));
    return { type: "object", properties };
  }

  /** Arguments; in the first round all of them, later always a string with all marks in it. */
  arguments(round: number): { readonly [name: string]: JsonValue } {
    const some = this.#properties.filter(({ type }) => round === 0 || type === "string" || this.#random(3) > 0);
    this.#isMarked = round > 0;
    return Object.fromEntries(some.map(({ name, type, schema }) => [name, this.#value(type, schema)]));
  }

  #value(type: ValueType, schema: JsonValue): JsonValue {
    switch (type) {
      case "string":
        return this.#string();
      case "number":
        return (schema as { type: string }).type === "integer"
          ? this.#random(2000) - 1000
          : (this.#random(2001) - 1000) / 8;
      case "boolean":
        return this.#random(2) === 0;
      case "array":
        return Array.from({ length: this.#random(3) }, () => this.#string());
      default:
        return { inner: this.#string(), on: this.#random(2) === 0 };
    }
  }

  #string(): string {
    // One string of all marks in each answer but the first: what a template does with one of them shows at once.
    const isAll = this.#isMarked;
    this.#isMarked = false;
    const length = isAll ? this.#words.length : 1 + this.#random(6);
    const pick = (_: unknown, index: number) => this.#words[isAll ? index : this.#random(this.#words.length)];
    const picked = Array.from({ length }, pick).join("");
    // What a template trims is lost, too.
    const text = isAll ? ` ${picked}\n` : picked;
    return this.#ends.some((end) => text.includes(end)) ? this.#words.slice(0, 9).join("") : text;
  }
}

/** What ends a string without quotes that could be escaped, unless it is a control token, which no string holds anyway. */
function ends({ arguments: given, format }: WireFormat): string[] {
  const isText = (wire: Wire) => !CONTROL.test(wire);
  if (given.kind === "quoted" && format.arguments.kind === "quoted") {
    return isText(given.quote) ? [format.arguments.quote] : [];
  }
  if (given.kind !== "tagged" || format.arguments.kind !== "tagged" || !isText(given.afterValue(""))) return [];
  const { afterValue } = format.arguments;
  return [typeof afterValue === "string" ? afterValue : afterValue[0]];
}
