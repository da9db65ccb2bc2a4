/**
 * Cases of letters in strings, each result with the origin of the characters it came of.
 *
 * @module
 */
import { caseOf, foldCase, titleCase } from "./characters.ts";
import { Text, TextBuilder } from "./marked.ts";
import type { Run } from "./types.ts";

/** Lowers the characters of a string one after the other: what a capital sigma becomes depends on its neighbours. */
function lowering(value: string): (character: string) => string {
  if (!value.includes("\u03a3")) return (character) => character.toLowerCase();
  const sigmas = value.toLowerCase().match(/[\u03c3\u03c2]/g) as string[];
  const places = value.match(/[\u03a3\u03c3\u03c2]/g) as string[];
  const lowered = sigmas.filter((_, at) => places[at] === "\u03a3");
  let seen = 0;
  return (character) => character === "\u03a3" ? lowered[seen++] : character.toLowerCase();
}

/** A string whose characters went through `change`, one by one. */
function mapped(run: Run, text: Text, change: (character: string) => string): Text {
  run.budget.step(text.value.length >> 1);
  const out = new TextBuilder(run.budget);
  const origin = text.origin;
  let at = 0;
  for (const character of text.value) {
    out.add(change(character), origin === "mixed" ? text.isForeign(at) : origin === "foreign");
    at += character.length;
  }
  return out.build(text.markup);
}

/** A string as a whole through `all`, where it has one origin or every character gives one of its own length. */
function changed(run: Run, text: Text, all: (value: string) => string): Text {
  run.budget.scan(4 * text.value.length);
  const value = all(text.value);
  run.budget.make(value.length);
  if (text.origin !== "mixed") return new Text(value, value === "" ? [] : text.borders, text.markup);
  const marks = mapped(run, text, all);
  // Only the form of a letter depends on its neighbours (a final sigma), not how long it is.
  return new Text(value, marks.borders, text.markup);
}

/** `str.lower`. */
export function lower(run: Run, text: Text): Text {
  return changed(run, text, (value) => value.toLowerCase());
}

/** `str.upper`. */
export function upper(run: Run, text: Text): Text {
  return changed(run, text, (value) => value.toUpperCase());
}

/** `str.casefold`. */
export function casefold(run: Run, text: Text): Text {
  return mapped(run, text, foldCase);
}

/** `str.swapcase`. */
export function swapcase(run: Run, text: Text): Text {
  const lower = lowering(text.value);
  return mapped(run, text, (character) => caseOf(character) === "lower" ? character.toUpperCase() : lower(character));
}

/** `str.capitalize`. */
export function capitalize(run: Run, text: Text): Text {
  if (text.value === "") return text;
  const first = text.offset(1);
  const out = new TextBuilder(run.budget);
  out.append(mapped(run, text.slice(0, first), titleCase));
  // As a whole, so that a sigma at the end is the final one.
  const whole = lower(run, text);
  const rest = lower(run, text.slice(first, text.value.length));
  return out.append(whole, whole.value.length - rest.value.length).build(text.markup);
}

/** `str.title`: a letter after what has no case begins a word. */
export function title(run: Run, text: Text): Text {
  let inWord = false;
  const lower = lowering(text.value);
  return mapped(run, text, (character) => {
    const lowered = lower(character);
    const made = inWord ? lowered : titleCase(character);
    inWord = caseOf(character) !== undefined;
    return made;
  });
}

/** `str.islower` and `str.isupper`: there are letters with a case, and all have this one. */
export function hasCase(run: Run, { value }: Text, wanted: "lower" | "upper"): boolean {
  run.budget.step(value.length >> 2);
  let found = false;
  for (const character of value) {
    const kind = caseOf(character);
    if (kind === undefined) continue;
    if (kind !== wanted) return false;
    found = true;
  }
  return found;
}

/** `str.istitle`. */
export function isTitle(run: Run, { value }: Text): boolean {
  run.budget.step(value.length >> 2);
  let [inWord, found] = [false, false];
  for (const character of value) {
    const kind = caseOf(character);
    if (kind === undefined) inWord = false;
    else if ((kind === "lower") !== inWord) return false;
    else [inWord, found] = [true, true];
  }
  return found;
}
