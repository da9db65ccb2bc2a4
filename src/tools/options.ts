/**
 * Options for an answer that may have calls and thoughts: what users see, and the schema of it.
 *
 * @module
 */
import { checkObject, refuseOption } from "../options/checks.ts";
import { boolean, type FieldsOf, integer, other, readOptions, type Resolved } from "../options/schema.ts";
import { LIMITS } from "../../ffi/wire.ts";
import { checkTools, type Tools } from "./tool.ts";
import type { ToolFormat } from "./types.ts";

/**
 * Options for the thoughts of a model before its answer.
 *
 * @example
 * ```ts
 * import { LightGPT, type ReasoningOptions } from "@lightgpt/lightgpt";
 *
 * const reasoning: ReasoningOptions = { budget: 200 };
 * await using lm = await LightGPT.load("model.gguf");
 * for await (const piece of lm.chat([{ role: "user", content: "Why?" }], { reasoning })) console.log(piece.type);
 * ```
 */
export interface ReasoningOptions {
  /**
   * The most tokens of thoughts; then the mark that ends them is all that may come.
   * @default {any number}
   */
  readonly budget?: number;
}

/** The schema of {@link ReasoningOptions}. */
export const reasoningFields = {
  budget: integer({
    about: "The most tokens of thoughts.",
    least: 0,
    most: LIMITS.contextMax,
    otherwise: "any number",
  }),
} as const satisfies FieldsOf<ReasoningOptions>;

/**
 * Whether and which tools are called: as the model likes, none, one at least, or one by its name.
 *
 * @example
 * ```ts
 * import type { ToolChoice } from "@lightgpt/lightgpt";
 *
 * const choices: ToolChoice[] = ["auto", "none", "required", { name: "weather" }];
 * console.log(choices.length);
 * ```
 */
export type ToolChoice<Name extends string = string> = "auto" | "none" | "required" | { readonly name: Name };

/**
 * Options for calls and thoughts of an answer.
 *
 * @example
 * ```ts
 * import { type CallOptions, jsonSchema, tool } from "@lightgpt/lightgpt";
 *
 * const tools = { time: tool({ description: "The time.", input: jsonSchema({ type: "object" }) }) };
 * const options: CallOptions<typeof tools> = { tools, toolChoice: "required", parallelToolCalls: false };
 * console.log(options.toolChoice);
 * ```
 */
export interface CallOptions<T extends Tools = Tools> {
  /**
   * The tools that may be called, by their names.
   * @default {none}
   */
  readonly tools?: T;
  /**
   * Whether and which tools are called.
   * @default {"auto"}
   */
  readonly toolChoice?: ToolChoice<keyof T & string>;
  /**
   * Whether an answer may have several calls; some models write one at most.
   * @default {true}
   */
  readonly parallelToolCalls?: boolean;
  /**
   * The thoughts before the answer. With this or with tools, an answer comes as pieces that say whether they are text, thoughts
   * or calls.
   * @default {as many thoughts as the model likes}
   */
  readonly reasoning?: ReasoningOptions;
  /**
   * How the model writes calls, where its template does not show it.
   * @default {as the template shows it}
   */
  readonly toolFormat?: ToolFormat;
}

/** The schema of {@link CallOptions}. */
export const callFields = {
  tools: other<Tools>()({ about: "The tools that may be called.", expected: "an object of tools" }, checkTools),
  toolChoice: other<ToolChoice>()(
    {
      about: "Whether and which tools are called.",
      expected: '"auto", "none", "required" or { name }',
      default: "auto",
    },
    (value, name) => {
      if (value === "auto" || value === "none" || value === "required") return value;
      checkObject(name, value);
      const { name: tool } = value as { name?: unknown };
      if (typeof tool !== "string") refuseOption(`${name}.name`, "the name of a tool", tool);
      return { name: tool };
    },
  ),
  parallelToolCalls: boolean({ about: "Whether an answer may have several calls.", default: true }),
  reasoning: other<ReasoningOptions, Resolved<typeof reasoningFields>>()(
    { about: "The thoughts before the answer.", expected: "an object", fields: reasoningFields },
    (value, name) => readOptions(reasoningFields, value, name),
  ),
  toolFormat: other<ToolFormat>()(
    { about: "How the model writes calls.", expected: "a ToolFormat", otherwise: "as the template shows it" },
    (value, name) => checkFormat(value, name),
  ),
} as const satisfies FieldsOf<CallOptions>;

/** Calls and thoughts whose options have been checked. */
export type ResolvedCalls = Resolved<typeof callFields>;

const holes = new Set<unknown>(["id", "index", "name"]);

function checkFormat(value: unknown, name: string): ToolFormat {
  checkObject(name, value);
  const format = JSON.parse(JSON.stringify(value)) as ToolFormat;
  for (const field of ["before", "between", "end", "separator", "id"] as const) {
    const pattern: unknown = format[field];
    if (pattern === undefined && (field === "separator" || field === "id")) continue;
    const isPart = (part: unknown) =>
      typeof part === "string" ||
      (part !== null && typeof part === "object" && holes.has((part as { hole?: unknown }).hole));
    if (!Array.isArray(pattern) || !pattern.every(isPart)) {
      refuseOption(`${name}.${field}`, "texts and holes in an array", pattern);
    }
  }
  const given: unknown = format.arguments;
  checkObject(`${name}.arguments`, given);
  const { kind } = format.arguments;
  const texts: Record<string, readonly string[]> = {
    json: [],
    pythonic: [],
    quoted: ["quote"],
    tagged: ["beforeName"],
  };
  const wanted = Object.hasOwn(texts, kind)
    ? texts[kind]
    : refuseOption(`${name}.arguments.kind`, Object.keys(texts).join(" or "), kind);
  for (const field of wanted) {
    const text = (given as Record<string, unknown>)[field];
    if (typeof text !== "string" || text === "") refuseOption(`${name}.arguments.${field}`, "a text", text);
  }
  if (kind === "tagged") checkTags(format.arguments, `${name}.arguments`);
  if (format.text !== undefined) {
    checkObject(`${name}.text`, format.text);
    for (const side of ["before", "after"] as const) {
      if (typeof format.text[side] !== "string") refuseOption(`${name}.text.${side}`, "a text", format.text[side]);
    }
  }
  return format;
}

function checkTags(format: Extract<ToolFormat["arguments"], { kind: "tagged" }>, name: string): void {
  const { beforeValue, afterValue, words, empty } = format;
  checkObject(`${name}.beforeValue`, beforeValue);
  if (Object.values(beforeValue).some((text) => typeof text !== "string" || text === "")) {
    refuseOption(`${name}.beforeValue`, "a text for each type of values", JSON.stringify(beforeValue));
  }
  const parts: unknown[] = [afterValue].flat();
  if (parts.some((text) => typeof text !== "string") || parts.join("") === "" || parts.length > 2) {
    refuseOption(`${name}.afterValue`, "a text, or two around the name", afterValue);
  }
  if (words !== "json" && words !== "python") refuseOption(`${name}.words`, '"json" or "python"', words);
  if (empty !== undefined && typeof empty !== "string") refuseOption(`${name}.empty`, "a text", empty);
}
