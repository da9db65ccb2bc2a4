/**
 * LightGPT's vectors for Vercel's AI SDK 7: `embed` and `embedMany` over a model in this process.
 *
 * @module
 */
import type { EmbedOptions } from "../../embedding/options.ts";
import { checkObject, refuseOption } from "../../options/checks.ts";
import type { AiSdkWarning } from "./ai_sdk_types.ts";
import { type EmbeddingSource, sourceOf } from "./embedding_source.ts";

/**
 * Options for vectors of the AI SDK.
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { type AiSdkEmbeddingOptions, embeddingModel } from "@lightgpt/lightgpt/ai-sdk";
 *
 * const options: AiSdkEmbeddingOptions = { id: "stories", embed: { pooling: "mean" } };
 * await using lm = await LightGPT.load();
 * console.log(embeddingModel(lm, options).modelId);
 * ```
 */
export interface AiSdkEmbeddingOptions {
  /**
   * What the SDK calls the model.
   * @default {"lightgpt"}
   */
  readonly id?: string;
  /**
   * What each text has: how rows are pooled, how many dimensions stay, a prompt. `providerOptions.lightgpt` of a call has the
   * same for one call.
   * @default {nothing}
   */
  readonly embed?: EmbedOptions;
}

/**
 * What the AI SDK asks: texts.
 *
 * @example
 * ```ts
 * import type { AiSdkEmbeddingCall } from "@lightgpt/lightgpt/ai-sdk";
 *
 * const call: AiSdkEmbeddingCall = { values: ["a fox", "a hen"] };
 * console.log(call.values.length);
 * ```
 */
export interface AiSdkEmbeddingCall {
  /** The texts. */
  readonly values: string[];
  /** Ends the request. */
  readonly abortSignal?: AbortSignal | undefined;
  /** Options of each provider; those of `lightgpt` are options of `embed`. */
  readonly providerOptions?: Readonly<Record<string, Readonly<Record<string, unknown>>>> | undefined;
}

/**
 * A model for `embed` and `embedMany` of the AI SDK.
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { type AiSdkEmbeddingModel, embeddingModel } from "@lightgpt/lightgpt/ai-sdk";
 *
 * await using lm = await LightGPT.load();
 * const model: AiSdkEmbeddingModel = embeddingModel(lm, { embed: { pooling: "mean" } });
 * console.log((await model.doEmbed({ values: ["a fox"] })).usage.tokens);
 * ```
 */
export interface AiSdkEmbeddingModel {
  /** The version of the SDK's specification. */
  readonly specificationVersion: "v4";
  /** Whose model it is: `lightgpt`. */
  readonly provider: string;
  /** Its name. */
  readonly modelId: string;
  /** Texts of one call: any number. */
  readonly maxEmbeddingsPerCall: number;
  /** Whether calls may run at the same time: they take turns. */
  readonly supportsParallelCalls: boolean;
  /** Makes vectors; the SDK calls it. */
  doEmbed(
    call: AiSdkEmbeddingCall,
  ): Promise<{ embeddings: number[][]; usage: { tokens: number }; warnings: AiSdkWarning[] }>;
}

/**
 * A loaded model as one of the AI SDK that makes vectors. It stays the program's.
 *
 * @param source an `Embedder`, or a model that generates, whose rows need the option `pooling`
 * @param options its name, and what each text has
 * @returns what `embedMany({ model })` takes
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { embeddingModel } from "@lightgpt/lightgpt/ai-sdk";
 *
 * await using lm = await LightGPT.load();
 * const model = embeddingModel(lm, { embed: { pooling: "mean" } });
 * console.log(model.modelId); // const { embeddings } = await embedMany({ model, values: ["a fox", "a hen"] })
 * ```
 */
export function embeddingModel(source: EmbeddingSource, options: AiSdkEmbeddingOptions = {}): AiSdkEmbeddingModel {
  sourceOf("source", source);
  checkObject("options", options);
  const { id = "lightgpt", embed = {} } = options;
  if (typeof id !== "string") refuseOption("id", "a text", id);
  checkObject("embed", embed);
  return {
    specificationVersion: "v4",
    provider: "lightgpt",
    modelId: id,
    maxEmbeddingsPerCall: Infinity,
    supportsParallelCalls: true,
    async doEmbed({ values, abortSignal: signal, providerOptions }) {
      const own = (providerOptions?.lightgpt ?? {}) as EmbedOptions;
      try {
        const vectors = await source.embed(values, { ...embed, ...own, ...(signal === undefined ? {} : { signal }) });
        const embeddings = Array.from(vectors, (vector) => Array.from(vector));
        return { embeddings, usage: { tokens: vectors.tokens }, warnings: [] };
      } catch (error) {
        signal?.throwIfAborted(); // the SDK knows an abort by its own signal's reason
        throw error;
      }
    },
  };
}
