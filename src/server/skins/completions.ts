/**
 * `/v1/completions`: texts or tokens to go on with.
 *
 * @module
 */
import type { Completion, Piece, ToldChoice } from "../../batching/completion.ts";
import type { Prompt } from "../../batching/request_options.ts";
import type { ConstraintOptions } from "../../grammar/options.ts";
import { boolean, type Fields, integer, text } from "../../options/schema.ts";
import type { JsonValue } from "../../text/chat/inputs.ts";
import { infillPrompt } from "../../text/infill.ts";
import { refuse } from "../failure.ts";
import { jobsOf, promptTokens } from "../jobs.ts";
import {
  answerNames,
  anything,
  checkStreamOptions,
  harmlessNames,
  readBody,
  samplingNames,
  samplingOf,
  streamNames,
  tokensMost,
  topLogprobs,
} from "../names.ts";
import { Chunks, dataEvent, fingerprint, finishReason, newId, nowSeconds, usageOf } from "../openai.ts";
import { responseFormat } from "../response_format.ts";
import type { Call, Plan, Served, Writer } from "../types.ts";

/** The fields of a body. */
export const completionNames = {
  ...samplingNames,
  ...answerNames,
  ...harmlessNames,
  model: text({ about: "The model." }),
  prompt: { ...anything("A text, token ids, or an array of these."), isRequired: true },
  max_tokens: tokensMost,
  logprobs: topLogprobs,
  echo: boolean({ about: "Whether the prompt comes before the answer.", default: false }),
  best_of: integer({ about: "Only the number of answers, n.", least: 1, most: 1 << 10 }),
  suffix: text({ about: "What stands behind the answer, where the model can fill in.", otherwise: "nothing" }),
  response_format: anything("What the answer must be."),
  stream_options: streamNames,
} as const satisfies Fields;

/** What a body asks for. */
export async function planCompletions(call: Call): Promise<Plan> {
  const { given, body } = readBody(completionNames, call.body);
  const { served } = call;
  const prompts = readPrompts(given.prompt, call.limits.choicesMax);
  if (body.best_of !== undefined && body.best_of !== body.n) refuse("best_of", "best_of: expected the same as n.");
  if (body.echo && body.logprobs !== undefined) refuse("logprobs", "logprobs: expected none beside echo.");
  checkStreamOptions(body);
  const names = prompts.length === 1 ? ["prompt"] : prompts.map((_, index) => `prompt[${index}]`);
  const tokens: Uint32Array[] = [];
  for (const [index, prompt] of prompts.entries()) {
    tokens.push(
      body.suffix === undefined || body.suffix === ""
        ? await promptTokens(call, prompt, names[index])
        : await infillTokens(call, prompt, body.suffix, names[index]),
    );
  }
  const jobs = await jobsOf(call, {
    prompts: tokens,
    n: body.n,
    sampling: samplingOf(given),
    maxTokens: body.max_tokens,
    stop: body.stop.length > 0 ? body.stop : undefined,
    logprobs: body.logprobs,
    constraint: responseFormat(given.response_format, given.constraint as ConstraintOptions | undefined),
    constraintName: given.response_format === undefined ? "constraint" : "response_format",
    promptName: "prompt",
  });
  const echoes = prompts.map((prompt) =>
    !body.echo ? "" : typeof prompt === "string" ? prompt : served.model.tokenizer.decode(Uint32Array.from(prompt))
  );
  const told = new CompletionsTold(served, body.n, echoes, body.stream_options?.include_usage === true);
  return { jobs, whole: (completions) => told.whole(completions), writer: body.stream ? told : undefined };
}

/** The tokens of a text that is filled in. */
export async function infillTokens(
  { served: { model }, signal }: Call,
  prefix: Prompt,
  suffix: string,
  name: string,
): Promise<Uint32Array> {
  if (typeof prefix !== "string") refuse(name, `${name}: expected a text beside suffix.`);
  const { gguf: { metadata }, tokenizer, context } = model;
  return await infillPrompt({ prefix, suffix }, { metadata, tokenizer }, { signal, context });
}

/** A prompt is a text or ids, and a request has one or several. */
function readPrompts(prompt: unknown, most: number): Prompt[] {
  if (typeof prompt === "string") return [prompt];
  if (!Array.isArray(prompt) || prompt.length === 0) {
    refuse("prompt", "prompt: expected a text, token ids, or several.");
  }
  if (prompt.every((one) => typeof one === "number")) return [prompt];
  if (prompt.length > most) refuse("prompt", `prompt: expected at most ${most} prompts, got ${prompt.length}.`);
  return prompt.map((one: unknown, index) => {
    if (typeof one !== "string" && !Array.isArray(one)) {
      refuse(`prompt[${index}]`, `prompt[${index}]: expected a text or token ids.`);
    }
    return one as Prompt;
  });
}

/** Log probabilities in the old form: parallel lists. */
class Logprobs {
  readonly #served: Served;
  #offset: number;

  constructor(served: Served, offset: number) {
    this.#served = served;
    this.#offset = offset;
  }

  of(choices: readonly Pick<Piece | ToldChoice, "token" | "logprob" | "top">[]): JsonValue {
    const text = (token: number) => new TextDecoder().decode(this.#served.model.tokenizer.piece(token));
    return {
      tokens: choices.map(({ token }) => text(token)),
      token_logprobs: choices.map(({ logprob = 0 }) => logprob),
      top_logprobs: choices.map(({ top = [] }) =>
        Object.fromEntries(top.map(({ token, logprob }) => [text(token), logprob]))
      ),
      text_offset: choices.map(({ token }) => {
        const at = this.#offset;
        this.#offset += text(token).length;
        return at;
      }),
    };
  }
}

/** Tells completions, whole and as events. */
class CompletionsTold implements Writer {
  readonly #served: Served;
  readonly #n: number;
  readonly #echoes: readonly string[];
  readonly #usage: boolean;
  readonly #id = newId("cmpl-");
  readonly #created = nowSeconds();
  readonly #chunks: Chunks;
  readonly #logprobs = new Map<number, Logprobs>();

  constructor(served: Served, n: number, echoes: readonly string[], usage: boolean) {
    this.#served = served;
    this.#n = n;
    this.#echoes = echoes;
    this.#usage = usage;
    this.#chunks = new Chunks(this.#head(), usage);
  }

  whole(completions: readonly Completion[]): JsonValue {
    const choices = completions.map((completion, index) => {
      const echo = this.#echo(index);
      const { text, logprobs } = completion;
      return {
        text: echo + text,
        index,
        logprobs: logprobs === undefined ? null : new Logprobs(this.#served, echo.length).of(logprobs),
        finish_reason: finishReason(completion),
      };
    });
    return { ...this.#head(), choices, usage: usageOf(completions, this.#n) };
  }

  begin(): string {
    const echoed = this.#echoes.some((echo) => echo !== "");
    if (!echoed) return "";
    return Array.from({ length: this.#echoes.length * this.#n }, (_, index) => this.#chunk(index, this.#echo(index)))
      .join("");
  }

  piece(index: number, piece: Piece): string {
    if (piece.logprob === undefined) return piece.text === "" ? "" : this.#chunk(index, piece.text);
    let logprobs = this.#logprobs.get(index);
    if (!logprobs) this.#logprobs.set(index, logprobs = new Logprobs(this.#served, 0));
    return this.#chunk(index, piece.text, logprobs.of([piece]));
  }

  end(index: number, completion: Completion): string {
    return this.#chunk(index, "", null, finishReason(completion));
  }

  finish(completions: readonly Completion[]): string {
    const usage = this.#usage ? dataEvent({ ...this.#head(), choices: [], usage: usageOf(completions, this.#n) }) : "";
    return `${usage}data: [DONE]\n\n`;
  }

  #echo(index: number): string {
    return this.#echoes[Math.floor(index / this.#n)];
  }

  #chunk(index: number, text: string, logprobs: JsonValue = null, finish_reason: string | null = null): string {
    return this.#chunks.of({ text, index, logprobs, finish_reason });
  }

  #head(): Record<string, JsonValue> {
    const [id, created, model] = [this.#id, this.#created, this.#served.name];
    return { id, object: "text_completion", created, model, system_fingerprint: fingerprint };
  }
}
