/**
 * Chooses the next token from logits of any origin by a chain of methods (`options.ts`), with the same result on every
 * processor and runtime. An engine's step runs the same chain (`engine/engine.ts`).
 *
 * @module
 */
import { InvalidArgumentError } from "../../ffi/errors.ts";
import { checkInteger, guarded, refuseOption } from "../options/checks.ts";
import { pickOptions, readOptions } from "../options/schema.ts";
import { tokenIds } from "../options/token_ids.ts";
import { candidates, choose } from "./choose.ts";
import type { SamplerOptions } from "./options.ts";
import { resolveSampling } from "./resolve.ts";
import { checkId, samplerFields, samplingFields } from "./schema.ts";
import type { MethodReport } from "./report.ts";
import { type Choice, SamplerState, seedOf } from "./state.ts";
import { readMemory, type SamplerMemory } from "./memory.ts";
import { LIMITS } from "../../ffi/wire.ts";

/**
 * A token that may be chosen, and how likely that is.
 *
 * @example
 * ```ts
 * import { type Candidate, Sampler } from "@lightgpt/lightgpt";
 *
 * const candidates: Candidate[] = new Sampler({ temperature: 1 }).distribution(Float32Array.of(0, 0));
 * console.log(candidates); // [{ token: 0, probability: 0.5 }, { token: 1, probability: 0.5 }]
 * ```
 */
export interface Candidate {
  /** The id of the token. */
  readonly token: number;
  /** From above 0 to 1, after all methods. */
  readonly probability: number;
}

/**
 * Chooses tokens from logits, one after the other.
 *
 * Logits are a `Float32Array` with one float for each token of a vocabulary; a sampler reads it and leaves it as it is. A token
 * with -Infinity is never chosen, one with +Infinity always. Of equal logits the lower id comes first. Random numbers depend
 * on the seed and on how many tokens were chosen and accepted, and on nothing else.
 *
 * The methods that take logits throw an error of the code `nonFinite` where a logit is NaN (`detail.where` has its index), and
 * an {@link InvalidArgumentError} where no token may be chosen, where a token of the settings or of the history is not in the
 * vocabulary, or where the array cannot be used: empty, of another type, detached, resizable or shared.
 *
 * @example
 * ```ts
 * import { Sampler } from "@lightgpt/lightgpt";
 *
 * const sampler = new Sampler({ temperature: 0.7, topK: 50, penalties: { repetition: 1.1 }, seed: 42 });
 * const logits = Float32Array.from({ length: 1000 }, (_, id) => Math.sin(id) * 5);
 * for (let i = 0; i < 10; i++) {
 *   const token = sampler.sample(logits);
 *   sampler.accept(token); // penalties want to know
 *   console.log(token);
 * }
 * ```
 */
export class Sampler {
  readonly #state: SamplerState;

  /**
   * Makes a sampler with these settings, or a copy of another sampler.
   *
   * @throws {InvalidArgumentError} if a setting means nothing or contradicts another
   */
  constructor(options: SamplerOptions | Sampler = {}) {
    const isSampler = guarded("sampling", () => options instanceof Sampler);
    if (isSampler) {
      this.#state = (options as Sampler).#state.clone();
      return;
    }
    const { grammar } = readOptions(samplerFields, options, "sampling", "");
    this.#state = new SamplerState(resolveSampling(pickOptions(samplingFields, options)), grammar);
  }

  /** The seed that was given or drawn; a bigint only above 2^53 - 1. */
  get seed(): number | bigint {
    return seedOf(this.#state.sampling.seed);
  }

  /** Whether its grammar lets nothing follow; false without one. */
  get isDone(): boolean {
    return this.#state.isDone;
  }

  /** Chooses a token of `logits`, one float for each token of the vocabulary: its id. */
  sample(logits: Float32Array): number {
    return choose(this.#state, logits, { position: this.#state.position }).token;
  }

  /** Chooses a token for each array of logits of `batch`, one after the other. */
  sampleMany(batch: Iterable<Float32Array>): Uint32Array {
    return guarded("batch", () => {
      if (batch === null || typeof batch !== "object" || ArrayBuffer.isView(batch) || !(Symbol.iterator in batch)) {
        refuseOption("batch", "an array of Float32Arrays", batch);
      }
      return Uint32Array.from(Array.from(batch, (logits) => this.sample(logits)));
    });
  }

  /**
   * Chooses a token and tells log probabilities, in the distribution of the logits before any method.
   *
   * @param logits [vocabulary]
   * @param top how many of the likeliest tokens to tell, 0 to 20
   * @returns the token, its log probability, and those of the likeliest
   */
  choose(logits: Float32Array, top: number = 0): Required<Omit<Choice, "mu">> & Choice {
    checkInteger("top", top, 0, LIMITS.logprobsMax);
    return choose(this.#state, logits, { position: this.#state.position, top }) as
      & Required<Omit<Choice, "mu">>
      & Choice;
  }

  /** The tokens that {@link Sampler.sample} would choose from with these `logits`, the likeliest first. Changes nothing. */
  distribution(logits: Float32Array): Candidate[] {
    const { tokens, probabilities } = candidates(this.#state, logits, this.#state.position);
    const list: Candidate[] = [];
    for (const [index, token] of tokens.entries()) {
      const probability = probabilities[index] as number;
      if (probability > 0) list.push({ token, probability });
    }
    return list.sort((a, b) => b.probability - a.probability || a.token - b.token);
  }

  /**
   * Adds the tokens of a prompt to the text that penalties and DRY look at; a grammar says nothing about them.
   *
   * @param tokens the ids
   * @returns the sampler itself
   */
  begin(tokens: ArrayLike<number>): this {
    this.#state.begin(tokenIds("tokens", tokens, LIMITS.vocabularyMax));
    return this;
  }

  /**
   * Adds a token to the text that penalties and DRY look at, whether it was chosen here or not, and goes on by it in the grammar.
   *
   * @returns the sampler itself
   * @throws {LightGPTError} with the code `invalidArgument` where the grammar does not allow the token
   */
  accept(token: number): this {
    checkId("token", token);
    this.#state.accept(token);
    return this;
  }

  /**
   * Copies the sampler.
   *
   * @returns one with the same settings and memory, which changes independently
   */
  clone(): Sampler {
    return new Sampler(this);
  }

  /** Begins anew with the same settings and seed: the same choices come again. */
  reset(): void {
    this.#state.reset();
  }

  /** What it keeps of its text, as plain data: {@link Sampler.recall} of one with the same settings and seed goes on from it. */
  memory(): SamplerMemory {
    return this.#state.memory;
  }

  /**
   * Goes on from the `memory` of another sampler, of this machine or another; reports begin anew, and a grammar is where it was
   * when the sampler was made.
   *
   * @returns the sampler itself
   */
  recall(memory: SamplerMemory): this {
    this.#state.recall(readMemory(memory));
    return this;
  }

  /**
   * Tells what each method of the chain did so far.
   *
   * @returns a report for each method, in the order of the chain
   */
  report(): MethodReport[] {
    return this.#state.report;
  }
}

/** The error for a choice without a token that may be chosen. */
export function nothingToChoose(): InvalidArgumentError {
  return new InvalidArgumentError("sampling: no token may be chosen: all are banned or have a logit of -Infinity.", {
    what: "no token that may be chosen",
    where: "sampling",
    expected: "a token that is not banned",
    got: "none",
  });
}
