/**
 * Cuts special tokens out of a text before it is tokenized: the longest texts first, then from left to right. Control
 * tokens are only seen when the caller asks for it, and never in foreign text or across its borders; user-defined ones
 * always.
 *
 * A trie over all special texts first finds out which of them occur and where, so that a vocabulary with thousands of them
 * costs one walk over the text.
 *
 * @module
 */
import type { Metadata } from "../../files/gguf/read.ts";
import { KIND, type Vocabulary } from "./vocabulary.ts";

/** A piece of a text: a token, or text between tokens. */
export type Fragment = number | string;

interface Special {
  token: number;
  text: string;
  /** White space after it goes with it. */
  stripsRight: boolean;
  /** It is user-defined: read in foreign text, too. */
  always: boolean;
}

/** Stands inside a text that must not be taken for a special token: a code point that no text in use has. */
const MARK = "\u{fdd0}";

/** Models, by a part of their `general.name`, whose special tokens take the white space after them; files don't say so. */
const STRIPPING = /phi-?3/i;
const NOT_STRIPPING: ReadonlySet<string> = new Set(["<unk>", "<s>", "<|endoftext|>"]);

/** The special tokens of a vocabulary. */
export class SpecialTokens {
  readonly #always: SpecialFinder;
  readonly #parsed: SpecialFinder;
  readonly #texts = new Map<number, { text: string; always: boolean }>();

  constructor(vocabulary: Vocabulary, metadata: Metadata) {
    const name = metadata.get("general.name");
    const stripping = typeof name === "string" && STRIPPING.test(name);
    const always: Special[] = [];
    const parsed: Special[] = [];
    const seen = new Set<string>();
    for (let token = 0; token < vocabulary.size; token++) {
      const kind = vocabulary.kinds[token];
      if (kind !== KIND.control && kind !== KIND.unknown && kind !== KIND.userDefined) continue;
      const text = vocabulary.text(token);
      if (text === "" || seen.has(text)) continue;
      seen.add(text);
      const isAlways = kind === KIND.userDefined;
      const special = { token, text, stripsRight: stripping && !NOT_STRIPPING.has(text), always: isAlways };
      parsed.push(special);
      if (isAlways) always.push(special);
      this.#texts.set(token, { text, always: isAlways });
    }
    const bytes = ({ token }: Special) => vocabulary.endOf(token) - vocabulary.texts.starts[token];
    const longestFirst = (left: Special, right: Special) => bytes(right) - bytes(left);
    this.#always = new SpecialFinder(always.sort(longestFirst));
    this.#parsed = new SpecialFinder(parsed.sort(longestFirst));
  }

  /**
   * The text in pieces; control tokens are cut out only if `parse` is set, and only where no character is foreign:
   * `foreign` has the beginning and end of each foreign part, in order, without neighbours that touch.
   */
  split(text: string, parse: boolean, foreign: readonly number[] = []): Fragment[] {
    return (parse ? this.#parsed : this.#always).split(text, true, foreign);
  }

  /** The text with a mark inside whatever only `parse` would cut out, so that it stays text; {@link withoutMarks} undoes it. */
  protect(text: string): string {
    let marked = text.replaceAll(MARK, "\ufffd");
    for (let found = true; found;) {
      found = false;
      // What is left of a text with a mark inside may have another special token in it: hence again.
      marked = this.#parsed.split(marked, false).map((fragment) => {
        if (typeof fragment === "string") return fragment;
        const { text, always } = this.#texts.get(fragment) as { text: string; always: boolean };
        if (always) return text;
        found = true;
        const [first] = text;
        return first + MARK + text.slice(first.length);
      }).join("");
    }
    return marked;
  }
}

/** A text without the marks of {@link SpecialTokens.protect}. */
export function withoutMarks(text: string): string {
  return text.replaceAll(MARK, "");
}

/** Children of the trie's nodes by node * 2^16 + UTF-16 unit. */
const UNITS = 1 << 16;
/** The places of a special are noted up to so many; one that is more frequent is searched for. */
const PLACES_MOST = 1024;

class SpecialFinder {
  readonly #specials: readonly Special[];
  readonly #children = new Map<number, number>();
  /** The special that ends at a node. */
  readonly #ends = new Map<number, number>();
  #built = false;

  /** Specials in the order in which they are cut out. */
  constructor(specials: readonly Special[]) {
    this.#specials = specials;
  }

  /** The text in pieces; white space after some specials is left out if `strips` is set. */
  split(text: string, strips: boolean, foreign: readonly number[] = []): Fragment[] {
    if (text === "") return [];
    const places = this.#places(text);
    if (places.size === 0) return [text];
    const cuts = new Cuts(text, strips, foreign);
    for (const index of [...places.keys()].sort((left, right) => left - right)) {
      const special = this.#specials[index];
      const starts = places.get(index) ?? [];
      if (starts.length < PLACES_MOST) {
        for (const start of starts) cuts.take(special, start);
      } else {
        let start = text.indexOf(special.text);
        while (start >= 0) {
          start = text.indexOf(special.text, start + (cuts.take(special, start) ? special.text.length : 1));
        }
      }
    }
    return cuts.fragments();
  }

  /** Where each special of the text begins, by its index. */
  #places(text: string): Map<number, number[]> {
    const places = new Map<number, number[]>();
    if (this.#specials.length === 0) return places;
    if (!this.#built) this.#build();
    for (let start = 0; start < text.length; start++) {
      let node: number | undefined = 0;
      for (let at = start; at < text.length; at++) {
        node = this.#children.get(node * UNITS + text.charCodeAt(at));
        if (node === undefined) break;
        const end = this.#ends.get(node);
        if (end === undefined) continue;
        const starts = places.get(end);
        if (starts === undefined) places.set(end, [start]);
        else if (starts.length < PLACES_MOST) starts.push(start);
      }
    }
    return places;
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

const FREE = 0;
const TAKEN = 1;
/** White space that a special before it has taken. */
const STRIPPED = 2;

/** A text out of which specials are taken, longer ones before shorter ones. */
class Cuts {
  readonly #text: string;
  readonly #strips: boolean;
  readonly #foreign: readonly number[];
  readonly #state: Uint8Array;
  readonly #tokens = new Map<number, Special>();

  constructor(text: string, strips: boolean, foreign: readonly number[]) {
    this.#text = text;
    this.#strips = strips;
    this.#foreign = foreign;
    this.#state = new Uint8Array(text.length);
  }

  /** Takes a special out, unless what is there has gone or is foreign; then false. */
  take(special: Special, start: number): boolean {
    const end = start + special.text.length;
    if (!special.always && touches(this.#foreign, start, end)) return false;
    // What was taken before is longer, or it is white space: both would reach over one of the ends.
    if (this.#state[start] !== FREE || this.#state[end - 1] !== FREE) return false;
    this.#state.fill(TAKEN, start, end);
    this.#tokens.set(start, special);
    if (special.stripsRight && this.#strips) {
      for (let at = end; at < this.#text.length && this.#state[at] === FREE && isSpace(this.#text, at); at++) {
        this.#state[at] = STRIPPED;
      }
    }
    return true;
  }

  fragments(): Fragment[] {
    const fragments: Fragment[] = [];
    for (let at = 0; at < this.#text.length;) {
      const special = this.#tokens.get(at);
      const start = at;
      if (special !== undefined) {
        fragments.push(special.token);
        at += special.text.length;
      } else if (this.#state[at] === STRIPPED) {
        at++;
      } else {
        while (at < this.#text.length && this.#state[at] === FREE) at++;
        fragments.push(this.#text.slice(start, at));
      }
    }
    return fragments;
  }
}

/** Whether a part of a text has a foreign character. */
function touches(foreign: readonly number[], start: number, end: number): boolean {
  let [low, high] = [0, foreign.length >> 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (foreign[2 * middle + 1] <= start) low = middle + 1;
    else high = middle;
  }
  return low < foreign.length >> 1 && foreign[2 * low] < end;
}

/** White space of ASCII. */
function isSpace(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code === 32 || code >= 9 && code <= 13;
}
