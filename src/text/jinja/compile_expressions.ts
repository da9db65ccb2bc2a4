/**
 * Expressions as functions: what is known from the source is decided once, here.
 *
 * @module
 */
import { getAttribute, getItem } from "./attributes.ts";
import type { Budget } from "./budget.ts";
import { keywordsOf, put } from "./dict_methods.ts";
import { Failure, unsupported, wrongType } from "./failure.ts";
import { filters } from "./filters.ts";
import { soft } from "./filters_text.ts";
import { concat, EMPTY } from "./marked.ts";
import type { Arithmetic } from "./numbers.ts";
import { arithmetic, contains, equal, type Order, ordered, refuseUndefined, signed } from "./operators.ts";
import type { Evaluate, Scope } from "./scope.ts";
import type { Symbols } from "./scopes.ts";
import { iterate, slice } from "./sequences.ts";
import { tests } from "./tests.ts";
import type { Arguments, Comparison, Expression, FilterExpression, Operation, Slice } from "./types.ts";
import {
  Callable,
  Dict,
  isTrue,
  type Key,
  type Keywords,
  List,
  NO_KEYWORDS,
  NONE,
  own,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** What is known where an expression is compiled. */
export interface Place {
  /** The names of its scope. */
  readonly symbols: Symbols;
  /** What reading the template may still cost. */
  readonly budget: Budget;
  /** Within an `if`: an unknown filter fails only where it is reached. */
  readonly soft: boolean;
}

/** An expression as a function. */
export function compileExpression(expression: Expression, place: Place): Evaluate {
  place.budget.step();
  place.budget.enter(1);
  const evaluate = compileKind(expression, place);
  place.budget.leave(1);
  return evaluate;
}

function compileKind(expression: Expression, place: Place): Evaluate {
  const compile = (part: Expression) => compileExpression(part, place);
  switch (expression.kind) {
    case "const": {
      const { value } = expression;
      return () => value;
    }
    case "name":
      return compileName(expression.name, place);
    case "tuple":
    case "list":
      return compileItems(expression.kind, expression.items.map(compile));
    case "dict":
      return compileDict(expression.pairs.map(([key, value]) => [compile(key), compile(value)]));
    case "not": {
      const operand = compile(expression.operand);
      return (scope) => !isTrue(operand(scope));
    }
    case "negative":
    case "positive": {
      const operand = compile(expression.operand);
      const isNegative = expression.kind === "negative";
      return (scope) => signed(operand(scope), isNegative);
    }
    case "and":
    case "or":
      return compileLogic(expression.kind, compile(expression.left), compile(expression.right));
    case "binary": {
      const [left, right] = [compile(expression.left), compile(expression.right)];
      const operator = expression.operator as Arithmetic;
      return (scope) => arithmetic(scope.run, operator, left(scope), right(scope));
    }
    case "compare":
      return compileComparison(compile(expression.first), expression.rest, compile);
    case "concat":
      return compileConcat(expression.parts.map(compile));
    case "conditional":
      return compileConditional(expression, { ...place, soft: true });
    case "attribute": {
      const [object, name] = [compile(expression.object), own(expression.name)];
      return (scope) => getAttribute(scope.run, object(scope), name);
    }
    case "item":
      return compileItem(compile(expression.object), expression.index, compile);
    case "call":
      return compileCall(compile(expression.callee), compileArguments(expression.args, compile));
    case "filter":
    case "test":
      return compileOperation(expression, place, compile);
    default:
      throw new Failure("TemplateSyntaxError", `unexpected ${expression.kind}`);
  }
}

function compileName(name: string, { symbols }: Place): Evaluate {
  const address = symbols.find(name);
  const load = address === undefined ? undefined : ownerOf(symbols, address.levels).loads.get(name);
  if (name === "self" && (load === undefined || load.from === "context")) {
    throw unsupported("self", "blocks are written where they stand");
  }
  const missing = () => new Undefined(`'${name}' is undefined`);
  if (address === undefined) return ({ run }) => run.exported.get(name) ?? run.globals.get(name) ?? missing();
  const { levels, slot } = address;
  if (levels === 0) return (scope) => scope.slots[slot] ?? missing();
  return (scope) => scope.get(address) ?? missing();
}

function ownerOf(symbols: Symbols, levels: number): Symbols {
  let owner = symbols;
  for (let level = 0; level < levels; level++) owner = owner.parent as Symbols;
  return owner;
}

function compileItems(kind: "tuple" | "list", items: readonly Evaluate[]): Evaluate {
  const all = (scope: Scope) => {
    scope.run.budget.step(1 + (items.length >> 1));
    return items.map((item) => item(scope));
  };
  return kind === "list" ? (scope) => new List(all(scope)) : (scope) => new Tuple(all(scope));
}

function compileDict(pairs: readonly (readonly [Evaluate, Evaluate])[]): Evaluate {
  return (scope) => {
    const entries = new Map<Key, readonly [Value, Value]>();
    scope.run.budget.step();
    for (const [key, value] of pairs) put(scope.run, entries, key(scope), value(scope));
    return new Dict(entries);
  };
}

function compileLogic(kind: "and" | "or", left: Evaluate, right: Evaluate): Evaluate {
  const ends = kind === "or";
  return (scope) => {
    scope.run.budget.step();
    const value = left(scope);
    return isTrue(value) === ends ? value : right(scope);
  };
}

type Compare = (scope: Scope, left: Value, right: Value) => boolean;

function comparing(operator: string): Compare {
  switch (operator) {
    case "==":
      return ({ run }, left, right) => equal(run, left, right);
    case "!=":
      return ({ run }, left, right) => !equal(run, left, right);
    case "in":
      return ({ run }, left, right) => contains(run, right, left);
    case "not in":
      return ({ run }, left, right) => !contains(run, right, left);
    default:
      return ({ run }, left, right) => ordered(run, operator as Order, left, right);
  }
}

function compileComparison(
  first: Evaluate,
  rest: readonly Comparison[],
  compile: (part: Expression) => Evaluate,
): Evaluate {
  const steps = rest.map(({ operator, operand }) => ({ compare: comparing(operator), operand: compile(operand) }));
  if (steps.length === 1) {
    const [{ compare, operand }] = steps;
    return (scope) => compare(scope, first(scope), operand(scope));
  }
  return (scope) => {
    let left = first(scope);
    for (const { compare, operand } of steps) {
      const right = operand(scope);
      if (!compare(scope, left, right)) return false;
      left = right;
    }
    return true;
  };
}

function compileConcat(parts: readonly Evaluate[]): Evaluate {
  return (scope) => {
    scope.run.budget.step(parts.length);
    let text = EMPTY;
    for (const part of parts) text = concat(scope.run.budget, text, soft(scope.run, part(scope)).withMarkup(false));
    return text;
  };
}

function compileConditional(expression: Expression & { kind: "conditional" }, place: Place): Evaluate {
  const test = compileExpression(expression.test, place);
  const then = compileExpression(expression.then, place);
  const otherwise = expression.otherwise === undefined ? undefined : compileExpression(expression.otherwise, place);
  const nothing = "the inline if-expression evaluated to false and no else section was defined";
  return (scope) => {
    scope.run.budget.step();
    if (isTrue(test(scope))) return then(scope);
    return otherwise === undefined ? new Undefined(nothing) : otherwise(scope);
  };
}

function compileItem(object: Evaluate, index: Expression, compile: (part: Expression) => Evaluate): Evaluate {
  if (index.kind !== "slice") {
    if (index.kind === "tuple" && index.items.some(({ kind }) => kind === "slice")) {
      throw unsupported("several slices at once", "no value of a template has them");
    }
    const at = compile(index);
    return (scope) => getItem(scope.run, object(scope), at(scope));
  }
  const bound = (part: Slice["start"]): Evaluate => part === undefined ? () => NONE : compile(part);
  const [start, stop, step] = [bound(index.start), bound(index.stop), bound(index.step)];
  return (scope) => {
    scope.run.budget.step();
    return slice(scope.run, object(scope), start(scope), stop(scope), step(scope));
  };
}

/** The values of arguments. */
interface Given {
  readonly args: readonly Value[];
  readonly keywords: Keywords;
}

type Gather = (scope: Scope, first?: Value) => Given;

function compileArguments(args: Arguments, compile: (part: Expression) => Evaluate): Gather {
  const positional = args.positional.map(compile);
  const keywords = args.keywords.map(([name, value]) => [name, compile(value)] as const);
  const list = args.list === undefined ? undefined : compile(args.list);
  const dict = args.dict === undefined ? undefined : compile(args.dict);
  const hasNames = keywords.length > 0 || dict !== undefined;
  return (scope, first) => {
    const values: Value[] = first === undefined ? [] : [first];
    for (const argument of positional) values.push(argument(scope));
    if (list !== undefined) { for (const value of iterate(scope.run, list(scope))) values.push(value); }
    if (!hasNames) return { args: values, keywords: NO_KEYWORDS };
    const named = new Map<string, Value>();
    for (const [name, value] of keywords) named.set(name, value(scope));
    for (const [name, value] of dict === undefined ? [] : keywordsOf(scope.run, dict(scope))) {
      if (named.has(name)) return wrongType(`got multiple values for keyword argument '${name}'`);
      named.set(name, value);
    }
    return { args: values, keywords: named };
  };
}

function compileCall(callee: Evaluate, gather: Gather): Evaluate {
  return (scope) => {
    const target = callee(scope);
    const { args, keywords } = gather(scope);
    return callValue(scope, target, args, keywords);
  };
}

function callValue(scope: Scope, target: Value, args: readonly Value[], keywords: Keywords): Value {
  scope.run.budget.step(3);
  refuseUndefined(target);
  if (!(target instanceof Callable)) return wrongType(`'${typeName(target)}' object is not callable`);
  return target.call(args, keywords);
}

/** A call with one argument more, given by name: what a `call` block passes. */
export function compileCallWith(
  { callee, args }: Expression & { kind: "call" },
  place: Place,
): (scope: Scope, name: string, value: Value) => Value {
  const compile = (part: Expression) => compileExpression(part, place);
  const [target, gather] = [compile(callee), compileArguments(args, compile)];
  return (scope, name, value) => {
    const called = target(scope);
    const given = gather(scope);
    return callValue(scope, called, given.args, new Map([...given.keywords, [name, value]]));
  };
}

function compileOperation(
  { kind, name, operand, args }: Expression & { kind: "filter" | "test" },
  place: Place,
  compile: (part: Expression) => Evaluate,
): Evaluate {
  const operation = operationNamed(kind, name, place.soft);
  const gather = compileArguments(args, compile);
  if (operand === undefined) throw new Failure("TemplateSyntaxError", `the filter ${name} has nothing to filter`);
  const value = compile(operand);
  return (scope) => {
    scope.run.budget.step(3);
    const given = gather(scope, value(scope));
    return operation(scope.run, given.args, given.keywords);
  };
}

/** Filters of a block, applied to what it wrote. */
export function compileFilters(
  { name, operand, args }: FilterExpression,
  place: Place,
): (scope: Scope, written: Value) => Value {
  const operation = operationNamed("filter", name, place.soft);
  const gather = compileArguments(args, (part) => compileExpression(part, place));
  const inner = operand?.kind === "filter" ? compileFilters(operand, place) : undefined;
  return (scope, written) => {
    scope.run.budget.step(3);
    const given = gather(scope, inner === undefined ? written : inner(scope, written));
    return operation(scope.run, given.args, given.keywords);
  };
}

function operationNamed(kind: "filter" | "test", name: string, isSoft: boolean): Operation {
  const known = (kind === "filter" ? filters : tests).get(name);
  if (known !== undefined) return known;
  const fail = () => {
    throw new Failure("TemplateRuntimeError", `No ${kind} named '${name}' found`);
  };
  return isSoft ? fail : fail();
}
