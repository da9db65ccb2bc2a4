/**
 * Many prompts, one result each, in the order of the prompts. So many are under way at once as keep the batch full; the rest
 * stays where it comes from, so that a million prompts take no more memory than a hundred.
 *
 * @module
 */
import { CancelledError, QueueFullError } from "../../ffi/errors.ts";
import type { Completion } from "./generation.ts";
import { refuseOption } from "../options/checks.ts";
import { callback, type FieldsOf, integer } from "../options/schema.ts";
import { generateFields, type GenerateOptions, type Prompt } from "./request_options.ts";

/**
 * How far `map` is.
 *
 * @example
 * ```ts
 * import { LightGPT, type MapProgress } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const onProgress = ({ done, failed }: MapProgress) => console.error(done, "done,", failed, "of them failed");
 * for await (const { completion } of lm.batcher.map(["The fox", "The hen"], { maxTokens: 9, onProgress })) {
 *   console.log(completion?.text);
 * }
 * ```
 */
export interface MapProgress {
  /** Prompts that have a result. */
  readonly done: number;
  /** Those of them whose result is an error. */
  readonly failed: number;
}

/**
 * Options for many prompts: those of each request, and those of the whole.
 *
 * @example
 * ```ts
 * import { LightGPT, type MapOptions } from "@lightgpt/lightgpt";
 *
 * const options: MapOptions = { maxTokens: 20, sampling: { temperature: 0 }, ahead: 64 };
 * await using lm = await LightGPT.load();
 * for await (const { index, completion } of lm.batcher.map(["The fox", "The hen"], options)) {
 *   console.log(index, completion?.text);
 * }
 * ```
 */
export interface MapOptions extends GenerateOptions {
  /**
   * Prompts that are under way at once.
   * @default twice as many as a step takes
   */
  readonly ahead?: number;
  /** Called with the counts after each result. */
  readonly onProgress?: (progress: MapProgress) => void;
}

/** The schema of {@link MapOptions}. */
export const mapFields = {
  ...generateFields,
  ahead: integer({
    about: "Prompts that are under way at once.",
    least: 1,
    most: 1 << 16,
    otherwise: "twice as many as a step takes",
  }),
  onProgress: callback<(progress: MapProgress) => void>({ about: "Called with the counts after each result." }),
} as const satisfies FieldsOf<MapOptions>;

/**
 * What became of one prompt: a completion, or an error.
 *
 * @example
 * ```ts
 * import { LightGPT, type MapResult } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const results: MapResult[] = await Array.fromAsync(lm.batcher.map(["The fox", "The hen"], { maxTokens: 9 }));
 * console.log(results.map(({ completion, error }) => completion?.text ?? error));
 * ```
 */
export interface MapResult {
  /** Which prompt, from 0 on. */
  readonly index: number;
  /** What it came to. */
  readonly completion?: Completion;
  /** Why it came to nothing. */
  readonly error?: unknown;
}

/** Completes one prompt. */
type Complete = (prompt: Prompt, options: GenerateOptions) => Promise<Completion>;

/** Runs `complete` over all prompts; the options have been checked. */
export async function* mapPrompts(
  complete: Complete,
  prompts: Iterable<Prompt> | AsyncIterable<Prompt>,
  { ahead: most, onProgress, ...options }: MapOptions & { readonly ahead: number },
): AsyncGenerator<MapResult, void, void> {
  const source = iterate(prompts);
  const ending = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, ending.signal]) : ending.signal;
  const underWay: Promise<MapResult>[] = [];
  let index = 0;
  let failed = 0;
  let isAtEnd = false;
  try {
    for (let done = 1;; done++) {
      while (!isAtEnd && underWay.length < most) {
        const { done, value } = await source.next();
        isAtEnd = done === true;
        // Behind everything that somebody waits for, unless told otherwise.
        if (!isAtEnd) underWay.push(one(complete, index++, value, { priority: 0, ...options, signal }));
      }
      const result = await underWay.shift();
      if (!result) return;
      if (options.signal?.aborted) throw result.error ?? options.signal.reason;
      if (result.error !== undefined) failed++;
      onProgress?.({ done, failed });
      yield result;
    }
  } finally {
    ending.abort(new CancelledError("The results were not wanted any more.", { what: "cancelled" }));
    await Promise.all(underWay);
    await source.return?.();
  }
}

/** Never rejects: the error is the result. Where the queue is full of others, it waits as long as that says. */
async function one(complete: Complete, index: number, prompt: Prompt, options: GenerateOptions): Promise<MapResult> {
  for (;;) {
    try {
      return { index, completion: await complete(prompt, options) };
    } catch (error) {
      if (!(error instanceof QueueFullError) || options.signal?.aborted) return { index, error };
      await new Promise((resolve) => setTimeout(resolve, error.retryAfterMs));
    }
  }
}

function iterate(prompts: Iterable<Prompt> | AsyncIterable<Prompt>): AsyncIterator<Prompt> | Iterator<Prompt> {
  if (typeof prompts === "object" && prompts !== null) {
    if (Symbol.asyncIterator in prompts) return prompts[Symbol.asyncIterator]();
    if (Symbol.iterator in prompts) return prompts[Symbol.iterator]();
  }
  refuseOption("prompts", "an iterable or an async iterable of prompts", prompts);
}
