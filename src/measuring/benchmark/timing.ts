/**
 * Timing of a loaded model through the public interface: reading a prompt, and generating in one or many sequences at
 * once. `lightgpt bench` and the benchmarks of this project measure with the same functions.
 *
 * @module
 */
import { LightGPTError } from "../../../ffi/errors.ts";
import type { ModelPlan } from "../../model/architectures/architectures.ts";
import type { Model } from "../../model/model.ts";
import { given } from "../../options/schema.ts";

/** Requests that a stream may need before something is wrong with the model. */
const requestsMost = 1000;

/** What is timed: a `LightGPT`, as far as timing needs it. */
export interface Timed {
  /** The model. */
  readonly model: Model;
  /** Positions of its context. */
  readonly context: number;
  /** Reads a prompt for its logits. */
  logits(tokens: ArrayLike<number>, options: { readonly signal?: AbortSignal }): Promise<Float32Array>;
  /** Continues a prompt. */
  generate(prompt: ArrayLike<number>, options: TimedOptions): AsyncIterable<unknown>;
}

/** Options for a request that is timed. */
export interface TimedOptions {
  readonly cache: false;
  readonly draft: "off";
  readonly sampling: { readonly temperature: number; readonly bias: ReadonlyMap<number, number> };
  readonly maxTokens: number;
  readonly signal?: AbortSignal;
}

/** What a time was taken of. */
export interface Rate {
  /** Tokens. */
  readonly tokens: number;
  /** Milliseconds that they took together. */
  readonly ms: number;
}

/**
 * Makes prompts that mean nothing, of as many tokens as asked for. Every vocabulary has the ids below 256; one prompt differs
 * from the next 250 at the first token, so that no cache of prefixes helps.
 */
export function promptSource(): (tokens: number) => number[] {
  let salt = 0;
  return (tokens) => {
    salt += 37;
    return Array.from({ length: tokens }, (_, index) => 3 + (index * 79 + salt + (index >> 3)) % 251);
  };
}

/** How long the model takes to read a prompt, up to the logits that follow it. */
export async function timePrefill(lm: Timed, prompt: ArrayLike<number>, signal?: AbortSignal): Promise<Rate> {
  const begin = performance.now();
  await lm.logits(prompt, given({ signal }));
  return { tokens: prompt.length, ms: performance.now() - begin };
}

/** What {@link timeDecode} measures. */
export interface DecodePlan {
  /** Sequences that generate at once. */
  readonly batch: number;
  /** Tokens of prompt that each has read before. */
  readonly context: number;
  /** Tokens that each generates while it is measured. */
  readonly tokens: number;
  /** Gives the prompts. */
  readonly prompts: (tokens: number) => number[];
  /** Ends the measurement. */
  readonly signal?: AbortSignal;
}

/**
 * How long some sequences take to generate together, from the moment when the last of them has its first token. All go on
 * until the end, so that the batch stays full: tokens that end a text are not chosen, since another one's prompt would be
 * measured instead.
 */
export async function timeDecode(
  lm: Timed,
  { batch, context, tokens, prompts, signal }: DecodePlan,
): Promise<Rate> {
  const options: TimedOptions = {
    cache: false, // every prompt is to be read
    draft: "off", // a model of random weights repeats itself, and guesses of that are no speed of steps
    sampling: { temperature: 0, bias: new Map([...lm.model.tokenizer.endOfGeneration].map((id) => [id, -1e9])) },
    maxTokens: Math.min(2 * tokens + 16, lm.context - context), // to spare, for the others need not begin together
    ...given({ signal }),
  };
  let waitingFor = batch;
  let left = batch * tokens;
  let begin = 0;
  let end = 0;
  const stream = async () => {
    let isNew = true;
    for (let request = 0; left > 0; request++) {
      if (request === requestsMost) {
        throw new LightGPTError("invalidArgument", `${tokens} tokens: the model ends its texts before it writes any.`);
      }
      for await (const _ of lm.generate(prompts(context), options)) {
        if (waitingFor === 0) left--;
        else if (isNew && --waitingFor === 0) begin = performance.now();
        isNew = false;
        if (left > 0) continue;
        end ||= performance.now();
        break;
      }
    }
  };
  await Promise.all(Array.from({ length: batch }, stream));
  return { tokens: batch * tokens, ms: end - begin };
}

/**
 * Bytes of weights that one token reads: all but the embedding, of which it needs a row, unless that serves as the output
 * too, and of experts those that a token goes to; as they lie in memory, where a packed format may take more than in the file.
 */
export function bytesPerToken({ model }: Pick<Timed, "model">): number {
  return readShare(model.plan) * model.residentBytes;
}

/** The share of a model's bytes that a token reads: of experts those in use, of embeddings one row. */
export function readShare({ tensors, hyperparameters: { perLayer } }: ModelPlan): number {
  const isTied = !tensors.some(({ role }) => role === "output");
  let all = 0;
  let read = 0;
  for (const { role, layer, bytes, rows, slabs } of tensors) {
    all += bytes;
    const own = perLayer[layer];
    const share = slabs > 1 && slabs === own?.experts ? own.expertsUsed / slabs : 1;
    read += role === "token_embd" && !isTied ? bytes / rows : bytes * share;
  }
  return read / all;
}
