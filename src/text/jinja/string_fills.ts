/**
 * Filling strings up and putting them together: `center`, `ljust`, `zfill`, `expandtabs`, `join`, `translate`.
 *
 * @module
 */
import { Failure, wrongType } from "./failure.ts";
import { escapeHtml } from "./html.ts";
import { Text, TextBuilder } from "./marked.ts";
import { elementAt, iterate, sequenceLength } from "./sequences.ts";
import type { Run } from "./types.ts";
import { Dict, NONE, Num, typeName, type Value } from "./values.ts";

/** A string with fill on its left and right. */
function filled(run: Run, text: Text, left: number, right: number, fill: Text): Text {
  if (left <= 0 && right <= 0) return text;
  run.budget.make(left + right);
  const pad = (count: number) => new Text(fill.value.repeat(count), count > 0 ? fill.borders : [], false);
  return new TextBuilder(run.budget).append(pad(left)).append(text).append(pad(right)).build(text.markup);
}

/** `str.center`, `str.ljust` and `str.rjust`. */
export function justify(run: Run, text: Text, width: number, fill: Text, side: "left" | "right" | "center"): Text {
  if (fill.length !== 1) return wrongType("The fill character must be exactly one character long");
  run.budget.scan(text.uncounted);
  const missing = Math.max(0, width - text.length);
  if (missing === 0) return text;
  // Python's way of choosing the longer side.
  const left = side === "left" ? 0 : side === "right" ? missing : (missing >> 1) + (missing & width & 1);
  return filled(run, text, left, missing - left, fill);
}

/** `str.zfill`. */
export function zeroFill(run: Run, text: Text, width: number): Text {
  const missing = Math.max(0, width - text.length);
  run.budget.make(missing);
  const sign = /^[-+]/.test(text.value) ? 1 : 0;
  return new TextBuilder(run.budget).append(text, 0, sign).add("0".repeat(missing), true).append(text, sign)
    .build(text.markup);
}

/** `str.expandtabs`. */
export function expandTabs(run: Run, text: Text, size: number): Text {
  const out = new TextBuilder(run.budget);
  let [done, column, at] = [0, 0, 0];
  run.budget.step(text.value.length >> 3);
  for (const character of text.value) {
    if (character === "\t") {
      const spaces = size > 0 ? size - column % size : 0;
      run.budget.make(spaces);
      out.append(text, done, at).add(" ".repeat(spaces), text.isForeign(at));
      done = at + 1;
      column += spaces;
    } else column = character === "\n" || character === "\r" ? 0 : column + 1;
    at += character.length;
  }
  return out.append(text, done).build(text.markup);
}

/** `str.join`. */
export function join(run: Run, separator: Text, value: Value): Text {
  const out = new TextBuilder(run.budget);
  let place = 0;
  for (const item of iterate(run, value)) {
    if (!(item instanceof Text)) {
      return wrongType(`sequence item ${place}: expected str instance, ${typeName(item)} found`);
    }
    if (place++ > 0) out.append(separator);
    out.append(separator.markup ? escapeHtml(run, item) : item);
  }
  return out.build(separator.markup);
}

/** `str.translate` by a table from code points to what comes for them. */
export function translate(run: Run, text: Text, table: Value): Text {
  if (!(table instanceof Dict) && sequenceLength(run, table) === undefined) {
    return wrongType(`'${typeName(table)}' object is not subscriptable`);
  }
  const out = new TextBuilder(run.budget);
  let at = 0;
  for (const character of text.value) {
    run.budget.step();
    const code = character.codePointAt(0) as number;
    const found = table instanceof Dict ? table.entries.get(code)?.[1] : elementAt(run, table, code);
    if (found === undefined) out.append(text, at, at + character.length);
    else if (found instanceof Text) out.append(found);
    else if (found instanceof Num && !found.float) {
      const number = Number(found.value);
      if (!(number >= 0 && number < 0x110000)) {
        throw new Failure("ValueError", "character mapping must be in range(0x110000)");
      }
      out.add(String.fromCodePoint(number).toWellFormed(), found.foreign || text.isForeign(at));
    } else if (found !== NONE) return wrongType("character mapping must return integer, None or str");
    at += character.length;
  }
  return out.build(text.markup);
}

/** `str.maketrans`. */
export function makeTranslation(run: Run, from: Value, to: Text | undefined, gone: Text | undefined): Dict {
  const entries = new Map<number | string, readonly [Value, Value]>();
  const put = (key: Text, value: Value) => {
    run.budget.step();
    const code = key.value.codePointAt(0) as number;
    entries.set(code, [new Num(code, false, true), value]);
  };
  if (to === undefined) {
    if (!(from instanceof Dict)) return wrongType("if you give only one argument to maketrans it must be a dict");
    for (const [key, value] of from.entries.values()) {
      if (key instanceof Text && key.length === 1) put(key, value);
      else if (key instanceof Num && !key.float) entries.set(Number(key.value), [key, value]);
      else throw new Failure("ValueError", "string keys in translate table must be of length 1");
    }
    return new Dict(entries);
  }
  if (!(from instanceof Text)) {
    return wrongType("first maketrans argument must be a string if there is a second argument");
  }
  if (from.length !== to.length) {
    throw new Failure("ValueError", "the first two maketrans arguments must have equal length");
  }
  for (let at = 0; at < from.length; at++) {
    put(from.at(at), new Num(to.at(at).value.codePointAt(0) as number, false, to.isForeign(to.offset(at))));
  }
  if (gone !== undefined) { for (let at = 0; at < gone.length; at++) put(gone.at(at), NONE); }
  return new Dict(entries);
}
