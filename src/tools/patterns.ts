/**
 * Patterns from examples: texts that are the same but for ids, names and numbers.
 *
 * @module
 */
import type { FormatPart, FormatPattern } from "./types.ts";

/** What two texts begin with. */
export function commonPrefix(a: string, b: string): string {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return a.slice(0, length);
}

/** What two texts end with. */
export function commonSuffix(a: string, b: string): string {
  let length = 0;
  while (length < a.length && length < b.length && a.at(-1 - length) === b.at(-1 - length)) length++;
  return a.slice(a.length - length);
}

/** The place, or where the tag begins or ends in which it lies: no tag is cut in two. */
export function outsideTag(text: string, place: number, side: "before" | "behind"): number {
  for (const { 0: tag, index } of text.matchAll(/<[^<>]*>/g)) {
    if (index < place && place < index + tag.length) return side === "before" ? index : index + tag.length;
  }
  return place;
}

/** A text as a pattern, with holes for an id and a name; an empty one is nowhere. */
export function withHoles(text: string, id: string, name: string): FormatPattern {
  const parts: FormatPart[] = [];
  let rest = text;
  for (;;) {
    const places = ([[id, "id"], [name, "name"]] as const)
      .map(([word, hole]) => ({ word, hole, at: word === "" ? -1 : rest.indexOf(word) }))
      .filter(({ at }) => at >= 0).sort((a, b) => a.at - b.at);
    const [next] = places;
    if (next === undefined) break;
    if (next.at > 0) parts.push(rest.slice(0, next.at));
    parts.push({ hole: next.hole });
    rest = rest.slice(next.at + next.word.length);
  }
  if (rest !== "") parts.push(rest);
  return parts;
}

/** The pattern of several, with a hole for a number that grows by one; undefined where they differ otherwise. */
export function unified(patterns: readonly FormatPattern[]): FormatPattern | undefined {
  const [first] = patterns;
  if (patterns.some((pattern) => pattern.length !== first.length)) return undefined;
  const parts: FormatPart[] = [];
  for (const [index, part] of first.entries()) {
    const all = patterns.map((pattern) => pattern[index]);
    if (typeof part !== "string") {
      if (all.some((one) => typeof one === "string" || one.hole !== part.hole)) return undefined;
      parts.push(part);
      continue;
    }
    if (all.some((one) => typeof one !== "string")) return undefined;
    const found = unifiedTexts(all as string[]);
    if (found === undefined) return undefined;
    parts.push(...found);
  }
  return parts;
}

function unifiedTexts(texts: readonly string[]): FormatPart[] | undefined {
  if (texts.every((text) => text === texts[0])) return [texts[0]];
  const split = texts.map((text) => text.split(/(\d+)/));
  if (split.some((parts) => parts.length !== split[0].length)) return undefined;
  const parts: FormatPart[] = [];
  for (const [index, part] of split[0].entries()) {
    const all = split.map((one) => one[index]);
    if (all.every((one) => one === part)) {
      if (part !== "") parts.push(part);
    } else if (index % 2 === 1 && all.every((one, count) => Number(one) === Number(part) + count)) {
      parts.push({ hole: "index" });
    } else return undefined;
  }
  return parts;
}

/** What stands before the first call, with a hole where `separator` has one for the number. */
export function withIndex(before: FormatPattern, separator: FormatPattern | undefined): FormatPattern {
  const at = separator?.findIndex((part) => typeof part !== "string" && part.hole === "index") ?? -1;
  const last = before.at(-1);
  if (separator === undefined || at < 0 || typeof last !== "string") return before;
  const behind = separator.slice(at + 1);
  const rest = behind[0] ?? "";
  if (behind.length > 1 || typeof rest !== "string" || !last.endsWith(rest)) return before;
  const found = /^([^]*?)\d+$/.exec(last.slice(0, last.length - rest.length));
  if (found === null) return before;
  return [...before.slice(0, -1), found[1], { hole: "index" }, rest].filter((part) => part !== "") as FormatPart[];
}
