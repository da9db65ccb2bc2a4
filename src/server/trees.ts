/**
 * Reads the parts of a body that are trees: messages, items, tools. A schema of zod says what they are; what is wrong is refused by
 * its path, as all fields are.
 *
 * @module
 */
import { refuse } from "./failure.ts";
import { catchall, type core, custom, object, optional, type output, safeParse, string, unknown } from "./libraries.ts";

/** What reads a value. */
export type Schema = core.$ZodType;

/** Something wrong in a value. */
interface Issue {
  readonly code?: string | undefined;
  readonly message: string;
  readonly path: readonly PropertyKey[];
  readonly errors?: readonly (readonly Issue[])[];
}

const nothing = custom<null | readonly never[]>(
  (value) => value === null || (Array.isArray(value) && value.length === 0),
  "it is not supported",
);

/** A text, and any value. */
export const text = string("expected a text");
export const any = optional(unknown());

/** An object of these fields. Others may be there if they say nothing: clients send what they got. */
export function known<Shape extends core.$ZodLooseShape>(shape: Shape, expected: string = "expected an object") {
  return catchall(object(shape, expected), nothing);
}

/** A value by its schema; `where` names it in errors. */
export function readTree<S extends Schema>(schema: S, value: unknown, where: string): output<S> {
  const { success, data, error } = safeParse(schema, value);
  if (success) return data as output<S>;
  const { path, message } = deepest(error.issues);
  const name = path.reduce<string>(
    (before, part) => `${before}${typeof part === "number" ? `[${part}]` : `.${String(part)}`}`,
    where,
  );
  return refuse(name, `${name}: ${message}.`);
}

/** The first thing that is wrong; of several forms that a value may have, the one that goes on longest. */
function deepest(issues: readonly Issue[]): Issue {
  const [first] = issues;
  const inner = (first.errors ?? []).map(deepest).sort((a, b) => b.path.length - a.path.length)[0];
  if (inner === undefined || inner.path.length === 0) return first;
  return { ...inner, path: [...first.path, ...inner.path] };
}
