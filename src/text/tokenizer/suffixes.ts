/**
 * Finds the tokens that end at each place of a text, in one pass (Aho and Corasick): each node of a trie also knows the node
 * of its longest proper suffix, and the nearest one on that way at which a token ends.
 *
 * @module
 */
import type { Sliceable } from "../../options/sliced.ts";
import { type ByteTrie, ROOT } from "./trie.ts";

/** Nodes between two places where the work may pause. */
const NODES_AT_ONCE = 1 << 14;

/** A trie as a machine that reads a text byte by byte. */
export class Suffixes {
  readonly #trie: ByteTrie;
  readonly #suffixes: Int32Array;
  readonly #next: Int32Array;

  private constructor(trie: ByteTrie) {
    this.#trie = trie;
    this.#suffixes = new Int32Array(trie.size);
    this.#next = new Int32Array(trie.size);
  }

  /** The machine of a trie. */
  static *of(trie: ByteTrie): Sliceable<Suffixes> {
    const machine = new Suffixes(trie);
    const order = yield* byDepth(trie);
    for (let index = 1; index < order.length; index++) {
      const node = order[index];
      const parent = trie.parents[node];
      const suffix = parent === ROOT ? ROOT : machine.step(machine.#suffixes[parent], trie.bytes[node]);
      machine.#suffixes[node] = suffix;
      machine.#next[node] = trie.tokens[suffix] >= 0 ? suffix : machine.#next[suffix];
      if (index % NODES_AT_ONCE === 0) yield;
    }
    return machine;
  }

  /** The node after one more byte of the text; before the first it is the root. */
  step(node: number, byte: number): number {
    for (;;) {
      const child = this.#trie.child(node, byte);
      if (child !== ROOT || node === ROOT) return child;
      node = this.#suffixes[node];
    }
  }

  /** The node of the longest token that ends here; the root where none does. */
  longest(node: number): number {
    return this.#trie.tokens[node] >= 0 ? node : this.#next[node];
  }

  /** The node of the longest token that ends here and is shorter than that of `node`. */
  shorter(node: number): number {
    return this.#next[node];
  }

  /** The token at a node that `longest` or `shorter` gave. */
  tokenAt(node: number): number {
    return this.#trie.tokens[node];
  }
}

/** Nodes in the order of their depth: counted, then placed. A node is made after its parent. */
function* byDepth({ parents, size }: ByteTrie): Sliceable<Int32Array> {
  const depths = new Int32Array(size);
  let deepest = 0;
  for (let node = 1; node < size; node++) {
    depths[node] = depths[parents[node]] + 1;
    deepest = Math.max(deepest, depths[node]);
    if (node % NODES_AT_ONCE === 0) yield;
  }
  const places = new Int32Array(deepest + 2);
  for (let node = 0; node < size; node++) places[depths[node] + 1]++;
  for (let depth = 0; depth <= deepest; depth++) places[depth + 1] += places[depth];
  const order = new Int32Array(size);
  for (let node = 0; node < size; node++) {
    order[places[depths[node]]++] = node;
    if (node % NODES_AT_ONCE === 0) yield;
  }
  return order;
}
