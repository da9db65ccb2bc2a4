/**
 * Answers as clients of Ollama know them: lines of JSON, each a part of the answer, the last with the counts.
 *
 * @module
 */
import type { Completion, Piece } from "../../batching/completion.ts";
import type { JsonValue } from "../../text/chat/inputs.ts";
import type { AnswerMarks } from "../../tools/answer_reader.ts";
import { type Part, Teller, type WholePart } from "../calls.ts";
import { chatLogprobs } from "../openai.ts";
import type { Served, Writer } from "../types.ts";

/** Where the text of an answer is. */
export type Field = "message" | "response";

const nanoseconds = (ms: number) => Math.round(ms * 1e6);

/** Tells lines: each a part of the answer, the last with the counts. */
export class LinesTold implements Writer {
  readonly #served: Served;
  readonly #field: Field;
  readonly #teller: Teller;

  constructor(served: Served, field: Field, marks?: AnswerMarks) {
    this.#served = served;
    this.#field = field;
    this.#teller = new Teller(served.model.tokenizer, marks);
  }

  whole(completion: Completion): JsonValue {
    return this.#line(this.#teller.whole(completion), {
      ...this.#logprobs(completion.logprobs ?? []),
      ...this.#counts(completion),
    });
  }

  begin(): string {
    return "";
  }

  piece(_index: number, piece: Piece): string {
    const more = piece.top === undefined ? {} : this.#logprobs([piece]);
    return this.#parts(this.#teller.push(piece), more);
  }

  end(_index: number, completion: Completion): string {
    return `${this.#parts(this.#teller.end(), {})}${JSON.stringify(this.#line([], this.#counts(completion)))}\n`;
  }

  finish(): string {
    return "";
  }

  /** What a request for nothing gets. */
  loaded(): JsonValue {
    return this.#line([], { done_reason: "load", done: true });
  }

  /** Lines of some parts; what there is `more` comes with the first, and has a line where there is none. */
  #parts(parts: readonly Part[], more: Record<string, JsonValue>): string {
    // Ollama's clients take whole calls.
    const told = parts.flatMap((part) => part.type === "callPart" ? [] : [[part]]);
    const lines = told.length === 0 && Object.keys(more).length > 0 ? [[]] : told;
    const line = (parts: readonly WholePart[], at: number) =>
      this.#line(parts, { ...(at === 0 ? more : {}), done: false });
    return lines.map((parts, at) => `${JSON.stringify(line(parts, at))}\n`).join("");
  }

  #logprobs(choices: readonly Pick<Piece, "token" | "logprob" | "top">[]): Record<string, JsonValue> {
    if (choices.length === 0) return {};
    const { tokenizer } = this.#served.model;
    return { logprobs: choices.map((one) => chatLogprobs(tokenizer, one)) };
  }

  #line(parts: readonly WholePart[], more: Record<string, JsonValue>): Record<string, JsonValue> {
    const joined = (type: "text" | "reasoning") => parts.map((part) => part.type === type ? part.text : "").join("");
    const calls = parts.flatMap((part) =>
      part.type === "call" ? [{ id: part.id, function: { name: part.name, arguments: part.input } }] : []
    );
    const [content, thinking] = [joined("text"), joined("reasoning")];
    const thoughts: Record<string, JsonValue> = thinking === "" ? {} : { thinking };
    const answer: Record<string, JsonValue> = this.#field === "message"
      ? { message: { role: "assistant", content, ...thoughts, ...(calls.length > 0 ? { tool_calls: calls } : {}) } }
      : { response: content, ...thoughts };
    return { model: this.#served.name, created_at: new Date().toISOString(), ...answer, ...more };
  }

  #counts({ stopReason, promptTokens, generatedTokens, prefillMs, decodeMs }: Completion): Record<string, JsonValue> {
    return {
      done_reason: stopReason === "endOfText" || stopReason === "stop" ? "stop" : "length",
      done: true,
      total_duration: nanoseconds(prefillMs + decodeMs),
      load_duration: 0,
      prompt_eval_count: promptTokens,
      prompt_eval_duration: nanoseconds(prefillMs),
      eval_count: generatedTokens,
      eval_duration: nanoseconds(decodeMs),
    };
  }
}
