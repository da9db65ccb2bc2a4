/**
 * Calls as a format writes them: what a conversation shows of earlier calls where its template does not write them.
 *
 * @module
 */
import type { JsonValue } from "../text/chat/inputs.ts";
import type { ArgumentsFormat, FormatPattern, ReadCall, ToolFormat } from "./types.ts";
import { typeOf } from "./value_types.ts";

type Arguments = ReadCall["arguments"];

/** How texts are spelled: those of the format, and those of the calls, in which no control token is read. */
export interface Spelling {
  readonly own: (text: string) => string;
  readonly given: (text: string) => string;
}

/** The text of the calls of one answer. */
export function writeCalls(format: ToolFormat, calls: readonly ReadCall[], spelling: Spelling): string {
  const { before, between, separator = [], end } = format;
  const { own, given } = spelling;
  // The id in a separator is that of the call before it where ids stand behind arguments.
  const isBehind = end.some((part) => typeof part !== "string" && part.hole === "id");
  return calls.map((call, index) => {
    const fill = (pattern: FormatPattern, id: string | undefined) =>
      pattern.map((part) => {
        if (typeof part === "string") return own(part);
        return given(part.hole === "name" ? call.name : part.hole === "id" ? id ?? "" : String(index));
      }).join("");
    const lead = index === 0 ? fill(before, call.id) : fill(separator, isBehind ? calls[index - 1].id : call.id);
    const tail = index === calls.length - 1 ? fill(end, call.id) : "";
    const written = new ArgumentsWriter(spelling).write(format.arguments, call.arguments);
    return lead + given(call.name) + fill(between, call.id) + written + tail;
  }).join("");
}

const pythonWords = new Map<JsonValue, string>([[true, "True"], [false, "False"], [null, "None"]]);
const pythonEscapes: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

class ArgumentsWriter {
  readonly #own: Spelling["own"];
  readonly #given: Spelling["given"];

  constructor({ own, given }: Spelling) {
    this.#own = own;
    this.#given = given;
  }

  write(format: ArgumentsFormat, given: Arguments): string {
    switch (format.kind) {
      case "json":
        return this.#given(JSON.stringify(given));
      case "quoted":
        return this.#quoted(given, this.#own(format.quote));
      case "pythonic":
        return this.#given(`(${this.#named(given, format.values === "json" ? JSON.stringify : python)})`);
      default:
        return this.#tagged(format, given);
    }
  }

  #named(given: Arguments, spell: (value: JsonValue | undefined) => string): string {
    return Object.entries(given).map(([name, value]) => `${name}=${spell(value)}`).join(", ");
  }

  #tagged(format: Extract<ArgumentsFormat, { kind: "tagged" }>, given: Arguments): string {
    const { beforeName, beforeValue, afterValue, words, empty = "" } = format;
    const written = Object.entries(given).map(([name, value]) => {
      const [open, close] = typeof afterValue === "string" ? [afterValue, undefined] : afterValue;
      const isWord = typeof value === "boolean" || value === null;
      const text = typeof value === "string"
        ? value
        : isWord && words === "python"
        ? python(value)
        : JSON.stringify(value);
      const end = close === undefined ? this.#own(open) : this.#own(open) + this.#given(name) + this.#own(close);
      return this.#own(beforeName) + this.#given(name) + this.#own(beforeValue[typeOf(value)] ?? "") +
        this.#given(text) + end;
    });
    return written.length === 0 ? this.#own(empty) : written.join("");
  }

  #quoted(value: JsonValue | undefined, quote: string): string {
    if (typeof value === "string") return quote + this.#given(value) + quote;
    if (Array.isArray(value)) return `[${value.map((item) => this.#quoted(item, quote)).join(",")}]`;
    if (value === null || typeof value !== "object") return JSON.stringify(value);
    return `{${
      Object.entries(value).map(([name, inner]) => `${this.#given(name)}:${this.#quoted(inner, quote)}`).join(",")
    }}`;
  }
}

function python(value: JsonValue | undefined): string {
  const word = pythonWords.get(value as JsonValue);
  if (word !== undefined) return word;
  if (typeof value === "string") return `'${value.replace(/['\\\n\r\t]/g, (one) => pythonEscapes[one] ?? `\\${one}`)}'`;
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  return `{${Object.entries(value).map(([name, inner]) => `${python(name)}: ${python(inner)}`).join(", ")}}`;
}
