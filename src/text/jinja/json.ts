/**
 * `tojson` as Hugging Face sets it up: Python's `json.dumps`, without escapes for HTML. Strings keep the origin of their
 * characters; what JSON puts around them no template wrote.
 *
 * @module
 */
import { wrongType } from "./failure.ts";
import { Text, TextBuilder } from "./marked.ts";
import { keyOf, ordered } from "./operators.ts";
import { spellFloat, spellNumber } from "./spelling.ts";
import type { Run } from "./types.ts";
import { Dict, List, NONE, Num, Tuple, typeName, type Value } from "./values.ts";

/** How JSON is laid out. */
export interface JsonLayout {
  /** What a level is indented by; undefined for one line. */
  readonly indent: Text | undefined;
  /** Between items, and between a key and its value. */
  readonly separators: readonly [Text, Text];
  /** Whether all beyond ASCII is escaped. */
  readonly ascii: boolean;
  /** Whether keys are sorted. */
  readonly sorted: boolean;
}

/** `json.dumps(value)`. */
export function toJson(run: Run, value: Value, layout: JsonLayout): Text {
  const out = new TextBuilder(run.budget);
  new Writer(run, out, layout).write(value, 1);
  return out.build();
}

class Writer {
  readonly #run: Run;
  readonly #out: TextBuilder;
  readonly #layout: JsonLayout;

  constructor(run: Run, out: TextBuilder, layout: JsonLayout) {
    this.#run = run;
    this.#out = out;
    this.#layout = layout;
  }

  write(value: Value, level: number): void {
    this.#run.budget.step(2);
    if (value === NONE) this.#out.add("null", true);
    else if (typeof value === "boolean") this.#out.add(value ? "true" : "false", true);
    else if (value instanceof Num) this.#out.add(jsonNumber(this.#run, value), value.foreign);
    else if (value instanceof Dict) this.#dict(value, level);
    else if (value instanceof List || value instanceof Tuple) this.#list(value.items, level);
    else if (value instanceof Text) this.#text(value);
    else wrongType(`Object of type ${typeName(value)} is not JSON serializable`);
  }

  #list(items: readonly Value[], level: number): void {
    if (items.length === 0) {
      this.#out.add("[]", true);
      return;
    }
    this.#run.budget.enter(4);
    this.#out.add("[", true);
    items.forEach((item, at) => {
      this.#between(at, level);
      this.write(item, level + 1);
    });
    this.#line(level - 1);
    this.#out.add("]", true);
    this.#run.budget.leave(4);
  }

  #dict(dict: Dict, level: number): void {
    if (dict.entries.size === 0) {
      this.#out.add("{}", true);
      return;
    }
    this.#run.budget.enter(4);
    this.#out.add("{", true);
    let at = 0;
    for (const [key, value] of this.#entries(dict)) {
      this.#between(at++, level);
      this.#text(jsonKey(this.#run, key));
      this.#out.append(this.#layout.separators[1]);
      this.write(value, level + 1);
    }
    this.#line(level - 1);
    this.#out.add("}", true);
    this.#run.budget.leave(4);
  }

  #entries(dict: Dict): Iterable<readonly [Value, Value]> {
    if (!this.#layout.sorted) return dict.entries.values();
    this.#run.budget.step(4 * dict.entries.size);
    return [...dict.entries.values()].sort(([left], [right]) => {
      if (keyOf(this.#run, left) === keyOf(this.#run, right)) return 0;
      return ordered(this.#run, "<", left, right) ? -1 : 1;
    });
  }

  #between(at: number, level: number): void {
    if (at > 0) this.#out.append(this.#layout.separators[0]);
    this.#line(level);
  }

  #line(level: number): void {
    const { indent } = this.#layout;
    if (indent === undefined) return;
    this.#out.add("\n", true);
    this.#run.budget.step(level);
    for (let time = 0; time < level; time++) this.#out.append(indent);
  }

  #text(text: Text): void {
    const { value } = text;
    this.#run.budget.scan(2 * value.length);
    this.#out.add('"', true);
    let done = 0;
    for (const { index, 0: unit } of value.matchAll(this.#layout.ascii ? NOT_PLAIN_ASCII : NOT_PLAIN)) {
      this.#run.budget.step();
      this.#out.append(text, done, index).add(escapeUnit(unit), text.isForeign(index));
      done = index + 1;
    }
    this.#out.append(text, done).add('"', true);
  }
}

// deno-lint-ignore no-control-regex
const NOT_PLAIN = /["\\\x00-\x1f]/g;
// deno-lint-ignore no-control-regex
const NOT_PLAIN_ASCII = /["\\\x00-\x1f]|[^\x00-\x7f]/g;
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\b": "\\b",
  "\f": "\\f",
};

function escapeUnit(unit: string): string {
  return ESCAPES[unit] ?? `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

function jsonNumber(run: Run, number: Num): string {
  if (!number.float) return spellNumber(run, number);
  const value = Number(number.value);
  if (Number.isFinite(value)) return spellFloat(value);
  return Number.isNaN(value) ? "NaN" : value < 0 ? "-Infinity" : "Infinity";
}

function jsonKey(run: Run, key: Value): Text {
  if (key instanceof Text) return key;
  if (key === NONE) return Text.of("null", true);
  if (typeof key === "boolean") return Text.of(key ? "true" : "false", true);
  if (key instanceof Num) return Text.of(jsonNumber(run, key), key.foreign);
  return wrongType(`keys must be str, int, float, bool or None, not ${typeName(key)}`);
}
