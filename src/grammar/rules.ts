/**
 * Context-free rules over lexemes, and what is done to them before anything is matched: alternatives that no text fits are
 * dropped, and rules that begin with themselves become repetitions, for an automaton that reads from the left could not leave
 * them.
 *
 * @module
 */
import { UnsupportedError } from "../../ffi/errors.ts";
import type { Sliceable } from "../options/sliced.ts";
import type { GrammarBudget } from "./budget.ts";
import { circlesOf } from "./circles.ts";
import { EMPTY, type Lexeme } from "./lexemes.ts";
import { canEnd, fitting, rulesIn, type Shuffle } from "./shuffle.ts";

/** Rounds through all rules that are open, before those that depend on what was found are looked up. */
const roundsMost = 3;

/** What stands at a place of an alternative: a lexeme, a rule, a rule again and again, or rules in any order. */
export type RuleSymbol =
  | { readonly lexeme: Lexeme }
  | { readonly shuffle: Shuffle }
  | { readonly rule: number; readonly least?: number; readonly most?: number };

/** One of the ways in which a rule can be met: its symbols in order. */
export type Alternative = readonly RuleSymbol[];

/** The rules of a grammar, by number. */
export class Rules {
  readonly #alternatives: Alternative[][] = [];
  readonly #names: string[] = [];
  readonly #needed = new Map<number, string>();
  readonly #unwritten: Sliceable<void>[] = [];
  readonly #budget: GrammarBudget;

  /** No rules yet; `budget` counts their symbols. */
  constructor(budget: GrammarBudget) {
    this.#budget = budget;
  }

  /** How many rules there are. */
  get count(): number {
    return this.#alternatives.length;
  }

  /** A rule that has no alternatives yet; `name` is for errors. */
  declare(name: string): number {
    this.#budget.count("positions", 1);
    this.#names.push(name);
    return this.#alternatives.push([]) - 1;
  }

  /** Gives a rule its alternatives. */
  define(rule: number, alternatives: readonly Alternative[]): void {
    this.#budget.count("positions", alternatives.reduce((sum, { length }) => sum + length + 1, 0));
    this.#alternatives[rule] = [...alternatives];
  }

  /** A rule with these alternatives. */
  add(name: string, alternatives: readonly Alternative[]): number {
    const rule = this.declare(name);
    this.define(rule, alternatives);
    return rule;
  }

  /** Says of a rule that some text must fit it, though others could take its place; `what` is for errors. */
  need(rule: number, what: string): void {
    this.#needed.set(rule, what);
  }

  /** Leaves for later what defines rules that are declared by now: there may be many. */
  later(writing: Sliceable<void>): void {
    this.#unwritten.push(writing);
  }

  /** Does what was left for later. */
  *write(): Sliceable<void> {
    for (const writing of this.#unwritten) yield* writing;
    this.#unwritten.length = 0;
  }

  /** The alternatives of a rule. */
  of(rule: number): readonly Alternative[] {
    return this.#alternatives[rule];
  }

  /**
   * Drops alternatives that no text fits from all rules; `hasText` says it of a lexeme. Gives what no text fits of the rule and of
   * those that are needed.
   */
  prune(root: number, hasText: (lexeme: Lexeme) => boolean): string | undefined {
    const symbolFits = (symbol: RuleSymbol, fits: ReadonlySet<number>) => {
      if ("lexeme" in symbol) return hasText(symbol.lexeme);
      return "shuffle" in symbol
        ? fitting(symbol.shuffle, (rule) => fits.has(rule)) !== undefined
        : symbol.least === 0 || fits.has(symbol.rule);
    };
    const fits = this.#met(symbolFits);
    const isWhole = (symbol: RuleSymbol) =>
      "lexeme" in symbol ? hasText(symbol.lexeme) : "rule" in symbol && fits.has(symbol.rule);
    this.#alternatives.forEach((alternatives, rule) => {
      if (alternatives.every((symbols) => symbols.every(isWhole))) return;
      this.#alternatives[rule] = alternatives.filter((symbols) => symbols.every((symbol) => symbolFits(symbol, fits)))
        // What may be missing and can never be there is missing.
        .map((symbols) =>
          symbols.filter((symbol) => !("rule" in symbol) || fits.has(symbol.rule)).map((symbol) =>
            "shuffle" in symbol
              ? { shuffle: fitting(symbol.shuffle, (rule) => fits.has(rule)) ?? symbol.shuffle }
              : symbol
          )
        );
    });
    for (const [rule, what] of this.#needed) if (!fits.has(rule)) return what;
    return fits.has(root) ? undefined : "constraint";
  }

  /** The rules of which all symbols of an alternative are met. */
  #met(isMet: (symbol: RuleSymbol, found: ReadonlySet<number>) => boolean): Set<number> {
    const found = new Set<number>();
    const isLeft = (rule: number) => {
      const alternatives = this.#alternatives[rule];
      this.#budget.work(alternatives.length);
      if (!alternatives.some((symbols) => symbols.every((symbol) => isMet(symbol, found)))) return true;
      found.add(rule);
      return false;
    };
    // Rules are mostly written before those that they are made of, which are so found first.
    let open = Array.from(this.#alternatives, (_, rule) => this.#alternatives.length - 1 - rule);
    for (let round = 0; round < roundsMost; round++) {
      const left = open.filter(isLeft);
      if (left.length === open.length) return found;
      open = left;
    }
    const users = this.#users(open);
    for (let next = new Set(open); next.size > 0;) {
      const now = next;
      next = new Set();
      for (const rule of now) {
        if (found.has(rule) || isLeft(rule)) continue;
        for (const user of users.get(rule) ?? []) next.add(user);
      }
    }
    return found;
  }

  /** Which of some rules name a rule. */
  #users(rules: readonly number[]): ReadonlyMap<number, readonly number[]> {
    const users = new Map<number, number[]>();
    for (const rule of rules) {
      const named = this.#alternatives[rule].flat().flatMap((symbol) =>
        "rule" in symbol ? [symbol.rule] : "shuffle" in symbol ? rulesIn(symbol.shuffle) : []
      );
      for (const one of new Set(named)) {
        const known = users.get(one);
        if (known) known.push(rule);
        else users.set(one, [rule]);
      }
    }
    return users;
  }

  /** The lexemes at their places, each once. */
  lexemes(): ReadonlySet<Lexeme> {
    const found = new Set<Lexeme>();
    for (const alternatives of this.#alternatives) {
      for (const symbols of alternatives) {
        for (const symbol of symbols) if ("lexeme" in symbol) found.add(symbol.lexeme);
      }
    }
    return found;
  }

  /** The rules that the empty text fits. */
  nullable(isNullable: (lexeme: Lexeme) => boolean): ReadonlySet<number> {
    return this.#met((symbol, nullable) => symbolIsNullable(symbol, nullable, isNullable));
  }

  /**
   * Takes the left recursion out: `a = a x | y` becomes `a = y x*`, also where it goes through other rules (Paull's algorithm;
   * Aho, Sethi and Ullman, "Compilers", 4.3). One behind something that may be empty is refused by its rule's name.
   */
  unrollLeft(isNullable: (lexeme: Lexeme) => boolean): void {
    const nullable = this.nullable(isNullable);
    for (const circle of circlesOf(this.#alternatives.map((_, rule) => this.#begins(rule, nullable, isNullable)))) {
      for (const rule of circle) {
        this.#refuseHidden(rule, new Set(circle), nullable, isNullable);
      }
      circle.forEach((rule, index) => {
        const earlier = new Set(circle.slice(0, index));
        this.define(rule, this.#inlined(rule, earlier));
        this.#unrollDirect(rule);
      });
    }
  }

  #inlined(rule: number, earlier: ReadonlySet<number>): Alternative[] {
    const done: Alternative[] = [];
    const open = [...this.of(rule)];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const [first, ...rest] = next;
      if (first === undefined || !("rule" in first) || !earlier.has(first.rule) || first.most !== undefined) {
        done.push(next);
        continue;
      }
      this.#budget.count("positions", 1);
      for (const alternative of this.of(first.rule)) {
        this.#budget.work(alternative.length + rest.length);
        open.push([...alternative, ...rest]);
      }
    }
    return done.reverse();
  }

  #unrollDirect(rule: number): void {
    const isRecursive = ([first]: Alternative) => first !== undefined && "rule" in first && first.rule === rule;
    const recursive = this.of(rule).filter(isRecursive);
    if (recursive.length === 0) return;
    const rests = recursive.map(([, ...rest]) => rest).filter((rest) => rest.length > 0);
    const again = this.add(this.#names[rule], rests);
    const others = this.of(rule).filter((alternative) => !isRecursive(alternative));
    // One place for the repetition, whatever comes before it: stacks for one place are merged.
    const begin = others.length === 1 ? others[0] : [{ rule: this.add(this.#names[rule], others) }];
    this.define(rule, [[...begin, { rule: again, least: 0, most: Infinity }]]);
  }

  /** Rules that a rule may begin with, or with what may be empty before them. */
  #begins(rule: number, nullable: ReadonlySet<number>, isNullable: (lexeme: Lexeme) => boolean): number[] {
    return this.of(rule).flatMap((symbols) => {
      const found: number[] = [];
      for (const symbol of symbols) {
        if ("rule" in symbol) found.push(symbol.rule);
        if ("shuffle" in symbol) found.push(...rulesIn(symbol.shuffle));
        if (!symbolIsNullable(symbol, nullable, isNullable)) break;
      }
      return found;
    });
  }

  #refuseHidden(
    rule: number,
    circle: ReadonlySet<number>,
    nullable: ReadonlySet<number>,
    isNullable: (lexeme: Lexeme) => boolean,
  ): void {
    for (const symbols of this.of(rule)) {
      for (const [index, symbol] of symbols.entries()) {
        const isPlain = index === 0 && "rule" in symbol && symbol.most === undefined && !nullable.has(symbol.rule);
        const begins = "shuffle" in symbol ? rulesIn(symbol.shuffle) : "rule" in symbol ? [symbol.rule] : [];
        if (begins.some((begin) => circle.has(begin)) && !isPlain) {
          const name = this.#names[rule];
          throw new UnsupportedError(`The rule "${name}" can come back to itself behind something that may be empty.`, {
            what: "left recursion that is hidden",
            where: name,
            expected: "a rule that begins with something else, or directly with itself",
            got: name,
          });
        }
        if (!symbolIsNullable(symbol, nullable, isNullable)) break;
      }
    }
  }
}

function symbolIsNullable(
  symbol: RuleSymbol,
  nullable: ReadonlySet<number>,
  isNullable: (lexeme: Lexeme) => boolean,
): boolean {
  if ("lexeme" in symbol) return symbol.lexeme === EMPTY || isNullable(symbol.lexeme);
  return "shuffle" in symbol
    ? canEnd(symbol.shuffle, { used: 0, tail: 0 })
    : symbol.least === 0 || nullable.has(symbol.rule);
}
