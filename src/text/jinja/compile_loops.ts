/**
 * Loops as functions.
 *
 * @module
 */
import { compileExpression } from "./compile_expressions.ts";
import { Loop } from "./loop.ts";
import { TextBuilder } from "./marked.ts";
import { compileScoped, compileTarget, inner, levelsOfCall, type Place } from "./place.ts";
import { type Ending, entering, type Evaluate, type Execute, type Scope } from "./scope.ts";
import { Symbols } from "./scopes.ts";
import { iterate } from "./sequences.ts";
import type { Expression, For } from "./types.ts";
import { isTrue, Stream, type Value } from "./values.ts";

/** A loop. */
export function compileFor(node: For, place: Place): Execute {
  const symbols = new Symbols(place.budget, place.symbols);
  symbols.declare("loop");
  symbols.visitTarget(node.target, true);
  symbols.visit(node.body);
  const loopSlot = symbols.slot("loop");
  const within: Place = { ...inner(place, symbols), inLoop: true };
  const iterable = compileExpression(node.iterable, place);
  const assign = compileTarget(node.target, { ...within, withinLoop: true });
  const body = place.compileBody(node.body, { ...within, withinLoop: true });
  const enter = entering(symbols);
  const select = node.test === undefined ? undefined : compileSelection(node.target, node.test, place);
  const otherwise = node.otherwise.length === 0 ? undefined : compileScoped(node.otherwise, {
    ...place,
    withinLoop: true,
    inLoop: place.inLoop && !node.recursive,
  });

  const loopOver = (scope: Scope, values: Value, depth: number, out: TextBuilder): Ending => {
    const { run } = scope;
    const recurse = (values: Value, depth: number) => {
      run.budget.enter(levelsOfCall);
      const written = new TextBuilder(run.budget);
      loopOver(scope, values, depth, written);
      run.budget.leave(levelsOfCall);
      return written.build();
    };
    const source = select === undefined ? values : new Stream(select(scope, values));
    const loop = new Loop(run, source, depth, node.recursive ? recurse : undefined);
    let isDone = false;
    for (let value = loop.next(); value !== undefined; value = loop.next()) {
      const own = enter(run, scope);
      own.slots[loopSlot] = loop;
      assign(own, value);
      const ending = body(own, out);
      if (ending === "break") break;
      // As in jinja2: a turn that `continue` ends does not keep `else` from running.
      if (ending === "end") isDone = true;
    }
    return isDone || otherwise === undefined ? "end" : otherwise(scope, out);
  };
  return (scope, out) => loopOver(scope, iterable(scope), 0, out);
}

/** The elements for which the condition of a loop holds. */
function compileSelection(
  target: Expression,
  test: Expression,
  place: Place,
): (scope: Scope, values: Value) => Generator<Value> {
  const symbols = new Symbols(place.budget, place.symbols);
  symbols.visitTarget(target, true);
  symbols.read(test);
  const within = { ...inner(place, symbols), withinLoop: false };
  const assign = compileTarget(target, within);
  const passes: Evaluate = compileExpression(test, within);
  const enter = entering(symbols);
  return function* (scope, values) {
    for (const value of iterate(scope.run, values)) {
      const own = enter(scope.run, scope);
      assign(own, value);
      if (isTrue(passes(own))) yield value;
    }
  };
}
