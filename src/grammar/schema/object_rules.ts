/**
 * The rules of an object. Names have one spelling and those of the schema are taken out of the others' language, so no property
 * that the schema names can come twice or in disguise. Properties come in any order, or named ones in the order of the schema
 * and others behind them.
 *
 * @module
 */
import type { Alternative, RuleSymbol } from "../rules.ts";
import { type OtherPart, shuffledMost, UsedSets } from "../shuffle.ts";
import { ObjectParts, otherNames } from "./object_parts.ts";
import type { RuleTools } from "./tools.ts";
import { refuseUnsupported } from "./refuse.ts";
import { type Demand, joined, type NamedDemand, type ObjectCase, type Presence } from "./types.ts";

/** Names that stand for a property of any name, where no others can. */
const namesMost = 16;
/** Ways in which an object has what it needs. */
const waysMost = 500;

/** The alternatives of an object. */
export function objectAlternatives(one: ObjectCase, tools: RuleTools): Alternative[] {
  return spread(withNeededNames(withFewNames(one, tools), tools), tools).map((each): Alternative => {
    const parts = new ObjectParts(each, tools);
    const isShuffled = tools.order === "any" && parts.named.length > 0 && parts.named.length <= shuffledMost;
    const properties = isShuffled ? shuffled(parts, tools) : [{ rule: new OrderedObject(parts, tools).whole() }];
    return [{ lexeme: tools.layout.beginObject }, ...properties];
  });
}

/** Where more properties are needed than the schema names and names are few, it names them all: each counts once. */
function withFewNames(one: ObjectCase, tools: RuleTools): ObjectCase {
  if (one.least <= one.named.size + 1) return one;
  const names = otherNames(one, tools).flatMap((others) => tools.texts(others.names, shuffledMost) ?? []);
  if (names.length + one.named.size > shuffledMost) return one;
  const optional = names.map((name) => [name, { demand: [], presence: "optional" }] as const);
  return { ...one, named: new Map([...one.named, ...optional]) };
}

/** Where something is needed under one of few names, it names them all. */
function withNeededNames(one: ObjectCase, tools: RuleTools): ObjectCase {
  const named = new Map(one.named);
  for (const name of one.needs.flatMap(({ names }) => tools.texts(names, namesMost) ?? [])) {
    if (!named.has(name)) named.set(name, { demand: [], presence: "optional" });
  }
  return { ...one, named };
}

/** A property that must be there under some name is one of the named ones, or one of the others. */
function spread(one: ObjectCase, tools: RuleTools): ObjectCase[] {
  const [need, ...needs] = one.needs;
  if (need === undefined) return [one];
  const rests = spread({ ...one, needs }, tools);
  const names = [...one.named.keys()].filter((name) => tools.hasName(need.names, name));
  const found = rests.flatMap((rest) =>
    names.flatMap((name) => {
      const { demand, presence } = rest.named.get(name) as { demand: Demand; presence: Presence };
      if (presence === "absent") return [];
      const named = new Map(rest.named);
      return [{ ...rest, named: named.set(name, { demand: joined(demand, need.demand), presence: "required" }) }];
    })
  );
  const isNamed = tools.texts(need.names, namesMost) !== undefined;
  const others = isNamed ? [] : rests.flatMap((rest) => withNeed(rest, need, tools));
  if (found.length + others.length > waysMost) {
    refuseUnsupported(tools.where("not"), "a schema that needs fewer properties of any names", "one that needs many");
  }
  return [...found, ...others];
}

/** One of the others is what is needed, or it is what something else is that is needed, too. */
function withNeed(one: ObjectCase, need: NamedDemand, tools: RuleTools): ObjectCase[] {
  const shared = one.needs.flatMap((other, index) => {
    const names = tools.lexemes.both(other.names, need.names);
    const both = { names, demand: joined(other.demand, need.demand) };
    return tools.hasText(names) ? [{ ...one, needs: one.needs.with(index, both) }] : [];
  });
  const required = [...one.named.values()].filter(({ presence }) => presence === "required").length;
  const hasRoom = required + one.needs.length < one.most;
  return [...shared, ...(hasRoom ? [{ ...one, needs: [...one.needs, need] }] : [])];
}

function shuffled(parts: ObjectParts, { rules, layout }: RuleTools): RuleSymbol[] {
  const part = (name: string, ways: (isFirst: boolean) => Alternative[]) => ({
    first: rules.add(name, ways(true)),
    next: rules.add(name, ways(false)),
  });
  const members = parts.named.map((property) => ({
    ...part(property.name, (isFirst) => [parts.property(property, isFirst)]),
    isRequired: property.presence === "required",
  }));
  const others: OtherPart[] = [];
  for (let came = 0; came <= parts.allNeeded; came++) {
    others.push({ ...part("other properties", (isFirst) => parts.others(isFirst, came)), before: came, with: 0 });
    for (const [index, bit] of stillNeeded(parts, came)) {
      const ways = part("a property", (isFirst) => parts.needed(index, isFirst, came));
      others.push({ ...ways, before: came, with: bit });
    }
  }
  const { least, most, allNeeded } = parts;
  return [{ shuffle: { members, sets: new UsedSets(), others, needed: allNeeded, least, most } }, {
    lexeme: layout.endObject,
  }];
}

/** What is needed and did not come: its index and its bit. */
function stillNeeded({ needs }: ObjectParts, came: number): [number, number][] {
  return needs.map((_, index): [number, number] => [index, 2 ** index]).filter(([, bit]) => (came & bit) === 0);
}

/** A rule that is not written yet: what follows when the properties before `index` were written or left out, `count` of them. */
interface OrderedPlace {
  readonly rule: number;
  readonly index: number;
  readonly count: number;
  readonly isFirst: boolean;
}

class OrderedObject {
  readonly #parts: ObjectParts;
  readonly #tools: RuleTools;
  readonly #rules = new Map<string, number>();
  readonly #open: OrderedPlace[] = [];

  constructor(parts: ObjectParts, tools: RuleTools) {
    this.#parts = parts;
    this.#tools = tools;
  }

  /** What follows the brace. */
  whole(): number {
    const root = this.#ruleOf(0, 0, true);
    for (let next = this.#open.pop(); next; next = this.#open.pop()) this.#write(next);
    return root;
  }

  /** The rule of a place; it is written later, for there may be as many as there are properties. */
  #ruleOf(index: number, count: number, isFirst: boolean): number {
    const { least, most } = this.#parts;
    // Beyond these, counts make no difference.
    const seen = Math.min(count, most === Infinity ? least : most);
    const key = `${index},${seen},${isFirst}`;
    let rule = this.#rules.get(key);
    if (rule !== undefined) return rule;
    rule = this.#tools.rules.declare("an object");
    this.#rules.set(key, rule);
    this.#open.push({ rule, index, count: seen, isFirst });
    return rule;
  }

  #write({ rule, index, count, isFirst }: OrderedPlace): void {
    const { named, most } = this.#parts;
    const { rules } = this.#tools;
    if (index === named.length) {
      rules.define(rule, this.#end(count, isFirst));
      return;
    }
    const alternatives: Alternative[] = [];
    if (count < most) {
      alternatives.push([
        ...this.#parts.property(named[index], isFirst),
        { rule: this.#ruleOf(index + 1, count + 1, false) },
      ]);
    }
    if (named[index].presence !== "required") alternatives.push([{ rule: this.#ruleOf(index + 1, count, isFirst) }]);
    rules.define(rule, alternatives);
  }

  #end(count: number, isFirst: boolean): Alternative[] {
    const parts = this.#parts;
    const [missing, room] = [parts.least - count, parts.most - count];
    if (missing > 1) return [];
    const close: RuleSymbol = { lexeme: this.#tools.layout.endObject };
    if (parts.allNeeded === 0) {
      const others = room < 1 ? [] : parts.others(isFirst);
      return [
        ...(missing > 0 ? [] : [[close]]),
        ...others.map((symbols) => [...symbols, ...this.#more(room - 1), close]),
      ];
    }
    const needs = parts.needs.length;
    if (room < needs) return [];
    if (room === Infinity) return this.#needed(0, isFirst, true);
    // Where room is bounded, those that are needed are the last: counts on both their sides would be told apart.
    const others = room === needs ? [] : parts.others(isFirst);
    const last = { rule: this.#tools.rules.add("needed properties", this.#needed(0, false, false)) };
    return [
      ...this.#needed(0, isFirst, false),
      ...others.map((symbols) => [...symbols, ...this.#more(room - needs - 1), last]),
    ];
  }

  /** What is needed and did not come, with others among it or without, and the end. */
  #needed(came: number, isFirst: boolean, amongOthers: boolean): Alternative[] {
    const parts = this.#parts;
    const found: Alternative[] = came === parts.allNeeded ? [[{ lexeme: this.#tools.layout.endObject }]] : [];
    for (const [index, bit] of stillNeeded(parts, came)) {
      const rest = { rule: this.#afterNeeded(came | bit, amongOthers) };
      found.push(...parts.needed(index, isFirst, came).map((symbols) => [...symbols, rest]));
    }
    if (!amongOthers) return found;
    const again = { rule: this.#afterNeeded(came, true) };
    return [...found, ...parts.others(isFirst, came).map((symbols) => [...symbols, again])];
  }

  #afterNeeded(came: number, amongOthers: boolean): number {
    const key = `needed ${came} ${amongOthers}`;
    const known = this.#rules.get(key);
    if (known !== undefined) return known;
    const { rules } = this.#tools;
    const rule = rules.declare("needed properties");
    this.#rules.set(key, rule);
    rules.define(rule, this.#needed(came, false, amongOthers));
    return rule;
  }

  #more(most: number): RuleSymbol[] {
    const alternatives = this.#parts.others(false);
    if (most < 1 || alternatives.length === 0) return [];
    return [{ rule: this.#tools.rules.add("other properties", alternatives), least: 0, most }];
  }
}
