/**
 * How the arguments of a call come to the parameters of a built-in function: by place, then by name, as Python binds them.
 *
 * @module
 */
import { Failure, wrongType } from "./failure.ts";
import { Text } from "./marked.ts";
import { index as indexOf } from "./numbers.ts";
import { isTrue, type Keywords, NONE, typeName, type Value } from "./values.ts";

/** The parameters of a built-in function: `required` of `names` have no default, `byPlace` cannot be given by name. */
export interface Parameters {
  readonly names: readonly string[];
  readonly required?: number;
  readonly byPlace?: number;
}

/** The values of the parameters in their order; those not given are undefined. */
export function bind(
  name: string,
  { names, required = 0, byPlace = 0 }: Parameters,
  args: readonly Value[],
  keywords: Keywords,
): (Value | undefined)[] {
  if (args.length > names.length) {
    return wrongType(`${name}() takes at most ${names.length} arguments (${args.length} given)`);
  }
  const bound: (Value | undefined)[] = names.map((_, place) => args[place]);
  for (const [key, value] of keywords) {
    const place = names.indexOf(key);
    if (place < byPlace) return wrongType(`${name}() got an unexpected keyword argument '${key}'`);
    if (place < args.length) return wrongType(`${name}() got multiple values for argument '${key}'`);
    bound[place] = value;
  }
  const missing = bound.findIndex((value, place) => place < required && value === undefined);
  if (missing >= 0) return wrongType(`${name}() missing required argument '${names[missing]}'`);
  return bound;
}

/** A string argument, or `otherwise` where none is given. */
export function textOr<T>(name: string, value: Value | undefined, otherwise: T): Text | T {
  if (value === undefined) return otherwise;
  if (!(value instanceof Text)) return wrongType(`${name}(): expected str, not ${typeName(value)}`);
  return value;
}

/** A string argument or None, which counts as none given. */
export function textOrNone(name: string, value: Value | undefined): Text | undefined {
  return value === NONE ? undefined : textOr(name, value, undefined);
}

/** An integer argument. */
export function intOr(name: string, value: Value | undefined, otherwise: number): number {
  return value === undefined ? otherwise : indexOf(value, `${name}()`);
}

/** A flag. */
export function flagOr(value: Value | undefined, otherwise: boolean): boolean {
  return value === undefined ? otherwise : isTrue(value);
}

/** Fails where a filter is given what it cannot use. */
export function badArgument(message: string): never {
  throw new Failure("FilterArgumentError", message);
}
