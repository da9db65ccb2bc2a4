/**
 * The variables of a scope while it runs, and what compiled code is.
 *
 * @module
 */
import type { TextBuilder } from "./marked.ts";
import type { Address, Symbols } from "./scopes.ts";
import type { Run } from "./types.ts";
import type { Value } from "./values.ts";

/** Variables by their places; undefined ones have no value yet. */
export class Scope {
  readonly run: Run;
  readonly parent: Scope | undefined;
  readonly slots: (Value | undefined)[];

  constructor(run: Run, parent: Scope | undefined, size: number) {
    this.run = run;
    this.parent = parent;
    this.slots = new Array(size).fill(undefined);
  }

  /** The value of a variable, where it has one. */
  get({ levels, slot }: Address): Value | undefined {
    if (levels === 0) return this.slots[slot];
    let scope = this.parent as Scope;
    for (let level = 1; level < levels; level++) scope = scope.parent as Scope;
    return scope.slots[slot];
  }
}

/** A compiled expression. */
export type Evaluate = (scope: Scope) => Value;

/** How a statement ended: as usual, or by `break` or `continue`. */
export type Ending = "end" | "break" | "continue";

/** A compiled statement. */
export type Execute = (scope: Scope, out: TextBuilder) => Ending;

/** What makes a scope with its first values. */
export type Enter = (run: Run, parent: Scope | undefined) => Scope;

/** How a scope with these names begins. */
export function entering(symbols: Symbols): Enter {
  const { size } = symbols;
  const resolved: [number, string][] = [];
  const copied: [number, Address][] = [];
  for (const [name, load] of symbols.loads) {
    if (load.from === "context") resolved.push([symbols.slot(name), name]);
    // The address is one from the outer scope's view.
    else if (load.from === "outside") copied.push([symbols.slot(name), load.address]);
  }
  return (run, parent) => {
    const scope = new Scope(run, parent, size);
    run.budget.step(1 + (size >> 2));
    for (const [slot, name] of resolved) scope.slots[slot] = run.exported.get(name) ?? run.globals.get(name);
    if (parent !== undefined) { for (const [slot, address] of copied) scope.slots[slot] = parent.get(address); }
    return scope;
  };
}
