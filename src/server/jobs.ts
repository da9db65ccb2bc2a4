/**
 * From a checked body to jobs: each prompt `n` times, with seeds that follow one another, after all that can be refused has
 * been refused: a prompt without room for an answer, a schema that cannot be enforced.
 *
 * @module
 */
import { untilAborted } from "../options/sliced.ts";
import { grammarOf, readConstraint } from "../grammar/options.ts";
import type { ConstraintOptions } from "../grammar/options.ts";
import type { Prompt } from "../batching/request_options.ts";
import { given } from "../options/schema.ts";
import { tokenIds } from "../options/token_ids.ts";
import type { SamplingOptions } from "../sampling/options.ts";
import { resolveSampling } from "../sampling/resolve.ts";
import { resolveStops } from "../text/stop.ts";
import type { HeldAnswer } from "../tools/held_answer.ts";
import { Failure, failureOf, refuse } from "./failure.ts";
import type { Call, Job } from "./types.ts";

/** What is asked for, whatever the interface. */
export interface Ask {
  readonly prompts: readonly Uint32Array[];
  readonly n: number;
  readonly sampling: SamplingOptions & { readonly seed: number };
  readonly maxTokens?: number | undefined;
  readonly stop?: string | readonly string[] | undefined;
  readonly logprobs?: number | undefined;
  readonly constraint?: ConstraintOptions | undefined;
  /** What calls and thoughts are held to, in place of a constraint; it was compiled once. */
  readonly held?: HeldAnswer | undefined;
  /** What the constraint is called in the body. */
  readonly constraintName?: string;
  /** What the prompts are called in the body. */
  readonly promptName: string;
}

/** The jobs of a request: prompt by prompt, `n` of each. */
export async function jobsOf(call: Call, ask: Ask): Promise<Job[]> {
  const { prompts, n, sampling, maxTokens, logprobs, constraint, held } = ask;
  const { served: { model }, tenant, limits } = call;
  const count = prompts.length * n;
  if (count > limits.choicesMax) {
    refuse("n", `n: expected at most ${limits.choicesMax} answers to a request, got ${count}.`);
  }
  for (const prompt of prompts) assertRoom(ask.promptName, prompt.length, model.context);
  // Options that contradict one another are refused here, before anything is sent; texts of DRY need the vocabulary, later.
  resolveSampling(sampling, () => []);
  const stop = ask.stop === undefined ? [] : resolveStops(ask.stop);
  if (constraint !== undefined) {
    await compile(call, constraint, ask.constraintName ?? "constraint");
  }
  const optional = given({ maxTokens, logprobs, constraint, held });
  return prompts.flatMap((prompt) =>
    Array.from({ length: n }, (_, index) => ({
      prompt,
      sampling: { ...sampling, seed: (sampling.seed + index) % (Number.MAX_SAFE_INTEGER + 1) },
      stop,
      ...tenant,
      ...optional,
    }))
  );
}

/** A schema that cannot be enforced is refused before the answer begins; what is compiled is kept. */
async function compile(
  { served: { model }, signal }: Call,
  constraint: ConstraintOptions,
  name: string,
): Promise<void> {
  try {
    await untilAborted(() => grammarOf(readConstraint(constraint, name), model.tokenizer), signal);
  } catch (error) {
    signal.throwIfAborted();
    const { message, parts } = failureOf(error);
    throw new Failure(message.startsWith(name) ? message : `${name}: ${message}`, { ...parts, param: name });
  }
}

/** Throws where a prompt leaves no room for an answer; nothing is ever cut silently. */
export function assertRoom(param: string, tokens: number, context: number): void {
  if (tokens < context) return;
  throw new Failure(
    `The prompt has ${tokens} tokens, and the context of this model holds ${context} with the answer.`,
    { status: 400, type: "invalid_request_error", code: "context_length_exceeded", param },
  );
}

/** The tokens of a prompt that is a text or ids. */
export async function promptTokens(
  { served: { model }, signal }: Call,
  prompt: Prompt,
  name: string,
): Promise<Uint32Array> {
  const { tokenizer, context } = model;
  if (typeof prompt !== "string") {
    const ids = tokenIds(name, prompt, tokenizer.vocabularySize);
    if (ids.length === 0) refuse(name, `${name}: expected at least one token, got none.`);
    return ids;
  }
  const ids = await tokenizer.encodeAsync(prompt, { isPrompt: true, context, signal, name });
  if (ids.length === 0) refuse(name, `${name}: expected at least one token; this model puts none before a text.`);
  return ids;
}
