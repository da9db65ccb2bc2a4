/**
 * A corpus goes through an embedder as a stream: memory stays bounded, the event loop goes on, and a signal ends it at once. With
 * `LIGHTGPT_CORPUS=100000` (and `LIGHTGPT_CORPUS_MODEL`) the same at its whole size.
 *
 * @module
 */
import { assert, assertLess, assertRejects } from "@std/assert";
import { join } from "node:path";
import process from "node:process";
import { it } from "node:test";
import { Embedder, VectorIndex } from "../exports/embedding.ts";
import { CancelledError } from "../mod.ts";
import { describeWholeKit } from "./kit.ts";
import { workedMs } from "./worked.ts";

const texts = Number(process.env.LIGHTGPT_CORPUS ?? 10_000);
/** What the event loop may be late by, and a cancel: by the processor's time where other programs run, too. */
const isWhole = process.env.LIGHTGPT_CORPUS !== undefined;
const nowMs = isWhole ? () => performance.now() : workedMs;
const lateMs = isWhole ? 20 : 200;
const cancelMs = isWhole ? 100 : 1000;

const words = "the cat and dog what is capital of france paris rain on roof".split(" ");
function* corpus(count: number): Generator<string> {
  for (let index = 0; index < count; index++) {
    yield Array.from({ length: 4 + index % 9 }, (_, at) => words[(index * 7 + at * at) % words.length]).join(" ");
  }
}

describeWholeKit("a corpus", "embed", (directory) => {
  const model = process.env.LIGHTGPT_CORPUS_MODEL ?? join(directory, "bert_mean.gguf");

  it(`${texts} short texts: bounded memory, an event loop that goes on, a cancel that is soon heard`, async () => {
    await using embedder = await Embedder.load(model);
    const index = new VectorIndex({ dimensions: embedder.dimensions, kind: "int8" });
    const late: number[] = [];
    let due = nowMs() + 5;
    const timer = setInterval(() => {
      late.push(Math.max(0, nowMs() - due));
      due = nowMs() + 5;
    }, 5);
    let [most, begun] = [0, 0];
    for await (const part of embedder.embedParts(corpus(texts))) {
      index.add(part.data);
      if (begun === 0 && index.count >= texts / 10) begun = process.memoryUsage().rss;
      if (begun > 0) most = Math.max(most, process.memoryUsage().rss - begun);
    }
    clearInterval(timer);
    assert(index.count === texts, `${index.count} rows`);
    const p99 = late.sort((a, b) => a - b)[Math.floor(0.99 * late.length)] ?? 0;
    // Garbage that is not collected yet is memory, too.
    const bound = index.bytes + (128 << 20);
    console.log(
      `${texts} texts: ${(most / 2 ** 20).toFixed(0)} MiB more, the event loop ${p99.toFixed(1)} ms late (p99)`,
    );
    assertLess(most, bound, "memory");
    assertLess(p99, lateMs, "the event loop");
    const controller = new AbortController();
    let aborted = 0;
    setTimeout(() => {
      aborted = nowMs();
      controller.abort();
    }, 20);
    await assertRejects(() => embedder.embed(corpus(1e6), { signal: controller.signal }), CancelledError);
    const after = nowMs() - aborted;
    console.log(`a cancel took ${after.toFixed(1)} ms`);
    assertLess(after, cancelMs, "the cancel");
  });
});
