/**
 * Cutting strings: `strip`, `split`, `partition`, `splitlines`, `replace`, and looking for what is in them.
 *
 * @module
 */
import { isLineEnd, isSpace } from "./characters.ts";
import { Failure } from "./failure.ts";
import { type Text, TextBuilder } from "./marked.ts";
import type { Run } from "./types.ts";

/** Which ends of a string are meant. */
export type Ends = "left" | "right" | "both";

/** `str.strip`: without the white space, or the characters given, at its ends. */
export function strip(run: Run, text: Text, characters: Text | undefined, ends: Ends = "both"): Text {
  const { value } = text;
  const wanted = characters === undefined ? undefined : new Set(characters.value);
  run.budget.scan(characters?.value.length ?? 0);
  const goes = (at: number, length: number) =>
    wanted === undefined ? isSpace(value.charCodeAt(at)) : wanted.has(value.slice(at, at + length));
  let [start, end] = [0, value.length];
  if (ends !== "right") {
    for (; start < end; start += sizeAt(value, start)) if (!goes(start, sizeAt(value, start))) break;
  }
  if (ends !== "left") {
    for (; end > start; end -= sizeBefore(value, end)) {
      if (!goes(end - sizeBefore(value, end), sizeBefore(value, end))) break;
    }
  }
  run.budget.step((start + value.length - end) >> 2);
  return text.slice(start, end);
}

function sizeAt(value: string, at: number): number {
  return (value.charCodeAt(at) & 0xfc00) === 0xd800 ? 2 : 1;
}

function sizeBefore(value: string, end: number): number {
  return (value.charCodeAt(end - 1) & 0xfc00) === 0xdc00 ? 2 : 1;
}

/** `str.split` and `str.rsplit`; without a separator at runs of white space. */
export function split(run: Run, text: Text, separator: Text | undefined, most: number, fromRight = false): Text[] {
  run.budget.scan(text.value.length);
  const limit = most < 0 ? Infinity : most;
  if (separator === undefined) return fromRight ? wordsFromRight(run, text, limit) : words(run, text, limit);
  if (separator.value === "") throw new Failure("ValueError", "empty separator");
  const { value } = text;
  const size = separator.value.length;
  const parts: Text[] = [];
  if (fromRight) {
    let end = value.length;
    while (parts.length < limit) {
      const at = end < size ? -1 : value.lastIndexOf(separator.value, end - size);
      if (at < 0) break;
      parts.push(cut(run, text, at + size, end));
      end = at;
    }
    parts.push(cut(run, text, 0, end));
    return parts.reverse();
  }
  let start = 0;
  while (parts.length < limit) {
    const at = value.indexOf(separator.value, start);
    if (at < 0) break;
    parts.push(cut(run, text, start, at));
    start = at + size;
  }
  parts.push(cut(run, text, start, value.length));
  return parts;
}

function cut(run: Run, text: Text, start: number, end: number): Text {
  run.budget.step();
  return text.slice(start, end);
}

function words(run: Run, text: Text, limit: number): Text[] {
  const { value } = text;
  const parts: Text[] = [];
  for (let at = 0;;) {
    while (at < value.length && isSpace(value.charCodeAt(at))) at++;
    if (at === value.length) return parts;
    if (parts.length >= limit) return [...parts, strip(run, text.slice(at, value.length), undefined, "right")];
    const start = at;
    while (at < value.length && !isSpace(value.charCodeAt(at))) at++;
    parts.push(cut(run, text, start, at));
  }
}

function wordsFromRight(run: Run, text: Text, limit: number): Text[] {
  const { value } = text;
  const parts: Text[] = [];
  for (let at = value.length;;) {
    while (at > 0 && isSpace(value.charCodeAt(at - 1))) at--;
    if (at === 0) return parts.reverse();
    if (parts.length >= limit) return [strip(run, text.slice(0, at), undefined, "left"), ...parts.reverse()];
    const end = at;
    while (at > 0 && !isSpace(value.charCodeAt(at - 1))) at--;
    parts.push(cut(run, text, at, end));
  }
}

/** `str.splitlines`. */
export function splitLines(run: Run, text: Text, keepEnds: boolean): Text[] {
  const { value } = text;
  run.budget.scan(4 * value.length);
  const lines: Text[] = [];
  for (let start = 0; start < value.length;) {
    let end = start;
    while (end < value.length && !isLineEnd(value.charCodeAt(end))) end++;
    const next = Math.min(value.length, end + (value.startsWith("\r\n", end) ? 2 : 1));
    lines.push(cut(run, text, start, keepEnds ? next : end));
    start = next;
  }
  return lines;
}

/** `str.replace`; where `old` is empty, `next` comes between all characters. */
export function replace(run: Run, text: Text, old: Text, next: Text, most: number): Text {
  const { value } = text;
  run.budget.scan(value.length);
  const limit = most < 0 ? Infinity : most;
  const size = old.value.length;
  const out = new TextBuilder(run.budget);
  let [done, count] = [0, 0];
  if (size === 0) {
    for (let at = 0; count < limit; count++) {
      run.budget.step();
      out.append(next);
      if (at >= value.length) return out.build(text.markup);
      const end = at + sizeAt(value, at);
      out.append(text, at, end);
      done = at = end;
    }
    return out.append(text, done).build(text.markup);
  }
  for (let at = value.indexOf(old.value); at >= 0 && count < limit; at = value.indexOf(old.value, done), count++) {
    run.budget.step();
    out.append(text, done, at).append(next);
    done = at + size;
  }
  return count === 0 ? text : out.append(text, done).build(text.markup);
}

/** `str.partition` and `str.rpartition`. */
export function partition(run: Run, text: Text, separator: Text, fromRight: boolean): [Text, Text, Text] {
  if (separator.value === "") throw new Failure("ValueError", "empty separator");
  run.budget.scan(text.value.length);
  const { value } = text;
  const at = fromRight ? value.lastIndexOf(separator.value) : value.indexOf(separator.value);
  const nothing = text.slice(0, 0);
  if (at < 0) return fromRight ? [nothing, nothing, text] : [text, nothing, nothing];
  // The separator is the argument's, as in Python; the text has the same characters there.
  return [
    text.slice(0, at),
    text.slice(at, at + separator.value.length),
    text.slice(at + separator.value.length, value.length),
  ];
}

/** Where in a string something begins, by Python's index within `start` and `end`; -1 where it does not. */
export function find(run: Run, text: Text, wanted: Text, range: Bounds, fromRight: boolean): number {
  run.budget.scan(text.value.length);
  const [start, end] = bounded(text, range);
  if (start > end) return -1;
  const within = text.value.slice(start, end);
  const at = fromRight ? within.lastIndexOf(wanted.value) : within.indexOf(wanted.value);
  return at < 0 ? -1 : text.index(start + at);
}

/** `str.count`. */
export function count(run: Run, text: Text, wanted: Text, range: Bounds): number {
  run.budget.scan(text.value.length);
  const [start, end] = bounded(text, range);
  if (start > end) return 0;
  if (wanted.value === "") return text.index(end) - text.index(start) + 1;
  let found = 0;
  for (let at = text.value.indexOf(wanted.value, start); at >= 0; found++) {
    if (at + wanted.value.length > end) break;
    at = text.value.indexOf(wanted.value, at + wanted.value.length);
  }
  return found;
}

/** `str.startswith` and `str.endswith` for one string. */
export function hasAtEnd(text: Text, wanted: Text, range: Bounds, atStart: boolean): boolean {
  const [start, end] = bounded(text, range);
  if (start > end) return false;
  const within = text.value.slice(start, end);
  return atStart ? within.startsWith(wanted.value) : within.endsWith(wanted.value);
}

/** Python's indexes of a part; negative ones count from the end. */
export interface Bounds {
  readonly start: number;
  readonly end: number;
}

/** The offsets of a part; the first beyond the second where there is none. */
function bounded(text: Text, { start, end }: Bounds): [number, number] {
  const { length } = text;
  const clamp = (at: number) => at < 0 ? Math.max(0, at + length) : at;
  const from = clamp(start);
  const to = Math.min(length, clamp(end));
  return from > length || from > to ? [1, 0] : [text.offset(from), text.offset(to)];
}
