/**
 * The rules of an array: items in their places, then any number of others. Where items are counted that meet a demand, each item
 * is one that does or one that does not, and a rule for each pair of counts says what may follow.
 *
 * @module
 */
import type { Alternative, RuleSymbol } from "../rules.ts";
import { shuffledMost, UsedSets } from "../shuffle.ts";
import { refuseUnsupported } from "./refuse.ts";
import type { RuleTools } from "./tools.ts";
import { type ArrayCase, type Demand, joined } from "./types.ts";

/** Counts that are told apart, of items and of those that meet a demand. */
const statesMost = 20_000;

/** The alternatives of an array. */
export function arrayAlternatives(one: ArrayCase, tools: RuleTools): Alternative[] {
  const begin: RuleSymbol = { lexeme: tools.layout.beginArray };
  // Arrays of one item or none have no two that are equal.
  if (one.isUnique && one.most > 1) return [[begin, ...uniqueItems(one, tools)]];
  const writer = one.contains.length === 0 ? new PlainArray(one, tools) : new CountingArray(one, tools);
  return [[begin, { rule: writer.from() }]];
}

/** Items of which each is another: of a few values each comes once at most. */
function uniqueItems(one: ArrayCase, tools: RuleTools): RuleSymbol[] {
  const { rules, layout, values } = tools;
  const { prefix, contains, rest, least, most } = one;
  const texts = prefix.length + contains.length === 0 ? values(rest, shuffledMost) : undefined;
  if (!texts) {
    refuseUnsupported(
      tools.where("uniqueItems"),
      `items of up to ${shuffledMost} values without items of their own, or one item`,
      "uniqueItems",
    );
  }
  const members = texts.map((lexeme) => ({
    first: rules.add("an item", [[{ lexeme }]]),
    next: rules.add("an item", [[{ lexeme: layout.comma }, { lexeme }]]),
    isRequired: false,
  }));
  return [{ shuffle: { members, sets: new UsedSets(), others: [], needed: 0, least, most } }, {
    lexeme: layout.endArray,
  }];
}

function item(demand: Demand, isFirst: boolean, tools: RuleTools): RuleSymbol[] {
  const rule: RuleSymbol = { rule: tools.rule(demand) };
  return isFirst ? [rule] : [{ lexeme: tools.layout.comma }, rule];
}

class PlainArray {
  readonly #one: ArrayCase;
  readonly #tools: RuleTools;

  constructor(one: ArrayCase, tools: RuleTools) {
    this.#one = one;
    this.#tools = tools;
  }

  /** What follows the bracket, built from the end. */
  from(): number {
    const { prefix, least } = this.#one;
    const { rules, layout } = this.#tools;
    const close: RuleSymbol = { lexeme: layout.endArray };
    let rule = rules.add("items", this.#rest(prefix.length === 0).map((symbols) => [...symbols, close]));
    for (let index = prefix.length - 1; index >= 0; index--) {
      const alternatives: Alternative[] = [];
      if (index < this.#one.most) {
        alternatives.push([...item(prefix[index], index === 0, this.#tools), { rule }]);
      }
      if (index >= least) alternatives.push([close]);
      rule = rules.add("items", alternatives);
    }
    return rule;
  }

  #rest(isFirst: boolean): RuleSymbol[][] {
    const { prefix, rest, least, most } = this.#one;
    const [few, many] = [Math.max(0, least - prefix.length), most - prefix.length];
    if (many < 0) return [];
    const { rules } = this.#tools;
    const again = (few: number, many: number): RuleSymbol[] =>
      many < 1 ? [] : [{ rule: rules.add("more items", [item(rest, false, this.#tools)]), least: few, most: many }];
    if (!isFirst) return [again(few, many)];
    const found: RuleSymbol[][] = few === 0 ? [[]] : [];
    if (many > 0) found.push([...item(rest, true, this.#tools), ...again(Math.max(0, few - 1), many - 1)]);
    return found;
  }
}

/** Rules that are not written yet: how many items there are, and how many of them meet each demand. */
interface Counted {
  readonly rule: number;
  readonly items: number;
  readonly counts: readonly number[];
}

class CountingArray {
  readonly #one: ArrayCase;
  readonly #tools: RuleTools;
  readonly #rules = new Map<string, number>();
  readonly #open: Counted[] = [];
  /** From how many items on their number makes no difference. */
  readonly #itemsMost: number;

  constructor(one: ArrayCase, tools: RuleTools) {
    this.#one = one;
    this.#tools = tools;
    // One at least, for before the first item there is no comma.
    const froms = one.contains.map(({ from }) => from);
    this.#itemsMost = Math.max(1, one.prefix.length, one.least, one.most === Infinity ? 0 : one.most, ...froms);
  }

  from(): number {
    const root = this.#ruleOf(0, this.#one.contains.map(() => 0));
    for (let next = this.#open.pop(); next; next = this.#open.pop()) this.#write(next);
    return root;
  }

  /** The rule of counts; it is written later, for there may be as many as there are counts. */
  #ruleOf(items: number, counts: readonly number[]): number {
    const key = `${items};${counts.join()}`;
    let rule = this.#rules.get(key);
    if (rule !== undefined) return rule;
    if (this.#rules.size > statesMost) {
      refuseUnsupported(this.#tools.where("contains"), "smaller counts", "contains with counts as large");
    }
    rule = this.#tools.rules.declare("items that are counted");
    this.#rules.set(key, rule);
    this.#open.push({ rule, items, counts });
    return rule;
  }

  #write({ rule, items, counts }: Counted): void {
    const { prefix, rest, least, most, contains } = this.#one;
    const alternatives: Alternative[] = [];
    if (items >= least && contains.every((one, index) => counts[index] >= one.least)) {
      alternatives.push([{ lexeme: this.#tools.layout.endArray }]);
    }
    if (items < most) {
      const own = prefix[items] ?? rest;
      const after = Math.min(items + 1, this.#itemsMost);
      for (const { demand, counts: next } of this.#choices(items, own, counts)) {
        alternatives.push([...item(demand, items === 0, this.#tools), { rule: this.#ruleOf(after, next) }]);
      }
    }
    this.#tools.rules.define(rule, alternatives);
  }

  /** An item for each set of the demands that it meets; of the others it meets the opposites. */
  #choices(
    item: number,
    own: Demand,
    counts: readonly number[],
  ): { readonly demand: Demand; readonly counts: readonly number[] }[] {
    let found: { demand: Demand; counts: readonly number[] }[] = [{ demand: own, counts: [] }];
    this.#one.contains.forEach(({ demand, least, most, from }, index) => {
      const count = counts[index];
      const enough = most === Infinity ? least : most + 1;
      found = found.flatMap((one) => {
        // Where more make no difference, it need not be told which items meet the demand.
        if (item < from || (most === Infinity && count >= least)) return [{ ...one, counts: [...one.counts, count] }];
        const met = count + 1 > most
          ? []
          : [{ demand: joined(one.demand, demand), counts: [...one.counts, Math.min(count + 1, enough)] }];
        const unmet = demand.map((literal) => ({
          demand: joined(one.demand, [-literal]),
          counts: [...one.counts, count],
        }));
        return [...met, ...unmet];
      });
    });
    return found;
  }
}
