/**
 * The option `window` of everything that has a model read a long text in parts.
 *
 * @module
 */
import { checkInteger } from "../options/checks.ts";
import { integer } from "../options/schema.ts";

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

/** The window for a context; throws for one that is larger. */
export function windowOf(asked: number | undefined, context: number): number {
  const window = asked ?? Math.min(windowDefault, context);
  checkInteger("window", window, 2, context);
  return window;
}
