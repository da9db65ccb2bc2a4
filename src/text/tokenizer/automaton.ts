/**
 * Finds the words of a list in a text, in one pass for all of them (Aho and Corasick): a trie of the words, in which each
 * node also knows the node of its longest proper suffix. The words that end at one place are a chain, each a suffix of the
 * one before it; jumps along the chain find the longest word of at most a given length in a logarithm of steps.
 *
 * @module
 */
import type { Sliceable } from "../../options/sliced.ts";

/** Nodes that are made between two places where the work may pause. */
const NODES_AT_ONCE = 1 << 13;
/** No word, no node. */
const NONE = -1;
const ROOT = 0;

/** The words of a list as a machine that reads a text unit by unit (UTF-16). */
export class Automaton {
  /** Children of node `n`: from `firstChild[n]` to before `firstChild[n + 1]`, their units rising. */
  readonly #firstChild: Int32Array;
  /** The unit that leads to each node. */
  readonly #units: Uint16Array;
  /** The node of the longest proper suffix that is a node. Nodes are numbered by depth: it has a lower number. */
  readonly #suffixes: Int32Array;
  /** The root's child by unit; the root itself where it has none. */
  readonly #begins: Int32Array;
  /** The word that ends at each node, or -1. */
  readonly #words: Int32Array;
  readonly #lengths: Int32Array;

  private constructor(words: readonly string[], trie: Trie) {
    const nodes = trie.words.length;
    this.#firstChild = Int32Array.from(trie.firstChild);
    this.#units = Uint16Array.from(trie.units);
    this.#words = Int32Array.from(trie.words);
    this.#lengths = Int32Array.from(words, (word) => word.length);
    const afterBegins = this.#firstChild[1];
    this.#begins = new Int32Array(this.#units[afterBegins - 1] + 1).fill(ROOT);
    for (let node = 1; node < afterBegins; node++) this.#begins[this.#units[node]] = node;
    this.#suffixes = new Int32Array(nodes).fill(ROOT);
  }

  /** A machine for words of which none is empty and no two are equal. */
  static *of(words: readonly string[]): Sliceable<Automaton> {
    const made = new Automaton(words, yield* growTrie(words));
    for (let node = 1; node < made.#words.length; node++) {
      for (let child = made.#firstChild[node]; child < made.#firstChild[node + 1]; child++) {
        made.#suffixes[child] = made.step(made.#suffixes[node], made.#units[child]);
      }
      if (node % NODES_AT_ONCE === 0) yield;
    }
    return made;
  }

  /** The node after one more unit of the text; before the first it is 0. */
  step(node: number, unit: number): number {
    while (node !== ROOT) {
      const child = this.#child(node, unit);
      if (child !== NONE) return child;
      node = this.#suffixes[node];
    }
    return unit < this.#begins.length ? this.#begins[unit] : ROOT;
  }

  /** The chains of the words for which `isIn` holds. */
  chains(isIn: (word: number) => boolean): WordChains {
    return new WordChains(
      this.#words.map((word) => word !== NONE && isIn(word) ? word : NONE),
      this.#suffixes,
      this.#lengths,
    );
  }

  /** The node at which each word ends. */
  wordNodes(): Int32Array {
    const nodes = new Int32Array(this.#lengths.length);
    this.#words.forEach((word, node) => {
      if (word !== NONE) nodes[word] = node;
    });
    return nodes;
  }

  #child(node: number, unit: number): number {
    let low = this.#firstChild[node];
    let high = this.#firstChild[node + 1] - 1;
    while (low <= high) {
      const middle = low + high >> 1;
      const found = this.#units[middle];
      if (found === unit) return middle;
      if (found < unit) low = middle + 1;
      else high = middle - 1;
    }
    return NONE;
  }
}

/** For each node of an automaton, the words that end there, the longest first. */
export class WordChains {
  /** The nearest node with a word, on the way from each node along its suffixes; the root where there is none. */
  readonly #nearest: Int32Array;
  /** From a node with a word to one further down its chain: over more words the longer the chain is. */
  readonly #jumps: Int32Array;
  readonly #words: Int32Array;
  readonly #suffixes: Int32Array;
  readonly #lengths: Int32Array;

  /** Chains of `words`, the word at each node or -1, along `suffixes`; `lengths` are the words'. */
  constructor(words: Int32Array, suffixes: Int32Array, lengths: Int32Array) {
    const nodes = words.length;
    const nearest = new Int32Array(nodes);
    const jumps = new Int32Array(nodes);
    const depths = new Int32Array(nodes);
    for (let node = 1; node < nodes; node++) {
      const next = nearest[suffixes[node]];
      if (words[node] === NONE) {
        nearest[node] = next;
        continue;
      }
      nearest[node] = node;
      depths[node] = depths[next] + 1;
      // Two equal jumps one after the other become one: the lengths are those of skew binary numbers.
      const far = jumps[next];
      jumps[node] = depths[next] - depths[far] === depths[far] - depths[jumps[far]] ? jumps[far] : next;
    }
    this.#nearest = nearest;
    this.#jumps = jumps;
    this.#words = words;
    this.#suffixes = suffixes;
    this.#lengths = lengths;
  }

  /** The longest word of at most `room` units that ends at a node, or -1. */
  longest(node: number, room: number): number {
    let at = this.#nearest[node];
    while (at !== ROOT && this.#lengths[this.#words[at]] > room) {
      const far = this.#jumps[at];
      const isTooLong = far !== ROOT && this.#lengths[this.#words[far]] > room;
      at = isTooLong ? far : this.#nearest[this.#suffixes[at]];
    }
    return at === ROOT ? NONE : this.#words[at];
  }
}

/** A trie whose nodes are numbered by depth. */
interface Trie {
  firstChild: number[];
  units: number[];
  words: number[];
}

/** Grows the trie level by level: the words below a node are a part of the sorted list. */
function* growTrie(words: readonly string[]): Sliceable<Trie> {
  const sorted = words.map((word, index) => ({ word, index }))
    .sort((left, right) => left.word < right.word ? -1 : 1);
  const [units, ends, firstChild] = [[0], [NONE], [] as number[]];
  const [begins, afters, depths] = [[0], [sorted.length], [0]];
  for (let node = 0; node < units.length; node++) {
    firstChild.push(units.length);
    const [after, depth] = [afters[node], depths[node]];
    let at = begins[node];
    if (at < after && sorted[at].word.length === depth) ends[node] = sorted[at++].index;
    while (at < after) {
      const unit = sorted[at].word.charCodeAt(depth);
      begins.push(at);
      while (at < after && sorted[at].word.charCodeAt(depth) === unit) at++;
      afters.push(at);
      depths.push(depth + 1);
      units.push(unit);
      ends.push(NONE);
    }
    if (node % NODES_AT_ONCE === 0) yield;
  }
  firstChild.push(units.length);
  return { firstChild, units, words: ends };
}
