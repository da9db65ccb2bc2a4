/**
 * Threads of short steps: on steps made of numbers, where it is known which way is the faster one.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import { StepThreads } from "../src/engine/threads.ts";
import { seededRandom } from "../src/tuning/tuner/race.ts";

/** What a step of so many tokens takes with so many threads. */
type Cost = (tokens: number, threads: number) => number;

/** Runs steps; how many of the second half had which number of threads. */
function run(
  chooser: StepThreads,
  cost: Cost,
  tokens: number,
  steps: number,
  seed = 1,
  isShort = true,
): Map<number, number> {
  const random = seededRandom(seed);
  const counts = new Map<number, number>();
  for (let step = 0; step < steps; step++) {
    const threads = chooser.threads(tokens, tokens > 8, 4, isShort);
    if (2 * step >= steps) counts.set(threads, (counts.get(threads) ?? 0) + 1);
    const pause = random() < 0.03 ? 20 * random() : 1;
    chooser.record(cost(tokens, threads) * (1 + 0.2 * random()) * pause);
  }
  return counts;
}

describe("the threads of short steps", () => {
  // Beside its work a step with several threads has 0.1 ms of handing over.
  const cost: Cost = (tokens, threads) => 0.05 * tokens / threads + (threads > 1 ? 0.1 : 0);

  it("is one thread where handing over costs more than the others save, and all threads where it does not", () => {
    for (const isShort of [true, false]) {
      for (let seed = 1; seed <= 20; seed++) {
        const chooser = new StepThreads();
        const small = run(chooser, cost, 1, 1000, seed, isShort);
        const large = run(chooser, cost, 16, 1000, seed, isShort);
        assertEquals([...small.keys()], [1], `seed ${seed}`);
        assertEquals([...large.keys()], [4], `seed ${seed}`);
      }
    }
  });

  it("finds out when it is the other way round, and spends little on looking", () => {
    const chooser = new StepThreads();
    run(chooser, cost, 1, 5000);
    const changed = run(chooser, (_, threads) => 0.5 / threads, 1, 20_000);
    assert((changed.get(4) ?? 0) > 9900, `${changed.get(4)} of 10 000 the faster way`);
    const steady = run(new StepThreads(), cost, 1, 100_000);
    assert((steady.get(4) ?? 0) < 100, `${steady.get(4)} of 50 000 the slower way`);
  });

  it("leaves long steps all threads, and those alone that have one anyway", () => {
    const chooser = new StepThreads();
    const long = run(chooser, (_, threads) => 12 / threads, 1, 4000);
    assertEquals(long, new Map([[4, 2000]]));
    const most = run(chooser, (_, threads) => 4 / threads, 2, 80, 1, false);
    assertEquals(most, new Map([[4, 40]]), "one that takes four times as long is not tried for long");
    assertEquals(chooser.threads(1, false, 1, true), 1);
    assertEquals(chooser.threads(1, false, 3, true), 3, "within the most of that moment");
  });
});
