/**
 * The output of a response: items that open, grow and end, each of these an event. Thoughts are one, text is a message, each call is
 * one of its own.
 *
 * @module
 */
import type { JsonValue } from "../../text/chat/inputs.ts";
import type { CallPart, Part, ToldCall, WholePart } from "../calls.ts";
import type { SaidCall } from "../messages.ts";

interface Open {
  readonly type: "text" | "reasoning";
  readonly id: string;
  readonly logprobs: JsonValue[];
  text: string;
}

/** A call whose arguments come. */
interface OpenCall {
  readonly type: "call";
  readonly id: string;
  readonly call_id: string;
  readonly name: string;
  text: string;
}

/** Makes an event with its number. */
export type Event = (type: string, fields: Readonly<Record<string, JsonValue>>) => string;

/** The items of one response. */
export class OutputItems {
  /** Those that have ended. */
  readonly ended: JsonValue[] = [];
  /** What the conversation goes on with. */
  readonly said = { text: "", reasoning: "", calls: [] as SaidCall[] };
  readonly #event: Event;
  readonly #name: (prefix: string) => string;
  #open: Open | OpenCall | undefined;
  /** Of tokens whose text is still to come. */
  #logprobs: JsonValue[] = [];

  /** `name` makes the ids of items. */
  constructor(event: Event, name: (prefix: string) => string) {
    this.#event = event;
    this.#name = name;
  }

  /** What one token adds. */
  add(parts: readonly Part[], logprobs: readonly JsonValue[]): string {
    this.#logprobs.push(...logprobs);
    return parts.map((part) => {
      if (part.type === "callPart") return this.#growCall(part);
      return part.type === "call" ? this.#call(part) : this.#grow(part);
    }).join("");
  }

  /** Ends all; a response without any item has an empty message. */
  end(status: "completed" | "incomplete"): string {
    const rest = this.#open?.type === "text" && this.#logprobs.length > 0 || (!this.#open && this.ended.length === 0)
      ? this.#grow({ type: "text", text: "" })
      : "";
    return rest + this.#close(status);
  }

  #grow({ type, text }: Exclude<WholePart, ToldCall>): string {
    let before = "";
    if (this.#open?.type !== type) {
      before = this.#close("completed");
      this.#open = { type, id: this.#name(type === "text" ? "msg_" : "rs_"), text: "", logprobs: [] };
      before += this.#event("response.output_item.added", this.#item("in_progress", this.#open, [])) +
        this.#event("response.content_part.added", { ...this.#place(), part: this.#part(this.#open) });
    }
    const open = this.#open as Open;
    const logprobs = this.#logprobs;
    this.#logprobs = [];
    open.text += text;
    this.said[type] += text;
    if (type === "reasoning") {
      return before + this.#event("response.reasoning_text.delta", { ...this.#place(), delta: text });
    }
    open.logprobs.push(...logprobs);
    if (text === "" && logprobs.length === 0) return before;
    return before + this.#event("response.output_text.delta", { ...this.#place(), delta: text, logprobs });
  }

  #close(status: "completed" | "incomplete"): string {
    const open = this.#open;
    if (!open) return "";
    // A call ends where it has come whole; one that is open otherwise was cut.
    if (open.type === "call") return this.#closeCall(open, "incomplete");
    const { type, text, logprobs } = open;
    const part = this.#part(open);
    const done: Record<string, JsonValue> = type === "text" ? { text, logprobs } : { text };
    const item = this.#item(status, open, [part]);
    const events =
      this.#event(`response.${type === "text" ? "output" : "reasoning"}_text.done`, { ...this.#place(), ...done }) +
      this.#event("response.content_part.done", { ...this.#place(), part }) +
      this.#event("response.output_item.done", item);
    this.ended.push(item.item);
    this.#open = undefined;
    return events;
  }

  #growCall({ id, name, text, isFirst }: CallPart): string {
    const before = isFirst ? this.#openCall(id, name) : "";
    const open = this.#open as OpenCall;
    open.text += text;
    if (text === "") return before;
    return before + this.#event("response.function_call_arguments.delta", { ...this.#callPlace(open), delta: text });
  }

  #openCall(id: string, name: string): string {
    const before = this.#close("completed");
    this.#logprobs = [];
    this.#open = { type: "call", id: this.#name("fc_"), call_id: id, name, text: "" };
    const item = callItem(this.#open, "in_progress");
    return before + this.#event("response.output_item.added", { output_index: this.ended.length, item });
  }

  #call({ id, name, text }: ToldCall): string {
    this.said.calls.push({ id, name, arguments: text });
    return this.#closeCall(this.#open as OpenCall, "completed");
  }

  #closeCall(open: OpenCall, status: "completed" | "incomplete"): string {
    const place = this.#callPlace(open);
    const item = callItem(open, status);
    this.ended.push(item);
    this.#open = undefined;
    return this.#event("response.function_call_arguments.done", { ...place, name: open.name, arguments: open.text }) +
      this.#event("response.output_item.done", { output_index: place.output_index, item });
  }

  #callPlace({ id }: OpenCall): { item_id: string; output_index: number } {
    return { item_id: id, output_index: this.ended.length };
  }

  #item(status: string, { type, id }: Open, content: readonly JsonValue[]): { output_index: number; item: JsonValue } {
    const item = type === "text"
      ? { id, type: "message", status, role: "assistant", content }
      : { id, type: "reasoning", status, summary: [], content };
    return { output_index: this.ended.length, item };
  }

  #part({ type, text, logprobs }: Open): JsonValue {
    return type === "text"
      ? { type: "output_text", text, annotations: [], logprobs: [...logprobs] }
      : { type: "reasoning_text", text };
  }

  #place(): Record<string, JsonValue> {
    return { item_id: (this.#open as Open).id, output_index: this.ended.length, content_index: 0 };
  }
}

function callItem({ id, call_id, name, text }: OpenCall, status: string): Record<string, JsonValue> {
  return { id, type: "function_call", call_id, name, arguments: text, status };
}
