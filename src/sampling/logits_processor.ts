/**
 * Logits processors: functions of the caller's that see and may change the logits of a request before each of its tokens is
 * chosen. A step then only computes them; the choice is made afterwards, by the same sampler.
 *
 * @module
 */
import { refuseOption } from "../options/checks.ts";

/**
 * What a logits processor is told beside the logits.
 *
 * @example
 * ```ts
 * import { LightGPT, type LogitsContext } from "@lightgpt/lightgpt";
 *
 * const logitsProcessor = (logits: Float32Array, { generated }: LogitsContext) => {
 *   const last = generated.at(-1);
 *   if (last !== undefined) logits[last] = -Infinity; // no token twice in a row
 * };
 * await using lm = await LightGPT.load();
 * console.log((await lm.complete("Once upon a time", { logitsProcessor, maxTokens: 20 })).text);
 * ```
 */
export interface LogitsContext {
  /** The tokens of the prompt. */
  readonly prompt: Uint32Array;
  /** The tokens that were generated so far. */
  readonly generated: readonly number[];
}

/**
 * Sees the logits of the next token, one for each token of the vocabulary, and may change them in place; -Infinity bans a
 * token. The array is valid during the call only. What it throws ends its own request and no other. It returns nothing: a
 * promise or any other value is an error of the code `invalidArgument`, since it would be lost.
 *
 * @example
 * ```ts
 * import { LightGPT, type LogitsProcessor } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const [, never] = lm.tokenize("Once");
 * const logitsProcessor: LogitsProcessor = (logits) => {
 *   logits[never] = -Infinity;
 * };
 * console.log((await lm.complete("", { logitsProcessor, maxTokens: 20 })).text);
 * ```
 */
export type LogitsProcessor = (logits: Float32Array, context: LogitsContext) => void;

/** A processor of one request, whose generated tokens are in `generated` when it is called. */
export function processing(
  processor: LogitsProcessor,
  prompt: Uint32Array,
  generated: readonly number[],
): (logits: Float32Array) => void {
  return (logits) => {
    const result: unknown = processor(logits, { prompt, generated });
    if (result !== undefined) {
      refuseOption("logitsProcessor", "a function that changes the logits in place and returns nothing", result);
    }
  };
}
