/**
 * A request that goes on where another broke off gives the rest of what the unbroken one gives, bit for bit: with every method of
 * choosing, log probabilities, stop strings and characters in flight, and constraints.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { after, before, describe, it } from "node:test";
import { type Completion, type GenerateOptions, InvalidArgumentError, LightGPT, type Piece, Sampler } from "../mod.ts";
import type { SamplingOptions } from "../mod.ts";

/** All of an answer: each piece, and the end of it. */
interface Told {
  readonly pieces: Piece[];
  readonly completion: Completion;
}

async function tell(lm: LightGPT, prompt: string | number[], options: GenerateOptions): Promise<Told> {
  const generator = lm.generate(prompt, options);
  const pieces: Piece[] = [];
  for (;;) {
    const { done, value } = await generator.next();
    if (done) return { pieces, completion: value };
    pieces.push(value);
  }
}

const samplers: readonly SamplingOptions[] = [
  { temperature: 0 },
  { seed: 2, topK: 20 },
  { seed: 3, topK: 0, topP: 0.9, minP: 0.01, typicalP: 0.9, topNSigma: 3, minKeep: 2 },
  { seed: 4, penalties: { repetition: 1.3, frequency: 0.2, presence: 0.3, window: 5 } },
  { seed: 5, dry: { multiplier: 2, allowedLength: 1, breakers: ["."] } },
  { seed: 6, xtc: { probability: 0.5 }, temperature: 1.2 },
  { seed: 2n ** 60n, mirostat: { tau: 4 }, dynamicTemperature: { range: 0.5 } },
];

describe("a request that goes on", () => {
  let lm: LightGPT;
  let bytes: number[];
  before(async () => {
    lm = await LightGPT.load(undefined, { kvBytesMax: 2 ** 25 });
    // Tokens of one byte each, which only together are a character: é, €, and what is none.
    const wanted = [0xc3, 0xa9, 0xe2, 0x82, 0xac].map((byte) => `<0x${byte.toString(16).toUpperCase()}>`);
    const pieces = Array.from({ length: lm.model.vocabulary }, (_, id) => lm.model.tokenizer.piece(id));
    bytes = pieces.flatMap((piece, id) => piece.length === 1 && piece[0] >= 0x80 ? [id] : []);
    assert(bytes.length >= wanted.length, "the vocabulary has bytes");
  });
  after(() => lm.dispose());

  /** Breaks a request off after each of its pieces and goes on; returns how many runs were compared. */
  async function compare(prompt: string, options: GenerateOptions, step = 3): Promise<Told> {
    const whole = await tell(lm, prompt, options);
    for (let cut = 0; cut <= whole.pieces.length; cut += step) {
      const given = whole.pieces.slice(0, cut);
      const mu = given.at(-1)?.mu;
      const tokens = given.map(({ token }) => token);
      const cache = cut % 2 === 0;
      const resume = mu === undefined ? tokens : JSON.parse(JSON.stringify({ tokens, mu }));
      const rest = await tell(lm, prompt, { ...options, resume, cache });
      assertEquals(rest.pieces, whole.pieces.slice(cut), `after ${cut}`);
      const { text, tokens: all, stopReason, promptTokens, generatedTokens, mu: last } = rest.completion;
      const { completion } = whole;
      assertEquals([text, all, stopReason], [completion.text, completion.tokens, completion.stopReason]);
      assertEquals([promptTokens, generatedTokens], [completion.promptTokens, completion.generatedTokens]);
      assertEquals([rest.completion.logprobs, last], [completion.logprobs?.slice(cut), completion.mu]);
    }
    return whole;
  }

  it("chooses the same tokens, with any methods and log probabilities", async () => {
    for (const sampling of samplers) await compare("Once upon a time", { sampling, maxTokens: 20, logprobs: 2 });
  });

  it("goes on beside others, and from a text that the model ends", async () => {
    const runs = samplers.slice(1, 5).map((sampling) => compare("The fox", { sampling, maxTokens: 300 }, 40));
    assert((await Promise.all(runs)).some(({ completion }) => completion.stopReason === "endOfText"));
  });

  it("holds back what may be a stop string", async () => {
    const sampling = { temperature: 0 };
    const { completion } = await tell(lm, "Once upon a time", { sampling, maxTokens: 30 });
    const stop = [completion.text.slice(40, 52), `${completion.text.slice(12, 30)}#`, `${completion.text.slice(60)}#`];
    assertEquals(
      (await compare("Once upon a time", { sampling, maxTokens: 30, stop }, 1)).completion.stopReason,
      "stop",
    );
    await compare("Once upon a time", { sampling, maxTokens: 30, stop: stop.slice(1) }, 1);
  });

  it("holds back bytes of a character", async () => {
    const sampling = { seed: 1, allowed: bytes, temperature: 1000, topK: 0, topP: 1 };
    const { pieces } = await compare("Once", { sampling, maxTokens: 24 }, 1);
    assert(pieces.some(({ text }) => text === ""), "some were incomplete");
  });

  it("stays within its constraint", async () => {
    const schema = { type: "object", properties: { name: { type: "string", maxLength: 8 } }, required: ["name"] };
    for (const constraint of [{ schema }, { regex: "[a-f]{3}-[0-9]+!" }, { choice: ["a red fox", "a red hen"] }]) {
      await compare("Once: ", { sampling: { seed: 9, temperature: 2 }, constraint, maxTokens: 30 }, 1);
    }
  });

  it("gives its logits processor all tokens so far", async () => {
    const seen: number[] = [];
    const { tokens } = await lm.complete("Once", { sampling: { seed: 1 }, maxTokens: 6 });
    await lm.complete("Once", {
      sampling: { seed: 1 },
      maxTokens: 6,
      resume: tokens.slice(0, 4),
      logitsProcessor: (_, { generated, prompt }) => {
        assertEquals([...prompt], [...lm.tokenize("Once")]);
        seen.push(generated.length);
      },
    });
    assertEquals(seen, [4, 5]);
  });

  it("has ended where its tokens have", async () => {
    const options = { sampling: { seed: 1 }, maxTokens: 6 };
    const whole = await lm.complete("Once", options);
    const { pieces, completion } = await tell(lm, "Once", { ...options, resume: whole.tokens });
    assertEquals([pieces.length, completion.text, completion.stopReason], [0, whole.text, "maxTokens"]);
  });

  it("is refused where it could not go on exactly, or never was", async () => {
    const { tokens } = await lm.complete("Once", { sampling: { seed: 1 }, maxTokens: 6 });
    const sampling = { seed: 1 };
    const wrong: [GenerateOptions, string][] = [
      [{ resume: tokens }, "sampling.seed"],
      [{ resume: tokens, sampling: { temperature: 0, xtc: { probability: 1 } } }, "sampling.seed"],
      [{ resume: tokens, sampling: { seed: 1, mirostat: {} } }, "resume.mu"],
      [{ resume: { tokens, mu: 3 }, sampling }, "resume.mu"],
      [{ resume: { tokens, mu: NaN }, sampling }, "resume.mu"],
      [{ resume: { tokens, mew: 1 } as never, sampling }, "mew"],
      [{ resume: "abc" as never, sampling }, "resume"],
      [{ resume: [1.5], sampling }, "resume[0]"],
      [{ resume: [lm.model.vocabulary], sampling }, "resume.tokens[0]"],
      [{ resume: [...lm.model.tokenizer.endOfGeneration].slice(0, 1), sampling }, "resume.tokens[0]"],
      [{ resume: tokens, maxTokens: 3, sampling }, "resume.tokens[3]"],
      [{ resume: new Array(lm.context).fill(400), sampling }, "prompt and resume"],
      [{ resume: tokens, constraint: { choice: ["Zzz"] }, sampling }, "token"],
    ];
    for (const [options, message] of wrong) {
      await assertRejects(() => lm.complete("Once", options), InvalidArgumentError, message);
    }
  });
});

it("a sampler goes on from the memory of another", () => {
  const logits = Array.from(
    { length: 24 },
    (_, step) => Float32Array.from({ length: 300 }, (_, id) => 3 * Math.sin(id * (step + 1))),
  );
  for (
    const settings of samplers.map((sampling) => ({
      seed: 1,
      ...sampling,
      ...(sampling.dry && { dry: { multiplier: 2, allowedLength: 1 } }),
    }))
  ) {
    const choose = (sampler: Sampler, from: number) =>
      logits.slice(from).map((row) => {
        const { token } = sampler.choose(row);
        sampler.accept(token);
        return token;
      });
    const whole = choose(new Sampler(settings), 0);
    for (const cut of [1, 6, 17]) {
      const first = new Sampler(settings);
      for (const row of logits.slice(0, cut)) first.accept(first.sample(row));
      const second = new Sampler(settings).recall(JSON.parse(JSON.stringify(first.memory())));
      assertEquals(choose(second, cut), whole.slice(cut), JSON.stringify(first.memory()));
    }
  }
  const memory = new Sampler({ seed: 1 }).accept(3).memory();
  assertEquals(memory, { choices: 0, mu: 0, length: 1, tokens: [] });
  for (
    const wrong of [undefined, {}, { ...memory, mu: NaN }, { ...memory, choices: -1 }, { ...memory, tokens: [1, 2] }]
  ) {
    assertThrows(() => new Sampler().recall(wrong as never), InvalidArgumentError, "memory");
  }
  const other = new Sampler({ penalties: { repetition: 1.1 } });
  assertThrows(() => other.recall(memory), InvalidArgumentError, "the last 1 tokens");
});
