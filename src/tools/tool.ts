/**
 * Tools that a model may call: what a program says of them, and what it hears of their calls.
 *
 * @module
 */
import { checkFunction, checkObject, checkText, guarded, refuseOption } from "../options/checks.ts";
import { checkStandard, inputSchema } from "../grammar/standard/read.ts";
import { jsonSchema } from "../grammar/standard/read.ts";
import type { InferOutput, StandardSchema } from "../grammar/standard/types.ts";
import type { JsonValue } from "../text/chat/inputs.ts";
import type { ToolDeclaration } from "./types.ts";

/**
 * What the function of a tool gets beside its input.
 *
 * @example
 * ```ts
 * import { jsonSchema, tool, type ToolContext } from "@lightgpt/lightgpt";
 *
 * const wait = async (_input: unknown, { signal }: ToolContext) => signal.aborted ? "too late" : "in time";
 * const time = tool({ description: "Says whether there is time.", input: jsonSchema({ type: "object" }), run: wait });
 * console.log(time.description);
 * ```
 */
export interface ToolContext {
  /** The id of the call. */
  readonly id: string;
  /** Aborted when the time is over, or the run is ended. */
  readonly signal: AbortSignal;
}

/**
 * Options for a tool.
 *
 * @example
 * ```ts
 * import { jsonSchema, tool, type ToolOptions } from "@lightgpt/lightgpt";
 *
 * const options: ToolOptions = { description: "The time.", input: jsonSchema({ type: "object" }), run: () => Date.now() };
 * console.log(tool(options).description);
 * ```
 */
export interface ToolOptions<S extends StandardSchema = StandardSchema> {
  /** What the tool does, for the model. */
  readonly description: string;
  /** What it takes: the schema of an object, of any library that follows Standard Schema, or `jsonSchema({ ... })`. */
  readonly input: S;
  /**
   * Does it; `runTools` calls this. What it gives goes back to the model: a text as it is, other values as JSON.
   *
   * @param input what the schema made of the arguments
   * @param context the id of the call, and what ends it
   */
  run?(input: InferOutput<S>, context: ToolContext): unknown;
}

/**
 * A tool; {@link tool} makes one.
 *
 * @example
 * ```ts
 * import { jsonSchema, Tool } from "@lightgpt/lightgpt";
 *
 * console.log(new Tool({ description: "The time.", input: jsonSchema({ type: "object" }) }).description);
 * ```
 */
export class Tool<S extends StandardSchema = StandardSchema> implements ToolOptions<S> {
  readonly description: string;
  readonly input: S;
  /**
   * Does what the tool does.
   *
   * @param input what its schema made of the arguments
   * @param context the id of the call, and what ends it
   */
  run?(input: InferOutput<S>, context: ToolContext): unknown;

  /** Checks what a tool is made of. */
  constructor(options: ToolOptions<S>) {
    checkObject("tool", options);
    const { description, input, run } = guarded("tool", () => ({
      description: options.description,
      input: options.input,
      run: options.run,
    }));
    checkText("tool.description", description);
    checkStandard(input, "tool.input");
    checkFunction("tool.run", run);
    this.description = description;
    this.input = input;
    if (run !== undefined) this.run = (input, context) => run.call(options, input, context);
  }
}

/**
 * A tool that a model may call.
 *
 * @param options what it does, what it takes, and the function that does it
 * @returns the tool; its name is that under which it is given
 * @throws {InvalidArgumentError} where something is missing
 *
 * @example
 * ```ts
 * import { jsonSchema, tool } from "@lightgpt/lightgpt";
 *
 * const weather = tool({
 *   description: "The weather of a city.",
 *   input: jsonSchema<{ city: string }>({ type: "object", properties: { city: { type: "string" } }, required: ["city"] }),
 *   run: ({ city }) => ({ city, degrees: 21 }),
 * });
 * console.log(weather.description);
 * ```
 */
export function tool<S extends StandardSchema>(options: ToolOptions<S>): Tool<S> {
  return new Tool(options);
}

/**
 * Tools by their names.
 *
 * @example
 * ```ts
 * import { jsonSchema, tool, type Tools } from "@lightgpt/lightgpt";
 *
 * const tools: Tools = { time: tool({ description: "The time.", input: jsonSchema({ type: "object" }) }) };
 * console.log(Object.keys(tools));
 * ```
 */
export type Tools = Readonly<Record<string, Tool>>;

/**
 * A call of one of some tools: `name` tells which, and so the type of `input`.
 *
 * @example
 * ```ts
 * import type { ToolCall, Tools } from "@lightgpt/lightgpt";
 *
 * const show = (call: ToolCall<Tools>) => `${call.name}(${JSON.stringify(call.input)})`;
 * console.log(show({ type: "toolCall", id: "a1", name: "time", input: {} }));
 * ```
 */
export type ToolCall<T extends Tools> = {
  [Name in keyof T & string]: {
    readonly type: "toolCall";
    /** Names the call in the message that has its result. */
    readonly id: string;
    readonly name: Name;
    /** What the tool's schema made of the arguments. */
    readonly input: InferOutput<T[Name]["input"]>;
  };
}[keyof T & string];

/** Names that all formats can write. */
const names = /^[a-zA-Z0-9_-]{1,64}$/;
const nameRule = "1 to 64 letters, digits, _ and -";

/** Whether an option's value is tools, and no description of tools for a template. */
export function isTools(value: unknown): value is Tools {
  return value !== null && typeof value === "object" && !Array.isArray(value) &&
    Object.values(value).some((one) => one instanceof Tool);
}

/** Checks tools by their names. */
export function checkTools(value: unknown, name: string): Tools {
  checkObject(name, value);
  const entries = Object.entries(value);
  if (entries.length === 0) refuseOption(name, "at least one tool", "none");
  for (const [own, tool] of entries) {
    if (!names.test(own)) refuseOption(`${name}, the name of a tool`, nameRule, own);
    if (!(tool instanceof Tool)) refuseOption(`${name}.${own}`, "a tool that tool() makes", tool);
  }
  return Object.fromEntries(entries) as Tools;
}

/** What a template is told of tools. */
export function declarations(tools: Tools): ToolDeclaration[] {
  return Object.entries(tools).map(([name, { description, input }]) => {
    const told = inputSchema(input, `tools.${name}.input`, "schema");
    const where = `tools.${name}.input`;
    if (told === null || typeof told !== "object" || Array.isArray(told)) {
      refuseOption(where, "a schema of an object", told);
    }
    const schema = told as ToolDeclaration["parameters"];
    if (schema.type !== undefined && schema.type !== "object") {
      refuseOption(where, "a schema of an object", JSON.stringify(told));
    }
    // Templates look for both. What lists no properties takes none.
    return { name, description, parameters: { ...schema, type: "object", properties: schema.properties ?? {} } };
  });
}

/**
 * Tools as clients of OpenAI's interface describe them: `[{ type: "function", function: { name, description, parameters } }]`.
 *
 * @param list the descriptions
 * @returns the tools by their names; their calls have what the model wrote
 * @throws {InvalidArgumentError} where one has no name, or two have the same
 *
 * @example
 * ```ts
 * import { toolsOf } from "@lightgpt/lightgpt";
 *
 * const tools = toolsOf([{ type: "function", function: { name: "time", description: "The time.", parameters: {} } }]);
 * console.log(Object.keys(tools)); // ["time"]
 * ```
 */
export function toolsOf(list: JsonValue): Record<string, Tool> {
  const all = guarded("tools", () => Array.isArray(list) ? [...list] : undefined);
  if (all === undefined) refuseOption("tools", "an array of tools", list);
  const tools = new Map<string, Tool>();
  all.forEach((one: JsonValue, index: number) => {
    const where = `tools[${index}]`;
    checkObject(where, one);
    const { type = "function", function: given } = one as { type?: JsonValue; function?: JsonValue };
    if (type !== "function") refuseOption(`${where}.type`, '"function", the one kind of tools', type);
    checkObject(`${where}.function`, given);
    const { name, description = "", parameters = {} } = given as Record<string, JsonValue>;
    if (typeof name !== "string" || !names.test(name)) refuseOption(`${where}.function.name`, nameRule, name);
    if (tools.has(name)) refuseOption(`${where}.function.name`, "another name than the tools before it", name);
    checkText(`${where}.function.description`, description);
    checkObject(`${where}.function.parameters`, parameters);
    tools.set(name, new Tool({ description, input: jsonSchema(parameters) }));
  });
  return Object.fromEntries(tools);
}
