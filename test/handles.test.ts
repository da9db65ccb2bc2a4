/**
 * Handles that are stale, forged, of another kind or freed twice: always an error, never a crash, and never another's model.
 *
 * @module
 */
import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import { ClosedError, LightGPTError } from "../ffi/errors.ts";
import { native } from "../ffi/native.ts";
import type { EngineHandle, ModelHandle } from "../ffi/wire.ts";
import { putBatchHeader, putBatchSequence, putEngineOptions, StepResult } from "../ffi/wire_calls.ts";
import { Words } from "../ffi/words.ts";
import { LightGPT } from "../mod.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import { Engine } from "../src/engine/engine.ts";
import type { EngineSettings } from "../src/engine/step.ts";
import { Model } from "../src/model/model.ts";
import { often } from "./counts.ts";

const settings: EngineSettings = {
  kv: "f16",
  pageSize: 32,
  pages: 2,
  batchTokens: 64,
  sequences: 2,
  threads: 1,
  activationBits: 8,
  logitRows: 2,
};

const notPooled = { pooling: "none", ranks: false, levels: false, dimensions: 0, normalises: false } as const;

/** The settings as words. */
function options(): Words<"engine"> {
  const words = new Words("engine");
  putEngineOptions(words, { ...settings, kvType: settings.kv, keeps: true });
  return words;
}

function results(count: number): StepResult {
  return new StepResult(new Uint32Array(count * StepResult.words));
}

/** Words that mean nothing. */
function anyWords<Layout extends string>(layout: Layout, words: Uint32Array<ArrayBuffer>, length: number) {
  const made = new Words(layout);
  made.list(words.subarray(0, length));
  return made;
}

describe("a handle", () => {
  it("is worth nothing once it was freed, whatever it was for", async () => {
    const model = await Model.load(embeddedModel());
    const { handle } = model;
    const engine = native().engineOpen(handle, options());
    assertEquals(native().engineFree(engine), true);
    assertEquals(native().engineFree(engine), false, "freeing twice is no error, and frees nothing");
    assertEquals(native().modelFree(handle), true);
    assertEquals(native().modelFree(handle), false);
    assertThrows(() => native().engineOpen(handle, options()), ClosedError);
    assertThrows(() => native().modelStatus(handle), ClosedError);
    assertThrows(() => native().idle(engine), ClosedError);
    assertThrows(() => native().cancel(engine, 0), ClosedError);
    assertThrows(() => native().submit(engine, new Words("batch")), ClosedError);
    assertThrows(() => native().take(engine, results(1), new Float32Array(0)), ClosedError);
    await assertRejects(() => native().wait(engine, 1), ClosedError);
    model.dispose();
  });

  it("keeps the model alive that an engine uses", async () => {
    const model = await Model.load(embeddedModel());
    const engine = new Engine(model, settings);
    model.dispose();
    model.dispose();
    assertThrows(() => model.handle, ClosedError);
    const step = { id: 1, position: 0, tokens: [1, 5], pages: [0], logits: "last" as const };
    const [{ logits, error }] = await engine.run([step], false);
    assertEquals([error, logits.length], [undefined, 2048]);
    await engine.dispose();
    await engine.dispose();
    await assertRejects(() => engine.run([step], false), ClosedError);
    engine.cancel(1);
  });

  it("that is made up or mixed up is refused in 5000 random calls, and others go on", async () => {
    await using lm = await LightGPT.load();
    const expected = await lm.complete("Once upon a time", { maxTokens: 9, sampling: { temperature: 0 } });
    const before = native().memory();
    const stale = await Model.load(embeddedModel());
    const freed = stale.handle;
    stale.dispose();
    let state = 99;
    const random = (below: number) => (state = (state * 48_271) % 2_147_483_647) % below;
    // Not those that live: a guess that is right is a right handle.
    const live = new Set<number>([lm.model.handle]);
    const forged = () => {
      const guesses = [
        0,
        1,
        2 ** 31,
        2 ** 32 - 1,
        freed,
        freed ^ 1,
        freed + 65_536,
        random(2 ** 31),
        random(64) + (1 << 31 >>> 0),
      ];
      return guesses[random(guesses.length)] >>> 0;
    };
    const words = new Uint32Array(64);
    const [model, engine] = [(handle: number) => handle as ModelHandle, (handle: number) => handle as EngineHandle];
    const calls: ((handle: number) => unknown)[] = [
      (handle) => native().modelStatus(model(handle)),
      (handle) => native().engineOpen(model(handle), anyWords("engine", words, 64)),
      (handle) => native().submit(engine(handle), anyWords("batch", words, random(64))),
      (handle) => native().take(engine(handle), results(1), new Float32Array(2)),
      (handle) => native().cancel(engine(handle), random(9)),
      (handle) => native().idle(engine(handle)),
    ];
    let refused = 0;
    for (let round = 0; round < often(5000, 100_000); round++) {
      const handle = forged();
      if (live.has(handle)) continue;
      for (let index = 0; index < words.length; index++) words[index] = random(3) === 0 ? random(2 ** 31) : random(4);
      try {
        calls[random(calls.length)](handle);
      } catch (error) {
        assertInstanceOf(error, LightGPTError);
        refused++;
      }
    }
    assert(refused > 4500, `${refused} of 5000`);
    assertEquals(native().modelFree(model(0)), false);
    assertEquals(native().engineFree(engine(2 ** 32 - 1)), false);
    assertEquals(native().engineFree(engine(lm.model.handle)), false, "a model is no engine");
    assertEquals(native().memory().handles, before.handles);
    const again = await lm.complete("Once upon a time", { maxTokens: 9, sampling: { temperature: 0 } });
    assertEquals(again.tokens, expected.tokens);
  });

  it("takes batches of random words without harm: an error, or a step", async () => {
    const model = await Model.load(embeddedModel());
    const engine = native().engineOpen(model.handle, options());
    let state = 7;
    const random = (below: number) => (state = (state * 48_271) % 2_147_483_647) % below;
    // One sequence of two tokens on one page, its last logits asked for.
    const batch = new Words("batch");
    putBatchHeader(batch, {
      runsInline: false,
      threads: 0,
      sequences: 1,
      tokens: 2,
      rounds: 1,
      granted: 1,
      ends: 0,
      ...notPooled,
    });
    const asks = {
      logits: "last",
      choices: 0,
      keep: false,
      hidden: 0,
      secondType: 0,
      adapters: 0,
      late: false,
      states: false,
      pauses: false,
    } as const;
    putBatchSequence(batch, { id: 5, position: 0, tokens: 2, pages: 1, ...asks });
    batch.list([17, 18, 0]);
    const good = batch.words.slice(0, batch.length);
    const found = results(2);
    const logits = new Float32Array(4 * 2048); // rows, and a hidden state where the words happen to ask for one
    let steps = 0;
    for (let round = 0; round < often(3000, 60_000); round++) {
      const words = Uint32Array.from(good);
      for (let changes = random(3); changes > 0; changes--) {
        words[random(words.length)] = [0, 1, 2, 31, 33, 64, 2 ** 31, 2 ** 32 - 1, random(2 ** 31)][random(9)];
      }
      try {
        const length = random(10) === 0 ? random(words.length) : words.length;
        native().submit(engine, anyWords("batch", words, length));
      } catch (error) {
        assertInstanceOf(error, LightGPTError);
        continue;
      }
      while (!native().idle(engine)) await native().wait(engine, 5);
      assertEquals(native().take(engine, found, logits), 1);
      steps++;
    }
    assert(steps > 300, `${steps} steps`);
    assertEquals(native().engineFree(engine), true);
    model.dispose();
  });

  it("for a second step while one is in flight is an error that says so", async () => {
    const model = await Model.load(embeddedModel());
    const engine = new Engine(model, { ...settings, pages: 16, batchTokens: 512 });
    const tokens = new Uint32Array(400).fill(9);
    const pages = Array.from({ length: 13 }, (_, index) => index);
    const step = { id: 1, position: 0, tokens, pages, logits: "none" as const };
    const first = engine.run([step], false);
    await assertRejects(() => engine.run([step], false), LightGPTError, "a step is in flight");
    assertEquals((await first)[0].error, undefined);
    await engine.dispose();
    model.dispose();
  });
});
