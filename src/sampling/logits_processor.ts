/**
 * Logits processors: functions of the caller that may change the logits of a request before each of its tokens is chosen. The
 * step of such a request computes logits only; the same sampler chooses after it.
 *
 * @module
 */
import { refuseOption } from "../options/checks.ts";

/**
 * What a logits processor gets beside the logits.
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
  /** The tokens generated so far. */
  readonly generated: readonly number[];
}

/**
 * Changes the logits of the next token in place; -Infinity bans a token. The array has one float for each token of the
 * vocabulary, and is valid during the call only. An error that the function throws ends its own request and no other. The
 * function returns nothing: a promise or another value is an error of the code `invalidArgument`, since it would be lost.
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

/**
 * Binds a processor to one request.
 *
 * @param generated the tokens of the request, as they are when the processor is called
 * @returns what changes the logits of the next token
 */
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
