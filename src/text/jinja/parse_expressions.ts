/**
 * Expressions of the template language, from the loosest operator to the tightest, as jinja2's parser reads them.
 *
 * @module
 */
import { integer } from "./numbers.ts";
import { described, type TokenStream } from "./token_stream.ts";
import type { Arguments, Comparison, Expression } from "./types.ts";
import { NONE, Num, own } from "./values.ts";

/** Arguments of what is given none. */
export const NO_ARGUMENTS: Arguments = { positional: [], keywords: [], list: undefined, dict: undefined };

/** An expression; `conditional` ones may be left out, for `in x if y`. */
export function parseExpression(stream: TokenStream, conditional = true): Expression {
  return stream.nested(() => conditional ? parseConditional(stream) : parseOr(stream));
}

function parseConditional(stream: TokenStream): Expression {
  let then = parseOr(stream);
  while (stream.skipName("if")) {
    const test = parseOr(stream);
    const otherwise = stream.skipName("else") ? stream.nested(() => parseConditional(stream)) : undefined;
    then = { kind: "conditional", test, then, otherwise };
  }
  return then;
}

function parseOr(stream: TokenStream): Expression {
  let left = parseAnd(stream);
  while (stream.skipName("or")) left = { kind: "or", left, right: parseAnd(stream) };
  return left;
}

function parseAnd(stream: TokenStream): Expression {
  let left = parseNot(stream);
  while (stream.skipName("and")) left = { kind: "and", left, right: parseNot(stream) };
  return left;
}

function parseNot(stream: TokenStream): Expression {
  if (!stream.skipName("not")) return parseComparison(stream);
  return { kind: "not", operand: stream.nested(() => parseNot(stream)) };
}

const COMPARISONS: ReadonlySet<string> = new Set(["==", "!=", "<", "<=", ">", ">="]);

function parseComparison(stream: TokenStream): Expression {
  const first = parseSum(stream);
  const rest: Comparison[] = [];
  for (;;) {
    if (COMPARISONS.has(stream.current.type)) rest.push({ operator: stream.next().type, operand: parseSum(stream) });
    else if (stream.skipName("in")) rest.push({ operator: "in", operand: parseSum(stream) });
    else if (stream.isName("not") && stream.following.type === "name" && stream.following.value === "in") {
      stream.next();
      stream.next();
      rest.push({ operator: "not in", operand: parseSum(stream) });
    } else break;
  }
  return rest.length === 0 ? first : { kind: "compare", first, rest };
}

/** Operators of one strength, from the left. */
function parseBinary(stream: TokenStream, operators: string, operand: (stream: TokenStream) => Expression): Expression {
  const names = operators.split(" ");
  let left = operand(stream);
  while (names.includes(stream.current.type)) {
    left = { kind: "binary", operator: stream.next().type, left, right: operand(stream) };
  }
  return left;
}

function parseSum(stream: TokenStream): Expression {
  return parseBinary(stream, "+ -", parseConcat);
}

function parseConcat(stream: TokenStream): Expression {
  const parts = [parseProduct(stream)];
  while (stream.skip("~")) parts.push(parseProduct(stream));
  return parts.length === 1 ? parts[0] : { kind: "concat", parts };
}

function parseProduct(stream: TokenStream): Expression {
  return parseBinary(stream, "* / // %", parsePower);
}

function parsePower(stream: TokenStream): Expression {
  return parseBinary(stream, "**", (stream) => parseUnary(stream, true));
}

function parseUnary(stream: TokenStream, withFilters: boolean): Expression {
  let expression: Expression;
  if (stream.is("-") || stream.is("+")) {
    const kind = stream.next().type === "-" ? "negative" : "positive";
    expression = { kind, operand: stream.nested(() => parseUnary(stream, false)) };
  } else expression = parsePrimary(stream);
  expression = parsePostfix(stream, expression);
  return withFilters ? parseFilters(stream, expression) : expression;
}

/** A name, a literal, or something in brackets. */
export function parsePrimary(stream: TokenStream): Expression {
  const { type, value } = stream.current;
  switch (type) {
    case "name":
      stream.next();
      return constantNamed(value) ?? { kind: "name", name: value };
    case "string": {
      let text = "";
      while (stream.is("string")) text += stream.next().value;
      return { kind: "const", value: own(text) };
    }
    case "integer":
      stream.next();
      return { kind: "const", value: integer(BigInt(value), false) };
    case "float":
      stream.next();
      return { kind: "const", value: new Num(Number(value), true, false) };
    case "(": {
      stream.next();
      const inner = stream.nested(() => parseTuple(stream, { isBracketed: true }));
      stream.expect(")");
      return inner;
    }
    case "[":
      return parseList(stream);
    case "{":
      return parseDict(stream);
    default:
      return stream.fail(`unexpected ${described(type, value)}`);
  }
}

function constantNamed(name: string): Expression | undefined {
  if (name === "true" || name === "True") return { kind: "const", value: true };
  if (name === "false" || name === "False") return { kind: "const", value: false };
  return name === "none" || name === "None" ? { kind: "const", value: NONE } : undefined;
}

/** How a tuple without brackets may be read. */
export interface TupleRules {
  /** It stands in brackets, so it may be empty. */
  readonly isBracketed?: boolean;
  /** `a if b else c` may stand in it. Default: true. */
  readonly conditional?: boolean;
  /** A word that ends it. */
  readonly end?: string;
  /** What reads its elements, in place of any expression. */
  readonly element?: (stream: TokenStream) => Expression;
}

/** Expressions separated by commas: a tuple if there is a comma. */
export function parseTuple(stream: TokenStream, rules: TupleRules = {}): Expression {
  const { isBracketed = false, conditional = true, end } = rules;
  const element = rules.element ?? ((stream: TokenStream) => parseExpression(stream, conditional));
  const items: Expression[] = [];
  let isTuple = false;
  for (;;) {
    if (items.length > 0) stream.expect(",");
    const { type } = stream.current;
    if (type === "variable_end" || type === "block_end" || type === ")" || end !== undefined && stream.isName(end)) {
      break;
    }
    items.push(element(stream));
    if (!stream.is(",")) break;
    isTuple = true;
  }
  if (!isTuple) {
    if (items.length > 0) return items[0];
    if (!isBracketed) {
      stream.fail(`expected an expression, got ${described(stream.current.type, stream.current.value)}`);
    }
  }
  return { kind: "tuple", items };
}

function parseList(stream: TokenStream): Expression {
  stream.expect("[");
  const items: Expression[] = [];
  while (!stream.is("]")) {
    if (items.length > 0) stream.expect(",");
    if (stream.is("]")) break;
    items.push(parseExpression(stream));
  }
  stream.expect("]");
  return { kind: "list", items };
}

function parseDict(stream: TokenStream): Expression {
  stream.expect("{");
  const pairs: [Expression, Expression][] = [];
  while (!stream.is("}")) {
    if (pairs.length > 0) stream.expect(",");
    if (stream.is("}")) break;
    const key = parseExpression(stream);
    stream.expect(":");
    pairs.push([key, parseExpression(stream)]);
  }
  stream.expect("}");
  return { kind: "dict", pairs };
}

/** Attributes, indexes and calls after an expression. */
export function parsePostfix(stream: TokenStream, expression: Expression): Expression {
  for (;;) {
    if (stream.is(".")) expression = parseDotted(stream, expression);
    else if (stream.is("[")) expression = { kind: "item", object: expression, index: parseIndex(stream) };
    else if (stream.is("(")) expression = { kind: "call", callee: expression, args: parseArguments(stream) };
    else return expression;
  }
}

function parseDotted(stream: TokenStream, object: Expression): Expression {
  stream.expect(".");
  const { type, value } = stream.next();
  if (type === "name") return { kind: "attribute", object, name: value };
  if (type !== "integer") stream.fail("expected name or number");
  return { kind: "item", object, index: { kind: "const", value: integer(BigInt(value), false) } };
}

function parseIndex(stream: TokenStream): Expression {
  stream.expect("[");
  const parts: Expression[] = [];
  while (!stream.is("]")) {
    if (parts.length > 0) stream.expect(",");
    parts.push(parseSubscript(stream));
  }
  stream.expect("]");
  return parts.length === 1 ? parts[0] : { kind: "tuple", items: parts };
}

function parseSubscript(stream: TokenStream): Expression {
  const start = stream.is(":") ? undefined : parseExpression(stream);
  if (start !== undefined && !stream.is(":")) return start;
  stream.expect(":");
  const isAtEnd = () => stream.is("]") || stream.is(",");
  const stop = stream.is(":") || isAtEnd() ? undefined : parseExpression(stream);
  const step = stream.skip(":") && !isAtEnd() ? parseExpression(stream) : undefined;
  return { kind: "slice", start, stop, step };
}

/** Filters, tests and calls after an expression. */
function parseFilters(stream: TokenStream, expression: Expression): Expression {
  for (;;) {
    if (stream.is("|")) expression = parseFilter(stream, expression);
    else if (stream.isName("is")) expression = parseTest(stream, expression);
    else if (stream.is("(")) expression = { kind: "call", callee: expression, args: parseArguments(stream) };
    else return expression;
  }
}

function parseDottedName(stream: TokenStream): string {
  let name = stream.expect("name").value;
  while (stream.skip(".")) name += `.${stream.expect("name").value}`;
  return name;
}

function parseFilter(stream: TokenStream, operand: Expression): Expression {
  stream.expect("|");
  return parseFilterCall(stream, operand);
}

/** A filter's name and arguments. */
export function parseFilterCall(stream: TokenStream, operand: Expression | undefined): Expression & { kind: "filter" } {
  const name = parseDottedName(stream);
  return { kind: "filter", operand, name, args: stream.is("(") ? parseArguments(stream) : NO_ARGUMENTS };
}

const ARGUMENT_STARTS: ReadonlySet<string> = new Set(["name", "string", "integer", "float", "(", "[", "{"]);

function parseTest(stream: TokenStream, operand: Expression): Expression {
  stream.expectName("is");
  const isNegated = stream.skipName("not");
  const name = parseDottedName(stream);
  let args = NO_ARGUMENTS;
  if (stream.is("(")) args = parseArguments(stream);
  else if (ARGUMENT_STARTS.has(stream.current.type) && !stream.isName("else", "or", "and")) {
    if (stream.isName("is")) stream.fail("tests cannot be chained with is");
    args = { ...NO_ARGUMENTS, positional: [parsePostfix(stream, parsePrimary(stream))] };
  }
  const test: Expression = { kind: "test", operand, name, args };
  return isNegated ? { kind: "not", operand: test } : test;
}

/** Arguments in brackets. */
export function parseArguments(stream: TokenStream): Arguments {
  const line = stream.expect("(").line;
  const positional: Expression[] = [];
  const keywords: [string, Expression][] = [];
  let list: Expression | undefined;
  let dict: Expression | undefined;
  const ensure = (isRight: boolean) => {
    if (!isRight) stream.fail("invalid syntax for function call expression", line);
  };
  let isFirst = true;
  while (!stream.is(")")) {
    if (!isFirst) stream.expect(",");
    if (!isFirst && stream.is(")")) break;
    isFirst = false;
    if (stream.skip("*")) {
      ensure(list === undefined && dict === undefined);
      list = parseExpression(stream);
    } else if (stream.skip("**")) {
      ensure(dict === undefined);
      dict = parseExpression(stream);
    } else if (stream.is("name") && stream.following.type === "=") {
      ensure(dict === undefined);
      const name = stream.next().value;
      stream.expect("=");
      if (keywords.some(([known]) => known === name)) stream.fail(`keyword argument repeated: ${name}`, line);
      keywords.push([name, parseExpression(stream)]);
    } else {
      ensure(list === undefined && dict === undefined && keywords.length === 0);
      positional.push(parseExpression(stream));
    }
  }
  stream.expect(")");
  return { positional, keywords, list, dict };
}
