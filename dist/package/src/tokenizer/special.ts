/**
 * Cuts special tokens out of a text before it is tokenized: the longest texts first, then from left to right. Control
 * tokens are only seen when the caller asks for it, never in what a user typed; user-defined ones always.
 *
 * A trie over all special texts first finds out which of them occur at all, so that a vocabulary with thousands of them
 * costs one walk over the text.
 *
 * @module
 */
import { KIND, type Vocabulary } from "./vocabulary.ts";

/** A piece of a text: a token, or text between tokens. */
export type Fragment = number | string;

interface Special {
  token: number;
  text: string;
}

/** Stands inside a text that must not be taken for a special token: a code point that no text in use has. */
const MARK = "\u{fdd0}";

/** The special tokens of a vocabulary. */
export class SpecialTokens {
  readonly #always: SpecialFinder;
  readonly #parsed: SpecialFinder;
  readonly #texts = new Map<number, { text: string; always: boolean }>();

  constructor(vocabulary: Vocabulary) {
    const always: Special[] = [];
    const parsed: Special[] = [];
    const seen = new Set<string>();
    for (let token = 0; token < vocabulary.size; token++) {
      const kind = vocabulary.kinds[token];
      if (kind !== KIND.control && kind !== KIND.unknown && kind !== KIND.userDefined) continue;
      const text = vocabulary.text(token);
      if (text === "" || seen.has(text)) continue;
      seen.add(text);
      parsed.push({ token, text });
      this.#texts.set(token, { text, always: kind === KIND.userDefined });
      if (kind === KIND.userDefined) always.push({ token, text });
    }
    this.#always = new SpecialFinder(always);
    this.#parsed = new SpecialFinder(parsed);
  }

  /** The text in pieces; control tokens are cut out only if `parse` is set. */
  split(text: string, parse: boolean): Fragment[] {
    return (parse ? this.#parsed : this.#always).split(text);
  }

  /** The text with a mark inside whatever only `parse` would cut out, so that it stays text; {@link withoutMarks} undoes it. */
  protect(text: string): string {
    const plain = text.replaceAll(MARK, "\ufffd");
    return this.#parsed.split(plain).map((fragment) => {
      if (typeof fragment === "string") return fragment;
      const { text, always } = this.#texts.get(fragment) as { text: string; always: boolean };
      const [first] = text;
      return always ? text : first + MARK + text.slice(first.length);
    }).join("");
  }
}

/** A text without the marks of {@link SpecialTokens.protect}. */
export function withoutMarks(text: string): string {
  return text.replaceAll(MARK, "");
}

/** Children of the trie's nodes by node * 2^16 + UTF-16 unit. */
const UNITS = 1 << 16;

class SpecialFinder {
  readonly #specials: readonly Special[];
  readonly #children = new Map<number, number>();
  /** The special that ends at a node. */
  readonly #ends = new Map<number, number>();
  #built = false;

  constructor(specials: readonly Special[]) {
    this.#specials = [...specials].sort((left, right) => right.text.length - left.text.length);
  }

  split(text: string): Fragment[] {
    let fragments: Fragment[] = text === "" ? [] : [text];
    for (const index of this.#occurring(text)) {
      const { token, text: special } = this.#specials[index];
      fragments = fragments.flatMap((fragment) =>
        typeof fragment === "string" ? cut(fragment, special, token) : [fragment]
      );
    }
    return fragments;
  }

  /** Which specials occur in the text, longest first. */
  #occurring(text: string): number[] {
    if (this.#specials.length === 0) return [];
    if (!this.#built) this.#build();
    const found = new Set<number>();
    for (let start = 0; start < text.length; start++) {
      let node: number | undefined = 0;
      for (let at = start; at < text.length; at++) {
        node = this.#children.get(node * UNITS + text.charCodeAt(at));
        if (node === undefined) break;
        const end = this.#ends.get(node);
        if (end !== undefined) found.add(end);
      }
    }
    return [...found].sort((left, right) => left - right);
  }

  #build(): void {
    let nodes = 0;
    this.#specials.forEach(({ text }, index) => {
      let node = 0;
      for (let at = 0; at < text.length; at++) {
        const edge = node * UNITS + text.charCodeAt(at);
        const child = this.#children.get(edge) ?? ++nodes;
        this.#children.set(edge, child);
        node = child;
      }
      this.#ends.set(node, index);
    });
    this.#built = true;
  }
}

function cut(text: string, special: string, token: number): Fragment[] {
  const fragments: Fragment[] = [];
  let start = 0;
  for (let found = text.indexOf(special); found >= 0; found = text.indexOf(special, start)) {
    if (found > start) fragments.push(text.slice(start, found));
    fragments.push(token);
    start = found + special.length;
  }
  if (start < text.length) fragments.push(text.slice(start));
  return fragments;
}
