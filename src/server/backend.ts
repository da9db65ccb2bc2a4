/**
 * What takes jobs: the backend of a model that runs in this process. The skins know no other way to have something generated, so that
 * jobs can as well go to other machines. Its face is in `types.ts`.
 *
 * @module
 */
import type { Completion, Piece } from "../batching/completion.ts";
import type { BatchRequest } from "../batching/request_options.ts";
import type { LightGPT } from "../lightgpt/lightgpt.ts";
import type { Backend, Job } from "./types.ts";

/** A model of this process. */
export class LocalBackend implements Backend {
  readonly #lm: LightGPT;

  /** Runs jobs by a model that is loaded. */
  constructor(lm: LightGPT) {
    this.#lm = lm;
  }

  async submit(job: Job, signal: AbortSignal): Promise<AsyncGenerator<Piece, Completion, void>> {
    const request = await this.#requestOf(job);
    signal.throwIfAborted();
    return this.#lm.batcher.submit({ ...request, signal });
  }

  /** A job as the batcher takes it: what its answer is held to becomes a grammar of this vocabulary. */
  async #requestOf({ held, ...job }: Job): Promise<BatchRequest> {
    if (held === undefined) return job;
    const { grammarOfAnswer } = await import("../tools/held_answer.ts"); // most servers never see a tool
    return { ...job, constraint: { grammar: await grammarOfAnswer(this.#lm.model.tokenizer, held) } };
  }
}
