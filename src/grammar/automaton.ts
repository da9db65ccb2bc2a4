/**
 * A grammar as an automaton over classes of bytes, made while it is used. A state is what may be going on: lexemes, each as far
 * as it has been read, with the stacks that wait behind it, and whether the text may end here. States are kept once, so the
 * table fills with the states that texts lead to and no others; recursion only makes it longer.
 *
 * @module
 */
import { hasBit } from "../sampling/bits.ts";
import type { GrammarBudget } from "./budget.ts";
import type { Derivatives } from "./derivatives.ts";
import { EMPTY, type Lexeme, type Lexemes } from "./lexemes.ts";
import type { PlainText } from "./plain_text.ts";
import type { Rules } from "./rules.ts";
import { canEnd, nextSteps } from "./shuffle.ts";
import { BOTTOM, type NodeSet, PLACE, Places, type StackNode, Stacks } from "./stacks.ts";
import { Steps } from "./steps.ts";

/** The number of a state. */
export type State = number;

/** The state from which no text can be completed. */
export const DEAD: State = 0;

/** Above all bytes of tokens. */
const boundsMost = 1 << 16;
/** Transitions that are kept: some megabytes. */
const keptMost = 1 << 16;

/** What may be going on. */
interface Situation {
  /** Each lexeme that may be in reading, once, with the nodes that wait behind it. */
  readonly entries: readonly (readonly [lexeme: Lexeme, behind: NodeSet])[];
  /** Whether the text may end. */
  readonly accepts: boolean;
}

/** The regular parts of a grammar. */
export interface Terms {
  readonly lexemes: Lexemes;
  readonly derivatives: Derivatives;
  readonly plain: PlainText;
}

/** Makes states and the transitions between them. */
export class Automaton {
  /** Of each byte its class. */
  readonly classOf: Uint8Array;
  /** The state before the text. */
  readonly start: State;
  readonly #lexemes: Lexemes;
  readonly #derivatives: Derivatives;
  readonly #budget: GrammarBudget;
  readonly #places: Places;
  readonly #stacks: Stacks;
  readonly #situations: Situation[] = [];
  readonly #ids = new Map<string, State>();
  /** Of each set of nodes the states in which one lexeme is before it. */
  readonly #middles: Map<Lexeme, State>[] = [];
  /** Of each set of nodes the state when they are reached. */
  readonly #behind: State[] = [];
  /** Of each set of nodes, and bytes, the set with the counts that no text of so many bytes can reach as that number. */
  readonly #boundedSets = new Map<number, NodeSet>();
  /** By classes of bytes. */
  readonly #kept = new Steps(256, keptMost);

  /** The automaton of the rule `root`; its rules are pruned and without left recursion. */
  constructor({ lexemes, derivatives }: Terms, rules: Rules, root: number, budget: GrammarBudget) {
    this.#lexemes = lexemes;
    this.#derivatives = derivatives;
    this.#budget = budget;
    this.#places = new Places(rules, (lexeme) => lexemes.isNullable(lexeme));
    this.#stacks = new Stacks(budget);
    this.classOf = derivatives.classOf;
    this.#intern({ entries: [], accepts: false }); // DEAD
    const closure = this.#closure();
    const bottom = this.#stacks.set([BOTTOM]);
    for (const place of this.#places.starts[root]) closure.run(closure.at(place, bottom));
    this.start = closure.state();
  }

  /** Whether the text may end in a state. */
  accepts(state: State): boolean {
    return this.#situations[state].accepts;
  }

  /** Whether something may follow. */
  goesOn(state: State): boolean {
    return this.#situations[state].entries.length > 0;
  }

  /** The lexemes of which any may be in reading. */
  lexemes(state: State): readonly Lexeme[] {
    return this.#situations[state].entries.map(([lexeme]) => lexeme);
  }

  /** The state when one of the lexemes has ended, by its place in {@link lexemes}, and nothing else is in reading. */
  behind(state: State, ended: number): State {
    const set = this.#situations[state].entries[ended][1];
    let found = this.#behind[set];
    if (found === undefined) {
      const closure = this.#closure();
      for (const node of this.#stacks.members(set)) closure.run(node);
      this.#behind[set] = found = closure.state();
    }
    return found;
  }

  /** The bytes of which each is the only one that may come, and before which the text may not end; at most `most`. */
  forced(state: State, most: number): Uint8Array {
    const bytes: number[] = [];
    while (bytes.length < most && !this.accepts(state)) {
      const open: [number, State][] = [];
      for (let byte = 0; byte < 256 && open.length < 2; byte++) {
        const next = this.next(state, this.classOf[byte]);
        if (next !== DEAD) open.push([byte, next]);
      }
      if (open.length !== 1) break;
      bytes.push(open[0][0]);
      state = open[0][1];
    }
    return Uint8Array.from(bytes);
  }

  /** The state after a byte of a class. */
  next(state: State, byteClass: number): State {
    const known = this.#kept.get(state, byteClass);
    if (known !== undefined) return known;
    const next = this.#after(state, byteClass);
    if (next !== DEAD) this.#kept.keep(state, byteClass, next); // that there is none is found as fast
    return next;
  }

  #after(state: State, byteClass: number): State {
    const entries = this.#situations[state].entries
      .filter(([lexeme]) => hasBit(this.#derivatives.first(lexeme), byteClass));
    if (entries.length === 0) return DEAD;
    if (entries.length === 1) {
      const [[lexeme, behind]] = entries;
      const left = this.#derivatives.derive(lexeme, byteClass);
      if (!this.#derivatives.hasText(left)) return DEAD;
      // In the middle of one lexeme, which is most of a text, nothing else has to be looked at.
      if (!this.#lexemes.isNullable(left)) return this.#middle(left, behind);
    }
    const closure = this.#closure();
    for (const [lexeme, behind] of entries) {
      const left = this.#derivatives.derive(lexeme, byteClass);
      if (!this.#derivatives.hasText(left)) continue;
      closure.enter(left, behind);
      if (this.#lexemes.isNullable(left)) {
        for (const node of this.#stacks.members(behind)) closure.run(node);
      }
    }
    return closure.state();
  }

  /**
   * The state that allows the same texts of up to `bytes` bytes: least counts that no such text can reach are that number,
   * greatest ones have no end. So a string that may still have 5000 characters is in the same state after each of them.
   */
  bounded(state: State, bytes: number): State {
    const { entries, accepts } = this.#situations[state];
    const bounded = (lexeme: Lexeme) =>
      this.#lexemes.bounded(lexeme, bytes, (both) => this.#derivatives.uncounted(both, bytes));
    if (entries.length === 1 && !accepts) {
      const [[lexeme, behind]] = entries;
      return this.#middle(bounded(lexeme), this.#boundedSet(behind, bytes));
    }
    const closure = this.#closure();
    for (const [lexeme, behind] of entries) {
      closure.enter(bounded(lexeme), this.#boundedSet(behind, bytes));
    }
    if (accepts) closure.run(BOTTOM);
    return closure.state();
  }

  #boundedSet(set: NodeSet, bytes: number): NodeSet {
    const key = set * boundsMost + bytes;
    const known = this.#boundedSets.get(key);
    if (known !== undefined) return known;
    const stacks = this.#stacks;
    const found = stacks.set(
      stacks.members(set).map((node) => {
        if (node === BOTTOM) return node;
        const { place, least, most, below } = stacks.node(node);
        if (this.#places.kinds[place] === PLACE.shuffle) {
          return stacks.push(place, least, most, this.#boundedSet(below, bytes));
        }
        // Each repetition that goes on takes a byte at least.
        const many = most >= bytes ? Infinity : most;
        return stacks.push(place, Math.min(least, bytes), many, this.#boundedSet(below, bytes));
      }),
    );
    this.#boundedSets.set(key, found);
    return found;
  }

  #middle(lexeme: Lexeme, behind: NodeSet): State {
    let states = this.#middles[behind];
    if (!states) this.#middles[behind] = states = new Map();
    let state = states.get(lexeme);
    if (state === undefined) states.set(lexeme, state = this.#add({ entries: [[lexeme, behind]], accepts: false }));
    return state;
  }

  #closure(): Closure {
    return new Closure(this.#lexemes, this.#places, this.#stacks, (situation) => this.#intern(situation));
  }

  #intern(situation: Situation): State {
    const { entries: [first, ...others], accepts } = situation;
    if (first !== undefined && others.length === 0 && !accepts) return this.#middle(...first);
    const key = `${Number(accepts)};${situation.entries.join(";")}`;
    const found = this.#ids.get(key);
    if (found !== undefined) return found;
    const state = this.#add(situation);
    this.#ids.set(key, state);
    return state;
  }

  #add(situation: Situation): State {
    this.#budget.count("states", 1);
    return this.#situations.push(situation) - 1;
  }
}

/** Collects all that may be going on at one place of a text. */
class Closure {
  readonly #lexemes: Lexemes;
  readonly #places: Places;
  readonly #stacks: Stacks;
  readonly #intern: (situation: Situation) => State;
  readonly #entries = new Map<Lexeme, Set<StackNode>>();
  readonly #seen = new Set<StackNode>();
  /** Repetitions that were gone into here: coming back to one without a byte in between, the text goes on behind it. */
  readonly #entered = new Set<StackNode>();
  #accepts = false;

  constructor(lexemes: Lexemes, places: Places, stacks: Stacks, intern: (situation: Situation) => State) {
    this.#lexemes = lexemes;
    this.#places = places;
    this.#stacks = stacks;
    this.#intern = intern;
  }

  /** A lexeme may be in reading, with these nodes behind it. */
  enter(lexeme: Lexeme, behind: NodeSet): void {
    if (lexeme === EMPTY) return;
    let nodes = this.#entries.get(lexeme);
    if (!nodes) this.#entries.set(lexeme, nodes = new Set());
    for (const node of this.#stacks.members(behind)) nodes.add(node);
  }

  /** Goes on at a node, as far as that takes no byte. */
  run(first: StackNode): void {
    const open: [StackNode, boolean][] = [[first, false]];
    for (let next = open.pop(); next; next = open.pop()) {
      const [node, popped] = next;
      if (node === BOTTOM) {
        this.#accepts = true;
      } else if (popped && this.#entered.has(node)) {
        const { place, below } = this.#stacks.node(node);
        open.push([this.at(place + 1, below), false]);
      } else if (!this.#seen.has(node)) {
        this.#seen.add(node);
        this.#visit(node, open);
      }
    }
  }

  #visit(node: StackNode, open: [StackNode, boolean][]): void {
    const { place, least, most, below } = this.#stacks.node(node);
    const value = this.#places.values[place];
    switch (this.#places.kinds[place]) {
      case PLACE.end:
        for (const parent of this.#stacks.members(below)) open.push([parent, true]);
        break;
      case PLACE.lexeme:
        this.enter(value, this.#behind(place, below));
        if (this.#lexemes.isNullable(value)) {
          open.push([this.at(place + 1, below), false]);
        }
        break;
      case PLACE.rule:
        this.#begin(value, this.#behind(place, below), open);
        break;
      case PLACE.shuffle: {
        const [shuffle, count] = [this.#places.shuffles[value], { used: least, tail: most }];
        if (canEnd(shuffle, count)) open.push([this.at(place + 1, below), false]);
        for (const [rule, { used, tail }] of nextSteps(shuffle, count)) {
          this.#begin(rule, this.#stacks.single(this.#stacks.push(place, used, tail, below)), open);
        }
        break;
      }
      default: { // repeat
        if (least === 0) open.push([this.at(place + 1, below), false]);
        if (most === 0) break;
        const again = this.#stacks.push(place, Math.max(0, least - 1), most - 1, below);
        this.#entered.add(again);
        this.#begin(value, this.#stacks.single(again), open);
      }
    }
  }

  #begin(rule: number, behind: NodeSet, open: [StackNode, boolean][]): void {
    for (const start of this.#places.starts[rule]) {
      open.push([this.at(start, behind), false]);
    }
  }

  /** What follows a place. At the end of a rule that is what follows the rule, so a list of any length has one stack. */
  #behind(place: number, below: NodeSet): NodeSet {
    if (this.#places.kinds[place + 1] === PLACE.end) return below;
    return this.#stacks.single(this.at(place + 1, below));
  }

  /** The node of a place that is reached anew. */
  at(place: number, below: NodeSet): StackNode {
    return this.#stacks.push(place, this.#places.leasts[place], this.#places.mosts[place], below);
  }

  /** The state of all that was collected. */
  state(): State {
    const entries = Array.from(this.#entries, ([lexeme, nodes]) => [lexeme, this.#stacks.set(nodes)] as const);
    return this.#intern({ entries: entries.sort(([a], [b]) => a - b), accepts: this.#accepts });
  }
}
