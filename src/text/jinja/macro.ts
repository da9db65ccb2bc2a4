/**
 * Macros, and the bodies of `call` blocks: what takes arguments and writes a text.
 *
 * @module
 */
import { wrongType } from "./failure.ts";
import { TextBuilder } from "./marked.ts";
import type { Enter, Evaluate, Execute, Scope } from "./scope.ts";
import { Callable, Dict, type Key, type Keywords, NONE, own, Tuple, Undefined, type Value } from "./values.ts";

/** A compiled macro, before it has the variables around it. */
export interface MacroCode {
  /** Its name; none for the body of a `call` block. */
  readonly name: string | undefined;
  /** Its parameters, with what each has where nothing is given. */
  readonly parameters: readonly {
    readonly name: string;
    readonly slot: number;
    readonly otherwise: Evaluate | undefined;
  }[];
  /** The places of what else it reads: `caller`, `kwargs` and `varargs`. */
  readonly special: Readonly<Partial<Record<"caller" | "kwargs" | "varargs", number>>>;
  /** Makes its scope. */
  readonly enter: Enter;
  /** What it does. */
  readonly body: Execute;
  /** How deep its code is. */
  readonly depth: number;
}

/** A macro where it stands. */
export class Macro extends Callable {
  override readonly type: string = "Macro";
  override readonly name: string;
  readonly #code: MacroCode;
  readonly #outside: Scope;

  constructor(code: MacroCode, outside: Scope) {
    super();
    this.name = code.name === undefined ? "anonymous" : `'${code.name}'`;
    this.#code = code;
    this.#outside = outside;
  }

  override attribute(name: string): Value | undefined {
    const { parameters, special } = this.#code;
    switch (name) {
      case "name":
        return this.#code.name === undefined ? NONE : own(this.#code.name);
      case "arguments":
        return new Tuple(parameters.map(({ name }) => own(name)));
      case "catch_kwargs":
        return special.kwargs !== undefined;
      case "catch_varargs":
        return special.varargs !== undefined;
      case "caller":
        return special.caller !== undefined;
      case "explicit_caller":
        return parameters.some(({ name }) => name === "caller");
      default:
        return undefined;
    }
  }

  override call(args: readonly Value[], keywords: Keywords): Value {
    const { run } = this.#outside;
    const { enter, body, depth, parameters } = this.#code;
    run.budget.step(2);
    run.budget.enter(depth);
    const scope = enter(run, this.#outside);
    this.#bind(scope, args, keywords);
    for (const { name, slot, otherwise } of parameters) {
      scope.slots[slot] ??= otherwise?.(scope) ??
        new Undefined(`parameter '${name}' was not provided`);
    }
    const out = new TextBuilder(run.budget);
    body(scope, out);
    run.budget.leave(depth);
    return out.build();
  }

  #bind(scope: Scope, args: readonly Value[], keywords: Keywords): void {
    const { parameters, special } = this.#code;
    const rest = new Map(keywords);
    parameters.forEach(({ name, slot }, place) => {
      scope.slots[slot] = args[place];
      if (place < args.length || !rest.has(name)) return;
      scope.slots[slot] = rest.get(name);
      rest.delete(name);
    });
    if (special.caller !== undefined) {
      scope.slots[special.caller] = rest.get("caller") ?? new Undefined("No caller defined");
      rest.delete("caller");
    }
    if (special.kwargs !== undefined) {
      const entries = [...rest].map(([name, value]): [Key, readonly [Value, Value]] => [name, [own(name), value]]);
      scope.slots[special.kwargs] = new Dict(new Map(entries));
    } else {
      for (const name of rest.keys()) wrongType(`macro ${this.name} takes no keyword argument '${name}'`);
    }
    const others = args.slice(parameters.length);
    if (special.varargs !== undefined) scope.slots[special.varargs] = new Tuple(others);
    else if (others.length > 0) {
      wrongType(`macro ${this.name} takes not more than ${parameters.length} argument(s)`);
    }
  }
}
