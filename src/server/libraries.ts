/**
 * What the server takes from other packages: hono finds the route of a request, zod reads bodies that are trees. They are named
 * here alone, so that the package of npm can have them bundled in this one file, and nothing but the server loads them.
 *
 * @module
 */
export { Hono } from "hono/tiny";
export {
  array,
  boolean,
  catchall,
  custom,
  discriminatedUnion,
  enum as oneOf,
  literal,
  nullish,
  number,
  object,
  optional,
  type output,
  pipe,
  record,
  safeParse,
  string,
  transform,
  union,
  unknown,
} from "zod/mini";
export type { core } from "zod/mini";
