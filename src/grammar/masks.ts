/**
 * Which tokens may come in a state. What may come while its lexemes are in reading is found by walks, which know nothing of what
 * follows; where they end within a token, the walk of what follows goes on. Masks of states that were met before are kept.
 *
 * @module
 */
import { addBits, setBit } from "../sampling/bits.ts";
import { type Automaton, DEAD, type State } from "./automaton.ts";
import { foundBytes, type Walked } from "./kept_walks.ts";
import type { Lexeme } from "./lexemes.ts";
import type { TokenTrie } from "./token_trie.ts";
import type { Walks } from "./walks.ts";

/** Bytes of masks that one grammar keeps. */
const keptBytesMost = 48 << 20;

/** Masks of a state that are joined anew each time; of more one is made. */
const masksMost = 3;

/** Masks that are under way: what was broken off and is asked for no more is forgotten when there are so many others. */
const underwayMost = 64;

/** Masks of one automaton over one vocabulary. */
export class Masks {
  /** The tokens of which one ends the text. */
  readonly ends: readonly number[];
  readonly #automaton: Automaton;
  readonly #trie: TokenTrie;
  readonly #walks: Walks;
  readonly #kept = new Map<State, Found>();
  #keptBytes = 0;
  /** What was broken off, of each state. */
  readonly #underway = new Map<State, Finding>();
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

  /** How many masks are kept. */
  get kept(): number {
    return this.#kept.size;
  }

  /** What the transitions take. */
  get tableBytes(): number {
    return this.#walks.tableBytes;
  }

  /** The state whose mask a state has. */
  same(state: State): State {
    let same = this.#sameAs.get(state);
    if (same === undefined) this.#sameAs.set(state, same = this.#automaton.bounded(state, this.#trie.longest));
    return same;
  }

  /**
   * The tokens that may come in a state, by the one of {@link same}: bit t % 32 of word floor(t / 32) is token t. They are written
   * over `mask`, for memory that is new takes longer than all of this.
   */
  write(same: State, mask: Uint32Array): void {
    let kept = this.#kept.get(same);
    if (kept === undefined) this.#keep(same, kept = this.#found(same));
    const [base, ...others] = kept.masks;
    if (base) mask.set(base);
    else mask.fill(0);
    for (const other of others) addBits(mask, other);
    for (const token of kept.tokens) setBit(mask, token);
    if (this.#automaton.accepts(same)) { for (const token of this.ends) setBit(mask, token); }
  }

  #keep(state: State, found: Found): void {
    this.#kept.set(state, found);
    this.#keptBytes += found.bytes;
    while (this.#keptBytes > keptBytesMost) {
      const [oldest, { bytes }] = this.#kept.entries().next().value as [State, Found];
      this.#kept.delete(oldest);
      this.#keptBytes -= bytes;
    }
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

  /** What may come in a state. */
  #found(state: State): Found {
    let finding = this.#underway.get(state);
    if (finding === undefined) this.#begin(state, finding = new Finding(this.#automaton, this.#walks, state));
    const found = finding.run();
    this.#underway.delete(state);
    return found;
  }

  #begin(state: State, finding: Finding): void {
    if (this.#underway.size >= underwayMost) this.#underway.delete(this.#underway.keys().next().value as State);
    this.#underway.set(state, finding);
  }
}

/**
 * Finds what may come in a state, and then what may come behind lexemes that end within tokens. Where a walk is broken off, it goes
 * on with that walk.
 */
class Finding {
  readonly #automaton: Automaton;
  readonly #walks: Walks;
  readonly #found: Walked[] = [];
  /** The state that is looked at, and behind which nodes; and the place of its lexeme that comes next. */
  #at: Open;
  #place = 0;
  readonly #open: Open[] = [];
  readonly #seen = new Map<State, Uint32Array | Set<number>>();

  constructor(automaton: Automaton, walks: Walks, state: State) {
    this.#automaton = automaton;
    this.#walks = walks;
    this.#at = { state };
  }

  /** Does what is left to do. */
  run(): Found {
    for (let next: Open | undefined = this.#at; next !== undefined; next = this.#open.pop()) {
      if (next !== this.#at) [this.#at, this.#place] = [next, 0];
      const lexemes = this.#automaton.lexemes(next.state);
      for (; this.#place < lexemes.length; this.#place++) this.#look(lexemes[this.#place]);
    }
    return joined(this.#found);
  }

  #look(lexeme: Lexeme): void {
    const { state, nodes } = this.#at;
    const walked = nodes ? this.#walks.behind(nodes, lexeme) : this.#walks.ofVocabulary(lexeme);
    const behind = walked.ends.length > 0 ? this.#automaton.behind(state, this.#place) : DEAD;
    // Nothing is broken off from here on.
    this.#found.push(walked);
    if (behind === DEAD || !this.#automaton.goesOn(behind)) return;
    const others = unseen(this.#seen, behind, walked.ends);
    if (others.length > 0) this.#open.push({ state: behind, nodes: others });
  }
}

/** A state that is to be looked at: of the whole vocabulary, or of what is left of tokens behind nodes. */
interface Open {
  readonly state: State;
  readonly nodes?: Uint32Array;
}

/** What was found for a state. */
interface Found {
  /** Masks of tokens that may come. */
  readonly masks: readonly Uint32Array[];
  /** More of them. */
  readonly tokens: readonly number[];
  /** Bytes that it takes, those of masks that others have too counted as theirs. */
  readonly bytes: number;
}

/** What walks have found, as few masks and a list. */
function joined(found: readonly Walked[]): Found {
  const masks = new Set<Uint32Array>();
  const tokens: number[] = [];
  let bytes = foundBytes;
  for (const walked of found) {
    if (walked.words && !masks.has(walked.words)) {
      masks.add(walked.words);
      bytes += walked.bytes;
    }
    for (const token of walked.tokens) tokens.push(token);
  }
  bytes += 8 * tokens.length;
  if (masks.size <= masksMost) return { masks: [...masks], tokens, bytes };
  const [first, ...others] = masks;
  const mask = first.slice();
  for (const other of others) addBits(mask, other);
  return { masks: [mask], tokens, bytes: bytes + mask.byteLength };
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
