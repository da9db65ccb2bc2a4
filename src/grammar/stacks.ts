/**
 * What is still to be read, as a stack: each node is a place in a rule, and behind it what follows when the rule is met. Nodes
 * are kept once, and nodes for the same place are merged, so an ambiguous grammar costs as many nodes as it has places and not
 * as many as it has readings (the graph-structured stack of Tomita 1985, kept by content).
 *
 * @module
 */
import type { GrammarBudget } from "./budget.ts";
import { hashed, Hashes } from "./hashes.ts";
import type { Lexeme } from "./lexemes.ts";
import type { Rules } from "./rules.ts";
import type { Shuffle } from "./shuffle.ts";

/** A place in a rule with what follows it. */
export type StackNode = number;
/** Nodes of which any may be the one that goes on. */
export type NodeSet = number;

/** What stands at a place. */
export const PLACE = { end: 0, lexeme: 1, rule: 2, repeat: 3, shuffle: 4 } as const;

/** The node behind the last rule: everything has been read. */
export const BOTTOM: StackNode = 0;

/** The rules as one list of places, each alternative closed by an `end`. */
export class Places {
  readonly kinds: number[] = [];
  /** The lexeme or rule at a place. */
  readonly values: number[] = [];
  readonly leasts: number[] = [];
  readonly mosts: number[] = [];
  /** The parts in any order, by the value of their place. */
  readonly shuffles: Shuffle[] = [];
  /** Of each rule the places where its alternatives begin. */
  readonly starts: readonly (readonly number[])[];

  /** Lists the places of all rules. */
  constructor(rules: Rules, isNullable: (lexeme: Lexeme) => boolean) {
    const nullable = rules.nullable(isNullable);
    this.starts = Array.from({ length: rules.count }, (_, rule) =>
      rules.of(rule).map((symbols) => {
        const start = this.kinds.length;
        for (const symbol of symbols) {
          if ("lexeme" in symbol) this.#add(PLACE.lexeme, symbol.lexeme);
          else if ("shuffle" in symbol) this.#add(PLACE.shuffle, this.shuffles.push(symbol.shuffle) - 1);
          else if (symbol.most === undefined) this.#add(PLACE.rule, symbol.rule);
          // Fewer of what may be empty: the others are empty.
          else this.#add(PLACE.repeat, symbol.rule, nullable.has(symbol.rule) ? 0 : symbol.least, symbol.most);
        }
        this.#add(PLACE.end, 0);
        return start;
      }));
  }

  #add(kind: number, value: number, least = 0, most = 0): void {
    this.kinds.push(kind);
    this.values.push(value);
    this.leasts.push(least);
    this.mosts.push(most);
  }
}

/** A node: its place, the counts that are left, and what follows. */
interface Node {
  readonly place: number;
  readonly least: number;
  readonly most: number;
  readonly below: NodeSet;
}

/** Nodes and sets of them, each kept once. */
export class Stacks {
  readonly #budget: GrammarBudget;
  readonly #nodes: Node[] = [];
  readonly #nodeHashes = new Hashes();
  readonly #sets: (readonly StackNode[])[] = [];
  readonly #setIds = new Map<string, NodeSet>();
  /** Of a node the set of it alone. */
  readonly #singles: NodeSet[] = [];

  /** No node but the bottom. */
  constructor(budget: GrammarBudget) {
    this.#budget = budget;
    this.#add({ place: -1, least: 0, most: 0, below: -1 }, 0);
  }

  /**
   * What a node is: its place, the counts that are left where that repeats a rule, or the count of a shuffle (`used` as `least`,
   * `tail` as `most`), and what follows.
   */
  node(node: StackNode): Node {
    return this.#nodes[node];
  }

  /** The nodes of a set. */
  members(set: NodeSet): readonly StackNode[] {
    return this.#sets[set];
  }

  /** The node of a place. */
  push(place: number, least: number, most: number, below: NodeSet): StackNode {
    const hash = hashed(hashed(hashed(hashed(0, place), least), most), below);
    for (let id = this.#nodeHashes.first(hash); id >= 0; id = this.#nodeHashes.after(id)) {
      const node = this.#nodes[id];
      if (node.place === place && node.least === least && node.most === most && node.below === below) return id;
    }
    this.#budget.count("states", 1);
    return this.#add({ place, least, most, below }, hash);
  }

  #add(node: Node, hash: number): StackNode {
    this.#nodeHashes.add(hash);
    return this.#nodes.push(node) - 1;
  }

  /** The set of one node. */
  single(node: StackNode): NodeSet {
    return this.#singles[node] ??= this.#sets.push([node]) - 1;
  }

  /** The set of these nodes, those for the same place merged. */
  set(nodes: Iterable<StackNode>): NodeSet {
    const given = [...new Set(nodes)].sort((a, b) => a - b);
    if (given.length === 1) return this.single(given[0]);
    const key = given.join();
    const found = this.#setIds.get(key);
    if (found !== undefined) return found;
    const members = this.#merged(given);
    if (members.length === 1) return this.single(members[0]);
    const mergedKey = members.join();
    const id = this.#setIds.get(mergedKey) ?? this.#sets.push(members) - 1;
    this.#setIds.set(mergedKey, id);
    this.#setIds.set(key, id);
    return id;
  }

  #merged(nodes: readonly StackNode[]): StackNode[] {
    const groups = new Map<string, StackNode[]>();
    for (const node of nodes) {
      const { place, least, most } = this.#nodes[node];
      const key = `${place},${least},${most}`;
      const group = groups.get(key);
      if (group) group.push(node);
      else groups.set(key, [node]);
    }
    const merged = Array.from(groups.values(), (group) => {
      if (group.length === 1) return group[0];
      const { place, least, most } = this.#nodes[group[0]];
      return this.push(place, least, most, this.set(group.flatMap((node) => this.members(this.#nodes[node].below))));
    });
    return merged.sort((a, b) => a - b);
  }
}
