/**
 * Which tokens may come in a state. What may come while its lexemes are in reading is found by walks, which know nothing of what
 * follows; where they end within a token, the walk of what follows goes on. Masks of states that were met before are kept.
 *
 * @module
 */
import { setBit } from "../sampling/bits.ts";
import { type Automaton, DEAD, type State } from "./automaton.ts";
import type { TokenTrie } from "./token_trie.ts";
import type { Walked, Walks } from "./walks.ts";

/** Bytes of masks that one grammar keeps. */
const keptBytesMost = 48 << 20;

/** Masks of one automaton over one vocabulary. */
export class Masks {
  /** The tokens of which one ends the text. */
  readonly ends: readonly number[];
  readonly #automaton: Automaton;
  readonly #trie: TokenTrie;
  readonly #walks: Walks;
  readonly #kept = new Map<State, Uint32Array>();
  /** Of each state the one whose mask it has. */
  readonly #sameAs = new Map<State, State>();

  /** Masks of `automaton` over the tokens of `trie`, which `walks` walks; `ends` are those that end a text. */
  constructor(automaton: Automaton, walks: Walks, trie: TokenTrie, ends: Iterable<number>) {
    this.#automaton = automaton;
    this.#walks = walks;
    this.#trie = trie;
    this.ends = [...ends];
  }

  /** Tokens of the vocabulary. */
  get tokens(): number {
    return this.#trie.tokens;
  }

  /** What the transitions take. */
  get tableBytes(): number {
    return this.#walks.tableBytes;
  }

  /** The tokens that may come in a state: bit t % 32 of word floor(t / 32) is token t. Not to be written to. */
  of(state: State): Uint32Array {
    let same = this.#sameAs.get(state);
    if (same === undefined) this.#sameAs.set(state, same = this.#automaton.bounded(state, this.#trie.longest));
    let mask = this.#kept.get(same);
    if (mask !== undefined) return mask;
    mask = this.#maskOf(same);
    if ((this.#kept.size + 1) * mask.byteLength > keptBytesMost) {
      this.#kept.delete(this.#kept.keys().next().value as State); // the oldest
    }
    this.#kept.set(same, mask);
    return mask;
  }

  /** The state after bytes of the text itself. */
  follow(state: State, bytes: Uint8Array): State {
    const { classOf } = this.#automaton;
    for (const byte of bytes) {
      if (state === DEAD) return DEAD;
      state = this.#automaton.next(state, classOf[byte]);
    }
    return state;
  }

  #maskOf(state: State): Uint32Array {
    const found = this.#found(state);
    const mask = found[0].words?.slice() ?? new Uint32Array(Math.ceil(this.tokens / 32));
    found.forEach((walked, index) => {
      if (index > 0 || !walked.words) this.#walks.addTo(mask, walked);
    });
    if (this.#automaton.accepts(state)) { for (const token of this.ends) setBit(mask, token); }
    return mask;
  }

  /** What may come in a state, and then what may come behind lexemes that end within tokens. */
  #found(state: State): Walked[] {
    const found = [this.#walks.ofVocabulary(this.#automaton.lexemes(state))];
    const open: [State, Walked][] = [[state, found[0]]];
    const seen = new Map<State, Uint32Array | Set<number>>();
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      for (const { lexemes, nodes } of next[1].ends) {
        const behind = this.#automaton.behind(next[0], lexemes);
        if (!this.#automaton.goesOn(behind)) continue;
        const others = unseen(seen, behind, nodes);
        if (others.length === 0) continue;
        const walked = this.#walks.behind(others, this.#automaton.lexemes(behind));
        found.push(walked);
        open.push([behind, walked]);
      }
    }
    return found;
  }
}

/** Those of the nodes at which a state was not met yet. */
function unseen(seen: Map<State, Uint32Array | Set<number>>, state: State, nodes: Uint32Array): Uint32Array {
  const known = seen.get(state);
  if (known === undefined) {
    seen.set(state, nodes);
    return nodes;
  }
  const all = known instanceof Set ? known : new Set(known);
  seen.set(state, all);
  const others = nodes.filter((node) => !all.has(node));
  for (const node of others) all.add(node);
  return others.length === nodes.length ? nodes : others;
}
