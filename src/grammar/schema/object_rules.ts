/**
 * The rules of an object: named properties in the order of the schema, then others. Names have one spelling and those of the
 * schema are taken out of the others' language, so no property that the schema names can come twice or in disguise.
 *
 * @module
 */
import { type Lexeme, NOTHING } from "../lexemes.ts";
import type { Alternative, RuleSymbol } from "../rules.ts";
import { refuseUnsupported } from "./refuse.ts";
import type { RuleTools } from "./tools.ts";
import { type Demand, joined, type NamedDemand, type ObjectCase } from "./types.ts";

/** Rules of parts of others' names whose values are held to the same demand. */
const partsMost = 64;

/** The alternatives of an object. */
export function objectAlternatives(one: ObjectCase, tools: RuleTools): Alternative[] {
  return spread(one, tools).flatMap((each) => new ObjectWriter(each, tools).alternatives());
}

/** A property that must be there under some name is one of the named ones, or one of the others. */
function spread(one: ObjectCase, tools: RuleTools): ObjectCase[] {
  const [need, ...needs] = one.needs;
  if (need === undefined) return [one];
  const rest = { ...one, needs };
  const found = [...one.named].flatMap(([name, { demand, presence }]) => {
    if (presence === "absent" || !tools.hasName(need.names, name)) return [];
    const named = new Map(one.named);
    return spread(
      { ...rest, named: named.set(name, { demand: joined(demand, need.demand), presence: "required" }) },
      tools,
    );
  });
  const others = spread(rest, tools).map((each) => ({ ...each, needs: [...each.needs, need] }));
  return [...found, ...others];
}

class ObjectWriter {
  readonly #one: ObjectCase;
  readonly #tools: RuleTools;
  readonly #named: readonly (readonly [string, { readonly demand: Demand; readonly presence: string }])[];
  readonly #others: readonly NamedDemand[];
  readonly #need: NamedDemand | undefined;
  readonly #rules = new Map<string, number>();
  /** The least number of properties; 0 where those that must be there are as many. */
  readonly #least: number;

  constructor(one: ObjectCase, tools: RuleTools) {
    this.#one = one;
    this.#tools = tools;
    this.#named = [...one.named].filter(([, { presence }]) => presence !== "absent")
      .map(([name, { demand, presence }]) => [name, { demand: this.#ruled(name, demand), presence }]);
    this.#others = this.#partition();
    if (one.needs.length > 1) {
      refuseUnsupported("", "a schema that needs one property of any name at most", "two properties of any names");
    }
    this.#need = one.needs[0];
    const required = this.#named.filter(([, { presence }]) => presence === "required").length;
    this.#least = one.least <= required ? 0 : one.least;
    // Others may have the same name twice, and then count once: only the first of them counts towards the least.
    if (one.least > this.#named.length + 1 && this.#others.length > 0) {
      refuseUnsupported(
        "",
        "minProperties of at most one more than there are properties",
        `minProperties ${one.least}`,
      );
    }
  }

  alternatives(): Alternative[] {
    const { beginObject } = this.#tools.layout;
    return [[{ lexeme: beginObject }, { rule: this.#from(0, 0, true) }]];
  }

  #ruled(name: string, demand: Demand): Demand {
    return this.#one.rules.reduce(
      (sum, rule) => this.#tools.hasName(rule.names, name) ? joined(sum, rule.demand) : sum,
      demand,
    );
  }

  /** The names that the schema does not name, in parts that are held to one demand each. */
  #partition(): NamedDemand[] {
    const { lexemes, strings } = this.#tools;
    const known = lexemes.either(...Array.from(this.#one.named.keys(), (name) => strings.literal(name)));
    let parts: NamedDemand[] = [{ names: lexemes.both(strings.any, lexemes.not(known)), demand: [] }];
    for (const { names, demand } of this.#one.rules) {
      parts = parts.flatMap((part) => [
        { names: lexemes.both(part.names, names), demand: joined(part.demand, demand) },
        { names: lexemes.both(part.names, lexemes.not(names)), demand: part.demand },
      ]).filter((part) => this.#tools.hasText(part.names));
      if (parts.length > partsMost) {
        refuseUnsupported("", "fewer patterns of names that overlap", `${parts.length} parts`);
      }
    }
    return parts;
  }

  /** What follows when the properties before `index` were written or left out, `count` of them. */
  #from(index: number, count: number, isFirst: boolean): number {
    // Beyond these, counts make no difference.
    const seen = Math.min(count, this.#one.most === Infinity ? this.#least : this.#one.most);
    const key = `${index},${seen},${isFirst}`;
    const known = this.#rules.get(key);
    if (known !== undefined) return known;
    const { rules } = this.#tools;
    const rule = rules.declare("an object");
    this.#rules.set(key, rule);
    if (index === this.#named.length) {
      rules.define(rule, this.#end(seen, isFirst));
      return rule;
    }
    const [name, { demand, presence }] = this.#named[index];
    const alternatives: Alternative[] = [];
    if (seen < this.#one.most) {
      const key = this.#tools.strings.literal(name);
      alternatives.push([...this.#property(key, demand, isFirst), { rule: this.#from(index + 1, seen + 1, false) }]);
    }
    if (presence !== "required") alternatives.push([{ rule: this.#from(index + 1, seen, isFirst) }]);
    rules.define(rule, alternatives);
    return rule;
  }

  #end(count: number, isFirst: boolean): Alternative[] {
    const missing = this.#least - count;
    const room = this.#one.most - count;
    if (missing > 1) return [];
    const close: RuleSymbol = { lexeme: this.#tools.layout.endObject };
    const need = this.#need;
    if (!need) {
      const others = room < 1 ? [] : this.#other(isFirst);
      return [
        ...(missing > 0 ? [] : [[close]]),
        ...others.map((symbols) => [...symbols, ...this.#more(room - 1), close]),
      ];
    }
    // The one that is needed comes last: of two with one name the last counts.
    if (room < 1) return [];
    const alone = this.#needed(need, isFirst);
    const others = room < 2 ? [] : this.#other(isFirst);
    const last = this.#needed(need, false);
    const behind = others.flatMap((symbols) => last.map((end) => [...symbols, ...this.#more(room - 2), ...end]));
    return [...alone, ...behind].map((symbols) => [...symbols, close]);
  }

  #more(most: number): RuleSymbol[] {
    const alternatives = this.#other(false);
    if (most < 1 || alternatives.length === 0) return [];
    return [{ rule: this.#tools.rules.add("other properties", alternatives), least: 0, most }];
  }

  #other(isFirst: boolean): RuleSymbol[][] {
    return this.#others.map(({ names, demand }) => this.#property(names, demand, isFirst));
  }

  #needed(need: NamedDemand, isFirst: boolean): RuleSymbol[][] {
    const { lexemes } = this.#tools;
    return this.#others.flatMap(({ names, demand }) => {
      const both = lexemes.both(names, need.names);
      return both === NOTHING ? [] : [this.#property(both, joined(demand, need.demand), isFirst)];
    });
  }

  #property(name: Lexeme, demand: Demand, isFirst: boolean): RuleSymbol[] {
    const { lexemes, strings, layout } = this.#tools;
    const key = lexemes.then(strings.quoted(name), layout.colon);
    return [{ lexeme: isFirst ? key : lexemes.then(layout.comma, key) }, { rule: this.#tools.rule(demand) }];
  }
}
