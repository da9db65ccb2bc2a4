/**
 * The `loop` of a loop: where it is, what comes next, and the loop itself where it is recursive.
 *
 * @module
 */
import { Failure, wrongType } from "./failure.ts";
import { equal } from "./operators.ts";
import { elements, lengthOf } from "./sequences.ts";
import type { Run } from "./types.ts";
import {
  Builtin,
  Callable,
  int,
  type Keywords,
  NO_KEYWORDS,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** Runs a recursive loop over other elements, one level deeper. */
export type Recurse = (iterable: Value, depth: number) => Value;

/** A loop that runs. */
export class Loop extends Callable {
  override readonly type: string = "LoopContext";
  override readonly name: string = "loop";
  readonly #run: Run;
  readonly #iterable: Value;
  #iterator: Iterator<Value>;
  readonly #recurse: Recurse | undefined;
  readonly #depth: number;
  #length: number | undefined;
  #index = -1;
  #before: Value | undefined;
  #current: Value | undefined;
  #after: Value | undefined;
  #changed: Tuple | undefined;

  constructor(run: Run, iterable: Value, depth: number, recurse: Recurse | undefined) {
    super();
    this.#run = run;
    this.#iterable = iterable;
    this.#iterator = elements(run, iterable) ?? wrongType(`'${typeName(iterable)}' object is not iterable`);
    this.#depth = depth;
    this.#recurse = recurse;
  }

  /** The next element; undefined at the end. */
  next(): Value | undefined {
    const value = this.#after ?? this.#pull();
    this.#after = undefined;
    if (value === undefined) return undefined;
    this.#index++;
    this.#before = this.#current;
    return this.#current = value;
  }

  /** How many elements there are in all. */
  get length(): number {
    if (this.#length !== undefined) return this.#length;
    const known = lengthOf(this.#run, this.#iterable);
    if (known !== undefined) return this.#length = known;
    const rest: Value[] = [];
    for (let value = this.#pull(); value !== undefined; value = this.#pull()) rest.push(value);
    this.#iterator = rest.values();
    return this.#length = rest.length + this.#index + 1 + (this.#after === undefined ? 0 : 1);
  }

  override attribute(name: string): Value | undefined {
    switch (name) {
      case "index":
        return int(this.#index + 1);
      case "index0":
        return int(this.#index);
      case "first":
        return this.#index === 0;
      case "last":
        return this.#peek() === undefined;
      case "length":
        return int(this.length);
      case "revindex":
        return int(this.length - this.#index);
      case "revindex0":
        return int(this.length - this.#index - 1);
      case "depth":
        return int(this.#depth + 1);
      case "depth0":
        return int(this.#depth);
      case "previtem":
        return this.#index === 0 ? new Undefined("there is no previous item") : this.#before;
      case "nextitem":
        return this.#peek() ?? new Undefined("there is no next item");
      case "cycle":
        return new Builtin("cycle", (args) => this.#cycle(args), "method");
      case "changed":
        return new Builtin("changed", (args) => this.#hasChanged(args), "method");
      default:
        return undefined;
    }
  }

  override call(args: readonly Value[], keywords: Keywords = NO_KEYWORDS): Value {
    if (this.#recurse === undefined) {
      return wrongType("The loop must have the 'recursive' marker to be called recursively.");
    }
    const iterable = args[0] ?? keywords.get("iterable");
    if (iterable === undefined || args.length + keywords.size > 1) return wrongType("loop() takes one argument");
    return this.#recurse(iterable, this.#depth + 1);
  }

  #pull(): Value | undefined {
    const next = this.#iterator.next();
    return next.done === true ? undefined : next.value;
  }

  #peek(): Value | undefined {
    return this.#after ??= this.#pull();
  }

  #cycle(args: readonly Value[]): Value {
    if (args.length === 0) throw new Failure("TypeError", "no items for cycling given");
    return args[this.#index % args.length];
  }

  #hasChanged(args: readonly Value[]): boolean {
    const given = new Tuple(args);
    if (this.#changed !== undefined && equal(this.#run, this.#changed, given)) return false;
    this.#changed = given;
    return true;
  }
}
