/**
 * A format made ready for one vocabulary: its texts as a model writes them, with the control tokens that they name.
 *
 * @module
 */
import { refuseOption } from "../options/checks.ts";
import type { ArgumentsFormat, FormatPattern, ToolFormat, ValueType } from "./types.ts";
import { CONTROL, type ControlTokens, type Wire } from "./wire.ts";

/** A pattern of a vocabulary. */
export type WirePattern = readonly (Wire | { readonly hole: "id" | "index" | "name" })[];

/** What stands between name and value of an argument, for the types whose values follow it. */
export interface ValueStart {
  readonly text: Wire;
  readonly types: readonly ValueType[];
}

/** Arguments of a vocabulary. */
export type WireArguments =
  | { readonly kind: "json" }
  | { readonly kind: "quoted"; readonly quote: Wire }
  | { readonly kind: "pythonic"; readonly values?: "python" | "json" }
  | {
    readonly kind: "tagged";
    readonly beforeName: Wire;
    readonly starts: readonly ValueStart[];
    /** What stands behind the value of an argument of a name. */
    readonly afterValue: (name: Wire) => Wire;
    readonly words: "json" | "python";
    readonly empty: Wire;
  };

/** A format of a vocabulary. */
export interface WireFormat {
  /** What it was made of. */
  readonly format: ToolFormat;
  readonly before: WirePattern;
  readonly between: WirePattern;
  readonly arguments: WireArguments;
  readonly separator: WirePattern | undefined;
  readonly end: WirePattern;
  readonly text: { readonly before: Wire; readonly after: Wire } | undefined;
  /** The text that nothing but a call has: a control token, or a whole tag. */
  readonly trigger: Wire;
  /** Whether the trigger is none by itself, so that a call is what an answer begins with. */
  readonly onlyFirst: boolean;
}

/** Makes a format ready. */
export function wireFormat(format: ToolFormat, controls: ControlTokens): WireFormat {
  const read = (text: string) => controls.read(text);
  const pattern = (parts: FormatPattern): WirePattern =>
    parts.map((part) => typeof part === "string" ? read(part) : part);
  const before = pattern(format.before);
  const [first] = before;
  if (typeof first !== "string" || first === "") {
    refuseOption("toolFormat.before", "a pattern that begins with a text", JSON.stringify(format.before));
  }
  // An answer ends with such a token, so that a second call never comes.
  const hasEnd = (parts: WirePattern) => parts.some((part) => typeof part === "string" && controls.hasEnd(part));
  const separator = format.separator && pattern(format.separator);
  const { text } = format;
  return {
    format,
    before,
    between: pattern(format.between),
    arguments: wireArguments(format.arguments, read),
    separator: separator && !hasEnd(separator) ? separator : undefined,
    end: pattern(format.end),
    text: text && { before: read(text.before), after: read(text.after) },
    trigger: triggerOf(first),
    onlyFirst: /^[[{]/.test(first) && !tag.test(first),
  };
}

/** A tag at the beginning of a text, in angle brackets or, of capital letters, in square ones. */
const tag = /^(?:<[^<>\s"]+>|\[[A-Z_]+\])/;

function triggerOf(first: Wire): Wire {
  const control = CONTROL.exec(first);
  return control?.index === 0 ? control[0] : tag.exec(first)?.[0] ?? first;
}

function wireArguments(format: ArgumentsFormat, read: (text: string) => Wire): WireArguments {
  if (format.kind === "quoted") return { kind: "quoted", quote: read(format.quote) };
  if (format.kind !== "tagged") return format;
  const { afterValue, beforeValue, words, empty = "" } = format;
  const byText = new Map<Wire, ValueType[]>();
  for (const [type, text] of Object.entries(beforeValue) as [ValueType, string][]) {
    const wire = read(text);
    byText.set(wire, [...byText.get(wire) ?? [], type]);
  }
  return {
    kind: "tagged",
    beforeName: read(format.beforeName),
    starts: Array.from(byText, ([text, types]) => ({ text, types })),
    afterValue: typeof afterValue === "string"
      ? () => read(afterValue)
      : (name) => read(afterValue[0]) + name + read(afterValue[1]),
    words,
    empty: read(empty),
  };
}
