/**
 * Statements as functions that write; loops, macros and blocks, which begin scopes of their own, in files of their own.
 *
 * @module
 */
import {
  compileBlock,
  compileCallBlock,
  compileFilterBlock,
  compileMacro,
  compileSetBlock,
  compileWith,
} from "./compile_blocks.ts";
import { compileExpression } from "./compile_expressions.ts";
import { compileFor } from "./compile_loops.ts";
import { Failure, unsupported } from "./failure.ts";
import { soft } from "./filters_text.ts";
import { Macro } from "./macro.ts";
import { compileScoped, compileTarget, type Place } from "./place.ts";
import { type Ending, type Enter, entering, type Execute } from "./scope.ts";
import { Symbols } from "./scopes.ts";
import type { Branch, Expression, Statement } from "./types.ts";
import { isTrue } from "./values.ts";

/** A whole template as a function, and what makes its outermost scope. */
export function compileTemplate(
  statements: readonly Statement[],
  budget: Place["budget"],
): { enter: Enter; execute: Execute } {
  const symbols = new Symbols(budget);
  symbols.visit(statements);
  const place: Place = {
    symbols,
    budget,
    soft: false,
    top: true,
    inLoop: false,
    withinLoop: false,
    compileBody,
    blocks: new Set(),
  };
  return { execute: compileBody(statements, place), enter: entering(symbols) };
}

function compileBody(statements: readonly Statement[], place: Place): Execute {
  place.budget.enter(2);
  const parts = statements.map((statement) => compileStatement(statement, place));
  place.budget.leave(2);
  if (parts.length === 1) return parts[0];
  return (scope, out) => {
    for (const part of parts) {
      const ending = part(scope, out);
      if (ending !== "end") return ending;
    }
    return "end";
  };
}

function compileStatement(statement: Statement, place: Place): Execute {
  place.budget.step();
  const execute = compileKind(statement, place);
  const { line } = statement;
  return (scope, out) => {
    scope.run.line = line;
    scope.run.budget.step();
    return execute(scope, out);
  };
}

function compileKind(statement: Statement, place: Place): Execute {
  switch (statement.kind) {
    case "output":
      return compileOutput(statement.parts, place);
    case "for":
      return compileFor(statement, place);
    case "if":
      return compileIf(statement.branches, statement.otherwise, place);
    case "set":
      return compileSet(statement.target, statement.value, place);
    case "setBlock":
      return compileSetBlock(statement, place);
    case "macro": {
      const code = compileMacro(statement.name, statement.signature, statement.body, place);
      const assign = compileTarget({ kind: "name", name: statement.name }, place);
      return (scope) => {
        assign(scope, new Macro(code, scope));
        return "end";
      };
    }
    case "callBlock":
      return compileCallBlock(statement, place);
    case "filter":
      return compileFilterBlock(statement, place);
    case "with":
      return compileWith(statement, place);
    case "block":
      return compileBlock(statement, place);
    case "generation":
      return compileScoped(statement.body, { ...place, inLoop: false });
    case "break":
    case "continue": {
      const ending: Ending = statement.kind;
      if (!place.inLoop) throw new Failure("TemplateSyntaxError", `'${ending}' outside loop (line ${statement.line})`);
      return () => ending;
    }
    default: {
      const { what, why } = statement;
      return () => {
        throw unsupported(what, why);
      };
    }
  }
}

function compileOutput(parts: readonly (string | Expression)[], place: Place): Execute {
  const writes = parts.map((part) => {
    if (typeof part !== "string") return { text: "", evaluate: compileExpression(part, place) };
    return { text: part, evaluate: undefined };
  });
  return (scope, out) => {
    for (const { text, evaluate } of writes) {
      if (evaluate === undefined) out.add(text, false);
      else {
        scope.run.budget.step();
        out.append(soft(scope.run, evaluate(scope)));
      }
    }
    return "end";
  };
}

function compileIf(branches: readonly Branch[], otherwise: readonly Statement[], place: Place): Execute {
  const soft = { ...place, soft: true };
  const compiled = branches.map(({ test, body }) => ({
    test: compileExpression(test, soft),
    body: compileBody(body, soft),
  }));
  const last = compileBody(otherwise, soft);
  return (scope, out) => {
    for (const { test, body } of compiled) {
      scope.run.budget.step();
      if (isTrue(test(scope))) return body(scope, out);
    }
    return last(scope, out);
  };
}

function compileSet(target: Expression, value: Expression, place: Place): Execute {
  const evaluate = compileExpression(value, place);
  const assign = compileTarget(target, place);
  return (scope) => {
    assign(scope, evaluate(scope));
    return "end";
  };
}
