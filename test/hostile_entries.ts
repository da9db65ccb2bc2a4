/**
 * What takes values from a caller, as entries that hostile values are tried on: arguments, and the options of a schema.
 *
 * @module
 */
import type { AnyOption, Fields, OptionKind } from "../src/options/schema.ts";

/** One thing that takes a value. */
export interface Entry {
  readonly name: string;
  readonly call: (value: never) => unknown;
  /** What the value should be, where a schema says it. */
  readonly option?: AnyOption;
}

/** All entries so far. */
export const entries: Entry[] = [];

/** An argument of what `name` says. */
export function argument(name: string, call: (value: never) => unknown): void {
  entries.push({ name, call });
}

/** The options as a whole, and each of them; those of groups, too. */
export function options(name: string, fields: Fields, call: (options: never) => unknown, base: object = {}): void {
  argument(`${name} options`, call);
  for (const [key, option] of Object.entries(fields)) {
    entries.push({ name: `${name} ${key}`, call: (value) => call({ ...base, [key]: value } as never), option });
    for (const [inner, innerOption] of Object.entries(option.fields ?? {})) {
      const make = (value: never) => ({ ...base, [key]: { ...required(option.fields ?? {}), [inner]: value } });
      entries.push({
        name: `${name} ${key}.${inner}`,
        call: (value) => call(make(value) as never),
        option: innerOption,
      });
    }
  }
}

/** Values for the options of a group that must be there. */
function required(fields: Fields): Record<string, unknown> {
  const values: Partial<Record<OptionKind, unknown>> = { number: 0, text: "x", choice: "keep" };
  return Object.fromEntries(
    Object.entries(fields).filter(([, { isRequired }]) => isRequired).map(([name, { kind }]) => [name, values[kind]]),
  );
}

/** The first few of a source. */
export async function drain(source: AsyncIterable<unknown>): Promise<void> {
  let left = 4;
  for await (const _ of source) if (--left === 0) break;
}
