/**
 * Statements of the template language, as jinja2's parser reads them, with the loop controls and the `generation` block of
 * Hugging Face. Templates of other files (`include`, `import`, `extends`) do not exist; they are refused where they are
 * reached.
 *
 * @module
 */
import { parseExpression, parseFilterCall, parsePrimary, parseTuple } from "./parse_expressions.ts";
import type { TokenStream } from "./token_stream.ts";
import type { CallExpression, Expression, FilterExpression, Signature, Statement } from "./types.ts";

type Parse = (stream: TokenStream, line: number) => Statement;

/** All statements of a template. */
export function parseTemplate(stream: TokenStream): Statement[] {
  const statements = parseUntil(stream, []);
  if (!stream.is("end")) stream.fail(`unknown tag '${stream.current.value}'`);
  return statements;
}

/** Statements up to a block that begins with one of some words, whose beginning is read, too. */
function parseUntil(stream: TokenStream, ends: readonly string[]): Statement[] {
  const statements: Statement[] = [];
  let parts: (string | Expression)[] = [];
  let { line } = stream.current;
  const flush = () => {
    if (parts.length > 0) statements.push({ kind: "output", parts, line });
    parts = [];
  };
  while (!stream.is("end")) {
    if (parts.length === 0) line = stream.current.line;
    if (stream.is("data")) parts.push(stream.next().value);
    else if (stream.skip("variable_begin")) {
      parts.push(parseTuple(stream));
      stream.expect("variable_end");
    } else {
      flush();
      stream.expect("block_begin");
      if (stream.isName(...ends)) return statements;
      statements.push(parseStatement(stream));
      stream.expect("block_end");
    }
  }
  flush();
  if (ends.length > 0) stream.fail(`unexpected end of the template, looking for ${ends.join(" or ")}`);
  return statements;
}

/** The body of a block up to its end; `stream` stands at the word that ends it. */
function parseBody(stream: TokenStream, ...ends: readonly string[]): Statement[] {
  stream.skip(":");
  stream.expect("block_end");
  return stream.nested(() => parseUntil(stream, ends));
}

/** The body of a block up to its end, and the word that ends it. */
function parseWhole(stream: TokenStream, end: string): Statement[] {
  const body = parseBody(stream, end);
  stream.expectName(end);
  return body;
}

function parseStatement(stream: TokenStream): Statement {
  if (!stream.is("name")) stream.fail("tag name expected");
  const { value, line } = stream.next();
  const parse = STATEMENTS.get(value);
  if (parse === undefined) return stream.fail(`unknown tag '${value}'`, line);
  return parse(stream, line);
}

const STATEMENTS: ReadonlyMap<string, Parse> = new Map<string, Parse>([
  ["for", parseFor],
  ["if", parseIf],
  ["set", parseSet],
  ["macro", parseMacro],
  ["call", parseCall],
  ["filter", parseFilterBlock],
  ["with", parseWith],
  ["block", parseBlock],
  ["print", parsePrint],
  ["generation", (stream, line) => ({ kind: "generation", body: parseWhole(stream, "endgeneration"), line })],
  ["break", (_, line) => ({ kind: "break", line })],
  ["continue", (_, line) => ({ kind: "continue", line })],
  ["include", refusing("include", "a model file has one template")],
  ["import", refusing("import", "a model file has one template")],
  ["from", refusing("from ... import", "a model file has one template")],
  ["extends", refusing("extends", "a model file has one template")],
  ["autoescape", (stream, line) => {
    parseExpression(stream);
    parseWhole(stream, "endautoescape");
    return { kind: "refused", what: "autoescape", why: "a prompt is no HTML", line };
  }],
]);

function refusing(what: string, why: string): Parse {
  return (stream, line) => {
    while (!stream.is("block_end") && !stream.is("end")) stream.next();
    return { kind: "refused", what, why, line };
  };
}

/** What a value may be given to: a name, an attribute of a namespace, or a tuple of such. */
function parseTarget(stream: TokenStream, withNamespace: boolean, end?: string): Expression {
  const element = (stream: TokenStream) => parseTargetPart(stream, withNamespace);
  const target = parseTuple(stream, end === undefined ? { element } : { element, end });
  checkTarget(stream, target);
  return target;
}

function parseTargetPart(stream: TokenStream, withNamespace: boolean): Expression {
  if (withNamespace && stream.is("name") && stream.following.type === ".") {
    const name = stream.next().value;
    stream.expect(".");
    return { kind: "namespace", name, attribute: stream.expect("name").value };
  }
  return parsePrimary(stream);
}

function checkTarget(stream: TokenStream, target: Expression): void {
  if (target.kind === "tuple") { for (const item of target.items) checkTarget(stream, item); }
  else if (target.kind !== "name" && target.kind !== "namespace") stream.fail(`can't assign to '${target.kind}'`);
}

function parseName(stream: TokenStream): string {
  const { value } = stream.expect("name");
  if (/^(?:true|false|none|True|False|None)$/.test(value)) stream.fail("can't assign to 'const'");
  return value;
}

function parseFor(stream: TokenStream, line: number): Statement {
  const target = parseTarget(stream, false, "in");
  stream.expectName("in");
  const iterable = parseTuple(stream, { conditional: false, end: "recursive" });
  const test = stream.skipName("if") ? parseExpression(stream) : undefined;
  const recursive = stream.skipName("recursive");
  const body = parseBody(stream, "endfor", "else");
  const otherwise = stream.next().value === "else" ? parseWhole(stream, "endfor") : [];
  return { kind: "for", target, iterable, test, recursive, body, otherwise, line };
}

function parseIf(stream: TokenStream, line: number): Statement {
  const branches = [];
  for (;;) {
    const test = parseTuple(stream, { conditional: false });
    branches.push({ test, body: parseBody(stream, "elif", "else", "endif") });
    const end = stream.next().value;
    if (end === "elif") continue;
    return { kind: "if", branches, otherwise: end === "else" ? parseWhole(stream, "endif") : [], line };
  }
}

function parseSet(stream: TokenStream, line: number): Statement {
  const target = parseTarget(stream, true);
  if (stream.skip("=")) return { kind: "set", target, value: parseTuple(stream), line };
  const filter = stream.is("|") ? parseFilterChain(stream, undefined) : undefined;
  return { kind: "setBlock", target, filter, body: parseWhole(stream, "endset"), line };
}

function parseFilterChain(stream: TokenStream, first: FilterExpression | undefined): FilterExpression {
  let filter = first;
  while (stream.skip("|")) filter = parseFilterCall(stream, filter);
  return filter as FilterExpression;
}

function parseSignature(stream: TokenStream): Signature {
  stream.expect("(");
  const names: string[] = [];
  const defaults: Expression[] = [];
  while (!stream.is(")")) {
    if (names.length > 0) stream.expect(",");
    const name = parseName(stream);
    if (names.includes(name)) stream.fail(`duplicate argument '${name}'`);
    names.push(name);
    if (stream.skip("=")) defaults.push(parseExpression(stream));
    else if (defaults.length > 0) stream.fail("non-default argument follows default argument");
  }
  stream.expect(")");
  return { names, defaults };
}

function parseMacro(stream: TokenStream, line: number): Statement {
  const name = parseName(stream);
  const signature = parseSignature(stream);
  return { kind: "macro", name, signature, body: parseWhole(stream, "endmacro"), line };
}

function parseCall(stream: TokenStream, line: number): Statement {
  const signature = stream.is("(") ? parseSignature(stream) : { names: [], defaults: [] };
  const call = parseExpression(stream);
  if (call.kind !== "call") stream.fail("expected call", line);
  return { kind: "callBlock", signature, call: call as CallExpression, body: parseWhole(stream, "endcall"), line };
}

function parseFilterBlock(stream: TokenStream, line: number): Statement {
  const filter = parseFilterChain(stream, parseFilterCall(stream, undefined));
  return { kind: "filter", filter, body: parseWhole(stream, "endfilter"), line };
}

function parseWith(stream: TokenStream, line: number): Statement {
  const targets: Expression[] = [];
  const values: Expression[] = [];
  while (!stream.is("block_end")) {
    if (targets.length > 0) stream.expect(",");
    targets.push(parseTarget(stream, false));
    stream.expect("=");
    values.push(parseExpression(stream));
  }
  return { kind: "with", targets, values, body: parseWhole(stream, "endwith"), line };
}

function parseBlock(stream: TokenStream, line: number): Statement {
  const name = parseName(stream);
  const scoped = stream.skipName("scoped");
  if (stream.skipName("required")) stream.fail("a required block has no template that could fill it", line);
  const body = parseWhole(stream, "endblock");
  if (stream.is("name")) stream.expectName(name);
  return { kind: "block", name, scoped, body, line };
}

function parsePrint(stream: TokenStream, line: number): Statement {
  const parts: Expression[] = [];
  while (!stream.is("block_end")) {
    if (parts.length > 0) stream.expect(",");
    parts.push(parseExpression(stream));
  }
  return { kind: "output", parts, line };
}
