/**
 * What OpenAI's interfaces have in common: counts of tokens, reasons for an end, log probabilities, events.
 *
 * @module
 */
import { VERSION } from "../../ffi/wire.ts";
import type { Completion, Piece } from "../batching/completion.ts";
import type { TokenLogprob } from "../sampling/state.ts";
import type { JsonValue } from "../text/chat/inputs.ts";
import type { Tokenizer } from "../text/tokenizer/types.ts";

/** The same bits come from the same version. */
export const fingerprint = `lightgpt-${VERSION}`;

/** An id for something that is sent. */
export function newId(prefix: string): string {
  return `${prefix}${crypto.randomUUID().replaceAll("-", "")}`;
}

/** Seconds since 1970. */
export function nowSeconds(): number {
  return Math.floor(Date.now() / 1000);
}

/** Why an answer ended. */
export function finishReason({ stopReason }: Completion): "stop" | "length" {
  return stopReason === "endOfText" || stopReason === "stop" ? "stop" : "length";
}

/** What a request cost: each prompt once, however many answers it has; `reasoning` of the tokens were thoughts. */
export function usageOf(completions: readonly Completion[], n: number, reasoning = 0): Record<string, JsonValue> {
  const firsts = completions.filter((_, index) => index % n === 0);
  const sum = (list: readonly Completion[], value: (one: Completion) => number) =>
    list.reduce((total, one) => total + value(one), 0);
  const prompt = sum(firsts, ({ promptTokens }) => promptTokens);
  const generated = sum(completions, ({ generatedTokens }) => generatedTokens);
  return {
    prompt_tokens: prompt,
    completion_tokens: generated,
    total_tokens: prompt + generated,
    prompt_tokens_details: { cached_tokens: sum(firsts, ({ cachedTokens }) => cachedTokens) },
    completion_tokens_details: { reasoning_tokens: reasoning },
  };
}

/** A token and its log probability, as chat completions tell them. */
function told(tokenizer: Tokenizer, { token, logprob }: TokenLogprob): Record<string, JsonValue> {
  const bytes = tokenizer.piece(token);
  return { token: new TextDecoder().decode(bytes), logprob, bytes: [...bytes] };
}

/** Log probabilities of a chat completion. */
export function chatLogprobs(
  tokenizer: Tokenizer,
  { token, logprob = 0, top = [] }: Pick<Piece, "token" | "logprob" | "top">,
): JsonValue {
  return {
    ...told(tokenizer, { token, logprob }),
    top_logprobs: top.map((one) => told(tokenizer, one)),
  };
}

/** A server-sent event of one JSON value. */
export function dataEvent(value: unknown): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}

/** The same with a name. */
export function namedEvent(name: string, value: unknown): string {
  return `event: ${name}\n${dataEvent(value)}`;
}

/** Writes the chunks of one streamed answer: what is the same in all of them is made into JSON once. */
export class Chunks {
  readonly #head: string;
  readonly #tail: string;

  /** `head`: the fields before the choices; `usage`: whether each chunk says that its usage comes later. */
  constructor(head: Readonly<Record<string, JsonValue>>, usage: boolean) {
    this.#head = `data: ${JSON.stringify(head).slice(0, -1)},"choices":[`;
    this.#tail = usage ? '],"usage":null}\n\n' : "]}\n\n";
  }

  /** A chunk of one choice. */
  of(choice: Readonly<Record<string, JsonValue>>): string {
    return this.#head + JSON.stringify(choice) + this.#tail;
  }
}
