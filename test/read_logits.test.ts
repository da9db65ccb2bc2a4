/**
 * Rows of logits part by part: each row of a part is the one of its position, also where a sequence that lost its pages reads
 * its first tokens again.
 *
 * @module
 */
import { describe, it } from "node:test";
import { readRows } from "../src/batching/read_logits.ts";
import type { Scheduler } from "../src/batching/scheduler.ts";
import type { SequenceOptions } from "../src/batching/sequence_options.ts";
import { assertEquals } from "@std/assert";

/** Four rows of so many logits are a part. */
const vocabulary = 1 << 20;

/** Rows of the positions from `begin` to `end`; each opens with its position. */
function rowsOf(begin: number, end: number): Float32Array {
  const rows = new Float32Array((end - begin) * vocabulary);
  for (let position = begin; position < end; position++) rows[(position - begin) * vocabulary] = position;
  return rows;
}

/** A scheduler whose one sequence gives, for each part, the rows of these spans of positions. */
function schedulerOf(spans: (readonly [begin: number, end: number])[][]): Scheduler {
  const add = ({ logits }: SequenceOptions) => ({
    next() {
      for (const [begin, end] of spans.shift() ?? []) logits?.receive(rowsOf(begin, end), begin);
      return Promise.resolve();
    },
    extend() {},
    end() {},
  });
  return { add } as unknown as Scheduler;
}

async function positionsOf(scheduler: Scheduler, first = 0): Promise<number[][]> {
  const parts: number[][] = [];
  for await (const { position, rows } of readRows(scheduler, new Uint32Array(6), first, vocabulary, undefined)) {
    parts.push([position, ...Array.from({ length: rows.length / vocabulary }, (_, row) => rows[row * vocabulary])]);
  }
  return parts;
}

describe("rows of logits", () => {
  it("come part by part", async () => {
    assertEquals(await positionsOf(schedulerOf([[[0, 3], [3, 4]], [[4, 6]]])), [[0, 0, 1, 2, 3], [4, 4, 5]]);
  });

  it("come from a position on; the last of those before it is nobody's", async () => {
    const scheduler = schedulerOf([[[0, 1]], [[1, 5]], [[5, 6]]]);
    assertEquals(await positionsOf(scheduler, 1), [[1, 1, 2, 3, 4], [5, 5]]);
    // Where its pages were lost, all tokens are read again.
    assertEquals(await positionsOf(schedulerOf([[[1, 2]], [[0, 3], [3, 6]]]), 2), [[2, 2, 3, 4, 5]]);
  });

  it("are those of their part where the tokens before it are read again, in one step with it or before", async () => {
    const expected = [[0, 0, 1, 2, 3], [4, 4, 5]];
    assertEquals(await positionsOf(schedulerOf([[[0, 2], [0, 4]], [[4, 5], [0, 2], [2, 5], [5, 6]]])), expected);
    assertEquals(await positionsOf(schedulerOf([[[0, 4]], [[3, 6], [0, 4]]])), expected);
  });
});
