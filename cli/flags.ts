/**
 * Flags of the command from option schemas: what a schema says of an option becomes a line of the table of options, and
 * what was given on the command line becomes options again.
 *
 * @module
 */
import type { AnyOption, Fields } from "../src/options/schema.ts";
import type { Arguments } from "./arguments.ts";
import type { OptionSpec } from "./types.ts";

/** Turns the text of a flag into the value of its option. */
export type FlagReaders = Readonly<Record<string, (text: string) => unknown>>;

/** The flags of `fields`, those of groups included; `names` limits them to some of the options. */
export function flagsOf(fields: Fields, names: readonly string[] = Object.keys(fields)): Record<string, OptionSpec> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const option = fields[name] as AnyOption;
      const own: [string, OptionSpec][] = option.flag === undefined ? [] : [[flagName(name, option), specOf(option)]];
      return [...own, ...Object.entries(flagsOf(option.fields ?? {})).map(optional)];
    }),
  );
}

/** A group may be absent, whatever must be given in it. */
function optional([name, spec]: [string, OptionSpec]): [string, OptionSpec] {
  const { required: _, ...rest } = spec;
  return [name, rest];
}

/** The options of `fields` that the command line sets, to be checked by whom they are for. */
export function optionsFrom<T extends object>(args: Arguments, fields: Fields, readers: FlagReaders = {}): Partial<T> {
  const found = Object.entries(fields).flatMap(([name, option]) => {
    const inner = optionsFrom(args, option.fields ?? {}, readers);
    const value = option.flag === undefined ? undefined : valueOf(args, flagName(name, option), option, readers);
    if (value !== undefined) return [[name, value] as const];
    return Object.keys(inner).length > 0 ? [[name, inner] as const] : [];
  });
  return Object.fromEntries(found) as Partial<T>;
}

function valueOf(args: Arguments, flag: string, { kind, flag: spec }: AnyOption, readers: FlagReaders): unknown {
  if (kind === "boolean") return args.flag(flag) ? true : undefined;
  if (kind === "integer" || kind === "number") return args.number(flag);
  if (kind === "seed") return args.seed(flag);
  const read = readers[flag] ?? String;
  if (spec?.repeats) return args.flag(flag) ? args.list(flag).map(read) : undefined;
  const text = args.text(flag);
  return text === undefined ? undefined : read(text);
}

function flagName(name: string, { flag }: AnyOption): string {
  return flag?.name ?? name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function specOf({ kind, about, expected, otherwise, isRequired, range, choices, flag }: AnyOption): OptionSpec {
  const isFlag = kind === "boolean";
  const text = flag?.about ?? `${about.charAt(0).toLowerCase()}${about.slice(1).replace(/\.$/, "")}`;
  const isComplete = isFlag || isRequired || otherwise === undefined || text.includes("(default:");
  const known = kind === "integer" || kind === "number" || kind === "seed" || kind === "choice";
  return {
    kind: isFlag ? "flag" : flag?.repeats ? "list" : known ? kind : "text",
    about: isComplete ? text : `${text} (default: ${otherwise.replace(/^"(.*)"$/, "$1")})`,
    expected,
    ...range,
    ...(choices === undefined ? {} : { choices: choices.map(String) }),
    ...(flag?.value === undefined ? {} : { value: flag.value }),
    ...(isRequired ? { required: true } : {}),
  };
}
