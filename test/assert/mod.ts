/**
 * Assertions with the names and argument order of JSR's `@std/assert`, over `node:assert/strict`.
 *
 * JSR cannot be reached everywhere the tests run. They import `@std/assert` by name; the import map (Deno) and a `file:`
 * dependency (Bun) lead here, so moving to the JSR package is one line in each. Only what tests use is here.
 *
 * @module
 */
import nodeAssert, { AssertionError } from "node:assert/strict";

export { AssertionError };

/** A class, abstract or not: what `assertThrows` and `assertInstanceOf` expect. */
// deno-lint-ignore no-explicit-any -- the one way to say "any constructor" in TypeScript
type Class<T = unknown> = abstract new (...args: any[]) => T;

function throwFailure(message: string | undefined, fallback: string, actual?: unknown, expected?: unknown): never {
  throw new AssertionError({ message: message ? `${message}: ${fallback}` : fallback, actual, expected });
}

/** Fails unless `condition` is truthy. */
export function assert(condition: unknown, message = "expected a truthy value"): asserts condition {
  if (!condition) throwFailure(undefined, message, condition, true);
}

/** Fails unless `condition` is falsy. */
export function assertFalse(condition: unknown, message = "expected a falsy value"): void {
  if (condition) throwFailure(undefined, message, condition, false);
}

/** Fails always. */
export function fail(message = "failed"): never {
  throwFailure(undefined, message);
}

/** Fails unless both are deeply equal (`Object.is` for primitives, same prototypes). */
export function assertEquals<T>(actual: T, expected: T, message?: string): void {
  prefixed(message, () => nodeAssert.deepStrictEqual(actual, expected));
}

/** Fails if both are deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, message?: string): void {
  prefixed(message, () => nodeAssert.notDeepStrictEqual(actual, expected));
}

/** Fails unless both are the same value or the same object. */
export function assertStrictEquals<T>(actual: unknown, expected: T, message?: string): asserts actual is T {
  prefixed(message, () => nodeAssert.strictEqual(actual, expected));
}

/** Fails if both are the same value or the same object. */
export function assertNotStrictEquals<T>(actual: T, expected: T, message?: string): void {
  prefixed(message, () => nodeAssert.notStrictEqual(actual, expected));
}

/** Fails unless the numbers differ by at most `tolerance` (default: 1e-7 of the expected value). */
export function assertAlmostEquals(actual: number, expected: number, tolerance?: number, message?: string): void {
  if (Object.is(actual, expected)) return;
  const allowed = tolerance ?? (Number.isFinite(expected) ? Math.abs(expected * 1e-7) : 1e-7);
  const delta = Math.abs(expected - actual);
  if (delta <= allowed) return; // NaN is never within a tolerance
  throwFailure(message, `expected ${actual} to be within ${allowed} of ${expected}, off by ${delta}`, actual, expected);
}

/** Fails unless `actual > expected`. */
export function assertGreater<T>(actual: T, expected: T, message?: string): void {
  if (!(actual > expected)) throwFailure(message, `expected ${actual} > ${expected}`, actual, expected);
}

/** Fails unless `actual >= expected`. */
export function assertGreaterOrEqual<T>(actual: T, expected: T, message?: string): void {
  if (!(actual >= expected)) throwFailure(message, `expected ${actual} >= ${expected}`, actual, expected);
}

/** Fails unless `actual < expected`. */
export function assertLess<T>(actual: T, expected: T, message?: string): void {
  if (!(actual < expected)) throwFailure(message, `expected ${actual} < ${expected}`, actual, expected);
}

/** Fails unless `actual <= expected`. */
export function assertLessOrEqual<T>(actual: T, expected: T, message?: string): void {
  if (!(actual <= expected)) throwFailure(message, `expected ${actual} <= ${expected}`, actual, expected);
}

/** Fails if `actual` is null or undefined. */
export function assertExists<T>(actual: T, message?: string): asserts actual is NonNullable<T> {
  if (actual === undefined || actual === null) throwFailure(message, `expected a value, got ${actual}`, actual);
}

/** Fails unless `actual` is an instance of `type`. */
export function assertInstanceOf<T>(actual: unknown, type: Class<T>, message?: string): asserts actual is T {
  if (actual instanceof type) return;
  throwFailure(message, `expected an instance of ${type.name}, got ${describe(actual)}`, actual, type);
}

/** Fails unless `actual` contains `expected`. */
export function assertStringIncludes(actual: string, expected: string, message?: string): void {
  if (!actual.includes(expected)) {
    throwFailure(
      message,
      `expected ${JSON.stringify(actual)} to contain ${JSON.stringify(expected)}`,
      actual,
      expected,
    );
  }
}

/** Fails unless `actual` matches `expected`. */
export function assertMatch(actual: string, expected: RegExp, message?: string): void {
  if (!expected.test(actual)) {
    throwFailure(message, `expected ${JSON.stringify(actual)} to match ${expected}`, actual, expected);
  }
}

/** Fails if `actual` matches `expected`. */
export function assertNotMatch(actual: string, expected: RegExp, message?: string): void {
  if (expected.test(actual)) {
    throwFailure(message, `expected ${JSON.stringify(actual)} not to match ${expected}`, actual, expected);
  }
}

/** Fails unless each of `expected` is deeply equal to some element of `actual`. */
export function assertArrayIncludes<T>(actual: ArrayLike<T>, expected: ArrayLike<T>, message?: string): void {
  const missing = Array.from(expected).filter((wanted) =>
    !Array.from(actual).some((found) => deepEqual(found, wanted))
  );
  if (missing.length > 0) throwFailure(message, `${missing.length} elements are missing`, actual, missing);
}

/** Fails unless `error` is an Error, of `type` where given, whose message contains `includes`. */
export function assertIsError<E extends Error = Error>(
  error: unknown,
  type?: Class<E>,
  includes?: string | RegExp,
  message?: string,
): asserts error is E {
  if (!(error instanceof Error)) throwFailure(message, `expected an Error, got ${describe(error)}`, error);
  if (type && !(error instanceof type)) {
    throwFailure(message, `expected ${type.name}, got ${describe(error)}: ${error.message}`, error, type);
  }
  if (typeof includes === "string") assertStringIncludes(error.message, includes, message);
  if (includes instanceof RegExp) assertMatch(error.message, includes, message);
}

/** Fails unless `action` throws an Error of `type` whose message contains `includes`; returns the error. */
export function assertThrows<E extends Error = Error>(
  action: () => unknown,
  type?: Class<E>,
  includes?: string,
  message?: string,
): E {
  let error: unknown;
  try {
    action();
  } catch (caught) {
    error = caught;
    assertIsError(error, type, includes, message);
    return error;
  }
  throwFailure(message, "expected the function to throw");
}

/** Fails unless `action`'s promise is rejected with an Error of `type` whose message contains `includes`. */
export async function assertRejects<E extends Error = Error>(
  action: () => PromiseLike<unknown>,
  type?: Class<E>,
  includes?: string,
  message?: string,
): Promise<E> {
  let promise: PromiseLike<unknown>;
  try {
    promise = action();
  } catch (thrown) {
    throwFailure(message, "expected a rejected promise, but the function threw at once", thrown);
  }
  let error: unknown;
  try {
    await promise;
  } catch (caught) {
    error = caught;
    assertIsError(error, type, includes, message);
    return error;
  }
  throwFailure(message, "expected the promise to be rejected");
}

function prefixed(message: string | undefined, check: () => void): void {
  try {
    check();
  } catch (error) {
    // Node would show the message instead of the difference; the difference is what helps.
    if (message !== undefined && error instanceof Error) error.message = `${message}: ${error.message}`;
    throw error;
  }
}

function deepEqual(left: unknown, right: unknown): boolean {
  try {
    nodeAssert.deepStrictEqual(left, right);
    return true;
  } catch {
    return false; // deepStrictEqual has no form that answers yes or no
  }
}

function describe(value: unknown): string {
  if (value === null || typeof value !== "object") return String(value);
  return value.constructor?.name ?? "an object without a prototype";
}
