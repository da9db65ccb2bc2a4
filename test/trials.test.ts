/**
 * Whether guesses are made for several sequences at once: as long as they were the faster way when both were tried.
 *
 * @module
 */
import { describe, it } from "node:test";
import { Trials } from "../src/batching/drafting/trials.ts";
import { assertEquals, assertGreater } from "@std/assert";

describe("what is guessed", () => {
  it("is nothing beside others where steps without guesses choose more in their time", () => {
    const trials = new Trials();
    /** Steps of four sequences, of which those with guesses choose eight tokens; how many of them had guesses. */
    const run = (steps: number, msOfGuessed: number) => {
      let guessed = 0;
      for (let step = 0; step < steps; step++) {
        const isGuessing = trials.isGuessing(4);
        guessed += Number(isGuessing);
        trials.record(4, isGuessing, isGuessing ? 8 : 4, isGuessing ? msOfGuessed : 10);
      }
      return guessed;
    };
    assertEquals(trials.isGuessing(1), true);
    assertEquals([run(6, 40), run(6, 40), run(20, 40)], [0, 6, 0]);
    assertEquals(run(970, 40), 30);
    // They begin to pay: that is found out, and kept until they do not.
    assertGreater(run(1000, 10), 700);
    assertGreater(run(1000, 10), 950);
    assertGreater(400, run(1000, 40));
    // As fast is not fast enough: the others wait.
    assertGreater(100, run(2000, 20));
    // Steps without guesses show nothing of them, and other numbers of sequences begin anew.
    assertEquals(trials.isGuessing(16), false);
    for (let step = 0; step < 6; step++) trials.record(16, false, 16, 10);
    for (let step = 0; step < 50; step++) trials.record(16, false, 16, 10);
    assertEquals(trials.isGuessing(16), true);
  });
});
