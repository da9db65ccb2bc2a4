/**
 * Stop strings: what is let through, and what it becomes.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import { InvalidArgumentError } from "../ffi/errors.ts";
import { resolveStops, StopFilter } from "../src/text/stop.ts";

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
    assertEquals(resolveStops([]), []);
    assertEquals(resolveStops("x"), ["x"]);
    assertEquals(resolveStops(["x", "y", "x"]), ["x", "y"]);
    for (const wrong of ["", [""], [1], 7, null, { stop: "x" }]) {
      assertThrows(() => resolveStops(wrong as string), InvalidArgumentError, "stop");
    }
  });
});
