/**
 * An answer as clients of Anthropic know it: a message whose blocks open, grow and end, each of these an event. Text is a block,
 * thoughts are one, each call is one of its own.
 *
 * @module
 */
import type { Completion, Piece } from "../../batching/completion.ts";
import type { JsonValue } from "../../text/chat/inputs.ts";
import { type CallPart, type Part, type Prepared, Teller, type WholePart } from "../calls.ts";
import { namedEvent, newId } from "../openai.ts";
import type { Served, Writer } from "../types.ts";

/** Anthropic counts tokens that were found in the cache apart. */
function usage({ promptTokens, cachedTokens, generatedTokens }: Completion): Record<string, JsonValue> {
  return {
    input_tokens: promptTokens - cachedTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cachedTokens,
    output_tokens: generatedTokens,
  };
}

type BlockEvent = Record<string, JsonValue>;

/** Tells a message, whole and as events. */
export class MessageTold implements Writer {
  readonly #served: Served;
  readonly #promptTokens: number;
  readonly #teller: Teller;
  readonly #id = newId("msg_");
  /** The kind of block that is open, and how many came before it. */
  #open: "text" | "reasoning" | "call" | undefined;
  #index = 0;

  constructor(served: Served, { prompt, marks }: Prepared) {
    this.#served = served;
    this.#promptTokens = prompt.length;
    this.#teller = new Teller(served.model.tokenizer, marks);
  }

  whole(completion: Completion): JsonValue {
    const content = this.#teller.whole(completion).map(blockOf);
    return {
      ...this.#head(),
      content: content.length > 0 ? content : [{ type: "text", text: "" }],
      ...this.#stop(completion),
      usage: usage(completion),
    };
  }

  begin(): string {
    const message = {
      ...this.#head(),
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: { input_tokens: this.#promptTokens, output_tokens: 0 },
    };
    return namedEvent("message_start", { type: "message_start", message });
  }

  piece(_index: number, piece: Piece): string {
    return this.#teller.push(piece).map((part) => this.#part(part)).join("");
  }

  end(_index: number, completion: Completion): string {
    const rest = this.#teller.end().map((part) => this.#part(part)).join("");
    const empty = rest === "" && this.#open === undefined && this.#index === 0
      ? this.#part({ type: "text", text: "" })
      : "";
    return rest + empty + this.#close() +
      this.#event("message_delta", { delta: this.#stop(completion), usage: usage(completion) });
  }

  finish(): string {
    return this.#event("message_stop", {});
  }

  #part(part: Part): string {
    if (part.type === "call") return this.#close();
    if (part.type === "callPart") return this.#callPart(part);
    const { type, text } = part;
    let before = "";
    if (this.#open !== type) {
      before = this.#close() +
        this.#event("content_block_start", { index: this.#index, content_block: blockOf({ type, text: "" }) });
      this.#open = type;
    }
    if (text === "") return before;
    const delta = type === "text" ? { type: "text_delta", text } : { type: "thinking_delta", thinking: text };
    return before + this.#event("content_block_delta", { index: this.#index, delta });
  }

  #callPart({ id, name, text, isFirst }: CallPart): string {
    let before = "";
    if (isFirst) {
      before = this.#close() + this.#event("content_block_start", {
        index: this.#index,
        content_block: { type: "tool_use", id, name, input: {} },
      });
      this.#open = "call";
    }
    const delta = { type: "input_json_delta", partial_json: text };
    return text === "" ? before : before + this.#event("content_block_delta", { index: this.#index, delta });
  }

  /** Ends the block that is open. */
  #close(): string {
    if (this.#open === undefined) return "";
    this.#open = undefined;
    return this.#event("content_block_stop", { index: this.#index++ });
  }

  #stop({ stopReason, stop }: Completion): Record<string, JsonValue> {
    const cut = stopReason === "stop" ? "stop_sequence" : stopReason === "endOfText" ? "end_turn" : "max_tokens";
    return { stop_reason: this.#teller.hasCalls ? "tool_use" : cut, stop_sequence: stop ?? null };
  }

  #event(type: string, fields: BlockEvent): string {
    return namedEvent(type, { type, ...fields });
  }

  #head(): Record<string, JsonValue> {
    return { id: this.#id, type: "message", role: "assistant", model: this.#served.name };
  }
}

function blockOf(part: WholePart): JsonValue {
  if (part.type === "text") return { type: "text", text: part.text };
  if (part.type === "reasoning") return { type: "thinking", thinking: part.text, signature: "" };
  const { id, name, input } = part;
  return { type: "tool_use", id, name, input };
}
