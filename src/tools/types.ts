/**
 * What the files of this room share: how a model writes calls, as plain data that is derived from its chat template, looked up, or
 * given by a caller; and calls as they are read.
 *
 * @module
 */
import type { ChatMessage, JsonValue } from "../text/chat/inputs.ts";
import type { TextRun } from "../text/types.ts";

/**
 * A part of a pattern: a text that stands there as it is, or something that varies: an id of letters and digits, the number of
 * the call, or the name of the tool once more.
 *
 * @example
 * ```ts
 * import type { FormatPart } from "@lightgpt/lightgpt";
 *
 * const parts: FormatPart[] = ['", "id": "', { hole: "id" }, '"}'];
 * console.log(parts.length);
 * ```
 */
export type FormatPart = string | { readonly hole: "id" | "index" | "name" };

/**
 * A text with parts that vary. Control tokens are read in its texts.
 *
 * @example
 * ```ts
 * import type { FormatPattern } from "@lightgpt/lightgpt";
 *
 * const before: FormatPattern = ["<tool_call>\n", '{"name": "'];
 * console.log(before.join(""));
 * ```
 */
export type FormatPattern = readonly FormatPart[];

/**
 * A type of JSON values, as some formats write it beside a value.
 *
 * @example
 * ```ts
 * import type { ValueType } from "@lightgpt/lightgpt";
 *
 * const types: ValueType[] = ["string", "number"];
 * console.log(types.length);
 * ```
 */
export type ValueType = "string" | "number" | "boolean" | "null" | "object" | "array";

/**
 * How the arguments of a call are written: as JSON, as strings between quotes of the format's own and names without any, as Python
 * writes named arguments, or each between tags, strings as they are.
 *
 * @example
 * ```ts
 * import type { ArgumentsFormat } from "@lightgpt/lightgpt";
 *
 * const tagged: ArgumentsFormat = {
 *   kind: "tagged",
 *   beforeName: "<parameter=",
 *   beforeValue: { string: ">\n", number: ">\n" },
 *   afterValue: "\n</parameter>\n",
 *   words: "json",
 * };
 * console.log(tagged.kind);
 * ```
 */
export type ArgumentsFormat =
  | { readonly kind: "json" }
  | { readonly kind: "quoted"; readonly quote: string }
  | {
    readonly kind: "pythonic";
    /**
     * How values are spelled: as Python does, strings in single quotes, or as JSON does.
     * @default {"python"}
     */
    readonly values?: "python" | "json";
  }
  | {
    readonly kind: "tagged";
    readonly beforeName: string;
    /** Between name and value, by the value's type; values of other types are not written. */
    readonly beforeValue: Readonly<Partial<Record<ValueType, string>>>;
    /** Behind a value; an array where the name stands in it again. */
    readonly afterValue: string | readonly [before: string, after: string];
    /** How true, false and null are written. */
    readonly words: "json" | "python";
    /**
     * What stands there where there are no arguments.
     * @default {""}
     */
    readonly empty?: string;
  };

/**
 * How a model writes calls of tools: what stands before the first name, between a name and its arguments, between arguments and
 * the name of a further call, and at the end.
 *
 * @example
 * ```ts
 * import type { ToolFormat } from "@lightgpt/lightgpt";
 *
 * const hermes: ToolFormat = {
 *   before: ['<tool_call>\n{"name": "'],
 *   between: ['", "arguments": '],
 *   arguments: { kind: "json" },
 *   separator: ['}\n</tool_call>\n<tool_call>\n{"name": "'],
 *   end: ["}\n</tool_call>"],
 * };
 * console.log(hermes.arguments.kind);
 * ```
 */
export interface ToolFormat {
  /** What stands before the first name. */
  readonly before: FormatPattern;
  /** What stands between a name and its arguments. */
  readonly between: FormatPattern;
  /** How the arguments are written. */
  readonly arguments: ArgumentsFormat;
  /**
   * What stands between the arguments of a call and the name of the next one.
   * @default {there is one call at most}
   */
  readonly separator?: FormatPattern;
  /** What stands behind the last arguments. */
  readonly end: FormatPattern;
  /**
   * The id of a call, where its name and number make it: then messages have that id.
   * @default {the id in the call, or one that is made up}
   */
  readonly id?: FormatPattern;
  /**
   * What stands around the text of an answer, where the model writes something around it.
   * @default {nothing}
   */
  readonly text?: { readonly before: string; readonly after: string };
}

/** A call as it is read. */
export interface ReadCall {
  readonly name: string;
  readonly arguments: { readonly [name: string]: JsonValue };
  readonly id: string | undefined;
}

/** A tool as a template is told of it. */
export interface ToolDeclaration {
  readonly name: string;
  readonly description: string;
  /** The JSON schema of its arguments. */
  readonly parameters: { readonly [name: string]: JsonValue };
}

/** Renders a conversation by a model's template: whole texts, with where they came from. */
export type Render = (
  messages: readonly ChatMessage[],
  options: {
    readonly tools?: JsonValue;
    readonly addGenerationPrompt: boolean;
    readonly variables?: Record<string, JsonValue>;
  },
) => readonly TextRun[];
