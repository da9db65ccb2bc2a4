/**
 * Objects that a model writes: an answer that is held to a schema, read while it comes, and checked by the schema's own library
 * at its end.
 *
 * @module
 */
import { CancelledError } from "../../ffi/errors.ts";
import { type Completion, completionOf, type Piece } from "../batching/completion.ts";
import type { GenerateOptions, Prompt } from "../batching/request_options.ts";
import { ObjectError } from "../grammar/standard/error.ts";
import { inputSchema, validated } from "../grammar/standard/read.ts";
import type { DeepPartial, InferInput, InferOutput, SchemaIssue, StandardSchema } from "../grammar/standard/types.ts";
import { guarded, refuseOption } from "../options/checks.ts";
import { pickOptions, readOptions } from "../options/schema.ts";
import type { ChatMessage } from "../text/chat/template.ts";
import { conversationFields } from "../text/chat/options.ts";
import { GrowingJson } from "../text/growing_json.ts";
import { objectFields, type ObjectOptions, type ObjectPart, type ObjectResult } from "./object_options.ts";
import { chatFields, type ChatOptions } from "./options.ts";

/** What answers. */
export interface Answering {
  /** Tokens that a prompt and its answer may have. */
  readonly context: number;
  generate(prompt: Prompt, options: GenerateOptions): AsyncGenerator<Piece, Completion, void>;
  chat(messages: readonly ChatMessage[], options: ChatOptions): AsyncGenerator<Piece, Completion, void>;
}

/** The pieces of an answer that is held to a schema, and at its end the object. */
export async function* writeObject<S extends StandardSchema>(
  lm: Answering,
  prompt: Prompt | readonly ChatMessage[],
  options: ObjectOptions<S>,
): AsyncGenerator<string, ObjectResult<S>, void> {
  const { schema, additional, whitespace, maxTokens, deadlineMs } = readOptions(objectFields, options);
  const constraint = { schema: inputSchema(schema, "schema", additional) as NonNullable<unknown>, whitespace };
  const answer = { ...pickOptions<ChatOptions>(chatFields, options), constraint };
  const pieces = isConversation(prompt) ? lm.chat(prompt, answer) : lm.generate(prompt, alone(answer));
  let text = "";
  let completion: Completion;
  try {
    let next = await pieces.next();
    for (; !next.done; next = await pieces.next()) {
      text += next.value.text;
      yield next.value.text;
    }
    completion = next.value;
  } catch (error) {
    if (!(error instanceof CancelledError) || error.detail.where !== "deadlineMs") throw error;
    throw incomplete(text, "deadlineMs", `${deadlineMs} ms`, error);
  } finally {
    await pieces[Symbol.asyncDispose]();
  }
  if (completion.stopReason === "maxTokens") throw incomplete(text, "maxTokens", `${maxTokens} tokens`);
  if (completion.stopReason === "context") throw incomplete(text, "context", `${lm.context} tokens`);
  const result = await validated(schema, JSON.parse(completion.text));
  if (result.issues !== undefined) throw refused(text, result.issues);
  return completionOf({ ...completion, object: result.value as InferOutput<S> });
}

/** The same, as a value that grows. */
export async function* streamObject<S extends StandardSchema>(
  lm: Answering,
  prompt: Prompt | readonly ChatMessage[],
  options: ObjectOptions<S>,
): AsyncGenerator<ObjectPart<S>, ObjectResult<S>, void> {
  const json = new GrowingJson();
  const part = (text: string) => ({ text, partial: json.value as DeepPartial<InferInput<S>> | undefined });
  const texts = writeObject(lm, prompt, options);
  try {
    let next = await texts.next();
    for (; !next.done; next = await texts.next()) {
      json.push(next.value);
      yield part(next.value);
    }
    const before = json.value;
    json.end();
    // A number alone is whole only now.
    if (json.value !== before) yield part("");
    return next.value;
  } finally {
    // A reader that stops ends the request with it.
    await texts.return(undefined as never);
  }
}

/** Messages are objects; the tokens of a prompt are numbers. */
function isConversation(prompt: unknown): prompt is readonly ChatMessage[] {
  return guarded("prompt", () => Array.isArray(prompt) && typeof prompt[0] === "object");
}

/** The options for a prompt that is no conversation. */
function alone(options: ChatOptions): GenerateOptions {
  for (const name of Object.keys(conversationFields) as (keyof ChatOptions)[]) {
    if (options[name] !== undefined) refuseOption(name, "none, for the prompt is no conversation", options[name]);
  }
  return options;
}

function incomplete(text: string, where: string, room: string, cause?: unknown): ObjectError {
  return new ObjectError(
    "incomplete",
    `The object is incomplete: ${where} (${room}) ended it after ${text.length} characters.`,
    { what: "an object that was cut", where, expected: "room for the whole object", got: text },
    { text, cause },
  );
}

function refused(text: string, issues: readonly SchemaIssue[]): ObjectError {
  const [first] = issues;
  const where = (first?.path ?? []).map((step) => String(typeof step === "object" ? step.key : step)).join(".");
  const message = `The schema's own check refuses the object${where && ` at ${where}`}: ${
    first?.message ?? "no reason"
  }.`;
  return new ObjectError("invalidOutput", message.replace(/\.\.$/, "."), {
    what: "an object that the schema's own check refuses",
    where,
    expected: first?.message ?? "what the check takes",
    got: text,
  }, { text, issues });
}
