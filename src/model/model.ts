/**
 * A model file, opened: its metadata, its vocabulary, and its weights, which native code reads, checks again and packs. JavaScript
 * holds names, shapes and a handle; the weights never become an ArrayBuffer.
 *
 * @module
 */
import { ClosedError, LightGPTError } from "../../ffi/errors.ts";
import { localFile } from "../../ffi/assets.ts";
import { prepare } from "../../ffi/library.ts";
import { type ModelStatus, native } from "../../ffi/native.ts";
import { LIMITS, type ModelHandle } from "../../ffi/wire.ts";
import { turn } from "../../ffi/runtime/builtins.ts";
import { currentRuntime } from "../../ffi/runtime/pick.ts";
import { type ModelPlan, planModel } from "./architectures/architectures.ts";
import { Adapters } from "./adapter.ts";
import { type AdapterOptions, adaptersField } from "./adapter_options.ts";
import { describeModel } from "./encode_model.ts";
import { packedField, type PackedOptions, type PackedUse } from "./packed/options.ts";
import { PackedWeights } from "./packed/use.ts";
import { warningsOf } from "./warnings.ts";
import { assertUnchanged, type Gguf, readGguf } from "../files/gguf/read.ts";
import { fetchEmbeddedModel } from "../files/embedded.ts";
import { type DownloadProgress, modelFile, onDownloadField } from "../files/model_file.ts";
import { assertNotAborted } from "../options/checks.ts";
import { showAsLine } from "../options/inspect.ts";
import { abortSignal, callback, type FieldsOf, given, integer, readOptions, type Resolved } from "../options/schema.ts";
import { allowUnknownField } from "../text/tokenizer/options.ts";
import { loadTokenizer } from "../text/tokenizer/load.ts";
import type { Tokenizer } from "../text/tokenizer/types.ts";

export type { DownloadProgress } from "../files/model_file.ts";

/**
 * How far loading is.
 *
 * @example
 * ```ts
 * import { LightGPT, type LoadProgress } from "@lightgpt/lightgpt";
 *
 * const onProgress = ({ bytesDone, bytesTotal }: LoadProgress) => console.error(`${bytesDone} of ${bytesTotal}`);
 * await using lm = await LightGPT.load("model.gguf", { onProgress });
 * ```
 */
export interface LoadProgress {
  /** Bytes of tensors that are ready. */
  readonly bytesDone: number;
  /** Bytes of all tensors. */
  readonly bytesTotal: number;
}

/**
 * Options for loading a model.
 *
 * @example
 * ```ts
 * import { type LoadOptions, Model } from "@lightgpt/lightgpt";
 *
 * const options: LoadOptions = { signal: AbortSignal.timeout(10_000) };
 * await using model = await Model.load("model.gguf", options);
 * ```
 */
export interface LoadOptions {
  /**
   * The most tokens of a prompt and its answer together; some models choose their rotary factors by it.
   * @default {what the model was trained for, at most 8192}
   */
  readonly context?: number;
  /**
   * Adapters (LoRA) for requests to use; those that name none use all of these.
   * @default {none}
   */
  readonly adapters?: readonly AdapterOptions[];
  /** Ends loading. */
  readonly signal?: AbortSignal;
  /** Called with the progress of loading: at its beginning, now and then, and at its end. */
  readonly onProgress?: (progress: LoadProgress) => void;
  /** Called with how far fetching the model is, where it is given by its name and is not here. */
  readonly onDownload?: (progress: DownloadProgress) => void;
  /**
   * Cut words by default rules where the file names unknown ones; tokens may be slightly wrong then.
   * @default {false}
   */
  readonly allowUnknownPreTokenizer?: boolean;
  /**
   * Whether packed weights on disk are used, and kept for later starts: those load at once, and all processes share one copy.
   * Weights that could not be kept are a warning ({@link Model.warnings}), never a failed start.
   * @default {"auto"}
   */
  readonly packed?: PackedUse | PackedOptions;
}

/** The most positions that a context has unless a larger one is asked for: KV pages cost memory. */
const defaultContext = 8192;
/** The schema of {@link LoadOptions}. */
export const loadFields = {
  context: integer({
    about: "The most tokens of a prompt and its answer together.",
    least: 1,
    most: LIMITS.contextMax,
    otherwise: "what the model was trained for, at most 8192",
    flag: { value: "N", about: "hold at most N tokens of prompt and answer" },
  }),
  adapters: adaptersField("Adapters (LoRA) for requests to use; those that name none use all of these.", "none"),
  signal: abortSignal("Ends loading."),
  onProgress: callback<(progress: LoadProgress) => void>({ about: "Called with the progress of loading." }),
  onDownload: onDownloadField,
  allowUnknownPreTokenizer: allowUnknownField,
  packed: packedField,
} as const satisfies FieldsOf<LoadOptions>;

/** A wait is bounded, so that progress is reported and a signal heard. */
const waitMs = 25;

/** Frees what a lost model holds: the net below `dispose`. */
const lost = new FinalizationRegistry<ModelHandle>((handle) => native().modelFree(handle));

/**
 * Loads a model as `Model.load` does, once `accept` has seen what it is: it may throw before any weights are read. Without a path,
 * the model that comes with LightGPT.
 */
export let loadAccepted: (
  path: string | URL | undefined,
  options: LoadOptions,
  accept: (plan: ModelPlan, context: number) => void,
) => Promise<Model>;

/**
 * A model: metadata, vocabulary and weights. Most users need `LightGPT`, which has one.
 *
 * @example
 * ```ts
 * import { Model } from "@lightgpt/lightgpt";
 *
 * await using model = await Model.load("model.gguf");
 * console.log(model.architecture, model.parameters, model.vocabulary);
 * ```
 */
export class Model {
  static {
    loadAccepted = async (path, options, accept) =>
      Model.#load(path === undefined ? await fetchEmbeddedModel() : path, options, accept);
    showAsLine(Model, factsOf);
  }
  /** The file: metadata and table of tensors. */
  readonly gguf: Gguf;
  /**
   * What the file is as a model: sizes, traits, and which tensor is for what.
   *
   * @ignore
   */
  readonly plan: ModelPlan;
  /**
   * What it can do but was not made for, and what was asked for and could not be had, a sentence each: a context above the one
   * that it was trained for, packed weights that were not kept.
   *
   * @example
   * ```ts
   * import { LightGPT } from "@lightgpt/lightgpt";
   *
   * await using lm = await LightGPT.load(undefined, { context: 4096 });
   * for (const warning of lm.model.warnings) console.error(warning);
   * ```
   */
  readonly warnings: readonly string[];
  /** The positions of a context: as asked for, else what the model was trained for, at most 8192. */
  readonly context: number;
  /**
   * The adapters that were loaded with it.
   *
   * @ignore
   */
  readonly adapters: Adapters;
  /** Bytes of memory that the weights take, adapters included. */
  readonly residentBytes: number;
  /** The file of packed weights that it shares with other processes; undefined: the weights are memory of its own. */
  readonly packedPath: string | undefined;
  /** How long loading took, in milliseconds. */
  readonly loadMs: number;
  /** The vocabulary: text to tokens and back. Of a model without one it knows ids only (`hasText`). */
  readonly tokenizer: Tokenizer;
  /** Undefined once it was disposed. */
  #handle: ModelHandle | undefined;

  private constructor(parts: Loaded, handle: ModelHandle) {
    this.gguf = parts.gguf;
    this.plan = parts.plan;
    this.context = parts.context;
    this.warnings = [...warningsOf(parts.plan, parts.context), ...parts.packed.warnings];
    this.packedPath = parts.packed.path;
    this.tokenizer = parts.tokenizer;
    this.adapters = parts.adapters;
    this.residentBytes = parts.residentBytes + parts.adapters.bytes;
    this.loadMs = parts.loadMs;
    this.#handle = handle;
    lost.register(this, handle, this);
  }

  /**
   * Loads a GGUF file; of a split one, give the path of the first part. A model's name, such as `smollm2:135m` or
   * `hf:user/repo:Q4_K_M`, is fetched once.
   */
  static async load(path: string | URL, options: LoadOptions = {}): Promise<Model> {
    return await Model.#load(path, options, () => {});
  }

  static async #load(
    path: string | URL,
    options: LoadOptions,
    accept: (plan: ModelPlan, context: number) => void,
  ): Promise<Model> {
    const read = readOptions(loadFields, options);
    const { allowUnknownPreTokenizer, signal } = read;
    assertNotAborted(signal);
    const file = await modelFile("path", path, { signal, onProgress: read.onDownload });
    await prepare();
    const begin = performance.now();
    const { gguf, plan, context } = readPlan(file, read);
    await turn(); // reading a large header took its time
    const packed = new PackedWeights(read.packed, gguf, plan);
    let handle: ModelHandle | undefined;
    try {
      // Before any native code, for what comes from outside meets memory-safe code first.
      const tokenizer = await loadTokenizer(gguf, given({ allowUnknownPreTokenizer, signal }));
      accept(plan, context);
      await packed.open();
      handle = await packed.begin((place) => native().modelLoad(describeModel(plan, gguf.files, place)));
      const { residentBytes, state } = await finishLoading(handle, read);
      assertUnchanged(gguf);
      await packed.end(state);
      const adapters = await Adapters.load({ handle, plan, file }, read.adapters ?? [], signal);
      const loadMs = performance.now() - begin;
      return new Model({ gguf, plan, context, tokenizer, adapters, residentBytes, packed, loadMs }, handle);
    } catch (error) {
      packed.abandon();
      if (handle !== undefined) native().modelFree(handle);
      // Of a file that has changed, what seems wrong with it is not what is.
      if (error instanceof LightGPTError && ["modelFormat", "nonFinite", "io"].includes(error.code)) {
        assertUnchanged(gguf);
      }
      throw error;
    }
  }

  /** The architecture, as the file names it. */
  get architecture(): string {
    return this.plan.hyperparameters.architecture;
  }

  /** How many parameters it has. */
  get parameters(): number {
    return this.plan.parameters;
  }

  /** Entries of the vocabulary. */
  get vocabulary(): number {
    return this.plan.hyperparameters.vocabulary;
  }

  /**
   * What native code knows the model by.
   *
   * @ignore
   */
  get handle(): ModelHandle {
    if (this.#handle === undefined) {
      throw new ClosedError("The model was used after it was disposed.", { where: "model" });
    }
    return this.#handle;
  }

  /** Frees the weights, once no engine uses them. Again is fine. */
  dispose(): void {
    if (this.#handle === undefined) return;
    lost.unregister(this);
    this.adapters.dispose();
    native().modelFree(this.#handle);
    this.#handle = undefined;
  }

  /** {@link Model.dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** {@link Model.dispose}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    this.dispose();
    return Promise.resolve();
  }
}

/** What tells a model from others, for one line. */
export function factsOf({ gguf, architecture, parameters }: Pick<Model, "gguf" | "architecture" | "parameters">): {
  readonly file: string | undefined;
  readonly architecture: string;
  readonly parameters: number;
} {
  return { file: gguf.files[0], architecture, parameters };
}

/** What a file is as a model, without its weights. */
export function readPlan(
  path: string,
  asked: { readonly context?: number | undefined } = {},
): Pick<Model, "gguf" | "plan" | "context"> {
  const gguf = readGguf(localFile(currentRuntime(), path));
  if (asked.context !== undefined) {
    return { gguf, plan: planModel(gguf, { context: asked.context }), context: asked.context };
  }
  const plan = planModel(gguf, { contextMost: defaultContext });
  return { gguf, plan, context: Math.min(plan.hyperparameters.context, defaultContext) };
}

/** What loading comes to. */
interface Loaded {
  readonly gguf: Gguf;
  readonly plan: ModelPlan;
  readonly context: number;
  readonly tokenizer: Tokenizer;
  readonly adapters: Adapters;
  readonly residentBytes: number;
  readonly packed: PackedWeights;
  readonly loadMs: number;
}

/** Waits until a model is ready; returns the bytes it takes, and what became of packed weights. */
export async function finishLoading(
  handle: ModelHandle,
  { signal, onProgress }: Pick<Resolved<typeof loadFields>, "signal" | "onProgress">,
): Promise<Pick<ModelStatus, "residentBytes" | "state">> {
  const report = (progress: LoadProgress) => {
    onProgress?.(progress);
    assertNotAborted(signal); // the callback may have aborted it, also at the end
  };
  // A small model may be ready by now; it is told from the beginning all the same.
  report({ bytesDone: 0, bytesTotal: native().modelStatus(handle).bytesTotal });
  for (;;) {
    const { state, bytesDone, bytesTotal, residentBytes } = native().modelStatus(handle);
    report({ bytesDone, bytesTotal });
    if (state !== "loading") return { residentBytes, state };
    await native().wait(handle, waitMs);
  }
}
