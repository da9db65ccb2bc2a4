/**
 * Checks of what a caller passes: every option has a kind and a range, and an unknown one is refused, because a misspelt
 * option that is silently ignored costs an afternoon. The errors name the option and say what would be right.
 *
 * @module
 */
import { CancelledError, InvalidArgumentError } from "../../ffi/errors.ts";

/** Throws an {@link InvalidArgumentError} that names an option. */
export function refuseOption(name: string, expected: string, got: unknown): never {
  const shown = show(got);
  throw new InvalidArgumentError(`${name}: expected ${expected}, got ${shown}.`, {
    what: "an option that cannot be used",
    where: name,
    expected,
    got: shown,
  });
}

/** Throws unless `options` is an object whose keys are all in `known`. */
export function checkKeys(what: string, options: object, known: readonly string[]): void {
  if (options === null || typeof options !== "object" || Array.isArray(options)) {
    refuseOption(what, "an object", options);
  }
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) {
      throw new InvalidArgumentError(`${what}: unknown option ${JSON.stringify(key)}; there are ${known.join(", ")}.`, {
        what: "an unknown option",
        where: key,
        expected: `one of ${known.join(", ")}`,
        got: key,
      });
    }
  }
}

/** An integer option within a range, or `otherwise` where it is absent. */
export function integerOption(
  name: string,
  value: number | undefined,
  least: number,
  most: number,
  otherwise: number,
): number {
  if (value === undefined) return otherwise;
  if (!Number.isInteger(value) || value < least || value > most) {
    refuseOption(name, `an integer from ${least} to ${most}`, value);
  }
  return value;
}

/** One of a few values, or `otherwise` where it is absent. */
export function choiceOption<T extends string | number>(
  name: string,
  value: T | undefined,
  choices: readonly T[],
  otherwise: T,
): T {
  if (value === undefined) return otherwise;
  if (!choices.includes(value)) refuseOption(name, choices.map((choice) => JSON.stringify(choice)).join(" or "), value);
  return value;
}

/** True or false, or `otherwise` where it is absent. */
export function booleanOption(name: string, value: boolean | undefined, otherwise: boolean): boolean {
  if (value === undefined) return otherwise;
  if (typeof value !== "boolean") refuseOption(name, "a boolean", value);
  return value;
}

/** Throws unless `value` is absent or a function. */
export function checkFunction(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== "function") refuseOption(name, "a function", value);
}

/** Throws unless `signal` is absent or an AbortSignal; throws a {@link CancelledError} where it has been aborted already. */
export function checkSignal(signal: AbortSignal | undefined): void {
  if (signal === undefined) return;
  if (!(signal instanceof AbortSignal)) refuseOption("signal", "an AbortSignal", signal);
  if (signal.aborted) throw cancelledBy(signal);
}

/** The error for work that `signal` has ended. */
export function cancelledBy(signal: AbortSignal): CancelledError {
  return new CancelledError("Cancelled by the AbortSignal.", { what: "cancelled" }, { cause: signal.reason });
}

function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  if (value === null || typeof value !== "object") return String(value);
  return Array.isArray(value) ? "an array" : value.constructor?.name ?? "an object";
}
