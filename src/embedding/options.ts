/**
 * Options of embedding and reranking: what users see, and the schemas of it.
 *
 * @module
 */
import { LIMITS } from "../../ffi/wire.ts";
import { activationsField } from "../engine/types.ts";
import { threadsField } from "../engine/threads_option.ts";
import { loadFields, type LoadOptions } from "../model/model.ts";
import { abortSignal, boolean, callback, choice, type FieldsOf, integer, text } from "../options/schema.ts";

/** What a text's vector is made of: its first token's row, the mean of all, the last one's; `none`: the rows as they are. */
export const poolingNames = ["none", "mean", "cls", "last"] as const;

/** Most dimensions of a vector. */
const dimensionsMost: number = LIMITS.embeddingMax;

/**
 * Options for loading a model that embeds or ranks texts.
 *
 * @example
 * ```ts
 * import { Embedder, type EmbedderOptions } from "@lightgpt/lightgpt/embedding";
 *
 * const options: EmbedderOptions = { threads: 4, context: 512 };
 * await using embedder = await Embedder.load("model.gguf", options);
 * ```
 */
export interface EmbedderOptions extends Omit<LoadOptions, "adapters"> {
  /**
   * Threads that compute.
   * @default {the processors that may be used}
   */
  readonly threads?: number;
  /**
   * How activations are rounded before products with quantized weights.
   * @default {"int8"}
   */
  readonly activations?: "int8" | "int16";
}

const { adapters: _adapters, ...loadOneFields } = loadFields;

/** The schema of {@link EmbedderOptions}. */
export const embedderFields = {
  ...loadOneFields,
  threads: threadsField,
  activations: activationsField,
} as const satisfies FieldsOf<EmbedderOptions>;

/**
 * How far a call is.
 *
 * @example
 * ```ts
 * import { Embedder, type EmbedProgress } from "@lightgpt/lightgpt/embedding";
 *
 * const onProgress = ({ done, total }: EmbedProgress) => console.error(done, total);
 * await using embedder = await Embedder.load("model.gguf");
 * await embedder.embed(["one", "two"], { onProgress, pooling: "mean" });
 * ```
 */
export interface EmbedProgress {
  /** Texts that are done. */
  readonly done: number;
  /** All texts; undefined where they come one by one. */
  readonly total: number | undefined;
  /** Tokens of those that are done. */
  readonly tokens: number;
}

/**
 * Options for embedding texts.
 *
 * @example
 * ```ts
 * import { Embedder, type EmbedOptions } from "@lightgpt/lightgpt/embedding";
 *
 * const options: EmbedOptions = { prompt: "query: ", truncate: true, pooling: "mean" };
 * await using embedder = await Embedder.load("model.gguf");
 * const { data } = await embedder.embed("how to bake bread", options);
 * ```
 */
export interface EmbedOptions {
  /**
   * Whether vectors are made of length 1, so that their product is the cosine; not with the pooling `none`.
   * @default {true}
   */
  readonly normalize?: boolean;
  /**
   * How many numbers of a vector stay, for models that are trained for shorter ones; it is cut before it is made of length 1.
   * @default {all}
   */
  readonly dimensions?: number;
  /**
   * Text in front of each text, such as "query: "; not of those that are given as tokens.
   * @default {none}
   */
  readonly prompt?: string;
  /**
   * Whether a text that is too long is cut; else it is refused.
   * @default {false}
   */
  readonly truncate?: boolean;
  /**
   * What a vector is made of: the mean of all tokens' rows, the first (`cls`) or the last; `none`: a row for each token.
   * @default {what the file says}
   */
  readonly pooling?: "none" | "mean" | "cls" | "last";
  /** Ends the work, within a layer. */
  readonly signal?: AbortSignal;
  /** Called after each step with how far it is. */
  readonly onProgress?: (progress: EmbedProgress) => void;
}

/** The schema of {@link EmbedOptions}. */
export const embedFields = {
  normalize: boolean({
    about: "Whether vectors are made of length 1.",
    otherwise: "true",
  }),
  dimensions: integer({
    about: "How many numbers of a vector stay.",
    least: 1,
    most: dimensionsMost,
    otherwise: "all",
    flag: { value: "N", about: "keep the first N numbers of a vector" },
  }),
  prompt: text({
    about: "Text in front of each text.",
    otherwise: "none",
    flag: { value: "TEXT", about: "put TEXT in front of each text" },
  }),
  truncate: boolean({
    about: "Whether a text that is too long is cut; else it is refused.",
    default: false,
    flag: { about: "cut texts that are too long" },
  }),
  pooling: choice(poolingNames, {
    about: "What a vector is made of.",
    otherwise: "what the file says",
    flag: { about: "what a vector is made of" },
  }),
  signal: abortSignal("Ends the work, within a layer."),
  onProgress: callback<(progress: EmbedProgress) => void>({ about: "Called after each step with how far it is." }),
} as const satisfies FieldsOf<EmbedOptions>;

/**
 * Options for ranking documents.
 *
 * @example
 * ```ts
 * import { Embedder, type RerankOptions } from "@lightgpt/lightgpt/embedding";
 *
 * const options: RerankOptions = { top: 3 };
 * const best = async (ranker: Embedder) => await ranker.rerank("who wrote it?", ["Ann wrote it.", "It rains."], options);
 * console.log(best);
 * ```
 */
export interface RerankOptions {
  /**
   * How many documents are given back, the best first.
   * @default {all}
   */
  readonly top?: number;
  /**
   * Whether a document that is too long beside the query is cut; else it is refused.
   * @default {false}
   */
  readonly truncate?: boolean;
  /** Ends the work, within a layer. */
  readonly signal?: AbortSignal;
  /** Called after each step with how far it is. */
  readonly onProgress?: (progress: EmbedProgress) => void;
}

/** The schema of {@link RerankOptions}. */
export const rerankFields = {
  top: integer({
    about: "How many documents are given back, the best first.",
    least: 1,
    most: Number.MAX_SAFE_INTEGER,
    otherwise: "all",
    flag: { value: "N", about: "print the best N" },
  }),
  truncate: embedFields.truncate,
  signal: abortSignal("Ends the work, within a layer."),
  onProgress: embedFields.onProgress,
} as const satisfies FieldsOf<RerankOptions>;
