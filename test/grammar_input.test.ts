/**
 * Schemas and constraints that attack or cannot be had: large ones, deep ones, ones that no vocabulary spells.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { after, before, describe, it } from "node:test";
import { Grammar, InvalidArgumentError, jsonSchema, LightGPT, LightGPTError, loadTokenizer, Sampler } from "../mod.ts";
import { embeddedModel } from "../src/files/embedded.ts";
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
