/**
 * The assertions themselves: each must be able to fail. A test suite over assertions that cannot fail shows nothing.
 *
 * @module
 */
import * as a from "@std/assert";
import { describe, it } from "node:test";

/** Throws unless `action` throws an AssertionError; independent of the assertions under test. */
function fails(action: () => unknown): void {
  try {
    action();
  } catch (error) {
    if (error instanceof a.AssertionError) return;
    throw error;
  }
  throw new Error(`did not fail: ${action}`);
}

describe("assert", () => {
  it("passes what holds", async () => {
    a.assert(1);
    a.assertFalse(0);
    a.assertEquals({ x: [1, NaN] }, { x: [1, NaN] });
    a.assertNotEquals([1], [2]);
    a.assertStrictEquals("x", "x");
    a.assertNotStrictEquals([1], [1]);
    a.assertAlmostEquals(0.1 + 0.2, 0.3);
    a.assertAlmostEquals(1, 1.5, 0.5);
    a.assertAlmostEquals(NaN, NaN);
    a.assertGreater(2, 1);
    a.assertGreaterOrEqual(2, 2);
    a.assertLess(1, 2);
    a.assertLessOrEqual(2, 2);
    a.assertExists(0);
    a.assertInstanceOf(new TypeError(), Error);
    a.assertStringIncludes("story", "tor");
    a.assertMatch("story", /^st/);
    a.assertNotMatch("story", /^or/);
    a.assertArrayIncludes([1, [2], 3], [[2], 1]);
    a.assertStrictEquals(
      a.assertThrows(
        () => {
          throw new RangeError("too far");
        },
        RangeError,
        "far",
      ).message,
      "too far",
    );
    const error = await a.assertRejects(() => Promise.reject(new TypeError("late")), TypeError, "late");
    a.assertStrictEquals(error.message, "late");
  });

  it("fails what does not hold", () => {
    fails(() => a.assert(0));
    fails(() => a.assertFalse(1));
    fails(() => a.fail());
    fails(() => a.assertEquals([1], [2]));
    fails(() => a.assertEquals<unknown>([1], new Uint8Array([1])));
    fails(() => a.assertEquals(0, -0));
    fails(() => a.assertNotEquals([1], [1]));
    fails(() => a.assertStrictEquals([1], [1]));
    fails(() => a.assertNotStrictEquals(1, 1));
    fails(() => a.assertAlmostEquals(1, 1.1));
    fails(() => a.assertAlmostEquals(NaN, 1, Infinity));
    fails(() => a.assertGreater(1, 1));
    fails(() => a.assertGreaterOrEqual(NaN, 1));
    fails(() => a.assertLess(1, 1));
    fails(() => a.assertLessOrEqual(2, 1));
    fails(() => a.assertExists(null));
    fails(() => a.assertInstanceOf(new Error(), TypeError));
    fails(() => a.assertStringIncludes("story", "x"));
    fails(() => a.assertMatch("story", /x/));
    fails(() => a.assertNotMatch("story", /s/));
    fails(() => a.assertArrayIncludes([1], [2]));
    fails(() => a.assertThrows(() => 1));
    fails(() =>
      a.assertThrows(() => {
        throw new Error("x");
      }, TypeError)
    );
    fails(() =>
      a.assertThrows(
        () => {
          throw new Error("x");
        },
        Error,
        "y",
      )
    );
  });

  it("fails what is not rejected", async () => {
    const actions: (() => Promise<unknown>)[] = [
      () => Promise.resolve(1),
      () => Promise.reject(new Error("x")),
      () => {
        throw new TypeError("at once");
      },
    ];
    for (const action of actions) {
      let failed = false;
      try {
        await a.assertRejects(action, TypeError);
      } catch (error) {
        failed = error instanceof a.AssertionError;
      }
      if (!failed) throw new Error(`did not fail: ${action}`);
    }
  });

  it("puts the message before the difference", () => {
    const error = a.assertThrows(() => a.assertEquals([1], [2], "ids"), a.AssertionError, "ids: ");
    a.assertStringIncludes(error.message, "2");
  });
});
