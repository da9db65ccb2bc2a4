/**
 * `LightGPT` from a program's side: what loading and requests give, what every option does, and the error for everything that
 * cannot be.
 *
 * @module
 */
import { assert, assertEquals, assertGreater, assertRejects, assertThrows } from "@std/assert";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import {
  CancelledError,
  ClosedError,
  type Completion,
  type GenerateOptions,
  InvalidArgumentError,
  LightGPT,
  type LightGPTOptions,
  type LoadProgress,
  type LogitsOptions,
  OutOfMemoryError,
  Piece,
} from "../mod.ts";
import { native } from "../ffi/native.ts";
import { assertHeld, holding } from "./memory.ts";

const story = "Once upon a time";
const greedy = { temperature: 0 } as const;

/** A value of a type that the compiler would not let through. */
function wrong<T>(value: unknown): T {
  return value as T;
}

/** What a generator gives, to its last value. */
async function collect(pieces: AsyncGenerator<Piece, Completion, void>): Promise<[Piece[], Completion]> {
  const all: Piece[] = [];
  for (;;) {
    const { done, value } = await pieces.next();
    if (done) return [all, value];
    all.push(value);
  }
}

describe("loading", () => {
  it("tells how far it is, from the beginning to the end", async () => {
    const seen: LoadProgress[] = [];
    await using lm = await LightGPT.load(undefined, { onProgress: (progress) => seen.push(progress) });
    assertGreater(lm.model.residentBytes, 2_000_000);
    assertGreater(seen.length, 1);
    const last = seen.at(-1) as LoadProgress;
    assertEquals(last.bytesDone, last.bytesTotal);
    for (const [index, { bytesDone, bytesTotal }] of seen.entries()) {
      assertEquals(bytesTotal, last.bytesTotal);
      assert(bytesDone >= (seen[index - 1]?.bytesDone ?? 0), "never backwards");
    }
  });

  it("ends by its signal, or by an error of the callback, and leaves nothing", async () => {
    const before = await holding();
    const controller = new AbortController();
    const onProgress = () => controller.abort("enough");
    const error = await assertRejects(
      () => LightGPT.load(undefined, { signal: controller.signal, onProgress }),
      CancelledError,
    );
    assertEquals([error.code, error.cause], ["cancelled", "enough"]);
    await assertRejects(() => LightGPT.load(undefined, { signal: AbortSignal.abort() }), CancelledError);
    const thrown = new RangeError("mine");
    const caught = await assertRejects(() =>
      LightGPT.load(undefined, {
        onProgress() {
          throw thrown;
        },
      }), RangeError);
    assertEquals(caught, thrown);
    await assertHeld(before);
  });

  it("ends by a signal that is aborted in the last report of its progress", async () => {
    const before = await holding();
    const controller = new AbortController();
    let isAtEnd = false;
    const onProgress = ({ bytesDone, bytesTotal }: LoadProgress) => {
      isAtEnd = bytesDone === bytesTotal;
      if (isAtEnd) controller.abort("late");
    };
    const load = () => LightGPT.load(undefined, { signal: controller.signal, onProgress });
    const error = await assertRejects(load, CancelledError);
    assertEquals([isAtEnd, error.cause], [true, "late"]);
    await assertHeld(before);
  });

  it("refuses options that mean nothing, by name", async () => {
    const wrongs: [keyof LightGPTOptions, unknown[]][] = [
      ["threads", [0, -1, 1.5, NaN, 257, 10_000, "2", null]],
      ["context", [0, -1, 0.5, NaN, Infinity, 2 ** 20 + 1, "512"]],
      ["kv", ["f8", 16, null]],
      ["activations", ["int4", 8, true]],
      ["pageSize", [0, 8, 33, "32"]],
      ["chunkTokens", [0, -7, 513, NaN]],
      ["signal", [{}, true]],
      ["onProgress", [{}, "log"]],
    ];
    for (const [name, values] of wrongs) {
      for (const value of values) {
        const error = await assertRejects(
          () => LightGPT.load(undefined, { [name]: value }),
          InvalidArgumentError,
          `${name}: expected`,
        );
        assertEquals(error.detail.where, name);
      }
    }
    await assertRejects(() => LightGPT.load(undefined, wrong({ thread: 2 })), InvalidArgumentError, '"thread"');
    await assertRejects(() => LightGPT.load(undefined, wrong(null)), InvalidArgumentError, "options: expected");
    for (const path of ["", "a\0b", 7, null]) {
      await assertRejects(() => LightGPT.load(wrong(path)), InvalidArgumentError, "path: expected");
    }
  });

  it("refuses a context that memory cannot hold, and says how much would be needed", async () => {
    const real = process.constrainedMemory;
    const handles = native().memory().handles;
    // What the process holds already is no room for a model.
    process.constrainedMemory = () => process.memoryUsage.rss() + 400 * 2 ** 20;
    try {
      const load = () => LightGPT.load(undefined, { context: 2 ** 20 });
      const error = await assertRejects(
        load,
        OutOfMemoryError,
        "keys and values of 1048576 positions",
      );
      const [, context] = /expected more memory, context: (\d+), kv "q8_0"/.exec(error.message) ?? [];
      assertEquals(error.detail.where, "context");
      assertGreater(Number(context), 2048, error.message);
      await using smaller = await LightGPT.load(undefined, { context: 2048 });
      assertEquals(smaller.context, 2048);
    } finally {
      process.constrainedMemory = real;
    }
    assertEquals(native().memory().handles, handles);
  });
});

describe("a request", () => {
  let lm: LightGPT;
  before(async () => {
    lm = await LightGPT.load();
  });
  after(() => lm.dispose());

  it("streams what complete gives as a whole", async () => {
    const options: GenerateOptions = { maxTokens: 40, sampling: { seed: 7 } };
    const [pieces, last] = await collect(lm.generate(story, options));
    const whole = await lm.complete(story, options);
    assertEquals(pieces.map(({ text }) => text).join(""), whole.text);
    assertEquals(pieces.map(({ token }) => token), whole.tokens);
    assertEquals(`${pieces[0]}`, pieces[0].text);
    assert(pieces[0] instanceof Piece);
    assertEquals(last.tokens, whole.tokens);
    assertEquals([whole.promptTokens, whole.generatedTokens, whole.seed], [5, whole.tokens.length, 7]);
    for (const ms of [whole.loadMs, whole.prefillMs, whole.decodeMs]) assertGreater(ms, 0);
    const ids = await lm.complete(lm.tokenize(story), options);
    assertEquals(ids.tokens, whole.tokens, "ids are as good as their text");
  });

  it("reports a random seed that repeats it", async () => {
    const first = await lm.complete(story, { maxTokens: 30 });
    const again = await lm.complete(story, { maxTokens: 30, sampling: { seed: first.seed } });
    assertEquals(again.tokens, first.tokens);
    const other = await lm.complete(story, { maxTokens: 30 });
    assert(other.seed !== first.seed);
  });

  it("ends when the text does, when it should, or when the context is full", async () => {
    const story = await lm.complete("Once upon a time", { sampling: { seed: 1 } });
    assertEquals(story.stopReason, "endOfText");
    assertEquals(story.tokens.some((token) => lm.model.tokenizer.endOfGeneration.has(token)), false);
    assertEquals(lm.detokenize(story.tokens).trimStart(), story.text.trimStart());
    assertEquals((await lm.complete("Once", { maxTokens: 3, sampling: greedy })).stopReason, "maxTokens");
    await using small = await LightGPT.load(undefined, { context: 16 });
    const full = await small.complete("Once upon a time", { sampling: greedy });
    assertEquals([full.stopReason, full.promptTokens + full.generatedTokens], ["context", 16]);
    const exact = await small.complete(new Uint32Array(16).fill(5), { sampling: greedy });
    assertEquals([exact.stopReason, exact.text, exact.tokens], ["context", "", []]);
  });

  it("stops before a stop string and shows nothing of it", async () => {
    const { text } = await lm.complete(story, { maxTokens: 60, sampling: greedy });
    const stop = text.slice(20, 27);
    for (const given of [stop, [stop, "nowhere in it"]]) {
      const [pieces, last] = await collect(lm.generate(story, { maxTokens: 60, sampling: greedy, stop: given }));
      assertEquals(last.stopReason, "stop");
      assertEquals(last.text, text.slice(0, text.indexOf(stop)));
      assertEquals(pieces.join(""), last.text);
    }
    const tail = await lm.complete(story, { maxTokens: 60, sampling: greedy, stop: `${text.slice(-4)}!never` });
    assertEquals([tail.text, tail.stopReason], [text, "maxTokens"], "what was held back comes at the end");
  });

  it("makes nothing for no tokens", async () => {
    const { text, tokens, stopReason, promptTokens } = await lm.complete(story, { maxTokens: 0 });
    assertEquals([text, tokens, stopReason, promptTokens], ["", [], "maxTokens", 5]);
    const [pieces] = await collect(lm.generate(story, { maxTokens: 0 }));
    assertEquals(pieces, []);
  });

  it("begins a text of its own when the prompt is empty", async () => {
    const empty = await lm.complete("", { maxTokens: 12, sampling: greedy });
    assertEquals([empty.promptTokens, empty.tokens.length], [1, 12]);
    assertEquals((await lm.complete([], { maxTokens: 12, sampling: greedy })).tokens, empty.tokens);
    assert(!empty.text.startsWith(" "), "no space before the first word");
  });

  it("refuses a prompt that the context does not hold", async () => {
    const long = "The dog ran. ".repeat(200);
    const error = await assertRejects(
      () => lm.complete(long),
      InvalidArgumentError,
      "are more than the context of 512",
    );
    assertEquals(error.detail.where, "prompt");
    await assertRejects(() => lm.complete(new Array(513).fill(7)), InvalidArgumentError, "prompt: 513 tokens");
    await assertRejects(() => lm.logits(new Array(513).fill(7)), InvalidArgumentError, "tokens: 513 tokens");
  });

  it("refuses what is no prompt and no token", async () => {
    for (const prompt of [undefined, null, 7, true, () => ""]) {
      assertThrows(() => lm.generate(wrong(prompt)), InvalidArgumentError, "prompt: expected");
    }
    for (const id of [-1, 2048, 1.5, NaN, "5", undefined, 2n]) {
      await assertRejects(() => lm.complete(wrong([1, id])), InvalidArgumentError, "tokens[1]: expected an id");
      await assertRejects(() => lm.logits(wrong([1, id])), InvalidArgumentError, "tokens[1]: expected an id");
      assertThrows(() => lm.detokenize(wrong([1, id])), InvalidArgumentError, "tokens[1]: expected an id");
    }
    for (const tokens of [undefined, null, {}, "12", { length: -1 }, { length: 2 ** 40 }, { length: 1.5 }]) {
      await assertRejects(() => lm.logits(wrong(tokens)), InvalidArgumentError, "tokens");
    }
    await assertRejects(() => lm.logits([]), InvalidArgumentError, "tokens: expected at least one token");
    assertThrows(() => lm.tokenize(wrong(5)), InvalidArgumentError, "text: expected a string");
  });

  it("refuses options that mean nothing, by name", async () => {
    const wrongs: [keyof GenerateOptions, unknown[]][] = [
      ["maxTokens", [-1, 0.5, NaN, Infinity, "9", null, 2 ** 60]],
      ["stop", ["", [""], [7], 7, null, {}]],
      ["signal", [{}, "now", null]],
      ["sampling", [null, 7, "greedy", []]],
    ];
    for (const [name, values] of wrongs) {
      for (const value of values) {
        await assertRejects(() => lm.complete(story, { [name]: value }), InvalidArgumentError, `${name}: expected`);
      }
    }
    for (const options of [null, 7, "fast", []]) {
      await assertRejects(() => lm.complete(story, wrong(options)), InvalidArgumentError, "options: expected");
    }
    const misspelt = () => lm.complete(story, wrong({ max_tokens: 4 }));
    await assertRejects(
      misspelt,
      InvalidArgumentError,
      'unknown option "max_tokens"; did you mean "maxTokens"? There are maxTokens',
    );
    await assertRejects(
      () => lm.complete(story, { sampling: { temperature: NaN } }),
      InvalidArgumentError,
      "temperature",
    );
    await assertRejects(() => lm.logits([1], wrong<LogitsOptions>({ all: 1 })), InvalidArgumentError, "all: expected");
    await assertRejects(() => lm.logits([1], wrong<LogitsOptions>({ rows: 1 })), InvalidArgumentError, '"rows"');
    for (const window of [0, 1, -5, NaN, 513]) {
      await assertRejects(() => lm.perplexity(story, { window }), InvalidArgumentError, "window: expected");
    }
    await assertRejects(() => lm.perplexity(""), InvalidArgumentError, "at least one token");
    await assertRejects(() => lm.perplexity(wrong(7)), InvalidArgumentError, "text: expected a string");
  });

  it("gives logits of one position or of all", async () => {
    const ids = lm.tokenize(story);
    const all = await lm.logits(ids, { all: true });
    assertEquals(all.length, ids.length * 2048);
    for (let length = 1; length <= ids.length; length++) {
      assertEquals(await lm.logits(ids.subarray(0, length)), all.slice((length - 1) * 2048, length * 2048));
    }
    const { tokens } = await lm.complete(ids, { maxTokens: 1, sampling: greedy });
    const last = all.subarray(-2048);
    assertEquals(tokens[0], last.indexOf(Math.max(...last)));
  });
});

describe("disposing", () => {
  it("gives everything back, once, whoever asks how often", async () => {
    const before = await holding();
    const lm = await LightGPT.load();
    assertEquals(native().memory().handles, before.handles + 2);
    await lm.complete(story, { maxTokens: 3 });
    await Promise.all([lm.dispose(), lm.dispose(), lm[Symbol.asyncDispose]()]);
    await lm.dispose();
    lm.model.dispose();
    await assertHeld(before);
  });

  it("ends what is running with the code closed", async () => {
    const before = await holding();
    const lm = await LightGPT.load(undefined, { chunkTokens: 8 });
    const halfway = lm.generate(story);
    await halfway.next();
    const waiting = [
      lm.complete("The red fox"),
      lm.logits(new Array(400).fill(9), { all: true }),
      lm.perplexity("The dog ran to the house. ".repeat(50)),
    ].map((promise) => assertRejects(() => promise as Promise<unknown>, ClosedError));
    await new Promise((resolve) => setImmediate(resolve));
    await lm.dispose();
    await Promise.all(waiting);
    await assertRejects(() => halfway.next(), ClosedError);
    assertEquals((await halfway.next()).done, true);
    await assertHeld(before);
  });

  it("leaves clear errors for whoever comes later", async () => {
    const lm = await LightGPT.load();
    const idle = lm.generate(story);
    const begun = lm.generate(story);
    await begun.next();
    await lm.dispose();
    for (
      const use of [
        () => lm.complete(story),
        () => lm.logits([1]),
        () => lm.perplexity(story),
        () => idle.next(),
        () => begun.next(),
        () => lm.generate(story).next(),
      ]
    ) {
      const error = await assertRejects(use, ClosedError, "disposed");
      assertEquals(error.code, "closed");
    }
    assertThrows(() => lm.tokenize(story), ClosedError);
    assertThrows(() => lm.detokenize([1]), ClosedError);
  });
});
