/**
 * A constraint that a sampler owns: tokens of three classes by turns, under preemption and with cache hits, beside the sets and the
 * methods of the settings.
 *
 * @module
 */
import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import { after, before, describe, it } from "node:test";
import { CancelledError, type GenerateOptions, InvalidArgumentError, Model, TokenMask } from "../mod.ts";
import type { Host } from "../src/batching/answer.ts";
import { DraftModels } from "../src/batching/drafting/draft_models.ts";
import { Drafting } from "../src/batching/drafting/drafting.ts";
import { Generation, prepareRequest } from "../src/batching/generation.ts";
import { KvStore } from "../src/batching/kv_store.ts";
import { generateFields } from "../src/batching/request_options.ts";
import { Scheduler } from "../src/batching/scheduler.ts";
import { Engine } from "../src/engine/engine.ts";
import { StepTimes } from "../src/engine/step_times.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import { readOptions } from "../src/options/schema.ts";
import { choose } from "../src/sampling/choose.ts";
import type { Constraint } from "../src/sampling/constraint.ts";
import { resolveSampling } from "../src/sampling/resolve.ts";
import { SamplerState } from "../src/sampling/state.ts";

const classes = 3;

/** Lets ids of class 0, 1, 2, 0, 1 ... come, `length` of them. */
class Alternating implements Constraint {
  readonly #vocabulary: number;
  readonly #length: number;
  readonly #masks: readonly TokenMask[];
  #count: number;

  constructor(vocabulary: number, length: number, count = 0) {
    this.#vocabulary = vocabulary;
    this.#length = length;
    this.#count = count;
    this.#masks = Array.from({ length: classes }, (_, kind) => {
      const ids = Array.from({ length: Math.floor((vocabulary - 10) / classes) }, (_, index) => index * classes + kind);
      return new TokenMask(vocabulary, ids.filter((id) => id > 2));
    });
  }

  get isDone(): boolean {
    return this.#count >= this.#length;
  }

  words(): Uint32Array {
    return (this.#masks[this.#count % classes] as TokenMask).words;
  }

  accept(token: number): void {
    assertEquals(token % classes, this.#count % classes, "a token that was not allowed");
    this.#count++;
  }

  clone(): Constraint {
    return new Alternating(this.#vocabulary, this.#length, this.#count);
  }
}

/** Takes some calls until it is ready; its words may not be asked for before. */
class Slow extends Alternating {
  readonly #calls: number;
  readonly #vocabulary: number;
  readonly #length: number;
  #left: number;
  #accepted: number;

  /** Each mask takes so many calls of `prepare`. */
  constructor(vocabulary: number, length: number, calls: number, accepted = 0) {
    super(vocabulary, length, accepted);
    this.#vocabulary = vocabulary;
    this.#length = length;
    this.#left = this.#calls = calls;
    this.#accepted = accepted;
  }

  prepare(): boolean {
    return this.#left === 0 || --this.#left === 0;
  }

  override words(): Uint32Array {
    assertEquals(this.#left, 0, "words that are not ready");
    return super.words();
  }

  override accept(token: number): void {
    super.accept(token);
    this.#accepted++;
    this.#left = this.#calls;
  }

  override clone(): Constraint {
    const copy = new Slow(this.#vocabulary, this.#length, this.#calls, this.#accepted);
    copy.#left = this.#left;
    return copy;
  }
}

/** Lets some ids come that lie beside each other, other ones after each token: the logits of all others are not computed. */
class Blocks implements Constraint {
  readonly #vocabulary: number;
  readonly #begin: number;
  #count = 0;

  constructor(vocabulary: number, begin: number) {
    this.#vocabulary = vocabulary;
    this.#begin = begin;
  }

  get isDone(): boolean {
    return this.#count >= 40;
  }

  words(): Uint32Array {
    const first = 20 + (this.#begin + 53 * this.#count) % (this.#vocabulary - 60);
    return new TokenMask(this.#vocabulary, Array.from({ length: 37 }, (_, index) => first + index)).words;
  }

  accept(): void {
    this.#count++;
  }

  clone(): Constraint {
    const copy = new Blocks(this.#vocabulary, this.#begin);
    copy.#count = this.#count;
    return copy;
  }
}

describe("a constraint", () => {
  let model: Model;
  before(async () => void (model = await Model.load(embeddedModel(), { context: 256 })));
  after(() => model.dispose());

  function open(pages: number, cache: boolean) {
    const engine = new Engine(model, {
      kv: "f16",
      pageSize: 16,
      pages,
      batchTokens: 528,
      sequences: 8,
      threads: 1,
      activationBits: 8,
      logitRows: 64,
    });
    const options = { queueMax: 100, maxWaitMs: 0, patience: 64, weights: new Map<string, number>() };
    const store = new KvStore(engine, { pageBytes: 1, statePages: 0 }, cache ? {} : undefined);
    const drafting = new Drafting(model.vocabulary);
    const times = new StepTimes(model.residentBytes, 16);
    const scheduler = new Scheduler(engine, store, times, { ...options, drafting });
    const draftModels = new DraftModels(model, { ...engine.settings, pageSize: 16 });
    const { tokenizer, context, adapters, loadMs } = model;
    const host: Host = { scheduler, draftModels, tokenizer, context, adapters, loadMs };
    const run = async (prompt: string, constraint: Constraint | undefined, options: GenerateOptions) => {
      const prepared = prepareRequest(host, prompt, readOptions(generateFields, options));
      const pieces = new Generation(() => ({
        ...prepared,
        options: { ...prepared.options, ...(constraint ? { constraint } : {}) },
      }));
      for (;;) {
        const { done, value } = await pieces.next();
        if (done) return value;
      }
    };
    return { scheduler, store, run };
  }

  const alternating = (length: number) => new Alternating(model.vocabulary, length);
  const prompt = "Once upon a time, there was a little girl named Lily who lived in a house by the bridge and ";
  const optionsOf = (index: number): GenerateOptions => ({
    maxTokens: 100,
    sampling: index % 2 === 0 ? { temperature: 0 } : { seed: index, temperature: 2, penalties: { repetition: 1.2 } },
    ...(index % 5 === 4 ? { logitsProcessor: () => {} } : {}),
  });

  it("holds under preemption and with cache hits, and gives what it gives alone", async () => {
    const alone = open(100, false);
    const wanted = [];
    for (let index = 0; index < 10; index++) {
      wanted.push((await alone.run(prompt + index % 4, alternating(60 + index), optionsOf(index))).tokens);
    }
    await alone.scheduler.dispose();
    const tight = open(17, true);
    const all = await Promise.all(
      wanted.map((_, index) => tight.run(prompt + index % 4, alternating(60 + index), optionsOf(index))),
    );
    assertEquals(all.map(({ tokens }) => tokens), wanted);
    for (const [index, { tokens, stopReason }] of all.entries()) {
      assertEquals(tokens.map((token) => token % classes), tokens.map((_, at) => at % classes));
      assertEquals([tokens.length, stopReason], [60 + index, "endOfText"]);
    }
    assertGreater(tight.scheduler.meter.preemptions, 0);
    assertGreater(tight.store.cache?.stats().tokensSaved ?? 0, 0);
    await tight.scheduler.dispose();
  });

  it("chooses the same tokens whether the logits of others are computed or not", async () => {
    const { scheduler, run } = open(100, false);
    const samplings: GenerateOptions["sampling"][] = [
      { temperature: 0 },
      { temperature: 2, seed: 3, topK: 9, topP: 0.9, minP: 0.01 },
      { temperature: 1.5, seed: 4, penalties: { repetition: 1.3 }, bias: { 30: 2 } },
      { temperature: 1.5, seed: 5, mirostat: { tau: 4, eta: 0.2 } },
      // What is told by all that is left must not be told by what was left out.
      { temperature: 2, seed: 6, topNSigma: 1, topK: 0, topP: 1 },
      { temperature: 2, seed: 7, typicalP: 0.5, xtc: { probability: 0.9, threshold: 0.05 }, topK: 0, topP: 1 },
      {
        dynamicTemperature: { range: 0.8, exponent: 2 },
        seed: 8,
        temperature: 1.5,
        dry: { multiplier: 2, allowedLength: 1 },
      },
    ];
    const few = (index: number) => new Blocks(model.vocabulary, 200 * index);
    const wanted = [];
    for (const [index, sampling] of samplings.entries()) {
      const all = await run(prompt + index, few(index), { sampling, logitsProcessor: () => {} });
      wanted.push(all.tokens);
      assertEquals(all.tokens.length, 40);
      assertEquals((await run(prompt + index, few(index), { sampling, logprobs: 1 })).tokens, all.tokens);
      assertEquals((await run(prompt + index, few(index), { sampling })).tokens, all.tokens);
    }
    const beside = await Promise.all(
      samplings.map((sampling, index) => run(prompt + index, few(index), sampling ? { sampling } : {})),
    );
    assertEquals(beside.map(({ tokens }) => tokens), wanted);
    await scheduler.dispose();
  });

  it("is waited for until it is ready, alone and beside others, with the same tokens", async () => {
    const alone = open(100, false);
    const wanted = [];
    for (let index = 0; index < 10; index++) {
      wanted.push((await alone.run(prompt + index % 4, alternating(30 + index), optionsOf(index))).tokens);
      const slow = new Slow(model.vocabulary, 30 + index, 5);
      assertEquals((await alone.run(prompt + index % 4, slow, optionsOf(index))).tokens, wanted[index]);
    }
    await alone.scheduler.dispose();
    const tight = open(17, true);
    const all = await Promise.all(wanted.map((_, index) => {
      const constraint = index % 3 === 0 ? alternating(30 + index) : new Slow(model.vocabulary, 30 + index, 2 * index);
      return tight.run(prompt + index % 4, constraint, optionsOf(index));
    }));
    assertEquals(all.map(({ tokens }) => tokens), wanted);
    await tight.scheduler.dispose();
  });

  it("that never gets ready holds up neither the event loop nor the signal that ends its request", async () => {
    const { scheduler, run } = open(100, false);
    const controller = new AbortController();
    const { signal } = controller;
    let calls = 0;
    const never = Object.assign(alternating(30), {
      prepare: () => {
        if (++calls === 50) setTimeout(() => controller.abort(), 0);
        return calls < 9; // so that a step, and then a chain, has begun
      },
    });
    await assertRejects(() => run(prompt, never, { signal, maxTokens: 20 }), CancelledError);
    assertGreater(calls, 49);
    const { tokens } = await run(prompt, alternating(20), {});
    assertEquals(tokens.length, 20);
    await scheduler.dispose();
  });

  it("allows what the settings allow, too; where that is nothing, the request fails", async () => {
    const { scheduler, run } = open(100, true);
    const allowed = Array.from({ length: 90 }, (_, index) => 300 + index);
    const { tokens } = await run(prompt, alternating(20), { sampling: { allowed, banned: [300, 303] } });
    assert(
      tokens.every((token, at) => token > 300 && token < 390 && token !== 303 && token % classes === at % classes),
    );
    await assertRejects(() => run(prompt, alternating(20), { sampling: { allowed: [301] } }), InvalidArgumentError);
    await scheduler.dispose();
  });

  it("must have a mask of the vocabulary's size", async () => {
    const { scheduler, run } = open(100, true);
    const short = new Alternating(model.vocabulary - 64, 20);
    await assertRejects(() => run(prompt, short, {}), InvalidArgumentError, "constraint");
    await scheduler.dispose();
  });

  it("goes on alone in a copy of its sampler, and begins again with it", () => {
    const state = new SamplerState(resolveSampling({ temperature: 0 }), new Alternating(64, 9));
    const logits = Float32Array.from({ length: 64 }, (_, id) => id);
    const pick = (state: SamplerState) => {
      const { token } = choose(state, logits, { position: state.position });
      state.accept(token);
      return token % classes;
    };
    state.begin([5, 5, 5]);
    assertEquals([pick(state), pick(state)], [0, 1], "the prompt does not count");
    const copy = state.clone();
    assertEquals([pick(copy), pick(copy), pick(state)], [2, 0, 2]);
    state.reset();
    assertEquals(pick(state), 0);
  });
});
