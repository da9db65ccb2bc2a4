/**
 * What the parts of the template language share: the syntax tree, and what a rendering carries along.
 *
 * @module
 */
import type { Budget } from "./budget.ts";
import type { Keywords, Value } from "./values.ts";

/** An expression. */
export type Expression =
  | { readonly kind: "const"; readonly value: Value }
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "tuple" | "list"; readonly items: readonly Expression[] }
  | { readonly kind: "dict"; readonly pairs: readonly (readonly [Expression, Expression])[] }
  | { readonly kind: "not" | "negative" | "positive"; readonly operand: Expression }
  | { readonly kind: "and" | "or"; readonly left: Expression; readonly right: Expression }
  | { readonly kind: "binary"; readonly operator: string; readonly left: Expression; readonly right: Expression }
  | { readonly kind: "compare"; readonly first: Expression; readonly rest: readonly Comparison[] }
  | { readonly kind: "concat"; readonly parts: readonly Expression[] }
  | Conditional
  | { readonly kind: "attribute"; readonly object: Expression; readonly name: string }
  | { readonly kind: "item"; readonly object: Expression; readonly index: Expression }
  | Slice
  | CallExpression
  | FilterExpression
  | { readonly kind: "test"; readonly operand: Expression; readonly name: string; readonly args: Arguments }
  | { readonly kind: "namespace"; readonly name: string; readonly attribute: string };

/** One more comparison of a chain. */
export interface Comparison {
  /** `==`, `<`, `in`, `not in` and so on. */
  readonly operator: string;
  /** What is on its right. */
  readonly operand: Expression;
}

/** `then if test else otherwise`. */
export interface Conditional {
  readonly kind: "conditional";
  readonly test: Expression;
  readonly then: Expression;
  readonly otherwise: Expression | undefined;
}

/** What stands in brackets with colons. */
export interface Slice {
  readonly kind: "slice";
  readonly start: Expression | undefined;
  readonly stop: Expression | undefined;
  readonly step: Expression | undefined;
}

/** A call. */
export interface CallExpression {
  readonly kind: "call";
  readonly callee: Expression;
  readonly args: Arguments;
}

/** A filter; without an operand it takes what a block wrote. */
export interface FilterExpression {
  readonly kind: "filter";
  readonly operand: Expression | undefined;
  readonly name: string;
  readonly args: Arguments;
}

/** Arguments as they are written. */
export interface Arguments {
  readonly positional: readonly Expression[];
  readonly keywords: readonly (readonly [string, Expression])[];
  /** `*list`. */
  readonly list: Expression | undefined;
  /** `**dict`. */
  readonly dict: Expression | undefined;
}

/** What a macro or a `call` block takes. */
export interface Signature {
  readonly names: readonly string[];
  /** Of the last ones. */
  readonly defaults: readonly Expression[];
}

/** A statement. `line` is where it begins. */
export type Statement =
  & { readonly line: number }
  & (
    | { readonly kind: "output"; readonly parts: readonly (string | Expression)[] }
    | For
    | { readonly kind: "if"; readonly branches: readonly Branch[]; readonly otherwise: readonly Statement[] }
    | { readonly kind: "set"; readonly target: Expression; readonly value: Expression }
    | SetBlock
    | {
      readonly kind: "macro";
      readonly name: string;
      readonly signature: Signature;
      readonly body: readonly Statement[];
    }
    | CallBlock
    | { readonly kind: "filter"; readonly filter: FilterExpression; readonly body: readonly Statement[] }
    | With
    | { readonly kind: "block"; readonly name: string; readonly scoped: boolean; readonly body: readonly Statement[] }
    | { readonly kind: "generation"; readonly body: readonly Statement[] }
    | { readonly kind: "break" | "continue" }
    | { readonly kind: "refused"; readonly what: string; readonly why: string }
  );

/** `if` or `elif`. */
export interface Branch {
  readonly test: Expression;
  readonly body: readonly Statement[];
}

/** A loop. */
export interface For {
  readonly kind: "for";
  readonly target: Expression;
  readonly iterable: Expression;
  readonly test: Expression | undefined;
  readonly recursive: boolean;
  readonly body: readonly Statement[];
  readonly otherwise: readonly Statement[];
}

/** `{% set x %}...{% endset %}`. */
export interface SetBlock {
  readonly kind: "setBlock";
  readonly target: Expression;
  readonly filter: FilterExpression | undefined;
  readonly body: readonly Statement[];
}

/** `{% call macro() %}...{% endcall %}`. */
export interface CallBlock {
  readonly kind: "callBlock";
  readonly signature: Signature;
  readonly call: CallExpression;
  readonly body: readonly Statement[];
}

/** `{% with a = 1 %}...{% endwith %}`. */
export interface With {
  readonly kind: "with";
  readonly targets: readonly Expression[];
  readonly values: readonly Expression[];
  readonly body: readonly Statement[];
}

/** A filter or a test: a function whose first argument is the value that it is applied to. */
export type Operation = (run: Run, args: readonly Value[], keywords: Keywords) => Value;

/** A method of a built-in type. */
export type Method = (run: Run, self: Value, args: readonly Value[], keywords: Keywords) => Value;

/** What one rendering carries along. */
export interface Run {
  /** What is left to spend. */
  readonly budget: Budget;
  /** The template's inputs and the names that every template has. */
  readonly globals: ReadonlyMap<string, Value>;
  /** What was set outside of all blocks. */
  readonly exported: Map<string, Value>;
  /** The filters by name. */
  readonly filters: ReadonlyMap<string, Operation>;
  /** The tests by name. */
  readonly tests: ReadonlyMap<string, Operation>;
  /** The line of the statement that runs. */
  line: number;
  /** How often None, a list, a tuple or a dictionary was written as a text. */
  spelled: number;
}
