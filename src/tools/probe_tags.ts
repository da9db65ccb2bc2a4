/**
 * Arguments each between tags of its own: what stands before a name, between name and value, and behind a value, from renderings
 * with none, one and two of them; and how values of other types than strings are written.
 *
 * @module
 */
import type { JsonValue } from "../text/chat/inputs.ts";
import { newWord } from "./nonces.ts";
import { commonSuffix } from "./patterns.ts";
import type { Prober } from "./prober.ts";
import type { Located } from "./probe_arguments.ts";
import { ProbeFailure } from "./probe_failure.ts";
import type { ArgumentsFormat, ValueType } from "./types.ts";

type Tagged = Extract<ArgumentsFormat, { kind: "tagged" }>;

/** What was found around names and values. */
interface Tags {
  readonly between: string;
  readonly beforeName: string;
  readonly beforeValue: string;
  readonly afterValue: Tagged["afterValue"];
  /** What stands in place of the arguments where there are none. */
  readonly empty: string;
  readonly tail: string;
}

/** Finds tags behind a name; `rest` stands behind it in a call with one argument. */
export function taggedArguments(prober: Prober, rest: string): Located {
  const { keys: [key], values: [value] } = prober.words;
  const tags = tagsOf(prober, rest);
  const { beforeName, afterValue, empty } = tags;
  const format: Tagged = {
    kind: "tagged",
    beforeName,
    afterValue,
    ...valuesOf(prober, tags),
    ...(empty === "" ? {} : { empty }),
  };
  const behind = (rest: string, key: string, value: string) => {
    const at = rest.indexOf(value);
    const text = closing(afterValue, key);
    return at >= 0 && rest.startsWith(text, at + value.length)
      ? rest.slice(at + value.length + text.length)
      : undefined;
  };
  if (behind(rest, key, value) === undefined) throw new ProbeFailure("arguments are written in no way that is known");
  return {
    format,
    between: tags.between,
    tail: tags.tail,
    tailOf: behind,
    betweenOf: (rest, key) => {
      const at = rest.indexOf(beforeName + key);
      return at < 0 ? undefined : rest.slice(0, at);
    },
  };
}

/** What stands behind the value of an argument. */
export function closing(afterValue: Tagged["afterValue"], key: string): string {
  return typeof afterValue === "string" ? afterValue : afterValue.join(key);
}

function tagsOf(prober: Prober, rest: string): Tags {
  const { names: [name], keys: [key, second], values: [value, other] } = prober.words;
  const place = { name: rest.indexOf(key), value: rest.indexOf(value) };
  if (place.name < 0 || place.value < place.name) {
    throw new ProbeFailure("arguments are written in no way that is known");
  }
  const beforeValue = rest.slice(place.name + key.length, place.value);
  const behind = rest.slice(place.value + value.length);
  const two = restBehind(prober.calls([{ [key]: value, [second]: other }]), name);
  const none = restBehind(prober.calls([{}]), name);
  const from = two.indexOf(value) + value.length;
  const to = two.indexOf(second);
  const middle = two.slice(from, to);
  const open = rest.slice(0, place.name);
  const shared = commonSuffix(open, middle);
  // What two opening tags share may begin with the end of the closing one: a closing tag ends with its bracket.
  for (let shift = 0; shift < shared.length; shift++) {
    const after = middle.slice(0, middle.length - shared.length + shift);
    const between = open.slice(0, open.length - shared.length + shift);
    const tail = behind.slice(after.length);
    if (!/[>\]]$/.test(after) || !behind.startsWith(after)) continue;
    if (!none.startsWith(between) || !none.endsWith(tail) || none.length < between.length + tail.length) continue;
    const parts = after.split(key);
    if (parts.length > 2) break;
    return {
      between,
      beforeName: shared.slice(shift),
      beforeValue,
      afterValue: parts.length === 2 ? [parts[0], parts[1]] : after,
      empty: none.slice(between.length, none.length - tail.length),
      tail,
    };
  }
  throw new ProbeFailure("what stands around arguments differs from call to call");
}

function restBehind(rendered: string, name: string): string {
  const at = rendered.indexOf(name);
  if (at < 0) throw new ProbeFailure("a call without arguments is not shown");
  return rendered.slice(at + name.length);
}

/** How values of each type are written. */
function valuesOf(prober: Prober, tags: Tags): Pick<Tagged, "beforeValue" | "words"> {
  const { keys: [key], names: [name] } = prober.words;
  const [inner, word] = [newWord(), newWord()];
  const samples: readonly [ValueType, JsonValue, readonly string[]][] = [
    ["number", 70214, ["70214"]],
    ["boolean", true, ["true", "True"]],
    ["null", null, ["null", "None"]],
    ["object", { [inner]: word }, [`{"${inner}": "${word}"}`, `{"${inner}":"${word}"}`]],
    ["array", [word], [`["${word}"]`]],
  ];
  const found: Partial<Record<ValueType, string>> = { string: tags.beforeValue };
  const words = new Set<string>();
  for (const [type, value, spellings] of samples) {
    const rest = restBehind(prober.calls([{ [key]: value }]), name);
    const from = rest.indexOf(key) + key.length;
    const to = rest.indexOf(closing(tags.afterValue, key), from);
    const text = to < 0 ? "" : rest.slice(from, to);
    const spelling = spellings.find((spelling) => text.endsWith(spelling));
    // Values of such a type are then not written at all.
    if (spelling === undefined) continue;
    if (type === "boolean" || type === "null") words.add(/^[TN]/.test(spelling) ? "python" : "json");
    found[type] = text.slice(0, text.length - spelling.length);
  }
  if (words.size > 1) throw new ProbeFailure("true is written in one language and null in another");
  return { beforeValue: found, words: words.has("python") ? "python" : "json" };
}
