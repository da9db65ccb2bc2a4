/**
 * Storms on grammars: objects of random schemas by a model without sense, and damaged schemas, grammars and regular expressions.
 *
 * @module
 */
import { assert, assertEquals, assertLess } from "@std/assert";
import { join } from "node:path";
import process from "node:process";
import { describe, it } from "node:test";
import { Grammar, LightGPT, LightGPTError, type Matcher, ObjectError, type StandardSchema } from "../mod.ts";
import { note, often } from "./counts.ts";
import { excerptDirectory } from "./kit.ts";
import { bases, damaged, type Random, randomSchema, randomTree, type TextKind } from "./random_schemas.ts";
import { randomFrom } from "./simulation.ts";
import { workedMs } from "./worked.ts";

/** Of the reliability table. */
const row = 38;
/** Random weights, and a vocabulary with all bytes. */
const model = join(excerptDirectory, "archs", "llama_mha_f16.gguf");
/** No schema or grammar takes more processor time than this: its budget ends it. */
const hangMs = 20_000;

describe("objects of random schemas, by random weights at temperature 2", () => {
  it("are valid or incomplete", async () => {
    await using lm = await LightGPT.load(model, { threads: 1 });
    const random = randomFrom(20);
    const [schemas, each] = [often(20, 200), often(8, 50)];
    const counts = { whole: 0, incomplete: 0, refused: 0 };
    for (let index = 0; index < schemas; index++) {
      const schema = (index % 20 === 19 ? randomTree(random) : randomSchema(random)) as StandardSchema;
      for (let seed = 0; seed < each; seed++) {
        try {
          const { object, text } = await lm.object([1, 2 + seed, 3 + index], {
            schema,
            whitespace: seed % 2 ? "compact" : "indent",
            maxTokens: seed % 10 === 9 ? 12 : 480,
            sampling: { temperature: 2, topK: 0, topP: 1, seed },
          });
          // Nothing was stripped: no property was written that the schema does not list.
          assertEquals(object, JSON.parse(text), text);
          assert(!/\s{40}|\d{18}/.test(text), text);
          counts.whole++;
        } catch (error) {
          if (!(error instanceof LightGPTError)) throw error;
          const told = () => JSON.stringify(schema["~standard"].jsonSchema.input({ target: "draft-2020-12" }));
          if (error instanceof ObjectError && error.code === "incomplete") counts.incomplete++;
          else if (error.code === "unsupported") counts.refused++;
          else throw new Error(`schema ${index}, seed ${seed}: ${told()}`, { cause: error });
        }
      }
    }
    assertLess(counts.refused, 0.05 * schemas * each);
    assertLess(counts.incomplete, 0.3 * schemas * each);
    note(row, "valid objects", counts.whole);
    note(row, "incomplete objects", counts.incomplete);
    note(row, "objects of refused schemas", counts.refused);
  });
});

describe("damaged schemas and grammars", () => {
  const makers: Readonly<Record<TextKind, (text: string, lm: LightGPT) => Promise<Grammar>>> = {
    schema: (text, lm) => Grammar.schema(parsed(text), lm.model.tokenizer),
    gbnf: (text, lm) => Grammar.gbnf(text, lm.model.tokenizer),
    lark: (text, lm) => Grammar.lark(text, lm.model.tokenizer),
    regex: (text, lm) => Grammar.regex(text, lm.model.tokenizer),
  };
  const kinds = Object.keys(makers) as TextKind[];

  it("are refused, or are grammars that can be followed, in good time and little memory", async () => {
    await using lm = await LightGPT.load(model, { threads: 1 });
    const random = randomFrom(Number("Deno" in globalThis) + 50);
    const all = bases(random);
    const counts: Record<string, number> = { followed: 0 };
    let slowest = 0;
    const before = process.memoryUsage().rss;
    const rounds = often(400, 50_000);
    for (let round = 0; round < rounds; round++) {
      const kind = kinds[round % kinds.length];
      const text = damaged(kind, all[kind], random);
      const begin = workedMs();
      try {
        follow((await makers[kind](text, lm)).matcher(), lm, random);
        counts.followed++;
      } catch (error) {
        if (!(error instanceof LightGPTError)) throw new Error(`${kind}: ${JSON.stringify(text)}`, { cause: error });
        counts[error.code] = (counts[error.code] ?? 0) + 1;
      }
      const took = workedMs() - begin;
      assertLess(took, hangMs, `${kind}: ${text}`);
      slowest = Math.max(slowest, took);
    }
    assertLess(process.memoryUsage().rss - before, 600 << 20);
    assert(counts.followed > rounds / 10 && counts.invalidArgument > rounds / 10, JSON.stringify(counts));
    note(row, "damaged schemas and grammars", rounds);
    note(row, "of these that can be followed", counts.followed);
    note(row, "ms that the slowest took", Math.round(slowest));
  });

  /** Goes on by a few tokens that the mask has. */
  function follow(matcher: Matcher, lm: LightGPT, random: Random): void {
    for (let step = 0; step < 4 && !matcher.isDone; step++) {
      const words = matcher.words();
      const tokens = Array.from({ length: lm.model.vocabulary }, (_, token) => token)
        .filter((token) => (words[token >>> 5] >>> (token & 31)) & 1);
      if (tokens.length === 0) return;
      matcher.accept(tokens[random(tokens.length)]);
    }
  }
});

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return text;
  }
}
