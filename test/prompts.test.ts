/**
 * From a prompt to a request: which tokens stand around it, that a long one leaves the event loop free and is ended by what
 * ends its request, that one which cannot fit is refused early, and models without vocabulary.
 *
 * @module
 */
import { assert, assertEquals, assertLess, assertRejects, assertThrows } from "@std/assert";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { CancelledError, InvalidArgumentError, UnsupportedError } from "../ffi/errors.ts";
import { LightGPT } from "../src/lightgpt/lightgpt.ts";
import { tokensContaining } from "../src/text/tokenizer/containing.ts";
import { loadTokenizer } from "./tokenizers.ts";
import type { Tokenizer } from "../src/text/tokenizer/types.ts";
import { encodeGguf } from "../scripts/gguf-writer.ts";
import {
  arrayOf,
  bpe,
  byteCharacters,
  byteLevel,
  flag,
  KIND,
  metadataOnly,
  pieces,
  sentencePiece,
  spm,
  text,
  u32,
  type Values,
} from "./models.ts";
import { smallModel, withDirectory, withModelFile } from "./small-models.ts";
import { leastOf, longestStall } from "./stall.ts";
import { workedMs } from "./worked.ts";

const load = (values: Values) => loadTokenizer(metadataOnly(values));

/** Several slices, and what the collector of garbage does meanwhile. */
const stallMost = 150;

describe("tokens around a prompt", () => {
  it("add_eos_token ends a text, and no prompt", async () => {
    const values = { "tokenizer.ggml.add_eos_token": flag(true) };
    const tokenizer = load(spm(values));
    assertEquals(tokenizer.encode("the").at(-1), tokenizer.eos);
    assert(tokenizer.encode("the", { isPrompt: true }).at(-1) !== tokenizer.eos);
    assert(tokenizer.encodeRuns([{ text: "the", foreign: false }]).at(-1) !== tokenizer.eos);
    await withModelFile({ architecture: "llama", values }, async (path) => {
      await using lm = await LightGPT.load(path, { threads: 1 });
      assertEquals([...lm.tokenize("a")].at(-1), lm.model.tokenizer.eos);
      const { promptTokens } = await lm.complete("the", { maxTokens: 1 });
      assertEquals(promptTokens, lm.tokenize("the").length - 1);
      const ids = await lm.chatTokens([{ role: "user", content: "hi" }], { template: "{{ messages[0].content }}:" });
      assert(ids.at(-1) !== lm.model.tokenizer.eos);
    });
  });

  it("an empty prompt is BOS where the file wants it, and refused elsewhere", async () => {
    await withModelFile({ architecture: "llama" }, async (path) => {
      await using lm = await LightGPT.load(path, { threads: 1 });
      assertEquals((await lm.complete("", { maxTokens: 1 })).promptTokens, 1);
    });
    const values = { "tokenizer.ggml.add_bos_token": flag(false) };
    await withModelFile({ architecture: "llama", values }, async (path) => {
      await using lm = await LightGPT.load(path, { threads: 1 });
      for (const prompt of ["", []]) {
        await assertRejects(() => lm.complete(prompt, { maxTokens: 1 }), InvalidArgumentError, "at least one token");
      }
    });
  });

  it("a template that writes BOS gets no second one", () => {
    const tokenizer = load(spm());
    for (const runs of [["<s>the"], ["<s>", "the"], ["<", "s>the"], ["the"]]) {
      const ids = tokenizer.encodeRuns(runs.map((text) => ({ text, foreign: false })));
      assertEquals(ids.filter((id) => id === tokenizer.bos).length, 1, runs.join("|"));
      assertEquals(ids[0], tokenizer.bos);
    }
    // What a user writes begins no text.
    const ids = tokenizer.encodeRuns([{ text: "<s>", foreign: true }]);
    assertEquals([ids[0], ids.filter((id) => id === tokenizer.bos).length], [1, 1]);
    assert(ids.length > 2);
  });

  it("an id that means none is none; another outside the vocabulary is refused", () => {
    for (const name of ["bos", "eos", "eot", "padding", "unknown"]) {
      const key = `tokenizer.ggml.${name}_token_id`;
      const none = [u32(0xffffffff), { type: 5, value: -1 }, { type: 11, value: -1n }];
      for (const value of none) load(spm({ [key]: value }));
      for (const value of [u32(0xfffffffe), u32(5000), { type: 5, value: -2 }]) {
        assertThrows(() => load(spm({ [key]: value })), Error, key);
      }
    }
    const tokenizer = load(spm({ "tokenizer.ggml.bos_token_id": u32(0xffffffff) }));
    assertEquals([tokenizer.bos, tokenizer.addBos], [undefined, false]);
  });
});

describe("a long text", () => {
  const kinds: [name: string, tokenizer: Tokenizer][] = [
    ["SentencePiece", load(spm())],
    // A token over a word's beginning, so that the whole text is one word.
    ["SentencePiece without words", load(sentencePiece([...pieces, "a▁b"]))],
    ["byte-level", load(bpe())],
    ["byte-level, whole words", load(bpe({ "tokenizer.ggml.pre": text("llama-bpe") }))],
  ];
  const texts: [name: string, text: string][] = [
    ["words", "the abc <tool> é☃ 12 <|im_end|>\n".repeat(40_000)],
    ["one word", "abc".repeat(400_000)],
    ["one special token", "<tool>".repeat(200_000)],
  ];
  for (const [kind, tokenizer] of kinds) {
    for (const [what, long] of texts) {
      it(`${kind}, ${what}: gives the same tokens while the event loop goes on, and ends by its signal`, async () => {
        const expected = tokenizer.encode(long, { parseSpecial: true });
        let ids = new Uint32Array(0);
        const stall = await longestStall(async () => {
          ids = new Uint32Array(await tokenizer.encodeAsync(long, { parseSpecial: true }));
        }, stallMost);
        assertEquals(ids.length, expected.length);
        assert(ids.every((id, at) => id === expected[at]));
        assertLess(stall, stallMost);
        const ending = async () => {
          const controller = new AbortController();
          const encoding = tokenizer.encodeAsync(long, { parseSpecial: true, signal: controller.signal });
          let begin = 0;
          setTimeout(() => {
            begin = workedMs();
            controller.abort();
          }, 1);
          await assertRejects(() => encoding, CancelledError);
          return workedMs() - begin;
        };
        assertLess(await leastOf(ending, 100), 100);
      });
    }
    it(`${kind}: two at once, and short ones meanwhile, are as each alone`, async () => {
      const [one, other] = [`${"abc ☃".repeat(30_000)}`, `${"the é ж".repeat(30_000)}`];
      const short = tokenizer.encode("a ж the");
      const encoding = [tokenizer.encodeAsync(one), tokenizer.encodeAsync(other)];
      let done = false;
      const both = Promise.all(encoding).finally(() => done = true);
      while (!done) {
        assertEquals([...tokenizer.encode("a ж the")], [...short]);
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
      const [first, second] = await both;
      assertEquals(first.join(), tokenizer.encode(one).join());
      assertEquals(second.join(), tokenizer.encode(other).join());
    });
  }

  it("that cannot fit is refused before it is tokenized", async () => {
    // Of 40 million characters the first few thousand are looked at.
    const long = "the abc ".repeat(5_000_000);
    for (const [, tokenizer] of kinds) {
      const begin = workedMs();
      await assertRejects(
        () => tokenizer.encodeAsync(long, { context: 500, name: "prompt" }),
        InvalidArgumentError,
        "are more than the context of 500 holds",
      );
      // Making it well-formed takes what it takes; tokenizing it takes tens of seconds.
      assertLess(workedMs() - begin, 2000);
    }
  });

  it("that has too many tokens by little, or for a vocabulary with one long token, is refused on the way", async () => {
    const tokenizer = load(byteLevel([], ["x".repeat(100_000)]));
    const length = 2_000_000;
    for (const context of [500, length - 1]) {
      await assertRejects(
        () => tokenizer.encodeAsync("ab".repeat(length / 2), { context }),
        InvalidArgumentError,
        `at least ${context + 1} tokens`,
      );
    }
    assertEquals((await tokenizer.encodeAsync("ab".repeat(length / 2), { context: length })).length, length);
  });

  it("is never refused where it fits, whatever is dropped, stripped or long", async () => {
    const letters = byteCharacters.slice(97);
    const partial = byteLevel([], [], {
      "tokenizer.ggml.tokens": arrayOf("string", [...letters, "<|end|>"]),
      "tokenizer.ggml.scores": arrayOf("float32", [...letters.map(() => 0), 0]),
      "tokenizer.ggml.token_type": arrayOf("int32", [...letters.map(() => 1), KIND.control]),
      "tokenizer.ggml.merges": arrayOf("string", []),
      "general.name": text("phi-3"),
    });
    const samples = ["\u0001".repeat(9000), "a   \n".repeat(3000), "é☃😀".repeat(3000), `<|end|>${" ".repeat(9000)}`];
    for (const values of [spm(), bpe(), partial, spm({ "tokenizer.ggml.add_space_prefix": flag(false) })]) {
      const tokenizer = load(values);
      for (const sample of samples) {
        const { length } = tokenizer.encode(sample, { parseSpecial: true });
        const fitting = await tokenizer.encodeAsync(sample, { parseSpecial: true, context: Math.max(length, 1) });
        assertEquals(fitting.length, length);
      }
    }
  });
});

describe("pieces", () => {
  /** A completion of just these tokens, then of the end of the text, with its pieces. */
  async function forced(lm: LightGPT, tokens: readonly number[], options: Parameters<LightGPT["generate"]>[1]) {
    const order = [...tokens, lm.model.tokenizer.eos as number];
    let at = 0;
    const logitsProcessor = (logits: Float32Array) => void (logits[order[at++]] = 1e4);
    const pieces = lm.generate("the", { sampling: { temperature: 0 }, logprobs: 0, ...options, logitsProcessor });
    const all = [];
    let next = await pieces.next();
    for (; !next.done; next = await pieces.next()) all.push(next.value);
    return { all, completion: next.value };
  }

  it("have the tokens of the completion and its text, whatever is held back when it ends", async () => {
    await withModelFile({ architecture: "llama" }, async (path) => {
      await using lm = await LightGPT.load(path, { threads: 1 });
      const id = (piece: string) => 259 + pieces.indexOf(piece);
      const byte = (value: number) => 3 + value;
      const texts = [
        [id("▁the"), id("a")],
        [id("a"), id("b"), id("c")],
        [id("abc"), id("ab"), id("abc")],
        [id("a"), byte(0xe2), byte(0x98)],
        [id("a"), byte(0xe2), byte(0x98), byte(0x83), id("b")],
        [byte(0xff), byte(0xf0), byte(0x9f)],
        [id("a"), byte(0xe2), id("b")],
      ];
      for (const tokens of texts) {
        for (const stop of [[], ["ax"], ["bcx", "abca", "cy"], ["thea b"], ["ca"], ["b"], ["☃b", "\ufffdq"]]) {
          for (const maxTokens of [tokens.length - 1, tokens.length, tokens.length + 3]) {
            const { all, completion } = await forced(lm, tokens, { stop, maxTokens });
            const what = JSON.stringify({ tokens, stop, maxTokens });
            assertEquals(all.map(({ token }) => token), completion.tokens, what);
            assertEquals(all.join(""), completion.text, what);
            assert(all.every(({ logprob }) => logprob !== undefined), what);
            if (completion.stopReason !== "stop") {
              const whole = lm.model.tokenizer.decode(completion.tokens, { continued: true });
              assertEquals(completion.text, whole, what);
            }
            if (stop.length === 0) assertEquals(completion.tokens, tokens.slice(0, maxTokens), what);
          }
        }
      }
    });
  });
});

describe("a long prompt", () => {
  let lm: LightGPT;
  const long = "Once upon a time there was a little girl. ".repeat(60_000);
  before(async () => {
    lm = await LightGPT.load(undefined, { threads: 1 });
  });
  after(() => lm.dispose());

  it("that cannot fit is refused at once, by each way in", async () => {
    const begin = workedMs();
    for (
      const run of [
        () => lm.complete(long),
        () => lm.generate(long).next(),
        () => lm.batcher.submit({ prompt: long }).next(),
      ]
    ) {
      await assertRejects(
        run,
        InvalidArgumentError,
        "prompt: at least 513 tokens are more than the context of 512 holds",
      );
    }
    assertLess(workedMs() - begin, 1000);
  });
});

describe("a long prompt is ended while it is tokenized", () => {
  it("by the signal, the deadline, return() and dispose", async () => {
    // A context that the prompt would fit, in a model that is quickly read.
    await withModelFile(
      { architecture: "llama", layers: 1, embedding: 32, heads: 1, kvHeads: 1, context: 1 << 20 },
      async (path) => {
        await using lm = await LightGPT.load(path, { threads: 1, context: 1 << 20, kv: "q8_0", memory: "4GiB" });
        const prompt = "ж☃ the abc ".repeat(50_000);
        const timed = async (end: (pieces: ReturnType<typeof lm.generate>) => unknown, options = {}) => {
          const pieces = lm.generate(prompt, { maxTokens: 1, ...options });
          const next = pieces.next();
          const begin = workedMs();
          end(pieces);
          await assertRejects(() => next, CancelledError);
          return workedMs() - begin;
        };
        const aborted = () => {
          const controller = new AbortController();
          return timed(() => controller.abort(), { signal: controller.signal });
        };
        assertLess(await leastOf(aborted, 100), 100);
        assertLess(await leastOf(() => timed((pieces) => pieces.return(undefined as never)), 100), 100);
        assertLess(await leastOf(() => timed(() => {}, { deadlineMs: 20 }), 150), 150);
        assertEquals(lm.batcher.stats().running + lm.batcher.stats().queued, 0);
      },
    );
  });
});

describe("the tokens that contain a text", () => {
  it("are those whose text does, and are found while the event loop goes on", async () => {
    const words = Array.from({ length: 120_000 }, (_, index) => `w${index.toString(36)}:`);
    const tokenizer = load(byteLevel([], words));
    const { signal } = new AbortController();
    for (const needles of [["z:"], ["1", "zz"], ["nothing has it"], ["\u0001"]]) {
      const expected = Array.from({ length: tokenizer.vocabularySize }, (_, token) => token)
        .filter((token) => needles.some((needle) => new TextDecoder().decode(tokenizer.piece(token)).includes(needle)));
      assertEquals([...await tokensContaining(tokenizer, needles, signal)].sort((a, b) => a - b), expected);
    }
    const many = Array.from({ length: 40 }, (_, index) => index.toString(36));
    // Loading holds the event loop, too; what was looked for in a vocabulary is kept with it.
    const fresh = Array.from({ length: 6 }, () => load(byteLevel([], words)));
    const look = () => tokensContaining(fresh.pop() ?? tokenizer, many, signal);
    assertLess(await longestStall(look, stallMost), stallMost);
    const aborted = AbortSignal.abort();
    await assertRejects(() => tokensContaining(load(byteLevel([], words)), many, aborted), CancelledError);
  });
});

describe("a model without vocabulary", () => {
  /** Calls `body` with a model of 40 tokens without texts. */
  async function withoutVocabulary(kind: string, body: (lm: LightGPT) => Promise<void>): Promise<void> {
    await withDirectory(async (directory) => {
      const vocabulary = {
        "tokenizer.ggml.tokens": arrayOf("string", Array.from({ length: 40 }, (_, id) => `t${id}`)),
      };
      const { values, tensors } = smallModel({ architecture: "llama", vocabulary });
      values.delete("tokenizer.ggml.tokens");
      values.set("tokenizer.ggml.model", text(kind));
      values.set("llama.vocab_size", u32(40));
      const path = join(directory, "ids.gguf");
      writeFileSync(path, encodeGguf(values, tensors));
      await using lm = await LightGPT.load(path, { threads: 1 });
      await body(lm);
    });
  }

  for (const kind of ["none", "no_vocab"]) {
    it(`${kind}: loads and runs on ids; text is refused with what to do`, async () => {
      await withoutVocabulary(kind, async (lm) => {
        const sampling = { temperature: 0 };
        const { tokens, text } = await lm.complete([1, 2, 3], { maxTokens: 5, sampling });
        assertEquals([tokens.length, text], [5, ""]);
        const logits = await lm.logits([1, 2, 3]);
        assertEquals(tokens[0], logits.indexOf(Math.max(...logits)));
        const refused: (() => unknown)[] = [
          () => lm.complete("Hi"),
          () => lm.complete("Hi".repeat(10_000)),
          () => lm.tokenize("Hi"),
          () => lm.detokenize([1]),
          () => lm.perplexity("Hi"),
          () => lm.chatTokens([{ role: "user", content: "Hi" }], { template: "{{ messages[0].content }}" }),
          () => lm.complete([1], { sampling: { dry: { multiplier: 1, breakers: ["a"] } } }),
        ];
        for (const run of refused) {
          const error = await assertRejects(async () => await run(), UnsupportedError, "token ids");
          assert(error.message.includes("ids.gguf"), error.message);
        }
        await assertRejects(() => lm.complete([1], { stop: "a" }), InvalidArgumentError, "stop");
        await assertRejects(() => lm.complete([]), InvalidArgumentError, "at least one token");
      });
    });
  }
});
