/**
 * Windows of a long text that a model reads in parts: the option `window`, and what each window begins with.
 *
 * @module
 */
import { checkInteger } from "../options/checks.ts";
import { integer } from "../options/schema.ts";
import type { Tokenizer } from "../text/tokenizer/tokenizer.ts";

/** Tokens of a window where the context has as many: as the common tools measure perplexity. */
const windowDefault = 256;

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
export function windowOf(asked: number | undefined, context: number): number {
  const window = asked ?? Math.min(windowDefault, context);
  checkInteger("window", window, 2, context);
  return window;
}

/** The tokens before each window of a text: the one that begins a text, where the file wants it. */
export function headOf({ addBos, bos }: Tokenizer): readonly number[] {
  return addBos && bos !== undefined ? [bos] : [];
}
