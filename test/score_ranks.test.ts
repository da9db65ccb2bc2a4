/**
 * Ranks from scores against their definition: how many different scores are higher.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import { ranksOf } from "../src/text/tokenizer/score_ranks.ts";

function defined(scores: Float32Array): number[] {
  const distinct = [...new Set(scores)].sort((left, right) => right - left);
  return Array.from(scores, (score) => distinct.findIndex((other) => other === score));
}

describe("ranks of scores", () => {
  const cases: Record<string, number[]> = {
    "no token": [],
    "one token": [3],
    "falling": [0, -1, -1, -2],
    "rising": [-3, -2, -1],
    "as Gemma has them": [-1000, -1000, 0, -1, -2, -2, -999, -1000, -1001, -1000, -1000],
    "all equal": [5, 5, 5],
    "two zeros": [0, -0, -1, 0],
    "infinite ones": [-Infinity, Infinity, -Infinity, 0, Infinity, -Infinity],
    "more runs than are merged": Array.from({ length: 1000 }, (_, token) => token * 7919 % 331 - 100),
    "runs that take turns": Array.from({ length: 1000 }, (_, token) => token % 50 * -10 + Math.floor(token / 50)),
  };
  for (const [name, scores] of Object.entries(cases)) {
    it(name, () => assertEquals([...ranksOf(Float32Array.from(scores))], defined(Float32Array.from(scores))));
  }
});
