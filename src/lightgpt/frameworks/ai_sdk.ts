/**
 * LightGPT as a provider for Vercel's AI SDK 7: models of its fourth specification, which run in this process. The types are those
 * parts of the specification that are read and given here, so that nothing of the SDK is needed to load this.
 *
 * @module
 */
import { UnsupportedError } from "../../../ffi/errors.ts";
import { checkObject, refuseOption } from "../../options/checks.ts";
import { LightGPT } from "../lightgpt.ts";
import type { AnswerOptions } from "../answer_options.ts";
import type { ChatOptions } from "../options.ts";
import { type AiSdkEmbeddingModel, embeddingModel } from "./ai_sdk_embedding.ts";
import { promptMessages } from "./ai_sdk_prompt.ts";
import type {
  AiSdkCall,
  AiSdkContent,
  AiSdkFinish,
  AiSdkResult,
  AiSdkStreamPart,
  AiSdkWarning,
} from "./ai_sdk_types.ts";
import type { EmbeddingSource } from "./embedding_source.ts";
import { ask, type Asked, type AskedOptions, type Outcome, type Part } from "./ask.ts";

/**
 * Options for a model that the AI SDK calls.
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { type AiSdkModelOptions, languageModel } from "@lightgpt/lightgpt/ai-sdk";
 *
 * const options: AiSdkModelOptions = { id: "stories", chat: { sampling: { minP: 0.05 } } };
 * await using lm = await LightGPT.load();
 * console.log(languageModel(lm, options).modelId);
 * ```
 */
export interface AiSdkModelOptions {
  /**
   * What the SDK calls the model.
   * @default {"lightgpt"}
   */
  readonly id?: string;
  /**
   * What each request has unless the SDK says otherwise: a template, a tenant, sampling. `providerOptions.lightgpt` of a call
   * has the same for one call.
   * @default {nothing}
   */
  readonly chat?: Omit<AnswerOptions, "tools" | "toolChoice"> & Pick<ChatOptions, "stop">;
}

/**
 * A model for `generateText`, `streamText` and the others of the AI SDK.
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { type AiSdkModel, languageModel } from "@lightgpt/lightgpt/ai-sdk";
 *
 * await using lm = await LightGPT.load();
 * const model: AiSdkModel = languageModel(lm);
 * console.log(model.specificationVersion, model.provider);
 * ```
 */
export interface AiSdkModel {
  /** The version of the SDK's specification. */
  readonly specificationVersion: "v4";
  /** Whose model it is: `lightgpt`. */
  readonly provider: string;
  /** Its name. */
  readonly modelId: string;
  /** Addresses that the model itself would fetch: none. */
  readonly supportedUrls: Record<string, RegExp[]>;
  /** Answers as a whole; the SDK calls it. */
  doGenerate(options: AiSdkCall): Promise<AiSdkResult>;
  /** Answers part by part; the SDK calls it. */
  doStream(options: AiSdkCall): Promise<{ stream: ReadableStream<AiSdkStreamPart> }>;
}

/**
 * A loaded model as one of the AI SDK. It stays the program's: dispose of it when nothing asks it any more.
 *
 * @param lm the model
 * @param options its name, and what each request has
 * @returns what `generateText({ model })` takes
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { languageModel } from "@lightgpt/lightgpt/ai-sdk";
 *
 * await using lm = await LightGPT.load();
 * const model = languageModel(lm, { id: "stories" });
 * console.log(model.modelId); // const { text } = await generateText({ model, prompt: "Why is the sky blue?" })
 * ```
 */
export function languageModel(lm: LightGPT, options: AiSdkModelOptions = {}): AiSdkModel {
  if (!(lm instanceof LightGPT)) refuseOption("lm", "a LightGPT", lm);
  checkObject("options", options);
  const { id = "lightgpt", chat = {} } = options;
  if (typeof id !== "string") refuseOption("id", "a text", id);
  checkObject("chat", chat);
  const begin = (called: AiSdkCall) => {
    const { asked, warnings } = readCall(called, chat);
    return { parts: ask(lm, asked), warnings };
  };
  return {
    specificationVersion: "v4",
    provider: "lightgpt",
    modelId: id,
    supportedUrls: {},
    async doGenerate(called) {
      const { parts, warnings } = begin(called);
      const content: AiSdkContent[] = [];
      let next = await parts.next();
      for (; !next.done; next = await parts.next()) add(content, next.value);
      return { content, ...finish(next.value), warnings, response: { modelId: id, timestamp: new Date() } };
    },
    // deno-lint-ignore require-await -- what it throws becomes a rejection
    async doStream(called) {
      const { parts, warnings } = begin(called);
      return { stream: streamOf(parts, warnings, id) };
    },
  };
}

/**
 * A provider of the AI SDK over models by their names, for `createProviderRegistry` and `customProvider`.
 *
 * @param models the models; an `Embedder` makes vectors, any other answers and makes vectors
 * @returns the provider
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { createProvider } from "@lightgpt/lightgpt/ai-sdk";
 *
 * await using lm = await LightGPT.load();
 * const provider = createProvider({ stories: lm });
 * console.log(provider.languageModel("stories").modelId);
 * ```
 */
export function createProvider(models: Readonly<Record<string, EmbeddingSource>>): AiSdkProvider {
  checkObject("models", models);
  const named = (id: string) =>
    Object.hasOwn(models, id) ? models[id] : refuseOption("modelId", Object.keys(models).join(", ") || "no model", id);
  return {
    specificationVersion: "v4",
    languageModel(id) {
      const model = named(id);
      if (model instanceof LightGPT) return languageModel(model, { id });
      throw new UnsupportedError(`${id} makes vectors, and answers nothing.`, { what: "no model that answers" });
    },
    embeddingModel: (id) => embeddingModel(named(id), { id }),
    imageModel: () => {
      throw new UnsupportedError("LightGPT has no image models for the AI SDK.", { what: "no image models" });
    },
  };
}

/**
 * A provider of the AI SDK.
 *
 * @example
 * ```ts
 * import { type AiSdkProvider, createProvider } from "@lightgpt/lightgpt/ai-sdk";
 *
 * const provider: AiSdkProvider = createProvider({});
 * console.log(provider.specificationVersion);
 * ```
 */
export interface AiSdkProvider {
  /** The version of the SDK's specification. */
  readonly specificationVersion: "v4";
  /** The model of a name. */
  languageModel(modelId: string): AiSdkModel;
  /** The model of a name, which makes vectors. */
  embeddingModel(modelId: string): AiSdkEmbeddingModel;
  /** There is none: throws an {@link UnsupportedError}. */
  imageModel(modelId: string): never;
}

/** What a call of the SDK asks, and what of it has no meaning here. */
function readCall(called: AiSdkCall, chat: AskedOptions): { asked: Asked; warnings: AiSdkWarning[] } {
  const warnings: AiSdkWarning[] = [];
  const unsupported = (feature: string, details: string) => warnings.push({ type: "unsupported", feature, details });
  const own = (called.providerOptions?.lightgpt ?? {}) as AskedOptions;
  const tools = (called.tools ?? []).flatMap((one) => {
    if (one.type === "function") {
      return [{ name: one.name, description: one.description, schema: one.inputSchema as object }];
    }
    unsupported(`the tool ${one.name}`, "A provider's own tools run nowhere here.");
    return [];
  });
  const { toolChoice: choice = { type: "auto" }, responseFormat: format, stopSequences = [] } = called;
  if (format?.type === "json" && format.schema === undefined) {
    unsupported("responseFormat without a schema", "Any object is taken.");
  }
  let stop = stopSequences.length > 0 ? stopSequences : own.stop ?? chat.stop;
  if (stop !== undefined && tools.length > 0) {
    unsupported("stopSequences", "They do not go with tools, whose calls they would cut.");
    stop = undefined;
  }
  const { stop: _own, ...rest } = { ...chat, ...own };
  const sampling = { ...chat.sampling, ...own.sampling, ...samplingOf(called) };
  const options: AskedOptions = {
    ...rest,
    ...(Object.keys(sampling).length > 0 ? { sampling } : {}),
    ...(called.maxOutputTokens === undefined ? {} : { maxTokens: called.maxOutputTokens }),
    ...(stop === undefined ? {} : { stop }),
    ...(called.abortSignal === undefined ? {} : { signal: called.abortSignal }),
    ...(called.reasoning === "none" ? { reasoning: { budget: 0 } } : {}),
  };
  const schema = format?.type === "json" ? (format.schema ?? { type: "object" }) as object : undefined;
  const toolChoice = choice.type === "tool" ? { name: choice.toolName } : choice.type;
  return { asked: { messages: promptMessages(called.prompt), tools, toolChoice, schema, options }, warnings };
}

function samplingOf(called: AiSdkCall): NonNullable<ChatOptions["sampling"]> {
  const { temperature, topP, topK, seed, presencePenalty: presence, frequencyPenalty: frequency } = called;
  const given = { temperature, topP, topK, seed };
  const penalties = Object.entries({ presence, frequency }).filter(([, value]) => value !== undefined);
  return {
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    ...(penalties.length > 0 ? { penalties: Object.fromEntries(penalties) } : {}),
  };
}

/** Adds a part to those of a whole answer; neighbours of one kind are one. */
function add(content: AiSdkContent[], part: Part): void {
  const last = content.at(-1);
  if (part.type === "toolCallDelta") return;
  if (part.type === "toolCall") content.push(callOf(part));
  else if (last?.type === part.type) last.text += part.text;
  else content.push({ type: part.type, text: part.text });
}

function callOf(
  { id, name, input }: Extract<Part, { type: "toolCall" }>,
): Extract<AiSdkContent, { type: "tool-call" }> {
  return { type: "tool-call", toolCallId: id, toolName: name, input: JSON.stringify(input) };
}

function finish({ stopReason, promptTokens, cachedTokens, generatedTokens, calls }: Outcome): AiSdkFinish {
  const isCut = stopReason === "maxTokens" || stopReason === "context";
  return {
    finishReason: { unified: isCut ? "length" : calls > 0 ? "tool-calls" : "stop", raw: stopReason },
    usage: {
      inputTokens: {
        total: promptTokens,
        noCache: promptTokens - cachedTokens,
        cacheRead: cachedTokens,
        cacheWrite: undefined,
      },
      outputTokens: { total: generatedTokens, text: undefined, reasoning: undefined },
    },
  };
}

/** The parts as a stream, as fast as it is read; to cancel it ends the request. */
function streamOf(
  parts: AsyncGenerator<Part, Outcome, void>,
  warnings: AiSdkWarning[],
  modelId: string,
): ReadableStream<AiSdkStreamPart> {
  let open: "text" | "reasoning" | undefined;
  let count = 0;
  /** The call whose arguments come. */
  let called: string | undefined;
  const close = (controller: ReadableStreamDefaultController<AiSdkStreamPart>) => {
    if (open !== undefined) controller.enqueue({ type: `${open}-end`, id: `${count}` });
    open = undefined;
  };
  return new ReadableStream<AiSdkStreamPart>({
    start(controller) {
      controller.enqueue({ type: "stream-start", warnings });
      controller.enqueue({ type: "response-metadata", modelId, timestamp: new Date() });
    },
    async pull(controller) {
      const { done, value } = await parts.next();
      if (done) {
        close(controller);
        controller.enqueue({ type: "finish", ...finish(value) });
        controller.close();
      } else if (value.type === "toolCall") {
        controller.enqueue({ type: "tool-input-end", id: value.id });
        controller.enqueue(callOf(value));
      } else if (value.type === "toolCallDelta") {
        const { id, name, text } = value;
        if (called !== id) {
          close(controller);
          controller.enqueue({ type: "tool-input-start", id, toolName: name });
          called = id;
        }
        controller.enqueue({ type: "tool-input-delta", id, delta: text });
      } else {
        if (open !== value.type) {
          close(controller);
          open = value.type;
          controller.enqueue({ type: `${open}-start`, id: `${++count}` });
        }
        controller.enqueue({ type: `${value.type}-delta`, id: `${count}`, delta: value.text });
      }
    },
    async cancel() {
      await parts.return({} as Outcome);
    },
  });
}
