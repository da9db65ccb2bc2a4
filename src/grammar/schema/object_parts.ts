/**
 * The properties that an object may have, as symbols of rules: those that the schema names, the others in parts that are held to
 * one demand each, and one that is needed under whatever name. In which order they come is said elsewhere.
 *
 * @module
 */
import { type Lexeme, NOTHING } from "../lexemes.ts";
import { neededMost } from "../shuffle.ts";
import type { RuleSymbol } from "../rules.ts";
import { refuseUnsupported } from "./refuse.ts";
import type { RuleTools } from "./tools.ts";
import { type Demand, joined, type NamedDemand, type ObjectCase, type Presence } from "./types.ts";

/** Rules of parts of others' names whose values are held to the same demand. */
const partsMost = 64;

/** A property that the schema names. */
export interface NamedProperty {
  readonly name: string;
  readonly demand: Demand;
  readonly presence: Presence;
}

/** The properties of one case of an object. */
export class ObjectParts {
  /** Those that may be there, in the order of the schema. */
  readonly named: readonly NamedProperty[];
  /** The least number of properties; 0 where those that must be there are as many. */
  readonly least: number;
  readonly most: number;
  /** What must be there under whatever name, each as a property of its own. */
  readonly needs: readonly NamedDemand[];
  readonly #tools: RuleTools;
  readonly #one: ObjectCase;
  /** The others, by what came that they must not undo. */
  readonly #others = new Map<number, readonly NamedDemand[]>();

  constructor(one: ObjectCase, tools: RuleTools) {
    this.#tools = tools;
    this.named = [...one.named].filter(([, { presence }]) => presence !== "absent")
      .map(([name, { demand, presence }]) => ({ name, demand: this.#ruled(one, name, demand), presence }));
    this.#one = one;
    this.needs = one.needs;
    if (one.needs.length > neededMost) {
      refuseUnsupported(
        tools.where("not"),
        `a schema that needs ${neededMost} properties of any names at most`,
        "one that needs more",
      );
    }
    this.most = one.most;
    const required = this.named.filter(({ presence }) => presence === "required").length;
    this.least = one.least <= required ? 0 : one.least;
    // Others may have the same name twice, and then count once: only the first of them counts towards the least.
    if (one.least > this.named.length + 1 && this.#partsOf(0).some(({ demand }) => tools.isMet(demand))) {
      refuseUnsupported(
        tools.where("minProperties"),
        "minProperties of at most one more than there are properties",
        `minProperties ${one.least}`,
      );
    }
  }

  /** The bits of what is needed. */
  get allNeeded(): number {
    return 2 ** this.needs.length - 1;
  }

  /** A property that the schema names; the first has no comma before it. */
  property({ name, demand }: NamedProperty, isFirst: boolean): RuleSymbol[] {
    const { strings, layout } = this.#tools;
    return this.#property(strings.literalName(name, layout.colon), demand, isFirst);
  }

  /** The ways to write another property, behind those that are needed and `came`. */
  others(isFirst: boolean, came = 0): RuleSymbol[][] {
    return this.#partsOf(came).map(({ names, demand }) => this.#property(this.#key(names), demand, isFirst));
  }

  /** The ways to write one that is needed, where it is one of the others. */
  needed(index: number, isFirst: boolean, came: number): RuleSymbol[][] {
    const need = this.needs[index];
    const { lexemes } = this.#tools;
    return this.#partsOf(came).flatMap(({ names, demand }) => {
      const both = lexemes.both(names, need.names);
      return both === NOTHING ? [] : [this.#property(this.#key(both), joined(demand, need.demand), isFirst)];
    });
  }

  /**
   * The others in parts that are held to one demand each. Of two with one name the last counts, so where the value of one matters
   * that is needed and came, those behind it that may have its name are such values, too.
   */
  #partsOf(came: number): readonly NamedDemand[] {
    const rules = this.needs.filter(({ demand }, index) => demand.length > 0 && (came >> index) % 2 === 1);
    const key = rules.reduce((bits, rule) => bits | 1 << this.needs.indexOf(rule), 0);
    let parts = this.#others.get(key);
    if (!parts) {
      parts = otherNames({ ...this.#one, rules: [...this.#one.rules, ...rules] }, this.#tools);
      this.#others.set(key, parts);
    }
    return parts;
  }

  #ruled({ rules }: ObjectCase, name: string, demand: Demand): Demand {
    return rules.reduce(
      (sum, rule) => this.#tools.hasName(rule.names, name) ? joined(sum, rule.demand) : sum,
      demand,
    );
  }

  #key(names: Lexeme): Lexeme {
    const { lexemes, strings, layout } = this.#tools;
    return lexemes.then(strings.name(names), layout.colon);
  }

  #property(key: Lexeme, demand: Demand, isFirst: boolean): RuleSymbol[] {
    const { lexemes, layout } = this.#tools;
    return [{ lexeme: isFirst ? key : lexemes.then(layout.comma, key) }, { rule: this.#tools.rule(demand) }];
  }
}

/** The names that the schema does not name, in parts that are held to one demand each. */
export function otherNames({ named, rules }: ObjectCase, tools: RuleTools): NamedDemand[] {
  const { lexemes, strings } = tools;
  const known = strings.literals([...named.keys()]);
  let parts: NamedDemand[] = [{ names: lexemes.both(strings.any, lexemes.not(known)), demand: [] }];
  for (const { names, demand } of rules) {
    parts = parts.flatMap((part) => [
      { names: lexemes.both(part.names, names), demand: joined(part.demand, demand) },
      { names: lexemes.both(part.names, lexemes.not(names)), demand: part.demand },
    ]).filter((part) => tools.hasText(part.names));
    if (parts.length > partsMost) {
      refuseUnsupported(
        tools.where("patternProperties"),
        "fewer patterns of names that overlap",
        `${parts.length} parts`,
      );
    }
  }
  return parts;
}
