/**
 * Schemas and constraints that attack or cannot be had: large ones, deep ones, ones that no vocabulary spells.
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertNotStrictEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { after, before, describe, it } from "node:test";
import { CancelledError, Grammar, InvalidArgumentError, jsonSchema } from "../mod.ts";
import { LightGPT, LightGPTError, loadTokenizer, Sampler, type StandardSchema } from "../mod.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import { grammarOf, readConstraint } from "../src/grammar/options.ts";
import { arrayOf, metadataOnly, sentencePiece } from "./models.ts";

/** Lists in lists. */
function deep(depth: number): object {
  return depth === 0 ? { type: "string" } : { type: "array", items: deep(depth - 1) };
}

describe("constraints that attack", () => {
  let lm: LightGPT;
  before(async () => {
    lm = await LightGPT.load(embeddedModel(), { threads: 1 });
  });
  after(() => lm.dispose());

  it("are refused with the limit that they pass", async () => {
    const large = { enum: Array.from({ length: 90_000 }, (_, index) => `value ${index}`) };
    assertEquals(JSON.stringify(large).length > 1 << 20, true);
    const hostile = [deep(1000), { anyOf: [{ type: "null" }, deep(400)] }, large];
    for (const schema of hostile) {
      const told = JSON.stringify(schema).slice(0, 60);
      const error = await assertRejects(() => Grammar.schema(schema, lm.model.tokenizer), LightGPTError);
      assertEquals(error.code, "limit", `${told}: ${error.message}`);
      const request = () => lm.object("x", { schema: jsonSchema(schema), maxTokens: 4 });
      assertEquals((await assertRejects(request, LightGPTError)).code, "limit", told);
    }
    assertEquals([lm.batcher.stats().running, lm.batcher.stats().queued], [0, 0]);
  });

  it("that hold themselves, or have what JSON has not, are named", async () => {
    const circle: Record<string, unknown> = { type: "object" };
    circle.properties = { inner: circle };
    for (const schema of [circle, { const: 1n }]) {
      await assertRejects(() => Grammar.schema(schema, lm.model.tokenizer), InvalidArgumentError, "schema");
      assertThrows(() => jsonSchema(schema), InvalidArgumentError, "schema");
      await assertRejects(() => lm.complete("x", { constraint: { schema } }), InvalidArgumentError, "schema");
    }
  });

  it("that hold the same parts in many places are counted while they are copied", async () => {
    const doubled = (levels: number): object => {
      let schema: object = { type: "integer" };
      for (let level = 0; level < levels; level++) schema = { anyOf: [schema, schema] };
      return schema;
    };
    const code = async (make: () => unknown) => (await assertRejects(async () => await make(), LightGPTError)).code;
    const standard = { "~standard": { ...jsonSchema({})["~standard"], jsonSchema: { input: () => doubled(60) } } };
    const endless = { toJSON: () => ({ not: endless }) };
    const list = new Array(1 << 20);
    for (const schema of [doubled(60), endless, { enum: list }]) {
      assertEquals(await code(() => Grammar.schema(schema, lm.model.tokenizer)), "limit");
      assertEquals(await code(() => jsonSchema(schema)), "limit");
      assertEquals(await code(() => lm.complete("x", { constraint: { schema }, maxTokens: 4 })), "limit");
    }
    assertEquals(await code(() => lm.object("x", { schema: standard as unknown as StandardSchema })), "limit");
    const few = (await Grammar.schema(doubled(3), lm.model.tokenizer)).matcher();
    assert(few.follow(new TextEncoder().encode("12")) && few.isComplete);
  });

  it("are read as JSON.stringify writes them, and refused where that would leave something out", async () => {
    const day = new Date(0);
    const asWritten = { const: day, maxLength: undefined, toJSON: undefined, title: new String("a day") };
    const matcher = (await Grammar.schema(asWritten, lm.model.tokenizer)).matcher();
    assert(matcher.follow(new TextEncoder().encode(JSON.stringify(day))) && matcher.isComplete);
    const inner: Record<string, unknown> = {};
    inner.not = { anyOf: [inner] };
    const throwing = {
      get type() {
        throw new Error("no");
      },
    };
    const refused: [unknown, string][] = [
      [{ type: String }, "at type, got a function"],
      [{ enum: [Symbol("a")] }, "at 0"],
      [{ const: 1n }, "at const, got 1n"],
      [{ const: NaN }, "a finite number at const"],
      [{ maximum: Infinity }, "a finite number at maximum"],
      [inner, "no object that holds itself, as at 0"],
      [throwing, "one that throws"],
      [new Proxy({}, { ownKeys: () => [1] as unknown as string[] }), "one that throws"],
    ];
    for (const [schema, words] of refused) {
      await assertRejects(() => Grammar.schema(schema, lm.model.tokenizer), InvalidArgumentError, words);
      assertThrows(() => jsonSchema(schema as object), InvalidArgumentError, words);
    }
  });

  it("are compiled once for all that ask at a time; what fails is not kept, and who gives up gives up alone", async () => {
    const { tokenizer } = lm.model;
    const ask = (pattern: string) =>
      grammarOf(readConstraint({ schema: { type: "string", pattern } }, "constraint"), tokenizer);
    const [one, two] = await Promise.all([ask("^once$"), ask("^once$")]);
    assertStrictEquals(one, two);
    const fails = await Promise.allSettled([ask("^(?<=a)b$"), ask("^(?<=a)b$")]);
    const [first, second] = fails.map((fail) => fail.status === "rejected" ? fail.reason : undefined);
    assertInstanceOf(first, LightGPTError);
    assertStrictEquals(first, second);
    const again = await assertRejects(() => ask("^(?<=a)b$"), LightGPTError);
    assertNotStrictEquals(again, first);
    const schema = { type: "string", pattern: "^[a-z]{1,3} gives up$" };
    const controller = new AbortController();
    const request = (signal?: AbortSignal) =>
      lm.complete("x", { constraint: { schema }, maxTokens: 2, ...(signal && { signal }) });
    const asked = [request(controller.signal), request()];
    controller.abort();
    await assertRejects(() => asked[0], CancelledError);
    assertEquals((await asked[1]).tokens.length, 2);
  });

  it("with halves of surrogate pairs are refused, for no bytes spell them", async () => {
    const { tokenizer } = lm.model;
    const half = "a\ud83d";
    const makes = [
      () => Grammar.choice([half], tokenizer),
      () => Grammar.regex(half, tokenizer),
      () => Grammar.gbnf(`root ::= "${half}"`, tokenizer),
      () => Grammar.lark(`start: "${half}"`, tokenizer),
    ];
    for (const make of makes) await assertRejects(make, InvalidArgumentError, "surrogate");
  });

  it("that the settings or the vocabulary leave nothing of, end with an error and not with another text", async () => {
    const digits = [...lm.tokenize("7", { addSpecial: false })];
    const schema = jsonSchema({ type: "boolean" });
    await assertRejects(
      () => lm.object("x", { schema, sampling: { allowed: digits } }),
      InvalidArgumentError,
      "allowed",
    );
    // Byte tokens are kept out: what is not spelled by the others cannot come.
    const few = await loadTokenizer(metadataOnly(sentencePiece(["a", "b", "ab"])));
    const banned = Array.from({ length: few.vocabularySize }, (_, token) => token)
      .filter((token) => few.textBytes(token).length > 0 && !/^[ab]+$/.test(few.decode([token])));
    const logits = new Float32Array(few.vocabularySize);
    for (const [text, isSpelled] of [["ab", true], ["ac", false]] as const) {
      const sampler = new Sampler({ banned, grammar: (await Grammar.choice([text], few)).matcher() });
      const run = () => {
        while (!sampler.isDone) sampler.accept(sampler.sample(logits));
      };
      if (isSpelled) run();
      else assertThrows(run, InvalidArgumentError, "banned");
    }
  });

  it("that the vocabulary has no byte for end with an error where it would come", async () => {
    const texts = ["<unk>", "<s>", "</s>", "a", "b", "ab"];
    const tokenizer = await loadTokenizer(metadataOnly(sentencePiece([], {
      "tokenizer.ggml.tokens": arrayOf("string", texts),
      "tokenizer.ggml.scores": arrayOf("float32", texts.map(() => 0)),
      "tokenizer.ggml.token_type": arrayOf("int32", [2, 3, 3, 1, 1, 1]),
    })));
    const write = async (text: string) => {
      const sampler = new Sampler({ grammar: (await Grammar.choice([text], tokenizer)).matcher() });
      const tokens: number[] = [];
      while (!sampler.isDone) {
        tokens.push(sampler.sample(new Float32Array(texts.length)));
        sampler.accept(tokens.at(-1) as number);
      }
      return tokens.map((token) => texts[token]).join("");
    };
    assertEquals(await write("ab"), "ab");
    for (const text of ["ac", "c"]) {
      await assertRejects(() => write(text), InvalidArgumentError, "a vocabulary with a token");
    }
  });

  it("leave other requests of the batch as they are", async () => {
    const alone = await lm.complete("Once upon", { maxTokens: 12, sampling: { seed: 1 } });
    const [one, two, three] = await Promise.allSettled([
      lm.complete("Once upon", { maxTokens: 12, sampling: { seed: 1 } }),
      lm.object("x", { schema: jsonSchema(deep(1000)) }),
      lm.object("x", {
        schema: jsonSchema({ type: "boolean" }),
        sampling: { allowed: [...lm.tokenize("7", { addSpecial: false })] },
      }),
    ]);
    assert(one.status === "fulfilled" && two.status === "rejected" && three.status === "rejected");
    assertEquals(one.value.tokens, alone.tokens);
  });
});
