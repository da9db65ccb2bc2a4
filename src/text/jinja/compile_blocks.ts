/**
 * Macros, and blocks whose text goes elsewhere, as functions.
 *
 * @module
 */
import { compileCallWith, compileExpression, compileFilters } from "./compile_expressions.ts";
import { Failure } from "./failure.ts";
import { soft } from "./filters_text.ts";
import { Macro, type MacroCode } from "./macro.ts";
import { TextBuilder } from "./marked.ts";
import { compileScoped, compileTarget, inner, levelsOfCall, type Place } from "./place.ts";
import { entering, type Execute } from "./scope.ts";
import { namesRead, Symbols } from "./scopes.ts";
import type { CallBlock, SetBlock, Signature, Statement, With } from "./types.ts";

/** A block whose text is given to a target. */
export function compileSetBlock({ target, filter, body }: SetBlock, place: Place): Execute {
  const symbols = new Symbols(place.budget, place.symbols);
  symbols.visit(body);
  const within = { ...inner(place, symbols), inLoop: place.inLoop };
  const execute = place.compileBody(body, within);
  const change = filter === undefined ? undefined : compileFilters(filter, within);
  const assign = compileTarget(target, place);
  const enter = entering(symbols);
  return (scope) => {
    const own = enter(scope.run, scope);
    const out = new TextBuilder(scope.run.budget);
    const ending = execute(own, out);
    if (ending !== "end") return ending;
    const text = out.build();
    assign(scope, change === undefined ? text : change(own, text));
    return "end";
  };
}

/** A macro, or the body of a `call` block. */
export function compileMacro(
  name: string | undefined,
  { names, defaults }: Signature,
  body: readonly Statement[],
  place: Place,
): MacroCode {
  const symbols = new Symbols(place.budget, place.symbols);
  for (const parameter of names) symbols.declare(parameter);
  symbols.read(...defaults);
  symbols.visit(body);
  const specials = namesRead(body, ["caller", "kwargs", "varargs"], place.budget);
  const firstDefault = names.length - defaults.length;
  if (specials.has("caller") && names.includes("caller") && names.indexOf("caller") < firstDefault) {
    throw new Failure("TemplateSyntaxError", "the special caller argument must be omitted or be given a default");
  }
  const special: Partial<Record<string, number>> = {};
  for (const found of specials) {
    if (names.includes(found)) continue;
    symbols.declare(found);
    special[found] = symbols.slot(found);
  }
  const within = { ...inner(place, symbols), inLoop: false };
  const parameters = names.map((parameter, at) => ({
    name: parameter,
    slot: symbols.slot(parameter),
    otherwise: at < firstDefault ? undefined : compileExpression(defaults[at - firstDefault], within),
  }));
  const execute = place.compileBody(body, within);
  return { name, parameters, special, enter: entering(symbols), body: execute, depth: levelsOfCall };
}

/** A `call` block: its body is what the macro calls as `caller`. */
export function compileCallBlock({ signature, call, body }: CallBlock, place: Place): Execute {
  const code = compileMacro(undefined, signature, body, place);
  const invoke = compileCallWith(call, place);
  return (scope, out) => {
    out.append(soft(scope.run, invoke(scope, "caller", new Macro(code, scope))));
    return "end";
  };
}

/** A block whose text goes through filters. */
export function compileFilterBlock({ filter, body }: Statement & { kind: "filter" }, place: Place): Execute {
  const symbols = new Symbols(place.budget, place.symbols);
  symbols.visit(body);
  symbols.read(filter);
  const within = inner(place, symbols);
  const execute = place.compileBody(body, within);
  const change = compileFilters(filter, within);
  const enter = entering(symbols);
  return (scope, out) => {
    const own = enter(scope.run, scope);
    const written = new TextBuilder(scope.run.budget);
    const ending = execute(own, written);
    if (ending === "end") out.append(soft(scope.run, change(own, written.build())));
    return ending;
  };
}

/** Variables for a part of the template. */
export function compileWith({ targets, values, body }: With, place: Place): Execute {
  const symbols = new Symbols(place.budget, place.symbols);
  for (const target of targets) symbols.visitTarget(target, true);
  symbols.visit(body);
  const within = inner(place, symbols);
  const pairs = targets.map((target, at) => ({
    assign: compileTarget(target, within),
    value: compileExpression(values[at], place),
  }));
  const execute = place.compileBody(body, within);
  const enter = entering(symbols);
  return (scope, out) => {
    const own = enter(scope.run, scope);
    for (const { assign, value } of pairs) assign(own, value(scope));
    return execute(own, out);
  };
}

/** A block stands where it is written; unless it is `scoped`, it sees what was set outside of all scopes. */
export function compileBlock({ name, scoped, body, line }: Statement & { kind: "block" }, place: Place): Execute {
  if (place.blocks.has(name)) throw new Failure("TemplateSyntaxError", `block '${name}' defined twice (line ${line})`);
  place.blocks.add(name);
  if (scoped) return compileScoped(body, { ...place, inLoop: false });
  const symbols = new Symbols(place.budget);
  symbols.visit(body);
  const execute = place.compileBody(body, { ...inner(place, symbols), inLoop: false, withinLoop: false });
  const enter = entering(symbols);
  return (scope, out) => execute(enter(scope.run, undefined), out);
}
