/**
 * Which tokens may come in a state: a walk over the trie of the vocabulary with the automaton, and the masks of states that were
 * met before.
 *
 * @module
 */
import { type Automaton, DEAD, type State } from "./automaton.ts";
import type { TokenTrie } from "./token_trie.ts";

/** Bytes of masks that one grammar keeps. */
const keptBytesMost = 64 << 20;

/** Masks of one automaton over one vocabulary. */
export class Masks {
  /** The tokens of which one ends the text. */
  readonly ends: readonly number[];
  readonly #automaton: Automaton;
  readonly #trie: TokenTrie;
  readonly #kept = new Map<State, Uint32Array>();
  readonly #path: State[] = [];

  /** Masks of `automaton` over the tokens of `trie`; `ends` are those that end a text. */
  constructor(automaton: Automaton, trie: TokenTrie, ends: Iterable<number>) {
    this.#automaton = automaton;
    this.#trie = trie;
    this.ends = [...ends];
  }

  /** The tokens that may come in a state: bit t % 32 of word floor(t / 32) is token t. Not to be written to. */
  of(state: State): Uint32Array {
    const same = this.#automaton.bounded(state, this.#trie.longest);
    let mask = this.#kept.get(same);
    if (mask !== undefined) return mask;
    mask = this.#walk(same);
    if ((this.#kept.size + 1) * mask.byteLength > keptBytesMost) {
      this.#kept.delete(this.#kept.keys().next().value as State); // the oldest
    }
    this.#kept.set(same, mask);
    return mask;
  }

  #walk(state: State): Uint32Array {
    const { bytes, depths, ends, ids, same, tokens } = this.#trie;
    const mask = new Uint32Array(Math.ceil(tokens / 32));
    const path = this.#path;
    path[0] = state;
    for (let node = 0; node < bytes.length;) {
      const depth = depths[node];
      const next = this.#automaton.step(path[depth], bytes[node]);
      if (next === DEAD) {
        node = ends[node];
        continue;
      }
      path[depth + 1] = next;
      for (let token = ids[node]; token >= 0; token = same[token]) mask[token >>> 5] |= 1 << (token & 31);
      node++;
    }
    if (this.#automaton.accepts(state)) { for (const token of this.ends) mask[token >>> 5] |= 1 << (token & 31); }
    return mask;
  }
}
