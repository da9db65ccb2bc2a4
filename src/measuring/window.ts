/**
 * Windows of a long text that a model reads in parts: the option `window`, what each window begins with, and the two ways to
 * cut a text for measuring.
 *
 * @module
 */
import { InvalidArgumentError } from "../../ffi/errors.ts";
import { checkInteger } from "../options/checks.ts";
import { choice, integer } from "../options/schema.ts";
import type { Model } from "../model/model.ts";

/** Tokens of a window where the context has as many. */
const windowDefault = 256;
/** The same for the method of llama.cpp, whose own default it is. */
const llamaWindowDefault = 512;

/** The ways to cut a text for measuring. */
const methods = ["full", "llama.cpp"] as const;
export type Method = (typeof methods)[number];

/** The option; with a file of log probabilities, which that program's method makes, it is `llama.cpp`. */
export const methodField = choice(methods, {
  about: "Which tokens are counted: all, or as llama-perplexity does the second half of each window.",
  otherwise: "full; llama.cpp with klDivergenceBase",
  flag: {
    about: "count all tokens (full), or as llama-perplexity does the second half of each window of 512 " +
      "(default: full; llama.cpp with --kl-divergence-base)",
  },
});

/** The option; how large the context is only a model says. */
export const windowField = integer({
  about: "Tokens that are read together, the one that begins a text included.",
  least: 2,
  most: 1 << 20,
  otherwise: `${windowDefault}, or the context if that is less`,
  flag: { value: "N", about: "read N tokens at once, the one that begins a text included" },
});

/**
 * The window for a context.
 *
 * @throws {InvalidArgumentError} if `asked` is larger than the context
 */
export function windowOf(asked: number | undefined, context: number, method: Method = "full"): number {
  const window = asked ?? Math.min(method === "full" ? windowDefault : llamaWindowDefault, context);
  checkInteger("window", window, 2, context);
  return window;
}

/** The tokens before each window of a text: the one that begins a text, where the file wants it. */
export function headOf({ addBos, bos }: Model["tokenizer"]): readonly number[] {
  return addBos && bos !== undefined ? [bos] : [];
}

/** The tokens after each window of a text that is read as a whole. */
export function tailOf({ addEos, eos }: Model["tokenizer"]): readonly number[] {
  return addEos && eos !== undefined ? [eos] : [];
}

/** A window of a text, and which of its tokens are counted. */
export interface MeasuredWindow {
  readonly tokens: Uint32Array;
  /** The position from which on each token's successor is counted as predicted. */
  readonly first: number;
}

/** From which position of a window the method `llama.cpp` counts, and how many. */
export function countedOf(window: number): { readonly first: number; readonly count: number } {
  const first = window >> 1;
  return { first, count: window - 1 - first };
}

/**
 * The windows of the method `full`: the whole text is counted, and each window begins with the tokens `head`.
 *
 * @throws {InvalidArgumentError} if no token can be predicted
 */
export function fullWindows(ids: Uint32Array, head: readonly number[], window: number): MeasuredWindow[] {
  if (ids.length + head.length < 2) {
    throw new InvalidArgumentError("text: expected at least one token to predict, got none.", {
      what: "too short a text",
      where: "text",
    });
  }
  const step = window - head.length;
  const windows: MeasuredWindow[] = [];
  for (let begin = 0; begin < ids.length; begin += step) {
    const tokens = Uint32Array.of(...head, ...ids.subarray(begin, begin + step));
    if (tokens.length >= 2) windows.push({ tokens, first: 0 });
  }
  return windows;
}

/**
 * The tokens that the method `llama.cpp` reads: the text with the tokens `head` before it, without what fills no whole window.
 *
 * @throws {InvalidArgumentError} if they are less than two windows
 */
export function wholeWindows(ids: Uint32Array, head: readonly number[], window: number): Uint32Array {
  checkInteger("window", window, 3, Number.MAX_SAFE_INTEGER); // of two tokens none would be counted
  const all = Uint32Array.of(...head, ...ids);
  if (all.length < 2 * window) {
    throw new InvalidArgumentError(
      `text: the method "llama.cpp" needs two windows, ${2 * window} tokens; the text has ${all.length}. Expected a ` +
        "longer text or a smaller window.",
      { what: "too short a text", where: "text", expected: `${2 * window} tokens`, got: String(all.length) },
    );
  }
  return all.subarray(0, all.length - all.length % window);
}

/** The windows of the method `llama.cpp`: `head` takes the place of the first tokens, and the second half is counted. */
export function halfWindows(whole: Uint32Array, head: readonly number[], window: number): MeasuredWindow[] {
  const { first } = countedOf(window);
  return Array.from({ length: whole.length / window }, (_, index) => {
    const tokens = whole.slice(index * window, (index + 1) * window);
    tokens.set(head);
    return { tokens, first };
  });
}
