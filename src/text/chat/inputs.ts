/**
 * What goes into a chat template: plain data only, and all of it from outside (foreign). Everything that a caller passes is
 * copied and checked, so that no host object, getter or function is ever within a template's reach, and so that a mistake
 * is named by its place.
 *
 * @module
 */
import { refuseOption } from "../../options/checks.ts";
import { Text } from "../jinja/marked.ts";
import { integer } from "../jinja/numbers.ts";
import { Dict, type Key, List, NONE, Num, type Value } from "../jinja/values.ts";

/**
 * Data as JSON has it.
 *
 * @example
 * ```ts
 * import { type JsonValue } from "@lightgpt/lightgpt";
 *
 * const tools: JsonValue = [{ type: "function", function: { name: "time", parameters: {} } }];
 * console.log(JSON.stringify(tools));
 * ```
 */
export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue | undefined };

/**
 * One message of a conversation: `role` (`system`, `user`, `assistant`, `tool`), `content`, and whatever else a template
 * asks for, such as `tool_calls`.
 *
 * @example
 * ```ts
 * import type { ChatMessage } from "@lightgpt/lightgpt";
 *
 * const messages: ChatMessage[] = [
 *   { role: "system", content: "You are terse." },
 *   { role: "user", content: "What is 2 + 2?" },
 * ];
 * console.log(messages.length);
 * ```
 */
export interface ChatMessage {
  /** What the message is: the four that templates know, or another that this template does. */
  readonly role: "system" | "user" | "assistant" | "tool" | (string & Record<never, never>);
  /** What was said: a text, or what the template wants in its place. */
  readonly content?: JsonValue;
  /** Further fields for the template. */
  readonly [field: string]: JsonValue | undefined;
}

const depthMost = 64;
/** Values of a conversation, its tools and variables; a list that holds itself twice would have no end. */
const valuesMost = 2_000_000;

/** Turns data into a template's values, and counts them. */
export class InputReader {
  #values = 0;
  #characters = 0;

  /** How much was read: a template may cost more where there is more. */
  get size(): { values: number; characters: number } {
    return { values: this.#values, characters: this.#characters };
  }

  /** A value from outside; `where` names it in errors. */
  read(value: unknown, where: string, depth = 0): Value {
    if (depth > depthMost) refuseOption(where, `data at most ${depthMost} levels deep`, "more");
    if (++this.#values > valuesMost) refuseOption(where, `at most ${valuesMost} values in all`, "more");
    if (typeof value === "string") return this.text(value, true);
    if (value === null) return NONE;
    if (typeof value === "boolean") return value;
    if (typeof value === "number") {
      if (!Number.isFinite(value)) refuseOption(where, "a finite number", value);
      return numberFrom(value);
    }
    if (Array.isArray(value)) return this.#list(value, where, depth);
    if (typeof value !== "object" || !isPlain(value)) refuseOption(where, "data as in JSON", value);
    return this.#dict(value as object, where, depth);
  }

  /** A string, from outside or the template's. */
  text(value: string, foreign: boolean): Text {
    this.#characters += value.length;
    return Text.of(value.toWellFormed(), foreign);
  }

  #list(value: readonly unknown[], where: string, depth: number): List {
    return new List(Array.from(value, (item, index) => this.read(item, `${where}[${index}]`, depth + 1)));
  }

  #dict(value: object, where: string, depth: number): Dict {
    const entries = new Map<Key, readonly [Value, Value]>();
    for (const [name, inner] of Object.entries(value)) {
      if (inner === undefined) continue;
      const key = this.text(name, true);
      entries.set(key.value, [key, this.read(inner, `${where}.${name}`, depth + 1)]);
    }
    return new Dict(entries);
  }
}

/** A number as Python reads it from JSON. */
function numberFrom(value: number): Num {
  // What JSON writes with a point or an exponent is a float.
  if (!Number.isInteger(value) || Math.abs(value) >= 1e21) return new Num(value, true, true);
  return integer(Number.isSafeInteger(value) ? value : BigInt(value), true);
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null;
}
