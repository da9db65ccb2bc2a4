/**
 * The methods of strings by name.
 *
 * @module
 */
import { bind, intOr, textOr, textOrNone } from "./arguments.ts";
import { isDecimal, isDigit, isIdentifier, isLetter, isNumeric, isPrintable, isSpace } from "./characters.ts";
import { Failure, unsupported, wrongType } from "./failure.ts";
import { escapeHtml } from "./html.ts";
import { EMPTY, Text } from "./marked.ts";
import { capitalize, casefold, hasCase, isTitle, lower, swapcase, title, upper } from "./string_cases.ts";
import {
  type Bounds,
  count,
  type Ends,
  find,
  hasAtEnd,
  partition,
  replace,
  split,
  splitLines,
  strip,
} from "./string_cuts.ts";
import { expandTabs, join, justify, makeTranslation, translate, zeroFill } from "./string_fills.ts";
import type { Method, Run } from "./types.ts";
import { int, type Keywords, List, NONE, Tuple, typeName, type Value } from "./values.ts";

/** A method whose receiver is a string; what it makes of one marked as `safe` is marked, too. */
function method(run: (run: Run, self: Text, args: readonly Value[], keywords: Keywords) => Value): Method {
  return (context, self, args, keywords) => {
    const text = self as Text;
    context.budget.scan(text.uncounted);
    const value = run(context, text, args, keywords);
    if (!text.markup) return value;
    const mark = (part: Value) => part instanceof Text ? part.withMarkup(true) : part;
    if (value instanceof List) return new List(value.items.map(mark));
    return value instanceof Tuple ? new Tuple(value.items.map(mark)) : mark(value);
  };
}

const plain = (change: (run: Run, self: Text) => Value) =>
  method((run, self, args, keywords) => {
    bind("method", { names: [] }, args, keywords);
    return change(run, self);
  });

const stripping = (name: string, ends: Ends) =>
  method((run, self, args, keywords) => {
    const [characters] = bind(name, { names: ["chars"], byPlace: 1 }, args, keywords);
    return strip(run, self, textOrNone(name, characters), ends);
  });

const splitting = (name: string, fromRight: boolean) =>
  method((run, self, args, keywords) => {
    const [separator, most] = bind(name, { names: ["sep", "maxsplit"] }, args, keywords);
    return new List(split(run, self, textOrNone(name, separator), intOr(name, most, -1), fromRight));
  });

const parting = (name: string, fromRight: boolean) =>
  method((run, self, args, keywords) => {
    const [separator] = bind(name, { names: ["sep"], required: 1, byPlace: 1 }, args, keywords);
    return new Tuple(partition(run, self, textOr(name, separator, EMPTY), fromRight));
  });

const justifying = (name: string, side: "left" | "right" | "center") =>
  method((run, self, args, keywords) => {
    const [width, fill] = bind(name, { names: ["width", "fillchar"], required: 1, byPlace: 2 }, args, keywords);
    return justify(run, self, intOr(name, width, 0), textOr(name, fill, Text.of(" ", true)), side);
  });

function boundsOf(name: string, start: Value | undefined, end: Value | undefined): Bounds {
  return {
    start: start === NONE ? 0 : intOr(name, start, 0),
    end: end === NONE ? Infinity : intOr(name, end, Infinity),
  };
}

const finding = (name: string, fromRight: boolean, fails: boolean) =>
  method((run, self, args, keywords) => {
    const [wanted, start, end] = bind(
      name,
      { names: ["sub", "start", "end"], required: 1, byPlace: 3 },
      args,
      keywords,
    );
    const at = find(run, self, textOr(name, wanted, EMPTY), boundsOf(name, start, end), fromRight);
    if (at < 0 && fails) throw new Failure("ValueError", "substring not found");
    return int(at);
  });

const ending = (name: string, atStart: boolean) =>
  method((run, self, args, keywords) => {
    const [wanted, start, end] = bind(
      name,
      { names: ["prefix", "start", "end"], required: 1, byPlace: 3 },
      args,
      keywords,
    );
    const bounds = boundsOf(name, start, end);
    const candidates = wanted instanceof Tuple ? wanted.items : [wanted as Value];
    return candidates.some((candidate) => {
      if (!(candidate instanceof Text)) {
        return wrongType(`${name} first arg must be str or a tuple of str, not ${typeName(candidate)}`);
      }
      run.budget.scan(candidate.value.length);
      return hasAtEnd(self, candidate, bounds, atStart);
    });
  });

const removing = (name: string, atStart: boolean) =>
  method((_, self, args, keywords) => {
    const [given] = bind(name, { names: ["affix"], required: 1, byPlace: 1 }, args, keywords);
    const affix = textOr(name, given, EMPTY);
    const end = self.value.length;
    if (!hasAtEnd(self, affix, { start: 0, end: Infinity }, atStart)) return self;
    return atStart ? self.slice(affix.value.length, end) : self.slice(0, end - affix.value.length);
  });

/** Whether a string has characters and all pass. */
const every = (passes: (character: string) => boolean, whenEmpty = false) =>
  plain((run, self) => {
    run.budget.step(self.value.length >> 2);
    if (self.value === "") return whenEmpty;
    for (const character of self.value) if (!passes(character)) return false;
    return true;
  });

const code = (character: string) => character.codePointAt(0) as number;
const isAlphanumeric = (character: string) => isLetter(code(character)) || isNumeric(character);

/** The methods of strings, except for those that put values in (`format` and its kin). */
export const stringMethods: ReadonlyMap<string, Method> = new Map<string, Method>([
  ["capitalize", plain(capitalize)],
  ["casefold", plain(casefold)],
  ["lower", plain(lower)],
  ["swapcase", plain(swapcase)],
  ["title", plain(title)],
  ["upper", plain(upper)],
  ["strip", stripping("strip", "both")],
  ["lstrip", stripping("lstrip", "left")],
  ["rstrip", stripping("rstrip", "right")],
  ["split", splitting("split", false)],
  ["rsplit", splitting("rsplit", true)],
  ["partition", parting("partition", false)],
  ["rpartition", parting("rpartition", true)],
  ["center", justifying("center", "center")],
  ["ljust", justifying("ljust", "left")],
  ["rjust", justifying("rjust", "right")],
  ["find", finding("find", false, false)],
  ["rfind", finding("rfind", true, false)],
  ["index", finding("index", false, true)],
  ["rindex", finding("rindex", true, true)],
  ["startswith", ending("startswith", true)],
  ["endswith", ending("endswith", false)],
  ["removeprefix", removing("removeprefix", true)],
  ["removesuffix", removing("removesuffix", false)],
  ["isalnum", every(isAlphanumeric)],
  ["isalpha", every((character) => isLetter(code(character)))],
  ["isascii", every((character) => character < "\x80", true)],
  ["isdecimal", every(isDecimal)],
  ["isdigit", every(isDigit)],
  ["isnumeric", every(isNumeric)],
  ["isprintable", every((character) => isPrintable(code(character)), true)],
  ["isspace", every((character) => isSpace(code(character)))],
  ["isidentifier", plain((_, self) => isIdentifier(self.value))],
  ["islower", plain((run, self) => hasCase(run, self, "lower"))],
  ["isupper", plain((run, self) => hasCase(run, self, "upper"))],
  ["istitle", plain(isTitle)],
  [
    "splitlines",
    method((run, self, args, keywords) => {
      const [keepEnds] = bind("splitlines", { names: ["keepends"] }, args, keywords);
      return new List(splitLines(run, self, intOr("splitlines", keepEnds, 0) !== 0));
    }),
  ],
  [
    "replace",
    method((run, self, args, keywords) => {
      const [old, next, most] = bind(
        "replace",
        { names: ["old", "new", "count"], required: 2, byPlace: 3 },
        args,
        keywords,
      );
      const text = textOr("replace", next, EMPTY);
      return replace(
        run,
        self,
        textOr("replace", old, EMPTY),
        self.markup ? escapeHtml(run, text) : text,
        intOr("replace", most, -1),
      );
    }),
  ],
  [
    "count",
    method((run, self, args, keywords) => {
      const [sub, start, end] = bind(
        "count",
        { names: ["sub", "start", "end"], required: 1, byPlace: 3 },
        args,
        keywords,
      );
      return int(count(run, self, textOr("count", sub, EMPTY), boundsOf("count", start, end)));
    }),
  ],
  [
    "join",
    method((run, self, args, keywords) => {
      const [items] = bind("join", { names: ["iterable"], required: 1, byPlace: 1 }, args, keywords);
      return join(run, self, items as Value);
    }),
  ],
  [
    "zfill",
    method((run, self, args, keywords) => {
      const [width] = bind("zfill", { names: ["width"], required: 1, byPlace: 1 }, args, keywords);
      return zeroFill(run, self, intOr("zfill", width, 0));
    }),
  ],
  [
    "expandtabs",
    method((run, self, args, keywords) => {
      const [size] = bind("expandtabs", { names: ["tabsize"] }, args, keywords);
      return expandTabs(run, self, intOr("expandtabs", size, 8));
    }),
  ],
  [
    "translate",
    method((run, self, args, keywords) => {
      const [table] = bind("translate", { names: ["table"], required: 1, byPlace: 1 }, args, keywords);
      return translate(run, self, table as Value);
    }),
  ],
  [
    "maketrans",
    method((run, _, args, keywords) => {
      const [from, to, gone] = bind("maketrans", { names: ["x", "y", "z"], required: 1, byPlace: 3 }, args, keywords);
      return makeTranslation(
        run,
        from as Value,
        textOr("maketrans", to, undefined),
        textOr("maketrans", gone, undefined),
      );
    }),
  ],
  [
    "encode",
    method(() => {
      throw unsupported("str.encode", "a prompt has no use for bytes");
    }),
  ],
]);
