/**
 * Where a statement is compiled, and what gives values to the targets of assignments there.
 *
 * @module
 */
import { compileExpression, type Place as ExpressionPlace } from "./compile_expressions.ts";
import { Failure } from "./failure.ts";
import { entering, type Execute, type Scope } from "./scope.ts";
import { Symbols } from "./scopes.ts";
import { listOf } from "./sequences.ts";
import type { Expression, Statement } from "./types.ts";
import { Namespace, own, type Value } from "./values.ts";

/** What is known where a statement is compiled. */
export interface Place extends ExpressionPlace {
  /** Outside of all scopes but the outermost: what is set here blocks see. */
  readonly top: boolean;
  /** `break` and `continue` have a loop. */
  readonly inLoop: boolean;
  /** Somewhere within a loop, whose `loop` nothing may set. */
  readonly withinLoop: boolean;
  /** What compiles the statements of a body. */
  readonly compileBody: (statements: readonly Statement[], place: Place) => Execute;
  /** The blocks so far, by name. */
  readonly blocks: Set<string>;
}

/** How many levels of code a macro or a recursive loop counts for. */
export const levelsOfCall = 8;

/** The place within a scope of its own. */
export function inner(place: Place, symbols: Symbols): Place {
  return { ...place, symbols, soft: false, top: false };
}

/** Statements in a scope of their own. */
export function compileScoped(body: readonly Statement[], place: Place): Execute {
  const symbols = new Symbols(place.budget, place.symbols);
  symbols.visit(body);
  const execute = place.compileBody(body, inner(place, symbols));
  const enter = entering(symbols);
  return (scope, out) => execute(enter(scope.run, scope), out);
}

/** Gives a value to a target. */
export type Assign = (scope: Scope, value: Value) => void;

/** What gives a value to a target. */
export function compileTarget(target: Expression, place: Place): Assign {
  const { symbols, top } = place;
  if (target.kind === "name") {
    const { name } = target;
    if (name === "loop" && place.withinLoop) {
      throw new Failure("TemplateSyntaxError", "can't assign to the special variable loop within a loop");
    }
    const slot = symbols.slot(name);
    if (!top) return (scope, value) => void (scope.slots[slot] = value);
    return (scope, value) => {
      scope.slots[slot] = value;
      scope.run.exported.set(name, value);
    };
  }
  if (target.kind === "tuple") {
    const parts = target.items.map((item) => compileTarget(item, place));
    return (scope, value) => {
      const values = listOf(scope.run, value);
      if (values.length !== parts.length) {
        const problem = values.length < parts.length ? "not enough" : "too many";
        throw new Failure("ValueError", `${problem} values to unpack (expected ${parts.length})`);
      }
      parts.forEach((assign, at) => assign(scope, values[at]));
    };
  }
  if (target.kind !== "namespace") throw new Failure("TemplateSyntaxError", `can't assign to '${target.kind}'`);
  const { attribute } = target;
  const get = compileExpression({ kind: "name", name: target.name }, place);
  return (scope, value) => {
    const namespace = get(scope);
    if (!(namespace instanceof Namespace)) {
      throw new Failure("TemplateRuntimeError", "cannot assign attribute on non-namespace object");
    }
    namespace.attributes.set(attribute, [own(attribute), value]);
  };
}
