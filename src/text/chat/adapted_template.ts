/**
 * Conversations as clients of OpenAI's interface send them, in the shape that a template wants. Four rules, and no other:
 *
 * - `tool_calls[].function.arguments` that are JSON text of an object are parsed once where the template wants the object,
 *   and an object becomes its text where the template only writes that. A template is asked once, with a call of our own: it
 *   wants the text where it writes the text as it is; otherwise it wants the object, if it writes that. One that writes
 *   neither gets what is given, and the object where it fails with the text.
 * - A `content` that is empty is null beside calls that the template shows only then.
 * - A `content` that is null or missing is given as it is, since templates may test it; where the template fails with it,
 *   or writes None for it, it is the empty text.
 * - Firefunction's template knows tools as a text named `functions`, and wants a `datetime`; it has them, unless they are given.
 *
 * @module
 */
import { LightGPTError } from "../../../ffi/errors.ts";
import { guarded } from "../../options/checks.ts";
import type { TextRun } from "../types.ts";
import type { Program } from "../jinja/program.ts";
import type { ChatMessage, JsonValue } from "./inputs.ts";
import type { RenderOptions } from "./options.ts";
import { type Prompt, readProgram, renderPrompt } from "./prompt.ts";

/** A template, and what it was found to want. */
export class AdaptedTemplate {
  readonly #program: Program;
  readonly #isFirefunction: boolean;
  #wanted: Wanted | undefined;

  private constructor(program: Program, isFirefunction: boolean) {
    this.#program = program;
    this.#isFirefunction = isFirefunction;
  }

  /** Reads a template; throws a `ModelFormatError` where it is no Jinja. */
  static read(source: string): Promise<AdaptedTemplate> {
    return new Promise((resolve) => resolve(new AdaptedTemplate(readProgram(source), / functools\[/.test(source))));
  }

  /** The prompt for a conversation in runs. */
  runs(messages: readonly ChatMessage[], given: RenderOptions): readonly TextRun[] {
    const own = (options: RenderOptions) => this.#isFirefunction ? withFunctions(options) : options;
    const options = own(given);
    const parsed = guarded("messages", () => withCalls(messages, objectOf));
    const spelled = guarded("messages", () => withCalls(messages, textOf));
    // Most conversations have no such arguments, and go to the template as they are.
    if (parsed === messages && spelled === messages) return this.#filled(messages, options);
    const tokens = options.tokens ?? {};
    this.#wanted ??= wantedCalls(this.#program, own({ tools: [tool], addGenerationPrompt: false, tokens }));
    const { shapes, isAlone } = this.#wanted;
    const alone = (all: readonly ChatMessage[]) => isAlone ? withoutContents(all) : all;
    const isObject = shapes.has("object");
    if (shapes.has("text")) return this.#filled(alone(isObject ? messages : spelled), options);
    if (isObject) return this.#filled(alone(parsed), options);
    try {
      return this.#filled(messages, options);
    } catch (error) {
      if (!(error instanceof LightGPTError) || error.code === "limit") throw error;
      return this.#filled(parsed, options);
    }
  }

  #filled(given: readonly ChatMessage[], options: RenderOptions): readonly TextRun[] {
    const filled = guarded("messages", () => withContents(given));
    return filled === given ? renderPrompt(this.#program, given, options).runs : this.#better(given, filled, options);
  }

  /** The prompt with contents as they are, or with empty ones where these suit the template better. */
  #better(given: readonly ChatMessage[], filled: readonly ChatMessage[], options: RenderOptions): readonly TextRun[] {
    const asFilled = attempt(this.#program, filled, options);
    const asGiven = attempt(this.#program, given, options);
    if (asGiven instanceof LightGPTError) {
      if (asFilled instanceof LightGPTError) throw asGiven;
      return asFilled.runs;
    }
    return asFilled instanceof LightGPTError || asGiven.spelled <= asFilled.spelled ? asGiven.runs : asFilled.runs;
  }
}

/** Options with tools as a text, and the day, so that prompts of one day have their beginning in common. */
function withFunctions(options: RenderOptions): RenderOptions {
  const { tools = [], variables, now = new Date() } = options;
  const functions = JSON.stringify(tools, null, 4);
  return { ...options, variables: { functions, datetime: now.toISOString().slice(0, 10), ...variables } };
}

function attempt(
  program: Program,
  messages: readonly ChatMessage[],
  options: RenderOptions,
): Prompt | LightGPTError {
  try {
    return renderPrompt(program, messages, options);
  } catch (error) {
    if (error instanceof LightGPTError) return error;
    throw error;
  }
}

const needle = { needle: "thread" };
const needleText = '{"needle": "thread"}';

/** What a template wants of calls. */
interface Wanted {
  /** The shapes in which it writes their arguments. */
  readonly shapes: ReadonlySet<"text" | "object">;
  /** Whether it shows them only where there is no content. */
  readonly isAlone: boolean;
}

/** Asks a template what it writes of a call. */
function wantedCalls(program: Program, options: RenderOptions): Wanted {
  const shapesBeside = (content: JsonValue) => {
    const prompts = (given: JsonValue) =>
      [true, false].map((answered) => attempt(program, probe(given, content, answered), options))
        .map((result) => result instanceof LightGPTError ? "" : result.text);
    const isWhole = (prompt: string) => /needle[^]*thread/.test(prompt) && !prompt.includes("{'needle'");
    const shapes = new Set<"text" | "object">();
    if (prompts(needleText).some((prompt) => prompt.includes(needleText))) shapes.add("text");
    if (prompts(needle).some(isWhole)) shapes.add("object");
    return shapes;
  };
  const shapes = shapesBeside("");
  if (shapes.size > 0) return { shapes, isAlone: false };
  const alone = shapesBeside(null);
  return { shapes: alone, isAlone: alone.size > 0 };
}

const tool = {
  type: "function",
  function: {
    name: "probe",
    description: "Probes.",
    parameters: { type: "object", properties: { needle: { type: "string", description: "A needle." } } },
  },
};

/** A conversation with one call, answered or not. */
function probe(given: JsonValue, content: JsonValue, answered: boolean): ChatMessage[] {
  const call = { id: "call12345", type: "function", function: { name: "probe", arguments: given } };
  const messages: ChatMessage[] = [
    { role: "user", content: "Probe." },
    { role: "assistant", content, tool_calls: [call] },
  ];
  if (answered) messages.push({ role: "tool", tool_call_id: "call12345", name: "probe", content: "Probed." });
  return messages;
}

/** Messages with the arguments of calls in another shape; the same ones where there is nothing to change. */
function withCalls(
  messages: readonly ChatMessage[],
  reshaped: (given: JsonValue | undefined) => JsonValue | undefined,
): readonly ChatMessage[] {
  return changed(messages, (message) => {
    const calls: unknown = message.tool_calls;
    if (!Array.isArray(calls)) return message;
    const all = calls.map((call: JsonValue) => {
      if (!isObject(call) || !isObject(call.function)) return call;
      const given = reshaped(call.function.arguments);
      return given === undefined ? call : { ...call, function: { ...call.function, arguments: given } };
    });
    return all.every((call, at) => call === calls[at]) ? message : { ...message, tool_calls: all };
  });
}

/** The JSON of an object. */
function textOf(value: JsonValue | undefined): JsonValue | undefined {
  return isObject(value) ? JSON.stringify(value) : undefined;
}

/** Messages in which no content is beside calls that is empty. */
function withoutContents(messages: readonly ChatMessage[]): readonly ChatMessage[] {
  return changed(messages, (message) => {
    const isEmpty = message.content === "" && Array.isArray(message.tool_calls) && message.tool_calls.length > 0;
    return isEmpty ? { ...message, content: null } : message;
  });
}

/** The object whose JSON a text is. */
function objectOf(text: JsonValue | undefined): JsonValue | undefined {
  if (typeof text !== "string") return undefined;
  try {
    const value: JsonValue = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined; // what a model wrote need not be JSON; then it stays the text that it is
  }
}

/** Messages with an empty text for each content that is null or missing; the same ones where there is none. */
function withContents(messages: readonly ChatMessage[]): readonly ChatMessage[] {
  return changed(messages, (message) => {
    const isMissing = message.content === undefined || message.content === null;
    return isMissing ? { ...message, content: "" } : message;
  });
}

/** Messages after a change; the same array where nothing changed. What is no message is left for the template to refuse. */
function changed(
  messages: readonly ChatMessage[],
  change: (message: ChatMessage) => ChatMessage,
): readonly ChatMessage[] {
  if (!Array.isArray(messages)) return messages;
  const all = messages.map((message: ChatMessage) => isObject(message) ? change(message) : message);
  return all.every((message, at) => message === messages[at]) ? messages : all;
}

function isObject(value: unknown): value is { readonly [key: string]: JsonValue | undefined } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
