/**
 * How a grammar in text form is refused: by the line of what is wrong.
 *
 * @module
 */
import { InvalidArgumentError } from "../../ffi/errors.ts";

/** Throws the error for a grammar that cannot be read. */
export function refuseGrammar(line: number, expected: string, got: string): never {
  const shown = got.length <= 100 ? got : `${got.slice(0, 100)}...`;
  throw new InvalidArgumentError(`The grammar cannot be read in line ${line}: expected ${expected}, got ${shown}.`, {
    what: "a grammar that cannot be read",
    where: `line ${line}`,
    expected,
    got: shown,
  });
}
