/**
 * The rules of an object. Names have one spelling and those of the schema are taken out of the others' language, so no property
 * that the schema names can come twice or in disguise. Properties come in any order, or named ones in the order of the schema
 * and others behind them.
 *
 * @module
 */
import type { Alternative, RuleSymbol } from "../rules.ts";
import { shuffledMost, UsedSets } from "../shuffle.ts";
import { ObjectParts, otherNames } from "./object_parts.ts";
import type { RuleTools } from "./tools.ts";
import { joined, type ObjectCase } from "./types.ts";

/** The alternatives of an object. */
export function objectAlternatives(one: ObjectCase, tools: RuleTools): Alternative[] {
  return spread(withFewNames(one, tools), tools).map((each): Alternative => {
    const parts = new ObjectParts(each, tools);
    const isShuffled = tools.order === "any" && parts.named.length > 0 && parts.named.length <= shuffledMost;
    const properties = isShuffled
      ? shuffled(parts, tools)
      : [{ rule: new OrderedObject(parts, tools).from(0, 0, true) }];
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

function shuffled(parts: ObjectParts, { rules, layout }: RuleTools): RuleSymbol[] {
  const part = (name: string, ways: (isFirst: boolean) => Alternative[]) => ({
    first: rules.add(name, ways(true)),
    next: rules.add(name, ways(false)),
  });
  const members = parts.named.map((property) => ({
    ...part(property.name, (isFirst) => [parts.property(property, isFirst)]),
    isRequired: property.presence === "required",
  }));
  const others = part("other properties", (isFirst) => parts.others(isFirst));
  const needed = parts.needsOne
    ? { ...part("a property", (isFirst) => parts.needed(isFirst)), isLast: parts.neededIsLast }
    : undefined;
  const { least, most } = parts;
  return [{ shuffle: { members, sets: new UsedSets(), others, needed, least, most } }, { lexeme: layout.endObject }];
}

class OrderedObject {
  readonly #parts: ObjectParts;
  readonly #tools: RuleTools;
  readonly #rules = new Map<string, number>();

  constructor(parts: ObjectParts, tools: RuleTools) {
    this.#parts = parts;
    this.#tools = tools;
  }

  /** What follows when the properties before `index` were written or left out, `count` of them. */
  from(index: number, count: number, isFirst: boolean): number {
    const { named, least, most } = this.#parts;
    // Beyond these, counts make no difference.
    const seen = Math.min(count, most === Infinity ? least : most);
    const key = `${index},${seen},${isFirst}`;
    const known = this.#rules.get(key);
    if (known !== undefined) return known;
    const { rules } = this.#tools;
    const rule = rules.declare("an object");
    this.#rules.set(key, rule);
    if (index === named.length) {
      rules.define(rule, this.#end(seen, isFirst));
      return rule;
    }
    const alternatives: Alternative[] = [];
    if (seen < most) {
      alternatives.push([
        ...this.#parts.property(named[index], isFirst),
        { rule: this.from(index + 1, seen + 1, false) },
      ]);
    }
    if (named[index].presence !== "required") alternatives.push([{ rule: this.from(index + 1, seen, isFirst) }]);
    rules.define(rule, alternatives);
    return rule;
  }

  #end(count: number, isFirst: boolean): Alternative[] {
    const parts = this.#parts;
    const [missing, room] = [parts.least - count, parts.most - count];
    if (missing > 1) return [];
    const close: RuleSymbol = { lexeme: this.#tools.layout.endObject };
    if (!parts.needsOne) {
      const others = room < 1 ? [] : parts.others(isFirst);
      return [
        ...(missing > 0 ? [] : [[close]]),
        ...others.map((symbols) => [...symbols, ...this.#more(room - 1), close]),
      ];
    }
    if (room < 1) return [];
    const alone = parts.needed(isFirst);
    const others = room < 2 ? [] : parts.others(isFirst);
    const last = parts.needed(false);
    const behind = others.flatMap((symbols) => last.map((end) => [...symbols, ...this.#more(room - 2), ...end]));
    // Where room is bounded, it stays the last: counts on both its sides would be told apart.
    const more = parts.neededIsLast || room < Infinity ? [] : this.#more(Infinity);
    return [...alone, ...behind].map((symbols) => [...symbols, ...more, close]);
  }

  #more(most: number): RuleSymbol[] {
    const alternatives = this.#parts.others(false);
    if (most < 1 || alternatives.length === 0) return [];
    return [{ rule: this.#tools.rules.add("other properties", alternatives), least: 0, most }];
  }
}
