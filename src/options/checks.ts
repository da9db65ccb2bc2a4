/**
 * Checks of what a caller passes, and how they say what is wrong: every error names the option or argument and says what
 * would be right. A value that throws while it is looked at (a proxy, a getter) is refused like any other.
 *
 * @module
 */
import { CancelledError, InvalidArgumentError, LightGPTError } from "../../ffi/errors.ts";

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

/** What `action` returns; what a hostile value throws while `action` looks at it becomes an error that names it. */
export function guarded<T>(name: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof LightGPTError) throw error;
    const expected = "a value that can be read";
    throw new InvalidArgumentError(`${name}: expected ${expected}, got one that throws.`, {
      what: "a value that throws while it is read",
      where: name,
      expected,
      got: "a value that throws",
    }, { cause: error });
  }
}

/** Throws unless `value` is an object of names and values; an array, a Map or a Promise that was not awaited is none. */
export function checkObject(name: string, value: unknown): asserts value is object {
  const kind = guarded(name, () => Object.prototype.toString.call(value));
  if (kind !== "[object Object]" && kind !== "[object Module]") refuseOption(name, "an object", value);
}

/** Throws unless `value` is an object of the class `type`; `what` says what would be right, such as "a Model". */
export function checkInstance<T>(
  name: string,
  value: unknown,
  type: { readonly prototype: T; [Symbol.hasInstance](value: unknown): boolean },
  what: string,
): asserts value is T {
  if (!guarded(name, () => value instanceof type)) refuseOption(name, what, value);
}

/** Throws unless `value` is an integer within a range. */
export function checkInteger(name: string, value: unknown, least: number, most: number): asserts value is number {
  if (!Number.isInteger(value) || (value as number) < least || (value as number) > most) {
    refuseOption(name, `an integer from ${least} to ${most}`, value);
  }
}

/** Throws unless `value` is a string. */
export function checkText(name: string, value: unknown): asserts value is string {
  if (typeof value !== "string") refuseOption(name, "a string", value);
}

/** Throws unless `value` is absent or a function. */
export function checkFunction(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== "function") refuseOption(name, "a function", value);
}

/** Throws a {@link CancelledError} where `signal` has been aborted. */
export function assertNotAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw cancelledBy(signal);
}

/** The error for work that `signal` has ended. */
export function cancelledBy(signal: AbortSignal): CancelledError {
  return new CancelledError("Cancelled by the AbortSignal.", { what: "cancelled" }, { cause: signal.reason });
}

/** A value in a few words, whatever it does while it is looked at. */
function show(value: unknown): string {
  if (typeof value === "string") return shortened(JSON.stringify(value));
  if (typeof value === "bigint") return shortened(`${value}n`);
  if (typeof value === "function") return "a function";
  if (value === null || typeof value !== "object") return String(value);
  try {
    if (Array.isArray(value)) return "an array";
    const name: unknown = value.constructor?.name;
    return typeof name === "string" && name !== "" ? shortened(name) : "an object";
  } catch (error) {
    // A proxy or a getter of the caller; the error that is under way says what was expected.
    return error instanceof Error ? "an object that throws" : "an object that throws something";
  }
}

/** A text cut to what a message, which is one line, has room for. */
function shortened(text: string): string {
  return text.length <= 100 ? text : `${text.slice(0, 100)}... (${text.length} characters)`;
}
