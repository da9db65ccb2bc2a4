/**
 * The methods of lists, tuples and ranges by name: those that change nothing.
 *
 * @module
 */
import { bind, intOr } from "./arguments.ts";
import { Failure } from "./failure.ts";
import { equal } from "./operators.ts";
import { listOf } from "./sequences.ts";
import type { Method } from "./types.ts";
import { int, List, type Value } from "./values.ts";

/** The methods of tuples and ranges. */
export const tupleMethods: ReadonlyMap<string, Method> = new Map<string, Method>([
  ["index", (run, self, args, keywords) => {
    const [wanted, start, end] = bind(
      "index",
      { names: ["value", "start", "stop"], required: 1, byPlace: 3 },
      args,
      keywords,
    );
    const items = listOf(run, self);
    const clamp = (at: number) => at < 0 ? Math.max(0, at + items.length) : at;
    const to = Math.min(items.length, clamp(intOr("index", end, Infinity)));
    for (let at = clamp(intOr("index", start, 0)); at < to; at++) {
      if (items[at] === wanted || equal(run, items[at], wanted as Value)) return int(at);
    }
    throw new Failure("ValueError", "value is not in list");
  }],
  ["count", (run, self, args, keywords) => {
    const [wanted] = bind("count", { names: ["value"], required: 1, byPlace: 1 }, args, keywords);
    return int(listOf(run, self).filter((item) => item === wanted || equal(run, item, wanted as Value)).length);
  }],
]);

/** The methods of lists. */
export const listMethods: ReadonlyMap<string, Method> = new Map<string, Method>([
  ...tupleMethods,
  ["copy", (run, self, args, keywords) => {
    bind("copy", { names: [] }, args, keywords);
    return new List(listOf(run, self));
  }],
]);
