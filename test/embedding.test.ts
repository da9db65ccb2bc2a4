/**
 * Embedder: vectors and scores of the kit's tiny models from texts, the same bits alone and in any company, what is refused, and how
 * long calls end.
 *
 * @module
 */
import { assert, assertEquals, assertLess, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { CancelledError, InvalidArgumentError, LightGPTError, UnsupportedError } from "../ffi/errors.ts";
import {
  binarySimilarity,
  Embedder,
  type EmbedInput,
  int8Similarity,
  similarity,
  toBinary,
  toInt8,
} from "../exports/embedding.ts";
import { LightGPT } from "../mod.ts";
import { lightgpt } from "./command.ts";
import { half } from "./halves.ts";
import { describeWholeKit, readJson } from "./kit.ts";

interface KitModel {
  readonly name: string;
  readonly exact: string;
  readonly texts: readonly { readonly text: string; readonly ids: number[]; readonly pooled_at: number }[];
  readonly pairs?: readonly { readonly query: string; readonly document: string; readonly scores_exact: number[] }[];
}

describeWholeKit("Embedder", "embed", (directory) => {
  const { models } = readJson<{ models: KitModel[] }>(directory, "manifest.json");
  const kit = (name: string) => models.find((model) => model.name === name) as KitModel;
  const load = (name: string, options = {}) => Embedder.load(join(directory, `${name}.gguf`), options);

  for (const name of ["bert_mean", "bert_cls", "nomic_bert_moe", "modern_bert", "gemma_emb", "qwen3_last"]) {
    it(`${name}: texts to vectors of length 1`, async () => {
      const { texts, exact } = kit(name);
      const bytes = readFileSync(join(directory, exact));
      const numbers = new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
      await using embedder = await load(name);
      const given = texts.filter(({ text }) => text !== "");
      const vectors = await embedder.embed(given.map(({ text }) => text));
      given.forEach(({ text, pooled_at, ids }, index) => {
        const wanted = numbers.subarray(pooled_at, pooled_at + embedder.dimensions);
        assertLess(1 - similarity(vectors.row(index), wanted), 1e-9, text);
        const length = Math.hypot(...vectors.row(index));
        assertLess(Math.abs(length - 1), 1e-6);
        assert(ids.length > 0);
      });
      assertEquals(vectors.tokens, given.reduce((sum, { ids }) => sum + ids.length, 0));
    });
  }

  for (const name of ["bert_rank", "bert_rank_direct", "xlmr_rank", "jina_v2_rank", "modern_bert_rank", "qwen3_rank"]) {
    it(`${name}: scores of pairs`, async () => {
      // One of the kit's pairs is a token longer than what a model was trained for; those with a table of positions read no more.
      await using ranker = await load(name, /^(bert|xlmr)/.test(name) ? {} : { context: 256 });
      for (const { query, document, scores_exact } of kit(name).pairs ?? []) {
        const [best] = await ranker.rerank(query, [document]);
        assertLess(Math.abs((best?.score ?? NaN) - (scores_exact[0] as number)), 2e-5, document);
      }
      const documents = (kit(name).pairs ?? []).map(({ document }) => document);
      const ranked = await ranker.rerank("what is the capital of france", [...documents, ...documents]);
      assertEquals(ranked.map(({ score }) => score), ranked.map(({ score }) => score).sort((a, b) => b - a));
      const top = await ranker.rerank("what is the capital of france", [...documents, ...documents], { top: 2 });
      assertEquals(top, ranked.slice(0, 2));
    });
  }

  it("a vector has the same bits alone, in company, from an iterable, in parts, as tokens, and with other threads", async () => {
    const words = "the cat and dog what is capital of france paris".split(" ");
    const texts = Array.from(
      { length: 300 },
      (_, index) =>
        Array.from({ length: 1 + index * 7 % 17 }, (_, word) => words[(index + word * word) % words.length]).join(" "),
    );
    for (const name of ["bert_mean", "modern_bert", "nomic_bert_moe", "bert_q8_0"]) {
      await using one = await load(name, { threads: 1 });
      await using two = await load(name, { threads: 2 });
      const all = await one.embed(texts);
      assertEquals((await two.embed(texts)).data, all.data, name);
      for (const index of [0, 8, 59, 299]) {
        assertEquals((await two.embed(texts[index] as string)).row(0), all.row(index), name);
      }
      const ids = texts.map((text) => one.model.tokenizer.encode(text));
      assertEquals((await one.embed(new Set<EmbedInput>(ids))).data, all.data.slice(0, all.data.length));
      const parts: number[] = [];
      for await (const part of two.embedParts(texts)) parts.push(...part.data);
      assertEquals(Float32Array.from(parts), all.data);
    }
  });

  it("vectors are cut, left as long as they are, or kept as rows", async () => {
    await using embedder = await load("nomic_bert");
    const text = "the cat and the dog";
    const whole = await embedder.embed(text, { normalize: false });
    const short = await embedder.embed(text, { dimensions: 16 });
    assertEquals(short.row(0).length, 16);
    assertLess(Math.abs(Math.hypot(...short.row(0)) - 1), 1e-6);
    // Of nomic's, the mean is taken away before the cut: the sum of all is 0.
    const mean = whole.row(0).reduce((sum, value) => sum + value, 0) / whole.dimensions;
    const levelled = whole.row(0).slice(0, 16).map((value) => value - mean);
    assertLess(1 - similarity(levelled, short.row(0)), 1e-9);
    const rows = await embedder.embed([text, "cat"], { pooling: "none" });
    assertEquals(rows.row(0).length, embedder.dimensions * embedder.model.tokenizer.encode(text).length);
    const prompted = await embedder.embed("cat", { prompt: "the " });
    assertEquals(prompted.row(0), (await embedder.embed("the cat")).row(0));
  });

  it(
    "reads texts of more than 8192 tokens where they are asked for",
    { skip: half === 0 && "runs on Bun's turn" },
    async () => {
      const ids = Uint32Array.from({ length: 8300 }, (_, at) => 5 + at * 7919 % 120);
      await using usual = await load("qwen3_last", { threads: 2 });
      await assertRejects(() => usual.embed(ids), InvalidArgumentError, "expected at most 128");
      await using long = await load("qwen3_last", { context: 10_000, threads: 2 });
      assertEquals(long.context, 10_000);
      const { data, dimensions } = await long.embed(ids, { pooling: "none" });
      assertEquals(data.length, ids.length * dimensions);
      // A token sees only those before it, so the beginning's rows are those of the beginning alone.
      const beginning = await usual.embed(ids.slice(0, 100), { pooling: "none" });
      assertEquals(data.slice(0, 100 * dimensions), beginning.data.slice());
      // The last row has seen the first token, 8299 before it.
      const other = ids.slice();
      other[0] = 4;
      assertNotEquals((await long.embed(other)).data, (await long.embed(ids)).data);
    },
  );

  it("refuses what it cannot do, by name", async () => {
    await using bert = await load("bert_mean");
    const refused: [() => Promise<unknown>, string][] = [
      [() => bert.embed(["a", ""]), "inputs[1]: expected a text with at least one character"],
      [() => bert.embed([[]]), "inputs[0]: expected a text with at least one token"],
      [() => bert.embed(["the ".repeat(200)]), "inputs[0]: the text has 202 tokens; expected at most 128"],
      [() => bert.embed(["the ".repeat(20_000)]), "inputs[0]"],
      [() => bert.embed([[1, 999]]), "inputs[0][1]: expected an id from 0 to 155"],
      [() => bert.embed("a", { dimensions: 49 }), "dimensions: expected at most 48"],
      [() => bert.embed("a", { pooling: "none", normalize: true }), "normalize: expected none"],
      [() => bert.embed(7 as unknown as string), "inputs: expected a text"],
    ];
    for (const [call, message] of refused) {
      const error = await assertRejects(call, InvalidArgumentError);
      assert(error.message.includes(message), error.message);
    }
    const longer = () => load("bert_mean", { context: 129 });
    await assertRejects(longer, InvalidArgumentError, "context: expected at most 128");
    const longest = () => load("modern_bert", { context: 32_769 });
    await assertRejects(longest, InvalidArgumentError, "context: expected at most 32768");
    await assertRejects(() => bert.rerank("a", ["b"]), UnsupportedError, "no head that ranks");
    await using ranker = await load("bert_rank");
    await assertRejects(() => ranker.rerank("", ["a"]), InvalidArgumentError, "query: expected");
    await assertRejects(() => ranker.embed("a"), LightGPTError, "ranks documents");
    await assertRejects(
      () => ranker.rerank("the cat", ["the dog", "the ".repeat(150)]),
      InvalidArgumentError,
      "documents[1]",
    );
    const cut = await ranker.rerank("the cat", ["the ".repeat(150)], { truncate: true });
    assertEquals(cut.length, 1);
    await assertRejects(() => LightGPT.load(join(directory, "bert_mean.gguf")), UnsupportedError, "Embedder.load");
  });

  it("a text that is cut keeps the token at its end", async () => {
    await using bert = await load("bert_mean");
    const ids = bert.model.tokenizer.encode("the ".repeat(300));
    const kept = Uint32Array.from([...ids.subarray(0, 127), ids.at(-1) as number]);
    const cut = await bert.embed("the ".repeat(300), { truncate: true });
    assertEquals(cut.row(0), (await bert.embed([kept])).row(0));
  });

  it("a source is read one step ahead, a signal ends the work, and a disposed embedder says so", async () => {
    const bert = await load("bert_mean");
    let given = 0;
    const source = function* () {
      for (;; given++) yield "the cat and the dog";
    };
    for await (const part of bert.embedParts(source())) {
      assertLess(given, 4 * part.count);
      break;
    }
    const controller = new AbortController();
    const work = bert.embed(source(), { signal: controller.signal });
    setTimeout(() => controller.abort(), 20);
    await assertRejects(() => work, CancelledError);
    assertEquals((await bert.embed("the cat")).count, 1);
    const seen: number[] = [];
    await bert.embed(new Array(300).fill("the cat"), { onProgress: ({ done }) => seen.push(done) });
    assertEquals(seen.at(-1), 300);
    await bert.dispose();
    await assertRejects(() => bert.embed("a"), LightGPTError, "disposed");
  });

  it("a generating model embeds, once it is told how to pool", async () => {
    await using lm = await LightGPT.load();
    await assertRejects(() => lm.embed("Once upon a time"), LightGPTError, "pooling");
    const vectors = await lm.embed(["Once upon a time", "The fox ran"], { pooling: "mean" });
    assertEquals(vectors.count, 2);
    assertEquals((await lm.embed("The fox ran", { pooling: "mean" })).row(0), vectors.row(1));
    const { tokens } = await lm.complete("Once upon a time", { maxTokens: 3, sampling: { temperature: 0 } });
    assertEquals(tokens.length, 3);
  });

  it("the command prints vectors of lines, and lines by how well they answer", async () => {
    const model = (name: string) => ["--model", join(directory, `${name}.gguf`)];
    const printed = await lightgpt(["embed", ...model("bert_mean"), "--dimensions", "8"], {
      input: "the cat\nthe dog\n",
    });
    await using bert = await load("bert_mean");
    const vectors = await bert.embed(["the cat", "the dog"], { dimensions: 8 });
    assertEquals(printed.stdout.trim().split("\n").map((line) => Float32Array.from(JSON.parse(line))), [...vectors]);
    const [query, input] = ["what is the capital of france", "the cat\nparis is the capital\n"];
    const ranked = await lightgpt(["rerank", query, ...model("bert_rank"), "--top", "1", "--json"], { input });
    await using ranker = await load("bert_rank");
    assertEquals(JSON.parse(ranked.stdout), await ranker.rerank(query, input.trim().split("\n"), { top: 1 }));
  });

  it("vectors of bytes and bits keep what is near", () => {
    const a = Float32Array.from({ length: 64 }, (_, index) => Math.sin(index + 1));
    const b = a.map((value, index) => value + 0.1 * Math.cos(3 * index));
    assertLess(Math.abs(int8Similarity(toInt8(a), toInt8(b)) - similarity(a, b)), 0.01);
    assertEquals(binarySimilarity(toBinary(a), toBinary(a)), 1);
    assertEquals(binarySimilarity(toBinary(a), toBinary(a.map((value) => -value))), -1);
    assertEquals(similarity(new Float32Array(3), Float32Array.of(1, 2, 3)), 0);
    assertThrows(() => similarity([1], [1, 2]), InvalidArgumentError, "a vector of 1 numbers");
    assertThrows(() => toBinary([1, 2]), InvalidArgumentError, "multiple of 8");
    assertThrows(() => toInt8([NaN]), InvalidArgumentError, "a finite number");
  });
});
