/**
 * The Jinja library's interpreter, made safe for templates that strangers wrote: every step is counted, every value has a
 * largest size, and what one filter could blow up is measured before it runs. A chat template is a program inside a model
 * file; all that it may cost is stated in {@link LIMITS}.
 *
 * It also follows Python's Jinja where the library is stricter: an undefined value is an empty list to a loop and an
 * empty text to a filter of texts.
 *
 * @module
 */
import type { Environment, Interpreter } from "@huggingface/jinja";
import { LightGPTError } from "../../../ffi/errors.ts";

/** The library, imported only where a template is used. */
export type Jinja = typeof import("@huggingface/jinja");

/** What a template may cost. */
export const LIMITS = {
  /** Characters of a template; the longest in use have some 20 000. */
  template: 1 << 18,
  /** Evaluations of nodes, with an extra charge for long values. */
  steps: 500_000,
  /** Characters of one text, elements of one list. */
  value: 1 << 22,
  /** Characters of all texts that were made on the way. */
  texts: 1 << 26,
  /** Nodes within nodes, macros that call macros included. */
  depth: 400,
} as const;

type Value = ReturnType<Interpreter["evaluate"]>;
type Node = NonNullable<Parameters<Interpreter["evaluate"]>[0]>;

/** The parts of a node that are looked at here, whatever its kind. */
interface Parts extends Node {
  iterable?: Parts;
  lhs?: Parts;
  operand?: Parts;
  object?: Parts;
  property?: Parts;
  callee?: Parts;
  filter?: Parts;
  body?: Parts[];
  args?: Parts[];
  key?: { value: string };
  value?: unknown;
}

/** A node whose value is known. */
interface Held extends Node {
  readonly held: Value;
}

/** Filters that read a text; to them an undefined value is an empty one. */
const TEXT_FILTERS = new Set(["trim", "upper", "lower", "title", "capitalize", "string", "indent", "replace", "int"]);
const LIST_FILTERS = new Set([
  "list",
  "join",
  "length",
  "map",
  "selectattr",
  "rejectattr",
  "sort",
  "unique",
  "reverse",
]);
/** Filters whose result can be much larger than what they read. */
const GROWING = new Set(["replace", "indent", "join", "tojson", "string"]);

/** An interpreter with a budget; one runs one template once. */
export function budgetedInterpreter({ Interpreter }: Jinja, environment: Environment): Interpreter {
  return new class extends Interpreter {
    #steps = 0;
    #texts = 0;
    #depth = 0;
    readonly #sizes = new WeakMap<Value, number>();
    readonly #changing = new WeakSet<Value>();

    override evaluate(node: Node | undefined, scope: Environment): Value {
      if (node === undefined) return super.evaluate(node, scope);
      if (isHeld(node)) return node.held;
      this.#charge(1);
      if (++this.#depth > LIMITS.depth) throw overBudget(`nodes within nodes, ${LIMITS.depth} deep`);
      try {
        // Some filters of the library give JavaScript's undefined for "nothing there".
        const value = super.evaluate(this.#prepare(node, scope), scope) ?? super.evaluate(undefined, scope);
        this.#measure(value);
        return value;
      } finally {
        this.#depth--;
      }
    }

    #charge(steps: number): void {
      this.#steps += steps;
      if (this.#steps > LIMITS.steps) throw overBudget(`${LIMITS.steps} steps`);
    }

    #measure(value: Value): void {
      // Deep: a value may be printed, and a list that holds itself twice doubles with every level.
      const size = this.#deepSize(value);
      if (size > LIMITS.value) throw overBudget(`a value of ${LIMITS.value} characters or elements`);
      if (value.type === "StringValue") {
        this.#texts += size;
        if (this.#texts > LIMITS.texts) throw overBudget(`${LIMITS.texts} characters in all`);
        this.#charge(size >> 8);
      } else this.#charge(sizeOf(value) >> 2);
    }

    /** The node with those of its parts evaluated that decide what it may cost, or how Python would read it. */
    #prepare(node: Parts, scope: Environment): Node {
      switch (node.type) {
        case "For": {
          const select = node.iterable?.type === "SelectExpression";
          const source = select ? node.iterable?.lhs : node.iterable;
          const value = this.evaluate(source, scope);
          this.#charge(8 * sizeOf(value)); // each turn of a loop makes some ten values before its body runs
          const list = value.type === "UndefinedValue" ? this.#literal("ArrayLiteral", []) : held(value);
          return with_(node, { iterable: select ? with_(node.iterable as Parts, { lhs: list }) : list });
        }
        case "FilterStatement": {
          const operand = held(this.evaluate({ type: "Program", body: node.body } as unknown as Node, scope));
          return this.#prepareFilter(
            { type: "FilterExpression", filter: node.filter, operand } as unknown as Parts,
            scope,
          );
        }
        case "FilterExpression":
          return this.#prepareFilter(node, scope);
        case "CallExpression": {
          const { callee } = node;
          const name = callee?.type === "MemberExpression" ? String(callee.property?.value) : "";
          if (name !== "replace" || callee === undefined) return node;
          const object = this.evaluate(callee.object, scope);
          const args = this.#hold(node.args ?? [], scope);
          this.#foresee(name, object, args);
          return with_(node, { callee: with_(callee, { object: held(object) }), args });
        }
        default:
          return node;
      }
    }

    #prepareFilter(node: Parts, scope: Environment): Node {
      const filter = node.filter as Parts;
      const called = filter.type === "CallExpression";
      const name = String((called ? filter.callee : filter)?.value);
      let operand = this.evaluate(node.operand, scope);
      if (operand.type === "UndefinedValue") {
        if (TEXT_FILTERS.has(name)) operand = super.evaluate(this.#literal("StringLiteral", ""), scope);
        else if (LIST_FILTERS.has(name)) operand = super.evaluate(this.#literal("ArrayLiteral", []), scope);
      }
      if (!GROWING.has(name)) return with_(node, { operand: held(operand) });
      const args = called ? this.#hold(filter.args ?? [], scope) : [];
      this.#foresee(name, operand, args);
      return with_(node, { operand: held(operand), filter: called ? with_(filter, { args }) : filter });
    }

    #literal(type: string, value: unknown): Parts {
      return { type, value } as Parts;
    }

    /** Arguments with their values known. */
    #hold(args: readonly Parts[], scope: Environment): Parts[] {
      return args.map((argument) => {
        if (argument.type === "KeywordArgumentExpression") {
          return with_(argument, { value: held(this.evaluate(argument.value as Node, scope)) });
        }
        if (/Spread/.test(argument.type)) throw new SyntaxError("unpacked arguments (*) of a filter are not supported");
        return held(this.evaluate(argument, scope));
      });
    }

    /** Refuses a call whose result would be too large, before it is made. */
    #foresee(name: string, operand: Value, args: readonly Parts[]): void {
      const given = args.map((argument) => (isHeld(argument) ? argument : argument.value as Held).held);
      const text = (index: number) => given[index]?.type === "StringValue" ? given[index].value as string : "";
      const widths = given.filter(({ type }) => type === "IntegerValue").map(({ value }) => value as number);
      const lines = Math.max(0, ...widths);
      const own = this.#deepSize(operand);
      let size = own;
      if (name === "replace" && operand.type === "StringValue") {
        const source = operand.value as string;
        const count = text(0) === "" ? source.length + 1 : source.split(text(0)).length - 1;
        size += count * text(1).length;
      } else if (name === "join") size += sizeOf(operand) * text(0).length;
      else if (name === "indent" || name === "tojson") size += own * lines;
      this.#charge(own >> 6);
      if (size > LIMITS.value) throw overBudget(`a value of ${LIMITS.value} characters or elements`);
    }

    /** Characters of all texts within a value; the same text in two places counts twice, as it will in the result. */
    #deepSize(value: Value, depth = 0): number {
      if (value.type === "StringValue") return (value.value as string).length + 2;
      const known = this.#sizes.get(value);
      if (known !== undefined) return known;
      if (depth > LIMITS.depth) throw overBudget(`values within values, ${LIMITS.depth} deep`);
      let size = 4;
      let changes = value.type === "NamespaceValue";
      for (const child of childrenOf(value)) {
        this.#charge(1);
        size += this.#deepSize(child, depth + 1);
        changes ||= this.#changing.has(child);
        if (size > LIMITS.value) break;
      }
      // All but namespaces stay as they are, unless one lies within.
      if (changes) this.#changing.add(value);
      else if (sizeOf(value) > 0) this.#sizes.set(value, size);
      return size;
    }
  }(environment);
}

function isHeld(node: Node): node is Held {
  return node.type === "Held";
}

function held(value: Value): Held {
  return { type: "Held", held: value };
}

function with_(node: Parts, parts: Partial<Record<keyof Parts, unknown>>): Parts {
  return Object.assign(Object.create(Object.getPrototypeOf(node)), node, parts);
}

function sizeOf(value: Value): number {
  if (value.type === "StringValue") return (value.value as string).length;
  const inner: unknown = value.value;
  return Array.isArray(inner) ? inner.length : inner instanceof Map ? inner.size : 0;
}

function childrenOf(value: Value): Iterable<Value> {
  const inner: unknown = value.value;
  return Array.isArray(inner) ? inner : inner instanceof Map ? inner.values() : [];
}

/** The error about a template that costs too much. */
export function overBudget(what: string): LightGPTError {
  return new LightGPTError("limit", `The chat template was stopped: it needs more than ${what}.`, {
    what: "a chat template over its budget",
    where: "tokenizer.chat_template",
    expected: `at most ${what}`,
  });
}
