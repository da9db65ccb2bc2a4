/**
 * How a schema is refused: by the place of what is wrong, as a JSON pointer.
 *
 * @module
 */
import { InvalidArgumentError, UnsupportedError } from "../../../ffi/errors.ts";

/** Throws the error for a schema that says something that no schema may say. */
export function refuseSchema(where: string, expected: string, got: string): never {
  throw new InvalidArgumentError(`The schema at ${where || "its root"}: expected ${expected}, got ${got}.`, {
    what: "a schema that cannot be read",
    where,
    expected,
    got,
  });
}

/** Throws the error for a schema that says something that is not enforced. */
export function refuseUnsupported(where: string, expected: string, got: string): never {
  throw new UnsupportedError(`The schema at ${where || "its root"}: ${got} is not enforced; expected ${expected}.`, {
    what: "a schema that is not enforced",
    where,
    expected,
    got,
  });
}
