/**
 * Which variable a name means, found out once per template: jinja2's rules. A loop, a macro and a block have scopes of their
 * own; `if` has none. A name that a scope sets is that scope's from its beginning, with the value that it has outside.
 *
 * @module
 */
import type { Budget } from "./budget.ts";
import type { Arguments, Expression, Signature, Statement } from "./types.ts";

/** Where a variable's first value comes from when its scope begins. */
export type Load =
  | { readonly from: "parameter" | "nothing" | "context" }
  | { readonly from: "outside"; readonly address: Address };

/** A variable: so many scopes outwards, and its place there. */
export interface Address {
  readonly levels: number;
  readonly slot: number;
}

/** The names of one scope. */
export class Symbols {
  readonly parent: Symbols | undefined;
  /** What the names of the scope have at its beginning. */
  readonly loads: Map<string, Load> = new Map();
  readonly #budget: Budget;
  /** The scope that a branch of an `if` adds to. */
  readonly #base: Symbols | undefined;
  readonly #slots: Map<string, number>;
  readonly #known = new Set<string>();
  readonly #stored = new Set<string>();

  constructor(budget: Budget, parent?: Symbols, base?: Symbols) {
    this.#budget = budget;
    this.parent = parent;
    this.#base = base;
    this.#slots = base === undefined ? new Map() : base.#slots;
  }

  /** How many places the scope has. */
  get size(): number {
    return this.#slots.size;
  }

  /** The place of a name that the scope knows. */
  slot(name: string): number {
    const known = this.#slots.get(name) ?? this.#slots.size;
    this.#slots.set(name, known);
    return known;
  }

  /** The variable that a name means here. */
  find(name: string): Address | undefined {
    if (this.#knows(name)) return { levels: 0, slot: this.slot(name) };
    const outside = this.parent?.find(name);
    return outside === undefined ? undefined : { levels: outside.levels + 1, slot: outside.slot };
  }

  /** A name is read. */
  load(name: string): void {
    if (this.find(name) === undefined) this.#define(name, { from: "context" });
  }

  /** A name is set. */
  store(name: string): void {
    this.#stored.add(name);
    if (this.#knows(name)) return;
    const outside = this.#outside(name);
    this.#define(name, outside ?? { from: "nothing" });
  }

  /** A name is an argument of a macro or the variable of a loop. */
  declare(name: string): void {
    this.#stored.add(name);
    this.#define(name, { from: "parameter" });
  }

  /** Names of statements that have no scope of their own. */
  visit(statements: readonly Statement[]): void {
    for (const statement of statements) this.#visitStatement(statement);
  }

  /** Names of a target; `declared` ones are variables of a loop. */
  visitTarget(target: Expression, declared: boolean): void {
    if (target.kind === "tuple") { for (const item of target.items) this.visitTarget(item, declared); }
    else if (target.kind === "namespace") this.load(target.name);
    else if (target.kind === "name") {
      if (declared) this.declare(target.name);
      else this.store(target.name);
    }
  }

  /** Names that expressions read. */
  read(...expressions: readonly (Expression | undefined)[]): void {
    for (const expression of expressions) {
      if (expression !== undefined) eachName(expression, this.#budget, (name) => this.load(name));
    }
  }

  #visitStatement(statement: Statement): void {
    this.#budget.step();
    switch (statement.kind) {
      case "output":
        for (const part of statement.parts) if (typeof part !== "string") this.read(part);
        break;
      case "for":
        this.read(statement.iterable);
        break;
      case "if":
        this.#visitIf(statement);
        break;
      case "set":
        this.read(statement.value);
        this.visitTarget(statement.target, false);
        break;
      case "setBlock":
        this.visitTarget(statement.target, false);
        break;
      case "macro":
        this.store(statement.name);
        break;
      case "callBlock":
        this.read(statement.call);
        break;
      case "filter":
        this.read(statement.filter);
        break;
      case "with":
        this.read(...statement.values);
        break;
      default:
    }
  }

  /** What one branch sets has, in the others, the value that it has outside. */
  #visitIf({ branches, otherwise }: Statement & { kind: "if" }): void {
    // As jinja2 does: an `elif` is an `if` within the others' scope.
    const [first, ...others] = branches;
    this.read(first.test);
    const parts = [first.body, otherwise].map((body) => {
      const part = new Symbols(this.#budget, this.parent, this);
      part.visit(body);
      return part;
    });
    const rest = new Symbols(this.#budget, this.parent, this);
    for (const { test, body } of others) {
      rest.read(test);
      const part = new Symbols(this.#budget, this.parent, rest);
      part.visit(body);
      rest.#merge([part]);
    }
    this.#merge([parts[0], rest, parts[1]]);
  }

  #merge(parts: readonly Symbols[]): void {
    const stores = new Set<string>();
    for (const part of parts) for (const name of part.#stored) if (!this.#stores(name)) stores.add(name);
    for (const part of parts) {
      this.#budget.step(part.loads.size);
      for (const name of part.#known) this.#known.add(name);
      for (const [name, load] of part.loads) this.loads.set(name, load);
      for (const name of part.#stored) this.#stored.add(name);
    }
    for (const name of stores) this.loads.set(name, this.#outside(name) ?? { from: "context" });
  }

  #outside(name: string): Load | undefined {
    const address = this.parent?.find(name);
    return address === undefined ? undefined : { from: "outside", address };
  }

  #define(name: string, load: Load): void {
    this.slot(name);
    this.#known.add(name);
    this.loads.set(name, load);
  }

  #knows(name: string): boolean {
    return this.#known.has(name) || this.#base !== undefined && this.#base.#knows(name);
  }

  #stores(name: string): boolean {
    return this.#stored.has(name) || this.#base !== undefined && this.#base.#stores(name);
  }
}

/** Each name that an expression reads. */
function eachName(expression: Expression, budget: Budget, seen: (name: string) => void): void {
  budget.step();
  if (expression.kind === "name" || expression.kind === "namespace") seen(expression.name);
  else for (const child of childrenOf(expression)) eachName(child, budget, seen);
}

function childrenOf(expression: Expression): readonly Expression[] {
  switch (expression.kind) {
    case "tuple":
    case "list":
      return expression.items;
    case "dict":
      return expression.pairs.flat();
    case "not":
    case "negative":
    case "positive":
      return [expression.operand];
    case "and":
    case "or":
    case "binary":
      return [expression.left, expression.right];
    case "compare":
      return [expression.first, ...expression.rest.map(({ operand }) => operand)];
    case "concat":
      return expression.parts;
    case "conditional":
      return present(expression.test, expression.then, expression.otherwise);
    case "attribute":
      return [expression.object];
    case "item":
      return [expression.object, expression.index];
    case "slice":
      return present(expression.start, expression.stop, expression.step);
    case "call":
      return [expression.callee, ...argumentsOf(expression.args)];
    case "filter":
    case "test":
      return [...present(expression.operand), ...argumentsOf(expression.args)];
    default:
      return [];
  }
}

function argumentsOf({ positional, keywords, list, dict }: Arguments): Expression[] {
  return [...positional, ...keywords.map(([, value]) => value), ...present(list, dict)];
}

function present(...expressions: (Expression | undefined)[]): Expression[] {
  return expressions.filter((expression) => expression !== undefined);
}

/** Which of some names the statements read before they set them, at any depth. */
export function namesRead(statements: readonly Statement[], names: readonly string[], budget: Budget): Set<string> {
  const wanted = new Set(names);
  const found = new Set<string>();
  const read = (expression: Expression | undefined) => {
    if (expression !== undefined) eachName(expression, budget, (name) => wanted.has(name) && found.add(name));
  };
  const set = (target: Expression) => {
    if (target.kind === "tuple") { for (const item of target.items) set(item); }
    else if (target.kind === "name") wanted.delete(target.name);
  };
  const signature = ({ names, defaults }: Signature) => {
    for (const name of names) wanted.delete(name);
    for (const expression of defaults) read(expression);
  };
  const visit = (statements: readonly Statement[]): void => {
    for (const statement of statements) {
      budget.step();
      if (wanted.size === found.size) return;
      visitParts(statement, { read, set, signature, visit });
    }
  };
  visit(statements);
  return found;
}

interface Visitor {
  readonly read: (expression: Expression | undefined) => void;
  readonly set: (target: Expression) => void;
  readonly signature: (signature: Signature) => void;
  readonly visit: (statements: readonly Statement[]) => void;
}

function visitParts(statement: Statement, { read, set, signature, visit }: Visitor): void {
  switch (statement.kind) {
    case "output":
      for (const part of statement.parts) if (typeof part !== "string") read(part);
      return;
    case "for":
      set(statement.target);
      read(statement.iterable);
      visit(statement.body);
      visit(statement.otherwise);
      return read(statement.test);
    case "if":
      for (const { test, body } of statement.branches) {
        read(test);
        visit(body);
      }
      return visit(statement.otherwise);
    case "set":
      set(statement.target);
      return read(statement.value);
    case "setBlock":
      set(statement.target);
      read(statement.filter);
      return visit(statement.body);
    case "macro":
      signature(statement.signature);
      return visit(statement.body);
    case "callBlock":
      read(statement.call);
      signature(statement.signature);
      return visit(statement.body);
    case "filter":
      visit(statement.body);
      return read(statement.filter);
    case "with":
      statement.targets.forEach(set);
      statement.values.forEach(read);
      return visit(statement.body);
    case "generation":
      return visit(statement.body);
    default:
  }
}
