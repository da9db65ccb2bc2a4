/**
 * What `value.name` and `value[index]` find: methods before entries for the first, entries before methods for the second,
 * and nothing that would change a value or reach into Python, as Jinja's sandbox has it.
 *
 * @module
 */
import { bind } from "./arguments.ts";
import { dictMethods } from "./dict_methods.ts";
import { Failure, wrongType } from "./failure.ts";
import { listMethods, tupleMethods } from "./list_methods.ts";
import { Text } from "./marked.ts";
import { numberAttribute } from "./number_methods.ts";
import { index } from "./numbers.ts";
import { keyOf } from "./operators.ts";
import { elementAt, sequenceLength } from "./sequences.ts";
import { repr } from "./spelling.ts";
import { formatText, type Lookup } from "./str_format.ts";
import { stringMethods } from "./string_methods.ts";
import type { Method, Run } from "./types.ts";
import {
  Builtin,
  Dict,
  Group,
  List,
  Namespace,
  NONE,
  Num,
  Range,
  Thing,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** Methods that would change a value. */
const CHANGING: Readonly<Record<string, ReadonlySet<string>>> = {
  list: new Set(["append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"]),
  dict: new Set(["clear", "pop", "popitem", "setdefault", "update"]),
};

/** `value.name`. */
export function getAttribute(run: Run, value: Value, name: Text): Value {
  run.budget.step();
  const found = attribute(run, value, name.value);
  if (found !== undefined) return found;
  return entry(run, value, name) ?? missing(run, value, name);
}

/** `value[index]`. */
export function getItem(run: Run, value: Value, index: Value): Value {
  run.budget.step();
  const found = entry(run, value, index);
  if (found !== undefined) return found;
  if (index instanceof Text) {
    const named = attribute(run, value, index.value);
    if (named !== undefined) return named;
  }
  return missing(run, value, index);
}

/** An attribute alone, as the filter `attr` looks for it. */
export function attributeOnly(run: Run, value: Value, name: Text): Value {
  run.budget.step();
  return attribute(run, value, name.value) ?? missing(run, value, name);
}

function missing(run: Run, value: Value, name: Value): Undefined {
  return new Undefined(() => {
    if (name instanceof Text) return `'${typeName(value)} object' has no attribute '${name.value}'`;
    return `${typeName(value)} object has no element ${repr(run, name).value}`;
  });
}

/** What Python's `getattr` finds, as far as the sandbox lets it out; undefined for an AttributeError. */
function attribute(run: Run, value: Value, name: string): Value | undefined {
  if (value instanceof Undefined) {
    if (name.startsWith("__") && name.endsWith("__")) return undefined;
    throw new Failure(value.error, value.message);
  }
  if (value instanceof Namespace) return value.attributes.get(name)?.[1];
  // What begins so is Python's inside; what of it there is decides nothing here.
  if (name.startsWith("__")) return unsafe(value, name);
  if (value instanceof Thing && CHANGING[value.type]?.has(name)) return unsafe(value, name);
  if (value instanceof Group && (name === "grouper" || name === "list")) return value.items[name === "list" ? 1 : 0];
  if (value instanceof Text && (name === "format" || name === "format_map")) return formatMethod(run, value, name);
  if (value instanceof Num || typeof value === "boolean") return numberAttribute(run, value, name);
  const method = methodsOf(value)?.get(name);
  if (method !== undefined) {
    return new Builtin(name, (args, keywords) => method(run, value, args, keywords));
  }
  if (value instanceof Range && (name === "start" || name === "stop" || name === "step")) {
    return new Num(value[name], false, value.foreign);
  }
  return value instanceof Thing ? value.attribute(name) : undefined;
}

const lookup: Lookup = { getAttribute, getItem };

function formatMethod(run: Run, text: Text, name: string): Builtin {
  if (name === "format") {
    return new Builtin(name, (args, keywords) => formatText(run, text, args, (key) => keywords.get(key), lookup));
  }
  return new Builtin(name, (args, keywords) => {
    const [values] = bind(name, { names: ["mapping"], required: 1, byPlace: 1 }, args, keywords);
    const named = (key: string) =>
      values instanceof Dict ? values.named(key) : wrongType("format_map() takes a dictionary");
    return formatText(run, text, [], named, lookup);
  });
}

function unsafe(value: Value, name: string): Undefined {
  return new Undefined(
    `access to attribute '${name}' of '${typeName(value)}' object is unsafe.`,
    "SecurityError",
  );
}

function methodsOf(value: Value): ReadonlyMap<string, Method> | undefined {
  if (value instanceof Text) return stringMethods;
  if (value instanceof Dict) return dictMethods;
  if (value instanceof List) return listMethods;
  return value instanceof Tuple || value instanceof Range ? tupleMethods : undefined;
}

/** What Python's `value[index]` finds; undefined for a TypeError or LookupError. */
function entry(run: Run, value: Value, key: Value): Value | undefined {
  if (value instanceof Undefined) throw new Failure(value.error, value.message);
  if (value instanceof Dict) {
    if (key instanceof List || key instanceof Dict) return undefined;
    return value.entries.get(keyOf(run, key))?.[1];
  }
  if (sequenceLength(run, value) === undefined) return undefined;
  const isIndex = key instanceof Num && !key.float || typeof key === "boolean";
  return isIndex ? elementAt(run, value, index(key)) : undefined;
}

/** The function that `map(attribute=...)` and its kin look up a path with: `a.b.0`. */
export function pathGetter(run: Run, path: Value): (value: Value) => Value {
  if (path === NONE) return (value) => value;
  const parts: Value[] = path instanceof Text ? pathParts(path) : [path];
  return (value) => parts.reduce((inner, part) => getItem(run, inner, part), value);
}

function pathParts(path: Text): Value[] {
  let at = 0;
  return path.value.split(".").map((part) => {
    const start = at;
    at += part.length + 1;
    return /^\d+$/.test(part) ? new Num(Number(part), false, false) : path.slice(start, start + part.length);
  });
}

/** Paths separated by commas, for `sort`. */
export function pathsGetter(run: Run, paths: Value): (value: Value) => Value {
  if (!(paths instanceof Text)) {
    const get = pathGetter(run, paths);
    return (value) => new List([get(value)]);
  }
  let at = 0;
  const getters = paths.value.split(",").map((path) => {
    const start = at;
    at += path.length + 1;
    return pathGetter(run, paths.slice(start, start + path.length));
  });
  return (value) => new List(getters.map((get) => get(value)));
}

/** A string argument. */
export function textArgument(value: Value, what: string): Text {
  return value instanceof Text ? value : wrongType(`${what} must be str, not ${typeName(value)}`);
}
