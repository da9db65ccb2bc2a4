/**
 * The names that every template has: Jinja's, and those of Hugging Face (`raise_exception`, `strftime_now`).
 *
 * @module
 */
import { bind, textOr } from "./arguments.ts";
import { LIMITS } from "./budget.ts";
import { formatTime } from "./dates.ts";
import { entriesOf } from "./dict_methods.ts";
import { Failure, Refusal, unsupported, wrongType } from "./failure.ts";
import { EMPTY, Text, TextBuilder } from "./marked.ts";
import { numberOf } from "./numbers.ts";
import { str } from "./spelling.ts";
import type { Run } from "./types.ts";
import {
  Builtin,
  Callable,
  Dict,
  type Keywords,
  Namespace,
  NO_KEYWORDS,
  NONE,
  Range,
  Thing,
  typeName,
  type Value,
} from "./values.ts";

/** Goes through values again and again. */
class Cycler extends Thing {
  override readonly type: string = "Cycler";
  readonly #items: readonly Value[];
  #at = 0;

  constructor(items: readonly Value[]) {
    super();
    if (items.length === 0) throw new Failure("TemplateRuntimeError", "at least one item has to be provided");
    this.#items = items;
  }

  override attribute(name: string): Value | undefined {
    if (name === "current") return this.#items[this.#at];
    if (name === "next") return new Builtin(name, () => this.#items[this.#advance()], "method");
    if (name !== "reset") return undefined;
    return new Builtin(name, () => {
      this.#at = 0;
      return NONE;
    }, "method");
  }

  #advance(): number {
    const at = this.#at;
    this.#at = (at + 1) % this.#items.length;
    return at;
  }
}

/** Gives nothing the first time, then its separator. */
class Joiner extends Callable {
  override readonly type: string = "Joiner";
  override readonly name: string = "joiner";
  readonly #separator: Value;
  #used = false;

  constructor(separator: Value) {
    super();
    this.#separator = separator;
  }

  override attribute(name: string): Value | undefined {
    return name === "sep" ? this.#separator : name === "used" ? this.#used : undefined;
  }

  override call(args: readonly Value[], keywords: Keywords = NO_KEYWORDS): Value {
    bind("joiner", { names: [] }, args, keywords);
    if (this.#used) return this.#separator;
    this.#used = true;
    return EMPTY;
  }
}

function range(args: readonly Value[], keywords: Keywords): Range {
  if (keywords.size > 0) return wrongType("range() takes no keyword arguments");
  if (args.length < 1 || args.length > 3) return wrongType(`range expected 1 to 3 arguments, got ${args.length}`);
  const numbers = args.map((argument) => {
    const number = numberOf(argument);
    if (number === undefined || number.float) {
      return wrongType(`'${typeName(argument)}' object cannot be interpreted as an integer`);
    }
    return number;
  });
  const foreign = numbers.some((number) => number.foreign);
  const values = numbers.map((number) => Number(number.value));
  const [start, stop, step] = values.length === 1 ? [0, values[0], 1] : [values[0], values[1], values[2] ?? 1];
  if (step === 0) throw new Failure("ValueError", "range() arg 3 must not be zero");
  const made = new Range(start, stop, step, foreign);
  if (made.length > LIMITS.range) {
    throw new Failure("OverflowError", `Range too big. The sandbox blocks ranges larger than ${LIMITS.range}`);
  }
  return made;
}

function tellTime(run: Run, now: Date, args: readonly Value[], keywords: Keywords): Text {
  const [given] = bind("strftime_now", { names: ["format"], required: 1 }, args, keywords);
  const format = textOr("strftime_now", given, EMPTY);
  const out = new TextBuilder(run.budget);
  let done = 0;
  for (const { index, 0: directive } of format.value.matchAll(/%[-_0^#]?[A-Za-z%]/g)) {
    run.budget.step(12);
    out.append(format, done, index).add(formatTime(now, directive), true);
    done = index + directive.length;
  }
  return out.append(format, done).build();
}

/** The functions of every template, for one rendering at a time of day. */
export function functionsOf(run: Run, now: Date): [string, Value][] {
  const type = (name: string, make: (args: readonly Value[], keywords: Keywords) => Value) =>
    new Builtin(name, make, "type");
  return [
    ["range", new Builtin("range", range, "function")],
    ["dict", type("dict", (args, keywords) => new Dict(entriesOf(run, args, keywords)))],
    [
      "namespace",
      type("jinja2.utils.Namespace", (args, keywords) => new Namespace(entriesOf(run, args, keywords))),
    ],
    [
      "cycler",
      type("jinja2.utils.Cycler", (args, keywords) => {
        bind("cycler", { names: args.map((_, at) => `${at}`) }, args, keywords);
        return new Cycler(args);
      }),
    ],
    [
      "joiner",
      type("jinja2.utils.Joiner", (args, keywords) => {
        const [separator] = bind("joiner", { names: ["sep"] }, args, keywords);
        return new Joiner(separator ?? Text.of(", ", true));
      }),
    ],
    [
      "lipsum",
      new Builtin("lipsum", () => {
        throw unsupported("lipsum", "the same messages have the same prompt");
      }, "function"),
    ],
    [
      "raise_exception",
      new Builtin("raise_exception", (args, keywords) => {
        const [message] = bind("raise_exception", { names: ["message"], required: 1 }, args, keywords);
        throw new Refusal(str(run, message as Value).value);
      }, "function"),
    ],
    ["strftime_now", new Builtin("strftime_now", (args, keywords) => tellTime(run, now, args, keywords), "function")],
  ];
}
