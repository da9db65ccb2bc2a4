/**
 * Options as data: one object for each option type says what its options are called, what they may be, what holds without
 * them, what they do, and by which flag the command sets them. Checks, defaults, help texts and `docs/options.md` come from
 * it; `satisfies FieldsOf<...>` has the compiler compare it with the type that users see.
 *
 * @module
 */
import { InvalidArgumentError } from "../../ffi/errors.ts";
import { checkObject, guarded, refuseOption } from "./checks.ts";
import { nearestName } from "./suggest.ts";

/** How the command sets an option. */
export interface Flag {
  /** Its name, where it is not the option's with dashes: `maxTokens` is `--max-tokens`. */
  readonly name?: string;
  /** The value's name in the help text. */
  readonly value?: string;
  /** What it does, where the option's own text is not right for a terminal. */
  readonly about?: string;
  /** Whether it may be given more than once, each time with one value of a list. */
  readonly repeats?: true;
}

/** What a value is, as far as the command must know to read it. */
export type OptionKind = "boolean" | "integer" | "number" | "seed" | "choice" | "text" | "group" | "other";

/** What is known of an option without its type. */
export interface AnyOption {
  readonly kind: OptionKind;
  /** What it does: one sentence. */
  readonly about: string;
  /** What it may be, in words. */
  readonly expected: string;
  /** The value without it, in words; undefined where there is none. */
  readonly otherwise: string | undefined;
  /** Whether it must be given. */
  readonly isRequired: boolean;
  /** The least value of a number (`above`: it must be greater), and the largest. */
  readonly range: Range | undefined;
  /** The values of a choice. */
  readonly choices: readonly (string | number)[] | undefined;
  readonly flag: Flag | undefined;
  /** The options of a group. */
  readonly fields: Fields | undefined;
  /** The value, checked, or the default. */
  read(value: unknown, name: string): unknown;
}

/** An option whose values are `T`, which comes to `R`. */
export interface Option<in out T, out R> extends AnyOption {
  /** The value without it. */
  readonly default: T | undefined;
  /** A value in words. */
  readonly format: (value: T) => string;
  read(value: unknown, name: string): R;
}

/** The options of a type, by name. */
export type Fields = Readonly<Record<string, AnyOption>>;

/** The fields that describe the option type `T`: each of its options, and no other. */
export type FieldsOf<T extends object> = {
  readonly [Name in keyof T]-?: Option<Exclude<T[Name], undefined>, unknown>;
};

/** What options come to once they are read. */
export type Resolved<F> = {
  readonly [Name in keyof F]: F[Name] extends { read(value: unknown, name: string): infer R } ? R : never;
};

/** The numbers that an option may be. */
export interface Range {
  readonly least?: number;
  readonly above?: number;
  readonly most: number;
}

/** What every option is made with. */
export interface Spec<T> {
  readonly about: string;
  /** The value without it. */
  readonly default?: T;
  /** The value without it in words, where it depends on something. */
  readonly otherwise?: string;
  /** True where there must be one. */
  readonly required?: true;
  readonly flag?: Flag;
}

/** What reading an option of `T` gives: with a default, or where it must be given, never undefined. */
type Read<T, S> = S extends { readonly default: unknown } | { readonly required: true } ? T : T | undefined;

interface Parts<T, R> {
  readonly kind: OptionKind;
  readonly expected: string;
  /** Throws, or returns what the value comes to. */
  readonly check: (value: unknown, name: string) => R;
  readonly format?: (value: T) => string;
  readonly range?: Range;
  readonly choices?: readonly (string | number)[];
  readonly fields?: Fields;
}

function option<T, R, S extends Spec<T>>(spec: S, parts: Parts<T, R>): Option<T, Read<R, S>> {
  const { kind, expected, check, format = String, range, choices, fields } = parts;
  return {
    kind,
    expected,
    range,
    choices,
    fields,
    format,
    about: spec.about,
    default: spec.default,
    otherwise: spec.otherwise ?? (spec.default === undefined ? undefined : format(spec.default)),
    isRequired: spec.required === true,
    flag: spec.flag,
    read(value, name) {
      if (value === undefined && spec.default !== undefined) return check(spec.default, name) as Read<R, S>;
      if (value === undefined && !spec.required) return undefined as Read<R, S>;
      return guarded(name, () => check(value, name)) as Read<R, S>;
    },
  };
}

/** An integer within a range. */
export function integer<const S extends Spec<number> & { readonly least: number; readonly most: number }>(
  spec: S,
): Option<number, Read<number, S>> {
  const { least, most } = spec;
  const expected = `an integer from ${least} to ${most}`;
  return option<number, number, S>(spec, {
    kind: "integer",
    expected,
    range: { least, most },
    check: (value, name) => {
      if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
      return refuseOption(name, expected, value);
    },
  });
}

/** A number within a range. */
export function number<const S extends Spec<number> & Range>(spec: S): Option<number, Read<number, S>> {
  const { least = -Infinity, above = -Infinity, most } = spec;
  const isOpen = most === Infinity;
  const expected = spec.above === undefined
    ? `a number from ${least} ${isOpen ? "up" : `to ${most}`}`
    : `a number above ${above}${isOpen ? "" : ` and at most ${most}`}`;
  return option<number, number, S>(spec, {
    kind: "number",
    expected,
    range: { ...given({ least: spec.least, above: spec.above }), most },
    check: (value, name) => {
      if (typeof value === "number" && value >= least && value > above && value <= most) return value;
      return refuseOption(name, expected, value);
    },
  });
}

/** One of a few values. */
export function choice<const T extends string | number, const S extends Spec<T>>(
  choices: readonly T[],
  spec: S,
): Option<T, Read<T, S>> {
  const expected = choices.map((value) => JSON.stringify(value)).join(" or ");
  return option<T, T, S>(spec, {
    kind: "choice",
    expected,
    choices,
    check: (value, name) => choices.find((known) => known === value) ?? refuseOption(name, expected, value),
  });
}

/** True or false. */
export function boolean<const S extends Spec<boolean>>(spec: S): Option<boolean, Read<boolean, S>> {
  const expected = "a boolean";
  return option<boolean, boolean, S>(spec, {
    kind: "boolean",
    expected,
    check: (value, name) => typeof value === "boolean" ? value : refuseOption(name, expected, value),
  });
}

/** A string. */
export function text<const S extends Spec<string>>(spec: S): Option<string, Read<string, S>> {
  const expected = "a string";
  return option<string, string, S>(spec, {
    kind: "text",
    expected,
    format: (value) => JSON.stringify(value),
    check: (value, name) => typeof value === "string" ? value : refuseOption(name, expected, value),
  });
}

/** A function that is called with what happens. */
export function callback<T>(spec: Omit<Spec<T>, "default">): Option<T, T | undefined> {
  const expected = "a function";
  return option<T, T, Spec<T>>(spec as Spec<T>, {
    kind: "other",
    expected,
    check: (value, name) => typeof value === "function" ? value as T : refuseOption(name, expected, value),
  });
}

/** An AbortSignal; whether it has been aborted is asked with `assertNotAborted`, once every option is read. */
export function abortSignal(about: string): Option<AbortSignal, AbortSignal | undefined> {
  const expected = "an AbortSignal";
  return option<AbortSignal, AbortSignal, Spec<AbortSignal>>({ about }, {
    kind: "other",
    expected,
    check: (value, name) => value instanceof AbortSignal ? value : refuseOption(name, expected, value),
  });
}

/** A group of options; `group<T>()(fields, spec)`, where `fields` describe `T`. */
export function group<T extends object>() {
  return <F extends FieldsOf<T>, const S extends Spec<T>>(fields: F, spec: S): Option<T, Read<Resolved<F>, S>> =>
    option<T, Resolved<F>, S>(spec, {
      kind: "group",
      expected: "an object",
      fields: fields as unknown as Fields,
      check: (value, name) => readOptions(fields as unknown as Fields, value, name) as Resolved<F>,
    });
}

/** An option with a check of its own; `other<T, R>()(spec)`, where the check turns `T` into `R`. */
export function other<T, R = T>() {
  return <
    const S extends Spec<T> & { readonly expected: string; readonly kind?: OptionKind; readonly fields?: Fields },
  >(
    spec: S,
    check: (value: unknown, name: string) => R,
    format?: (value: T) => string,
  ): Option<T, Read<R, S>> => {
    const { expected, kind = "other", fields } = spec;
    return option<T, R, S>(spec, {
      kind,
      expected,
      check,
      ...given({ format, fields }),
    });
  };
}

/**
 * Reads options: refuses what is no object and names that `fields` doesn't have, checks the values, fills the defaults in.
 * `what` names the options in errors, `prefix` begins the name of each: `cache.bytesMax`.
 */
export function readOptions<F extends Fields>(
  fields: F,
  options: unknown,
  what: string = "options",
  prefix: string = what === "options" ? "" : `${what}.`,
): Resolved<F> {
  return guarded(what, () => {
    checkObject(what, options);
    for (const name of Object.keys(options)) {
      if (!Object.hasOwn(fields, name)) refuseUnknown(what, name, fields);
    }
    const values = options as Readonly<Record<string, unknown>>;
    return Object.fromEntries(
      Object.entries(fields).map(([name, field]) => {
        const where = `${prefix}${name}`;
        return [name, field.read(guarded(where, () => values[name]), where)];
      }),
    ) as Resolved<F>;
  });
}

/** What an option is without a value. */
export function defaultOf<R>(option: { read(value: unknown, name: string): R }): R {
  return option.read(undefined, "default");
}

/** Those of `options` that `fields` has, as they were given. */
export function pickOptions<T extends object>(fields: Fields, options: object): Partial<T> {
  return guarded("options", () =>
    Object.fromEntries(
      Object.entries(options).filter(([name]) => Object.hasOwn(fields, name)),
    )) as Partial<T>;
}

/** Throws for an option that there is none of; says which one may be meant. */
function refuseUnknown(what: string, name: string, fields: Fields): never {
  const known = Object.keys(fields);
  const owner = known.find((key) => Object.hasOwn(fields[key]?.fields ?? {}, name));
  const nearest = owner === undefined ? nearestName(name, known) : undefined;
  const hint = owner !== undefined
    ? `it belongs in ${owner}: { ${name} }`
    : nearest !== undefined
    ? `did you mean ${JSON.stringify(nearest)}?`
    : "";
  const there = `there are ${known.join(", ")}`;
  const shown = JSON.stringify(name.length <= 100 ? name : `${name.slice(0, 100)}...`);
  const rest = hint === "" ? there : hint.endsWith("?") ? `${hint} ${capital(there)}` : `${hint}; ${there}`;
  throw new InvalidArgumentError(`${what}: unknown option ${shown}; ${rest}.`, {
    what: "an unknown option",
    where: name,
    expected: hint === "" ? `one of ${known.join(", ")}` : hint,
    got: name,
  });
}

function capital(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}

/** What of an object is there: without the names whose value is undefined. */
export function given<T extends object>(
  values: T,
):
  & { [Name in keyof T as undefined extends T[Name] ? never : Name]: T[Name] }
  & {
    [Name in keyof T as undefined extends T[Name] ? Name : never]?: Exclude<T[Name], undefined>;
  } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as ReturnType<
    typeof given<T>
  >;
}
