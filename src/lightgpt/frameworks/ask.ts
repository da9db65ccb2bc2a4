/**
 * What frameworks ask a model, and what comes of it: one way for all of them. Their messages and options become ours where they are
 * read; here an answer is asked for with tools, thoughts and a schema as far as these go together, and an abort is told as the
 * framework's own signal has it.
 *
 * @module
 */
import type { Completion } from "../../batching/completion.ts";
import { jsonSchema } from "../../grammar/standard/read.ts";
import type { ChatMessage } from "../../text/chat/inputs.ts";
import type { ToolChoice } from "../../tools/options.ts";
import { tool, type Tools } from "../../tools/tool.ts";
import type { AnswerOptions } from "../answer_options.ts";
import type { LightGPT } from "../lightgpt.ts";
import type { ChatOptions } from "../options.ts";

/** A tool as frameworks describe it. */
export interface DescribedTool {
  readonly name: string;
  readonly description?: string | undefined;
  /** The JSON Schema of what it takes. */
  readonly schema: object;
}

/** Options for an answer, but what the framework itself says of tools. */
export type AskedOptions = Omit<AnswerOptions, "tools" | "toolChoice"> & Pick<ChatOptions, "stop">;

/** What a framework asks. */
export interface Asked {
  readonly messages: readonly ChatMessage[];
  readonly tools: readonly DescribedTool[];
  readonly toolChoice: ToolChoice;
  /** The JSON Schema that the answer is to meet. */
  readonly schema?: object | undefined;
  /** Everything else; texts that stop an answer go with neither tools nor thoughts. */
  readonly options: AskedOptions;
}

/** Part of an answer. */
export type Part =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "reasoning"; readonly text: string }
  | { readonly type: "toolCallDelta"; readonly id: string; readonly name: string; readonly text: string }
  | { readonly type: "toolCall"; readonly id: string; readonly name: string; readonly input: unknown };

/** How an answer ended, and what it cost. */
export interface Outcome extends Pick<Completion, "stopReason" | "promptTokens" | "cachedTokens" | "generatedTokens"> {
  readonly calls: number;
}

/** The parts of an answer as they come. */
export async function* ask(lm: LightGPT, asked: Asked): AsyncGenerator<Part, Outcome, void> {
  const { signal } = asked.options;
  let calls = 0;
  try {
    signal?.throwIfAborted();
    const pieces = answer(lm, asked);
    let next = await pieces.next();
    for (; !next.done; next = await pieces.next()) {
      if (next.value.type === "toolCall") calls++;
      yield next.value;
    }
    const { stopReason, promptTokens, cachedTokens, generatedTokens } = next.value;
    return { stopReason, promptTokens, cachedTokens, generatedTokens, calls };
  } catch (error) {
    signal?.throwIfAborted(); // frameworks know an abort by their own signal's reason
    throw error;
  }
}

async function* answer(lm: LightGPT, asked: Asked): AsyncGenerator<Part, Completion, void> {
  const { messages, toolChoice, schema, options } = asked;
  const { stop, ...rest } = options;
  const held = schema === undefined ? {} : { constraint: { schema } };
  if (stop !== undefined && stop.length > 0) {
    // Where a text ends an answer, no mark of thoughts can: all is text.
    const { reasoning: _thoughts, parallelToolCalls: _several, toolFormat: _format, ...plain } = rest;
    const pieces = lm.chat(messages, { ...plain, stop, ...held });
    let next = await pieces.next();
    for (; !next.done; next = await pieces.next()) {
      if (next.value.text !== "") yield { type: "text", text: next.value.text };
    }
    return next.value;
  }
  const tools: Tools = Object.fromEntries(asked.tools.map(({ name, description = "", schema }) => [
    name,
    tool({ description, input: jsonSchema(schema) }),
  ]));
  const wanted: AnswerOptions = {
    reasoning: {},
    ...rest,
    ...held,
    ...(asked.tools.length > 0 ? { tools, toolChoice } : {}),
  };
  return yield* lm.chat(messages, wanted) as AsyncGenerator<Part, Completion, void>;
}
