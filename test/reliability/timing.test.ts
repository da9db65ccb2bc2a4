/**
 * What another tenant's prompts are cannot be told by time: the first token after a prefix that one tenant has used comes as late
 * for another tenant as after a prefix that nothing has used. The tenant itself has it sooner, which shows that the
 * measurement would see a difference.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import { LightGPT } from "../../mod.ts";
import { note, often } from "../counts.ts";
import { randomFrom } from "../simulation.ts";

/** The probability that two samples of one distribution differ so much in rank (Mann and Whitney), by its normal approximation. */
function probability(a: readonly number[], b: readonly number[]): number {
  const all = [...a.map((value) => ({ value, isA: true })), ...b.map((value) => ({ value, isA: false }))];
  all.sort((x, y) => x.value - y.value);
  const rankSum = all.reduce((sum, { isA }, index) => sum + (isA ? index + 1 : 0), 0);
  const mean = a.length * (all.length + 1) / 2;
  const deviation = Math.sqrt(a.length * b.length * (all.length + 1) / 12);
  return 2 * (1 - normal(Math.abs(rankSum - mean) / deviation));
}

/** The normal distribution, to 1e-7 (Abramowitz and Stegun 26.2.17). */
function normal(x: number): number {
  const t = 1 / (1 + 0.2316419 * x);
  const terms = [1.330274429, -1.821255978, 1.781477937, -0.356563782, 0.319381530];
  return 1 - Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI) * terms.reduce((sum, term) => (sum + term) * t, 0);
}

describe("another tenant's prefix", () => {
  it("tells nothing by its time", async () => {
    await using lm = await LightGPT.load(undefined, { threads: 1 });
    const random = randomFrom(7);
    const prompt = () => Array.from({ length: 128 }, () => 300 + random(1500));
    const first = async (tokens: number[], tenant: string) => {
      const begin = performance.now();
      await lm.complete(tokens, { maxTokens: 1, tenant, sampling: { temperature: 0 } });
      return performance.now() - begin;
    };
    for (let warm = 0; warm < 5; warm++) await first(prompt(), "other");
    const probes = often(60, 400);
    const measure = async () => {
      const [cold, probed, own]: [number[], number[], number[]] = [[], [], []];
      for (let probe = 0; probe < probes; probe++) {
        const secret = prompt();
        await first(secret, "victim");
        // In an order that changes, so that what the machine does meanwhile falls on all alike.
        const times = [
          async () => void cold.push(await first(prompt(), "attacker")),
          async () => void probed.push(await first([...secret], "attacker")),
        ];
        for (const time of random(2) === 0 ? times : times.reverse()) await time();
        own.push(await first([...secret], "victim"));
      }
      assertEquals([cold.length, probed.length, own.length], [probes, probes, probes]);
      note(23, "probes of another tenant's prefix", probes);
      return [probability(cold, probed), probability(cold, own)];
    };
    let [told, seen] = await measure();
    // One measurement in a thousand is unlike by chance, and a busy machine hides what is there; not three times.
    for (let again = 0; again < 2 && (seen >= 1e-6 || told <= 0.001); again++) [told, seen] = await measure();
    assert(seen < 1e-6, `the tenant's own prefix is not sooner (p ${seen}): this measures nothing`);
    assert(told > 0.001, `another tenant's prefix is told by its time, p ${told}`);
  });
});
