/**
 * Fills steps with texts and runs them: while one is computed, the next one's texts are made tokens of. Nothing is read ahead beyond
 * that, so a source of any length takes the memory of two steps.
 *
 * @module
 */
import type { TextEngine, TokenText } from "../engine/text_engine.ts";
import { assertNotAborted, cancelledBy } from "../options/checks.ts";
import type { StepBlock, StepOrder, TextRunner } from "./types.ts";

/** Tokens that fill a step: products are as fast as they get, and a step is soon over. */
export const stepTokens = 512;
/** Most texts of a step. */
export const stepTexts = 128;

/** Runs the steps of all calls, one after the other. */
export class Steps implements TextRunner {
  readonly #engine: TextEngine;
  /** The end of the step before. */
  #turn: Promise<unknown> = Promise.resolve();

  /** Over one engine. */
  constructor(engine: TextEngine) {
    this.#engine = engine;
  }

  /** The blocks of `texts`, step by step. */
  async *run(texts: AsyncIterable<TokenText>, order: StepOrder): AsyncGenerator<StepBlock, void, void> {
    let running: Promise<StepBlock> | undefined;
    for await (const step of steps(texts)) {
      if (running !== undefined) yield await running;
      running = this.#start(step, order);
      // Awaited after the next step's texts are there; until then a failure must not count as unheard.
      running.catch(() => {});
    }
    if (running !== undefined) yield await running;
  }

  async #start(texts: readonly TokenText[], order: StepOrder): Promise<StepBlock> {
    const before = this.#turn;
    const step = before.then(() => this.#run(texts, order));
    this.#turn = step.catch(() => {});
    return await step;
  }

  async #run(texts: readonly TokenText[], { result, width, place, signal }: StepOrder): Promise<StepBlock> {
    assertNotAborted(signal);
    const rows = result.pooling === "rows" ? texts.reduce((sum, { tokens }) => sum + tokens.length, 0) : texts.length;
    const data = place(rows * width);
    const cancel = () => this.#engine.cancel();
    signal?.addEventListener("abort", cancel);
    try {
      const errors = await this.#engine.run(texts, result, data);
      if (signal?.aborted) throw cancelledBy(signal);
      for (const error of errors) if (error !== undefined) throw error;
      return { texts, data };
    } finally {
      signal?.removeEventListener("abort", cancel);
    }
  }
}

/** Texts as lists for a step each: as many as fill one, and one at least. */
async function* steps(texts: AsyncIterable<TokenText>): AsyncGenerator<TokenText[], void, void> {
  let step: TokenText[] = [];
  let tokens = 0;
  for await (const text of texts) {
    const { length } = text.tokens;
    if (step.length > 0 && (tokens + length > stepTokens || step.length === stepTexts)) {
      yield step;
      step = [];
      tokens = 0;
    }
    step.push(text);
    tokens += length;
  }
  if (step.length > 0) yield step;
}
