/**
 * Answers that are held: the same tokens whatever the runtime, the threads, the caches, the guesses and the requests beside them, and
 * after others were given up.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { CancelledError, type GenerateOptions, jsonSchema, LightGPT } from "../mod.ts";
import { embeddedModel } from "../src/files/embedded.ts";

/** Of the embedded model's answers below. Both runtimes have to come to it; another model or contract changes it, as `exact.json`. */
const wanted = "89bab1b1fbac";

const prompt = "Once upon a time";
const schema = {
  type: "object",
  properties: {
    name: { type: "string", maxLength: 12, pattern: "^[A-Z]" },
    n: { type: "integer", minimum: 3, maximum: 700 },
    l: { type: "array", items: { enum: ["red", "green", "redder"] }, maxItems: 4, minItems: 1 },
    e: { type: "string", format: "date" },
  },
  required: ["name", "n", "l", "e"],
};
const requests: readonly GenerateOptions[] = [
  { constraint: { schema }, sampling: { seed: 1, temperature: 1.5 } },
  { constraint: { schema, whitespace: "indent" }, sampling: { seed: 2, temperature: 2, topK: 0, topP: 1 } },
  { constraint: { regex: "( Tom had a (red|blue) (ball|hat)\\.){2,5}" }, sampling: { seed: 7 } },
  {
    constraint: { grammar: 'root ::= item+ "."\nitem ::= [a-z]{2,6} (" " | ", ")' },
    sampling: { seed: 3, penalties: { repetition: 1.3 } },
    maxTokens: 60,
  },
  { constraint: { choice: ["yes", "no", "yesterday"] }, sampling: { seed: 5, temperature: 1.2 } },
].map((options) => ({ maxTokens: 120, ...options } as GenerateOptions));

function hashOf(answers: readonly { readonly tokens: readonly number[] }[]): string {
  const hash = createHash("sha256");
  for (const { tokens } of answers) hash.update(tokens.join());
  return hash.digest("hex").slice(0, wanted.length);
}

describe("answers that are held", () => {
  it("have the same tokens for any threads, caches, guesses and others beside them, and on each runtime", async () => {
    for (const threads of [1, 2, 4]) {
      await using lm = await LightGPT.load(embeddedModel(), { threads });
      for (const draft of ["off", "auto"] as const) {
        const one = async () => {
          const answers = [];
          for (const options of requests) answers.push(await lm.complete(prompt, { draft, ...options }));
          return answers;
        };
        const all = () => Promise.all(requests.map((options) => lm.complete(prompt, { draft, ...options })));
        // Cold, warm, and beside each other.
        for (const ask of [one, one, all]) {
          assertEquals(hashOf(await ask()), wanted, `${threads} threads, draft ${draft}`);
        }
      }
    }
  });

  it("are the same after a hundred others that were given up, which leave nothing behind", async () => {
    await using lm = await LightGPT.load(embeddedModel(), { threads: 1 });
    const list = { type: "array", items: { type: "string", maxLength: 20 }, minItems: 9, maxItems: 12 };
    const options = { schema: jsonSchema(list), sampling: { seed: 4, temperature: 1.5 } };
    const whole = await lm.object(prompt, options);
    for (let turn = 0; turn < 100; turn++) {
      const controller = new AbortController();
      const { signal } = controller;
      const stream = lm.objectStream(prompt, { ...options, signal });
      for (let piece = turn % 12; piece > 0; piece--) assert(!(await stream.next()).done);
      if (turn % 2 === 0) {
        await stream.return(undefined as never);
        continue;
      }
      controller.abort();
      // A piece that was there already may come before.
      let next: Awaited<ReturnType<typeof stream.next>> | undefined;
      try {
        do next = await stream.next(); while (!next.done);
        assert(false, "it went on to its end");
      } catch (error) {
        if (!(error instanceof CancelledError)) throw error;
      }
    }
    const { running, paused, queued } = lm.batcher.stats();
    assertEquals([running, paused, queued], [0, 0, 0]);
    assertEquals((await lm.object(prompt, options)).tokens, whole.tokens);
  });
});
