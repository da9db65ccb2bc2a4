/**
 * What a program does with results: JSON of them, a line of `console.log`, files by URL, log probabilities of a whole answer,
 * and an answer in a conversation without streaming.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { inspect } from "node:util";
import {
  type ChatMessage,
  ImportanceMatrix,
  InvalidArgumentError,
  LightGPT,
  Model,
  ModelFormatError,
  probeMachine,
  quantizeFile,
  QueueFullError,
  readGguf,
  Sampler,
} from "../mod.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import { lightgpt } from "./command.ts";

const template = "{% for m in messages %}{{ m.content }}{% endfor %}";
const messages: ChatMessage[] = [{ role: "user", content: "Once upon a time" }];
const scratch = mkdtempSync(join(tmpdir(), "lightgpt-results-"));
after(() => rmSync(scratch, { recursive: true }));

describe("a result", () => {
  let lm: LightGPT;
  before(async () => {
    lm = await LightGPT.load(undefined, { context: 128 });
  });
  after(() => lm.dispose());

  it("survives JSON, with the seed that gives the same tokens again", async () => {
    const drawn = await lm.complete("Once", { maxTokens: 8 });
    const json = JSON.parse(JSON.stringify(drawn));
    assertEquals(json, { ...drawn });
    assertEquals(typeof json.seed, "number");
    const again = await lm.complete("Once", { maxTokens: 8, sampling: { seed: json.seed } });
    assertEquals(again.tokens, drawn.tokens);
    const seed = 2n ** 60n + 1n;
    const large = await lm.complete("Once", { maxTokens: 8, sampling: { seed } });
    assertEquals(large.seed, seed);
    assertEquals(JSON.parse(JSON.stringify({ list: [large] })).list[0].seed, `${seed}`);
    assertEquals(structuredClone(large).seed, seed, "what makes JSON of it is in nobody's way");
  });

  it("of every kind survives JSON", async () => {
    const choice = new Sampler({ seed: 2n ** 63n }).choose(Float32Array.of(0, 1, 2), 2);
    const text = "Once upon a time there was a fox. It ran and ran.";
    const results = [
      choice,
      await lm.perplexity(text),
      await lm.accuracy({ reference: lm, text }),
      lm.batcher.stats(),
      lm.cache?.stats(),
      lm.metrics.report(),
      lm.optimizer.settings,
      lm.optimizer.events,
      lm.model.plan,
      probeMachine(),
      await Array.fromAsync(lm.batcher.map(["a", "b".repeat(9000)], { maxTokens: 2, logprobs: 1 })),
      await quantizeFile(embeddedModel(), join(scratch, "json.gguf"), { type: "q8_0" }),
    ];
    for (const result of results) JSON.parse(JSON.stringify(result));
  });

  it("that is an error says in JSON what it says in words", () => {
    const error = assertThrows(() => new Sampler({ topK: -1 }), InvalidArgumentError) as InvalidArgumentError;
    const { name, code, message, detail } = error;
    assertEquals(JSON.parse(JSON.stringify(error)), { name, code, message, detail });
    const full = JSON.parse(JSON.stringify(new QueueFullError(3, 2, 50)));
    assertEquals([full.name, full.retryAfterMs], ["QueueFullError", 50]);
    const format = JSON.parse(JSON.stringify(new ModelFormatError("no", { field: "magic", offset: 0 })));
    assertEquals([format.field, format.offset, format.code], ["magic", 0, "modelFormat"]);
  });

  it("has the log probabilities of its pieces, of its tokens and no other", async () => {
    const options = { maxTokens: 12, logprobs: 2, sampling: { temperature: 0 } };
    const pieces = await Array.fromAsync(lm.generate("Once upon a", options));
    const whole = await lm.complete("Once upon a", options);
    assertEquals(whole.logprobs?.map(({ token }) => token), whole.tokens);
    assertEquals(
      whole.logprobs?.map(({ logprob, top }) => [logprob, top]),
      pieces.slice(0, whole.tokens.length).map(({ logprob, top }) => [logprob, top]),
    );
    const [mapped] = await Array.fromAsync(lm.batcher.map(["Once upon a"], options));
    assertEquals(mapped?.completion?.logprobs, whole.logprobs);
    assertEquals("logprobs" in await lm.complete("Once", { maxTokens: 1 }), false);
  });

  it("of a conversation comes as a whole, too", async () => {
    const options = { template, maxTokens: 9, sampling: { temperature: 0 } };
    const pieces = await Array.fromAsync(lm.chat(messages, options));
    const reply = await lm.reply(messages, options);
    assertEquals(reply.text, pieces.join(""));
    assertEquals([reply.generatedTokens, reply.stopReason], [reply.tokens.length, "maxTokens"]);
    await assertRejects(() => lm.reply(messages, { ...options, maxTokens: -1 }), InvalidArgumentError, "maxTokens");
  });

  it("of the command has the seed and what the sampler did", async () => {
    const { stdout, stderr } = await lightgpt([
      "run",
      "Once",
      "--max-tokens",
      "4",
      "--json",
      "--seed",
      "18446744073709551615",
    ]);
    const shown = JSON.parse(stdout);
    assertEquals(
      [shown.seed, shown.tokens.length, shown.sampling[0].method],
      ["18446744073709551615", 4, "topK"],
      stderr,
    );
  });
});

describe("console.log", () => {
  it("shows a line of what tells an object from others", async () => {
    await using lm = await LightGPT.load(undefined, { context: 128 });
    for (const object of [lm, lm.model, lm.batcher, lm.optimizer]) {
      const line = inspect(object);
      assertMatch(line, /^(LightGPT|Model|Batcher|Optimizer) \{ file: ".*\.gguf", architecture: "llama", /);
      assert(!line.includes("\n") && line.length < 400, line);
    }
    assertStringIncludes(inspect({ lm }), "context: 128");
  });
});

describe("a file", () => {
  const url = pathToFileURL(embeddedModel());

  it("is named by a path, a URL, or the text of a file URL", async () => {
    for (const name of [url, url.href, embeddedModel()]) {
      assertEquals(readGguf(name).metadata.text("general.architecture"), "llama");
      using model = await Model.load(name);
      assertEquals(model.gguf.files, [embeddedModel()]);
    }
    await using lm = await LightGPT.load(url, { context: 64 });
    const { divergence } = await lm.accuracy({ reference: url, text: "Once upon a time there was a fox." });
    assert(divergence < 1e-3);
  });

  it("may have a space or a percent sign in its name", async () => {
    const to = pathToFileURL(join(scratch, "50 % of it.gguf"));
    await quantizeFile(url, to, { type: "q4_0" });
    assert(readGguf(to).files[0]?.endsWith("50 % of it.gguf"));
    const matrix = new ImportanceMatrix(new Map());
    assertThrows(() => matrix.write(new URL("https://example.com/x")), InvalidArgumentError, "path: expected");
  });

  it("is on this machine", async () => {
    const address = new URL("https://example.com/m.gguf"); // which loading would fetch
    assertThrows(() => readGguf(address), InvalidArgumentError, "path: expected the path or file: URL");
    for (const wrong of [new URL("ftp://example.com/m.gguf"), "file://%00", "", "a\0b", 7, null]) {
      assertThrows(() => readGguf(wrong as string), InvalidArgumentError, "path: expected the path or file: URL");
      await assertRejects(() => LightGPT.load(wrong as string), InvalidArgumentError, "path: expected");
      await assertRejects(() => Model.load(wrong as string), InvalidArgumentError, "path: expected");
    }
  });
});
