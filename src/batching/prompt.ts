/**
 * Prompts: ids that a caller gives are checked, text becomes ids. A short text is tokenized at once; a long one in slices,
 * once its request begins, so that the event loop and a signal are heard meanwhile.
 *
 * @module
 */
import { InvalidArgumentError } from "../../ffi/errors.ts";
import { tokenIds } from "../options/token_ids.ts";
import { tooLong } from "../text/tokenizer/length.ts";
import type { Tokenizer } from "../text/tokenizer/types.ts";

/** What a prompt has to fit. */
export interface PromptHost {
  /** Turns text into tokens. */
  readonly tokenizer: Tokenizer;
  /** Positions of the context. */
  readonly context: number;
}

/** Characters of a text that is tokenized at once: a few milliseconds. */
const SHORT_TEXT = 1 << 13;

/**
 * Checks a prompt.
 *
 * @returns its ids, or the text itself where {@link encodePrompt} is to tokenize it in slices
 * @throws {InvalidArgumentError} if it has no token, or more than the context holds
 */
export function resolvePrompt(host: PromptHost, prompt: string | ArrayLike<number>): Uint32Array | string {
  const { tokenizer } = host;
  if (typeof prompt !== "string") {
    const ids = tokenIds("tokens", prompt, tokenizer.vocabularySize);
    // No ids at all are an empty text.
    return ids.length > 0 || !tokenizer.hasText ? checkPromptLength(host, ids) : resolvePrompt(host, "");
  }
  if (prompt.length > SHORT_TEXT) return prompt;
  return checkPromptLength(host, tokenizer.encode(prompt, { isPrompt: true }));
}

/**
 * Tokenizes a long text in slices.
 *
 * @returns its ids
 * @throws {InvalidArgumentError} if it has more than the context holds
 */
export async function encodePrompt(host: PromptHost, text: string, signal: AbortSignal): Promise<Uint32Array> {
  const { tokenizer, context } = host;
  const ids = await tokenizer.encodeAsync(text, { isPrompt: true, name: "prompt", context, signal });
  return checkPromptLength(host, ids);
}

function checkPromptLength({ context }: PromptHost, ids: Uint32Array): Uint32Array {
  if (ids.length === 0) {
    throw new InvalidArgumentError(
      "prompt: expected at least one token, got none; this model's file puts no token at the beginning of a text.",
      { what: "an empty prompt", where: "prompt", expected: "at least one token", got: "none" },
    );
  }
  checkLength("prompt", ids.length, context);
  return ids;
}

/** Throws where more tokens were given than the context holds. */
export function checkLength(what: string, tokens: number, context: number): void {
  if (tokens > context) throw tooLong(what, `${tokens}`, context);
}
