/**
 * The prefix cache with the small model: what it saves, whom it serves, what it keeps in a file.
 *
 * @module
 */
import { assertEquals, assertGreater, assertRejects, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import { type GenerateOptions, InvalidArgumentError, LightGPT } from "../mod.ts";
import { contextBytes, model, open, stem, useModel } from "./small-batcher.ts";

useModel();

describe("the prefix cache", () => {
  const greedy = { sampling: { temperature: 0 }, maxTokens: 12, draft: "off" } as const; // steps are counted

  it("serves a prompt that was seen whole without reading any of it", async () => {
    const batcher = open();
    const cold = await batcher.complete(stem, greedy);
    const { steps, cache } = batcher.stats();
    assertEquals(cache?.tokensSaved, 0);
    const hot = await batcher.complete(stem, greedy);
    assertEquals(hot.tokens, cold.tokens);
    assertEquals(batcher.stats().cache?.tokensSaved, cold.promptTokens);
    assertEquals(batcher.stats().steps - steps, hot.generatedTokens);
    await batcher.dispose();
  });

  it("computes only what a turn of a chat adds", async () => {
    const batcher = open();
    let tokens = [...model.tokenizer.encode(stem)];
    let saved = 0;
    for (let turn = 0; turn < 5; turn++) {
      const { tokens: answer } = await batcher.complete(tokens, { ...greedy, maxTokens: 8 });
      const now = batcher.stats().cache?.tokensSaved ?? 0;
      // All of the last turn but its last token, which nobody had read.
      if (turn > 0) assertGreater(now - saved, tokens.length - 7 - 2);
      saved = now;
      tokens = [...tokens, ...answer, ...Array.from({ length: 6 }, (_, index) => 300 + turn * 10 + index)];
    }
    await batcher.dispose();
  });

  it("is not shared between tenants, nor with who wants none", async () => {
    const batcher = open();
    await batcher.complete(stem, { ...greedy, tenant: "one" });
    for (const options of [{ tenant: "two" }, { tenant: "" }, { tenant: "one", cache: false }]) {
      await batcher.complete(stem, { ...greedy, ...options });
      assertEquals(batcher.stats().cache?.tokensSaved, 0);
    }
    await batcher.complete(stem, { ...greedy, tenant: "one" });
    assertGreater(batcher.stats().cache?.tokensSaved ?? 0, 20);
    await batcher.dispose();
  });

  it("is shared between tenants by the caller's word, and says how much of a prompt it had", async () => {
    const batcher = open();
    const run = async (options: GenerateOptions) =>
      (await batcher.complete(stem, { ...greedy, ...options })).cachedTokens;
    const all = model.tokenizer.encode(stem).length;
    assertEquals(await run({ tenant: "one", cache: { shared: true } }), 0);
    assertEquals(await run({ tenant: "two", cache: { shared: true } }), all);
    assertEquals(await run({ tenant: "two" }), 0);
    assertEquals(await run({ tenant: "one", cache: { salt: "team" } }), 0);
    assertEquals(await run({ tenant: "two", cache: { salt: "team" } }), all);
    assertEquals(await run({ tenant: "three", cache: { salt: "two" } }), all, "a tenant's own, by its name");
    for (const cache of [{ shared: true, salt: "x" }, { shared: 1 }, { salt: 1 }, { share: true }, "shared", null]) {
      const options = { cache } as unknown as GenerateOptions;
      assertThrows(() => batcher.submit({ prompt: stem, ...options }), InvalidArgumentError, "cache");
    }
    await batcher.dispose();
  });

  it("serves logits, and is left alone by those of all tokens", async () => {
    await using lm = await LightGPT.load(undefined, { context: 160 });
    const tokens = lm.tokenize(stem);
    const read = () => lm.metrics.report().promptTokens;
    const rows = await lm.logits(tokens, { all: true });
    assertEquals([lm.cache?.stats().pages, read()], [0, tokens.length]);
    const cold = await lm.logits(tokens, { cache: false });
    assertEquals(read(), 2 * tokens.length);
    assertEquals(cold, rows.slice(-cold.length));
    assertEquals(await lm.logits(tokens), cold);
    assertEquals(read(), 3 * tokens.length);
    assertEquals(await lm.logits(tokens), cold);
    assertEquals(read(), 3 * tokens.length, "nothing is read again");
    assertEquals((await lm.complete(tokens, greedy)).cachedTokens, tokens.length);
    assertEquals(await lm.logits(Uint32Array.from([...tokens, 5])), await lm.logits([...tokens, 5], { cache: false }));
    assertEquals(read(), 3 * tokens.length + 1 + tokens.length + 1);
    await lm.logits(tokens, { tenant: "other" });
    assertEquals(read(), 5 * tokens.length + 2, "of another tenant nothing is found");
  });

  it("keeps what is pinned, and says so when nothing else is left", async () => {
    const batcher = open({ kvBytesMax: contextBytes });
    const tokens = model.tokenizer.encode(stem);
    await batcher.complete(tokens, { ...greedy, maxTokens: 1 });
    const pin = batcher.cache?.pin(tokens);
    assertEquals(pin?.tokens, tokens.length);
    await assertRejects(
      () => batcher.complete(model.tokenizer.encode("A boat. ".repeat(60)).slice(0, 150)),
      Error,
      "pinned",
    );
    await batcher.complete(tokens, greedy);
    assertEquals(batcher.stats().cache?.tokensSaved, tokens.length);
    pin?.release();
    await batcher.complete(model.tokenizer.encode("A boat. ".repeat(60)).slice(0, 150), greedy);
    await batcher.dispose();
  });

  it("is saved and loaded, for the very same model and settings only", async () => {
    const batcher = open();
    const cold = await batcher.complete(stem, greedy);
    const chunks: Uint8Array[] = [];
    const write = () => new WritableStream<Uint8Array>({ write: (chunk) => void chunks.push(chunk) });
    const running = batcher.complete("The owl", { maxTokens: 60 });
    const saved = await batcher.cache?.save(write());
    await running;
    await batcher.dispose();
    const bytes = new Uint8Array(await new Blob(chunks as Uint8Array<ArrayBuffer>[]).arrayBuffer());
    assertEquals(saved?.bytes, bytes.length);
    const stream = (from: Uint8Array) => new Blob([from as Uint8Array<ArrayBuffer>]).stream();

    const again = open();
    assertEquals((await again.cache?.load(stream(bytes)))?.pages, saved?.pages);
    assertEquals((await again.complete(stem, greedy)).tokens, cold.tokens);
    assertEquals(again.stats().cache?.tokensSaved, cold.promptTokens);
    again.cache?.clear();
    assertEquals(again.stats().pages.held, 0);
    for (const length of [0, 8, 100, bytes.length >> 1, bytes.length - 1]) {
      await assertRejects(
        () => again.cache!.load(stream(bytes.slice(0, length))),
        InvalidArgumentError,
        "can't be used",
      );
    }
    const changed = bytes.slice();
    changed[bytes.length >> 1] ^= 1;
    await assertRejects(() => again.cache!.load(stream(changed)), InvalidArgumentError, "checksum");
    again.cache?.clear();
    assertEquals(again.stats().pages.held, 0);
    await again.dispose();

    for (
      const [options, message] of [
        [{ kv: "f32" }, "kv: expected f32"],
        [{ activations: "int16" }, "activationBits"],
        [{ pageSize: 32 }, "pageSize"],
      ] as const
    ) {
      const other = open(options);
      await assertRejects(() => other.cache!.load(stream(bytes)), InvalidArgumentError, message);
      await other.dispose();
    }
  });
});
