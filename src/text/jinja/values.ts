/**
 * The values of a template's world: Python's, as far as templates meet them. True and False are
 * JavaScript's; all others are classes of this file.
 *
 * Strings and numbers know whether they came from outside. What spells out a container, a boolean or None is nothing that
 * the template wrote, so it counts as foreign.
 *
 * @module
 */
import { EMPTY, Text } from "./marked.ts";

/** Any value. */
export type Value = boolean | Num | Text | Thing;

/** Base of all values but the simple ones. */
export abstract class Thing {
  /** Python's name of the type. */
  abstract readonly type: string;

  /** An attribute of its own; undefined where it has none of that name. */
  attribute(_name: string): Value | undefined {
    return undefined;
  }
}

class NoneType extends Thing {
  override readonly type: string = "NoneType";
}

/** None. */
export const NONE: Thing = new NoneType();

/** An integer of any size, or a float. */
export class Num {
  /** A safe integer, a larger one, or a float. */
  readonly value: number | bigint;
  /** Whether it is a float. */
  readonly float: boolean;
  /** Whether it came from outside, or was computed from what did. */
  readonly foreign: boolean;

  constructor(value: number | bigint, float: boolean, foreign: boolean) {
    this.value = value;
    this.float = float;
    this.foreign = foreign;
  }
}

/** An integer that the template came to itself. */
export function int(value: number): Num {
  return new Num(value, false, false);
}

/** A list. Templates cannot change one. */
export class List extends Thing {
  override readonly type: string = "list";
  /** What is in it. */
  readonly items: readonly Value[];

  constructor(items: readonly Value[]) {
    super();
    this.items = items;
  }
}

/** A tuple. */
export class Tuple extends Thing {
  override readonly type: string = "tuple";
  /** What is in it. */
  readonly items: readonly Value[];

  constructor(items: readonly Value[]) {
    super();
    this.items = items;
  }
}

/** A group of `groupby`: a tuple whose parts have names. */
export class Group extends Tuple {
  override readonly type: string = "_GroupTuple";
}

/** What a dictionary finds its entries by; equal for equal keys. */
export type Key = string | number | bigint | boolean | Thing;

/** A dictionary. */
export class Dict extends Thing {
  override readonly type: string = "dict";
  /** The entries in order, each with the key that was given first. */
  readonly entries: ReadonlyMap<Key, readonly [Value, Value]>;

  constructor(entries: ReadonlyMap<Key, readonly [Value, Value]>) {
    super();
    this.entries = entries;
  }

  /** The value for a name. */
  named(name: string): Value | undefined {
    return this.entries.get(name)?.[1];
  }
}

/** The keys, values or items of a dictionary. */
export class View extends Thing {
  /** Which part it shows. */
  readonly part: "keys" | "values" | "items";
  /** Whose. */
  readonly dict: Dict;

  constructor(part: "keys" | "values" | "items", dict: Dict) {
    super();
    this.part = part;
    this.dict = dict;
  }

  override get type(): string {
    return `dict_${this.part}`;
  }

  /** What it shows, in order. */
  *members(): Generator<Value> {
    for (const [key, value] of this.dict.entries.values()) {
      yield this.part === "keys" ? key : this.part === "values" ? value : new Tuple([key, value]);
    }
  }
}

/** Whole numbers at equal distances. */
export class Range extends Thing {
  override readonly type: string = "range";
  readonly start: number;
  readonly stop: number;
  readonly step: number;
  /** Whether one of the bounds came from outside. */
  readonly foreign: boolean;

  constructor(start: number, stop: number, step: number, foreign: boolean) {
    super();
    this.start = start;
    this.stop = stop;
    this.step = step;
    this.foreign = foreign;
  }

  /** How many numbers there are. */
  get length(): number {
    return Math.max(0, Math.ceil((this.stop - this.start) / this.step));
  }

  /** The number with an index. */
  at(index: number): Num {
    return new Num(this.start + index * this.step, false, this.foreign);
  }
}

/** What can be gone through once: the result of `map`, `select` and the like. */
export class Stream extends Thing {
  override readonly type: string;
  /** What comes next. */
  readonly iterator: Iterator<Value>;

  constructor(iterator: Iterator<Value>, type = "generator") {
    super();
    this.iterator = iterator;
    this.type = type;
  }
}

/** A `namespace`, whose attributes a template may set. */
export class Namespace extends Thing {
  override readonly type: string = "Namespace";
  /** Attributes by name. */
  readonly attributes: Map<Key, readonly [Value, Value]>;

  constructor(attributes: Map<Key, readonly [Value, Value]>) {
    super();
    this.attributes = attributes;
  }
}

/** Nothing where something was looked for; most uses of it fail and say what was looked for. */
export class Undefined extends Thing {
  override readonly type: string = "Undefined";
  readonly #message: string | (() => string);
  /** The kind of error that its use is. */
  readonly error: "UndefinedError" | "SecurityError";

  constructor(message: string | (() => string), error: "UndefinedError" | "SecurityError" = "UndefinedError") {
    super();
    this.#message = message;
    this.error = error;
  }

  /** What is said where it is used. */
  get message(): string {
    return typeof this.#message === "string" ? this.#message : this.#message();
  }
}

/** Arguments given by name. */
export type Keywords = ReadonlyMap<string, Value>;

/** No arguments by name. */
export const NO_KEYWORDS: Keywords = new Map();

/** What can be called. */
export abstract class Callable extends Thing {
  /** What it is called in errors. */
  abstract readonly name: string;
  /** Calls it. */
  abstract call(args: readonly Value[], keywords: Keywords): Value;
}

/** A function or a bound method that is built in. */
export class Builtin extends Callable {
  override readonly type: string;
  override readonly name: string;
  override readonly call: (args: readonly Value[], keywords: Keywords) => Value;

  constructor(
    name: string,
    call: (args: readonly Value[], keywords: Keywords) => Value,
    type = "builtin_function_or_method",
  ) {
    super();
    this.name = name;
    this.call = call;
    this.type = type;
  }
}

/** Python's name of a value's type. */
export function typeName(value: Value): string {
  if (typeof value === "boolean") return "bool";
  if (value instanceof Num) return value.float ? "float" : "int";
  if (value instanceof Text) return value.markup ? "Markup" : "str";
  return value.type;
}

/** Whether a value is Python's True or counts as it. */
export function isTrue(value: Value): boolean {
  if (typeof value === "boolean") return value;
  if (value instanceof Text) return value.value !== "";
  // Also a float that is no number is true.
  if (value instanceof Num) return !(value.value === 0 || value.value === 0n);
  if (value instanceof List || value instanceof Tuple) return value.items.length > 0;
  if (value instanceof Dict) return value.entries.size > 0;
  if (value instanceof View) return value.dict.entries.size > 0;
  if (value instanceof Range) return value.length > 0;
  return value !== NONE && !(value instanceof Undefined);
}

/** A string that the template wrote. */
export function own(value: string): Text {
  return value === "" ? EMPTY : Text.of(value, false);
}
