/**
 * Sampling settings and stop strings: what is let through, and what it becomes.
 *
 * @module
 */
import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import { InvalidArgumentError } from "../ffi/errors.ts";
import { resolveSampling, type SamplingOptions } from "../src/sampler.ts";
import { resolveStops, StopFilter } from "../src/stop.ts";

describe("sampling settings", () => {
  it("have defaults, and a random seed that is told", () => {
    const { seed, ...rest } = resolveSampling();
    assertEquals(rest, { temperature: Math.fround(0.8), topK: 40, topP: Math.fround(0.95) });
    assert(seed >= 0n && seed < 1n << 64n);
    assertNotEquals(resolveSampling().seed, seed);
  });

  it("reach native code as it can hold them", () => {
    const ends = { temperature: 0, topK: 0, topP: 1, seed: 2n ** 64n - 1n };
    assertEquals(resolveSampling(ends), ends);
    assertEquals(resolveSampling({ seed: 7 }).seed, 7n);
    const least = resolveSampling({ temperature: 1e-300, topP: 1e-300 });
    assert(least.temperature > 0 && Math.fround(least.temperature) > 0, "not greedy by rounding");
    assert(Math.fround(least.topP) > 0);
    assertEquals(resolveSampling({ temperature: 1e9 }).temperature, 1e9);
  });

  it("are refused by name when they mean nothing", () => {
    const wrong: [keyof SamplingOptions, unknown[]][] = [
      ["temperature", [-1, NaN, Infinity, 1e300, "1", null]],
      ["topK", [-1, 1.5, NaN, 2 ** 32, "40", 4n]],
      ["topP", [0, -0.1, 1.01, NaN, "0.9", null]],
      ["seed", [-1, 1.5, NaN, 2 ** 53, 2n ** 64n, -1n, "1", null]],
    ];
    for (const [name, values] of wrong) {
      for (const value of values) {
        const error = assertThrows(
          () => resolveSampling({ [name]: value } as SamplingOptions),
          InvalidArgumentError,
          name,
          `${name} ${String(value)}`,
        );
        assertEquals(error.detail.where, name);
      }
    }
    assertThrows(
      () => resolveSampling({ top_k: 4 } as SamplingOptions),
      InvalidArgumentError,
      'unknown option "top_k"',
    );
    assertThrows(() => resolveSampling(7 as SamplingOptions), InvalidArgumentError, "sampling: expected an object");
    assertThrows(() => resolveSampling([] as SamplingOptions), InvalidArgumentError);
  });
});

/** What a filter shows of a text that comes in pieces, and where it stopped. */
function filter(stops: string[], pieces: Iterable<string>): { shown: string; stopped: boolean } {
  const filter = new StopFilter(stops);
  let shown = "";
  for (const piece of pieces) shown += filter.push(piece);
  shown += filter.end();
  return { shown, stopped: filter.stopped };
}

describe("stop strings", () => {
  it("end the text before them, however it is cut", () => {
    const cases: [stops: string[], text: string, shown: string, stopped: boolean][] = [
      [["END"], "a story END more", "a story ", true],
      [["END"], "an EN", "an EN", false],
      [["END"], "an ENEND", "an EN", true],
      [["aab"], "aaab", "a", true],
      [["abc", "b"], "abc", "a", true],
      [["bc", "abc"], "xabc", "x", true],
      [["\n\n"], "one\n\ntwo", "one", true],
      [["😀😁"], "x😀😀😁", "x😀", true],
      [[], "anything", "anything", false],
    ];
    for (const [stops, text, shown, stopped] of cases) {
      for (let size = 1; size <= text.length; size++) {
        const pieces = Array.from(
          { length: Math.ceil(text.length / size) },
          (_, i) => text.slice(i * size, (i + 1) * size),
        );
        assertEquals(filter(stops, pieces), { shown, stopped }, `${stops} in pieces of ${size}`);
      }
    }
  });

  it("hold back only what may be the beginning of one", () => {
    const filter = new StopFilter(["<end>", "<eof>"]);
    assertEquals(filter.push("a<"), "a");
    assertEquals(filter.push("e"), "");
    assertEquals(filter.push("x"), "<ex");
    assertEquals(filter.push("<eo"), "");
    assertEquals(filter.push("f>after"), "");
    assert(filter.stopped);
    assertEquals([filter.push("more"), filter.end()], ["", ""]);
  });

  it("are strings that are not empty", () => {
    assertEquals(resolveStops(undefined), []);
    assertEquals(resolveStops("x"), ["x"]);
    assertEquals(resolveStops(["x", "y", "x"]), ["x", "y"]);
    for (const wrong of ["", [""], [1], 7, null, { stop: "x" }]) {
      assertThrows(() => resolveStops(wrong as string), InvalidArgumentError, "stop");
    }
  });
});
