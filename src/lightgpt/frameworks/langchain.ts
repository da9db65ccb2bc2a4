/**
 * LightGPT as a chat model of LangChain: chains, streams, tools, structured output, tracing, all of them over a model in this process.
 *
 * @module
 */
import type { CallbackManagerForLLMRun } from "@langchain/core/callbacks/manager";
import type { BaseLanguageModelInput, StructuredOutputMethodOptions } from "@langchain/core/language_models/base";
import {
  BaseChatModel,
  type BaseChatModelCallOptions,
  type BaseChatModelParams,
  type BindToolsInput,
  type LangSmithParams,
} from "@langchain/core/language_models/chat_models";
import {
  assembleStructuredOutputPipeline,
  createContentParser,
} from "@langchain/core/language_models/structured_output";
import { AIMessage, AIMessageChunk, type BaseMessage } from "@langchain/core/messages";
import { ChatGenerationChunk, type ChatResult } from "@langchain/core/outputs";
import type { Runnable } from "@langchain/core/runnables";
import { convertToOpenAITool } from "@langchain/core/utils/function_calling";
import { toJsonSchema } from "@langchain/core/utils/json_schema";
import { isSerializableSchema, type SerializableSchema } from "@langchain/core/utils/standard_schema";
import { type InteropZodType, isInteropZodSchema } from "@langchain/core/utils/types";
import { checkObject, refuseOption } from "../../options/checks.ts";
import { LightGPT } from "../lightgpt.ts";
import { ask, type Asked, type AskedOptions, type DescribedTool, type Outcome, type Part } from "./ask.ts";
import { conversationOf } from "./langchain_messages.ts";

/**
 * Options for a chat model of LangChain.
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { ChatLightGPT, type ChatLightGPTOptions } from "@lightgpt/lightgpt/langchain";
 *
 * await using lm = await LightGPT.load();
 * const options: ChatLightGPTOptions = { model: lm, chat: { maxTokens: 100, sampling: { temperature: 0.2 } } };
 * console.log(new ChatLightGPT(options)._llmType());
 * ```
 */
export interface ChatLightGPTOptions extends BaseChatModelParams {
  /** The model. It stays the program's: dispose of it when nothing asks it any more. */
  readonly model: LightGPT;
  /**
   * What traces and `response_metadata` call the model.
   * @default {"lightgpt"}
   */
  readonly id?: string;
  /**
   * What each request has: a template, the most tokens, sampling, a tenant.
   * @default {nothing}
   */
  readonly chat?: AskedOptions;
}

/**
 * Options for one call.
 *
 * @example
 * ```ts
 * import type { ChatLightGPTCallOptions } from "@lightgpt/lightgpt/langchain";
 *
 * const options: ChatLightGPTCallOptions = { stop: ["."], chat: { maxTokens: 20 } };
 * console.log(options.stop);
 * ```
 */
export interface ChatLightGPTCallOptions extends BaseChatModelCallOptions {
  /**
   * The tools that may be called, as LangChain or OpenAI describe them; `bindTools` sets them.
   * @default {none}
   */
  readonly tools?: BindToolsInput[];
  /**
   * The JSON Schema that the answer is held to; `withStructuredOutput` sets it.
   * @default {none}
   */
  readonly schema?: object;
  /**
   * As `chat` of the model, for this call.
   * @default {nothing}
   */
  readonly chat?: AskedOptions;
}

/** A schema of zod, or of another library that tells its JSON Schema, or the JSON Schema itself. */
type OutputSchema<T extends object> = InteropZodType<T> | SerializableSchema<T> | Readonly<Record<string, unknown>>;

/**
 * A loaded model as a chat model of LangChain.
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { ChatLightGPT } from "@lightgpt/lightgpt/langchain";
 *
 * await using lm = await LightGPT.load();
 * const model = new ChatLightGPT({ model: lm, chat: { maxTokens: 100 } });
 * console.log(model._llmType()); // (await model.invoke("Why is the sky blue?")).text
 * ```
 */
export class ChatLightGPT extends BaseChatModel<ChatLightGPTCallOptions> {
  override lc_serializable = false;
  readonly #lm: LightGPT;
  readonly #id: string;
  readonly #chat: AskedOptions;

  /** Takes a model that is loaded. */
  constructor(options: ChatLightGPTOptions) {
    checkObject("options", options);
    super(options);
    const { model, id = "lightgpt", chat = {} } = options;
    if (!(model instanceof LightGPT)) refuseOption("model", "a LightGPT", model);
    if (typeof id !== "string") refuseOption("id", "a text", id);
    checkObject("chat", chat);
    this.#lm = model;
    this.#id = id;
    this.#chat = chat;
  }

  /** The name of the class in traces. */
  static override lc_name(): string {
    return "ChatLightGPT";
  }

  /** What kind of model it is: `lightgpt`. */
  override _llmType(): string {
    return "lightgpt";
  }

  /** What traces tell of the model. */
  override getLsParams(options: this["ParsedCallOptions"]): LangSmithParams {
    const { maxTokens, sampling } = { ...this.#chat, ...options.chat };
    return {
      ls_provider: "lightgpt",
      ls_model_name: this.#id,
      ls_model_type: "chat",
      ...(maxTokens === undefined ? {} : { ls_max_tokens: maxTokens }),
      ...(sampling?.temperature === undefined ? {} : { ls_temperature: sampling.temperature }),
    };
  }

  /**
   * The model with tools that it may call.
   *
   * @param tools what LangChain takes as tools
   * @param kwargs options of each call
   * @returns the model, bound
   */
  override bindTools(
    tools: BindToolsInput[],
    kwargs: Partial<ChatLightGPTCallOptions> = {},
  ): Runnable<BaseLanguageModelInput, AIMessageChunk, ChatLightGPTCallOptions> {
    return this.withConfig({ ...kwargs, tools });
  }

  /**
   * The model whose answers are objects of a schema, held to it token by token.
   *
   * @param schema of zod or another library that tells its JSON Schema, or the JSON Schema itself
   * @param config `includeRaw` gives the message with the object
   * @returns what gives objects
   */
  override withStructuredOutput<T extends object>(
    schema: OutputSchema<T>,
    config?: StructuredOutputMethodOptions<false>,
  ): Runnable<BaseLanguageModelInput, T>;
  /**
   * The same, with the message that has the object.
   *
   * @param schema as above
   * @param config with `includeRaw`
   * @returns what gives objects and messages
   */
  override withStructuredOutput<T extends object>(
    schema: OutputSchema<T>,
    config: StructuredOutputMethodOptions<true>,
  ): Runnable<BaseLanguageModelInput, { raw: BaseMessage; parsed: T }>;
  /**
   * Both, as one.
   *
   * @param schema as above
   * @param config as above
   * @returns what gives objects, alone or with messages
   */
  override withStructuredOutput<T extends object>(
    schema: OutputSchema<T>,
    config: StructuredOutputMethodOptions<boolean> = {},
  ): Runnable<BaseLanguageModelInput, T> | Runnable<BaseLanguageModelInput, { raw: BaseMessage; parsed: T }> {
    const { method = "jsonSchema", includeRaw = false, name = "StructuredOutput" } = config;
    if (method !== "jsonSchema") refuseOption("method", '"jsonSchema"', method);
    const isOwn = isInteropZodSchema(schema) || isSerializableSchema(schema);
    const held = this.withConfig({ schema: isOwn ? toJsonSchema(schema) : schema });
    return assembleStructuredOutputPipeline(held, createContentParser<T>(schema), includeRaw, name);
  }

  /**
   * Answers as a whole; LangChain calls it.
   *
   * @param messages the conversation
   * @param options what the call has
   * @param manager hears the pieces
   * @returns the answer
   */
  override async _generate(
    messages: BaseMessage[],
    options: this["ParsedCallOptions"],
    manager?: CallbackManagerForLLMRun,
  ): Promise<ChatResult> {
    let whole: ChatGenerationChunk | undefined;
    for await (const chunk of this._streamResponseChunks(messages, options, manager)) {
      whole = whole === undefined ? chunk : whole.concat(chunk);
    }
    const chunk = whole?.message as AIMessageChunk;
    const { content, tool_calls, usage_metadata, response_metadata, additional_kwargs } = chunk;
    const message = new AIMessage({
      content,
      ...(tool_calls === undefined ? {} : { tool_calls }),
      ...(usage_metadata === undefined ? {} : { usage_metadata }),
      response_metadata,
      additional_kwargs,
    });
    return { generations: [{ text: message.text, message, generationInfo: whole?.generationInfo ?? {} }] };
  }

  /**
   * Answers part by part; LangChain calls it.
   *
   * @param messages the conversation
   * @param options what the call has
   * @param manager hears the pieces
   * @returns the answer
   */
  override async *_streamResponseChunks(
    messages: BaseMessage[],
    options: this["ParsedCallOptions"],
    manager?: CallbackManagerForLLMRun,
  ): AsyncGenerator<ChatGenerationChunk> {
    const parts = ask(this.#lm, this.#asked(messages, options));
    /** The calls so far, in their order. */
    const calls: string[] = [];
    let next = await parts.next();
    for (; !next.done; next = await parts.next()) {
      const part = next.value;
      if (part.type === "toolCall") continue; // its arguments have come piece by piece
      const message = messageOf(part, calls);
      const text = part.type === "text" ? part.text : "";
      yield new ChatGenerationChunk({ text, message });
      await manager?.handleLLMNewToken(text, undefined, undefined, undefined, undefined, {
        chunk: new ChatGenerationChunk({ text, message }),
      });
    }
    yield end(next.value, this.#id);
  }

  #asked(messages: readonly BaseMessage[], called: this["ParsedCallOptions"]): Asked {
    const { tools: given = [], tool_choice: choice, schema, stop, signal, chat } = called;
    const tools = given.map(describe);
    if (stop !== undefined && stop.length > 0 && tools.length > 0) {
      refuseOption("stop", "no texts that stop an answer beside tools, whose calls they would cut", stop);
    }
    const { sampling: usual, ...rest } = this.#chat;
    const { sampling: special, ...own } = chat ?? {};
    const sampling = { ...usual, ...special };
    const options: AskedOptions = {
      ...rest,
      ...own,
      ...(Object.keys(sampling).length > 0 ? { sampling } : {}),
      ...(stop === undefined ? {} : { stop }),
      ...(signal === undefined ? {} : { signal }),
    };
    return { messages: conversationOf(messages), tools, toolChoice: toolChoiceOf(choice), schema, options };
  }
}

function describe(given: BindToolsInput): DescribedTool {
  const { function: { name, description, parameters } } = convertToOpenAITool(given);
  return { name, description, schema: parameters as object };
}

/** LangChain's choice: a word, a tool's name, or what OpenAI has for it. */
function toolChoiceOf(choice: ChatLightGPTCallOptions["tool_choice"]): Asked["toolChoice"] {
  if (choice === undefined || choice === "auto" || choice === "none" || choice === "required") return choice ?? "auto";
  if (choice === "any") return "required";
  const name: unknown = typeof choice === "string" ? choice : choice.function?.name;
  if (typeof name !== "string") refuseOption("tool_choice", "auto, none, any, or a tool's name", choice);
  return { name };
}

function messageOf(part: Exclude<Part, { type: "toolCall" }>, calls: string[]): AIMessageChunk {
  if (part.type === "text") return new AIMessageChunk({ content: part.text });
  if (part.type === "reasoning") {
    return new AIMessageChunk({ content: "", additional_kwargs: { reasoning_content: part.text } });
  }
  const { id, name, text: args } = part;
  // LangChain puts the pieces of one index together, names too: they stand in the first.
  const isFirst = !calls.includes(id);
  if (isFirst) calls.push(id);
  const chunk = { type: "tool_call_chunk", args, index: calls.indexOf(id), ...(isFirst ? { id, name } : {}) } as const;
  return new AIMessageChunk({ content: "", tool_call_chunks: [chunk] });
}

/** The last part, which tells how the answer ended and what it cost. */
function end({ stopReason, promptTokens, cachedTokens, generatedTokens, calls }: Outcome, id: string) {
  const isCut = stopReason === "maxTokens" || stopReason === "context";
  const info = { finish_reason: isCut ? "length" : calls > 0 ? "tool_calls" : "stop", stop_reason: stopReason };
  const message = new AIMessageChunk({
    content: "",
    usage_metadata: {
      input_tokens: promptTokens,
      output_tokens: generatedTokens,
      total_tokens: promptTokens + generatedTokens,
      input_token_details: { cache_read: cachedTokens },
    },
    response_metadata: { model_provider: "lightgpt", model_name: id, ...info },
  });
  return new ChatGenerationChunk({ text: "", message, generationInfo: info });
}
