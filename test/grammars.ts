/**
 * What tests of grammars share: the tokenizer of the embedded model, and whether a grammar has a text.
 *
 * @module
 */
import { before } from "node:test";
import { type Grammar, loadTokenizer, readGguf, type Tokenizer } from "../mod.ts";
import { embeddedModel } from "../src/files/embedded.ts";

/** The embedded model's, once {@link useTokenizer} has run. */
export let tokenizer: Tokenizer;

/** To be called by each file, for Bun counts a hook to the file that registers it and loads this one once for all. */
export function useTokenizer(): void {
  before(async () => {
    tokenizer = await loadTokenizer(readGguf(embeddedModel()));
  });
}

/** Whether a grammar has a text, which comes a byte at a time: so every beginning is looked at. */
export function has(grammar: Grammar, text: string): boolean {
  const matcher = grammar.matcher();
  return matcher.follow(new TextEncoder().encode(text)) && matcher.isComplete;
}
