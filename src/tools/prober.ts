/**
 * Renders conversations whose names and values are new words, so that what a template writes around them can be found.
 *
 * @module
 */
import type { ChatMessage, JsonValue } from "../text/chat/inputs.ts";
import { newId, newWord } from "./nonces.ts";
import { ProbeFailure } from "./probe_failure.ts";
import type { Render } from "./types.ts";

/** Names and values of one probe. */
export interface Words {
  readonly names: readonly string[];
  readonly keys: readonly string[];
  readonly values: readonly string[];
}

/** Renders calls of a probe. */
export class Prober {
  readonly words: Words = { names: words(), keys: words(), values: words() };
  readonly content: string = newWord();
  readonly #user = newWord();
  readonly #render: Render;
  /** Ids of calls. */
  ids: readonly string[] = this.words.names.map(newId);

  constructor(render: Render) {
    this.#render = render;
  }

  /** What stands behind the user's message. */
  after(
    messages: readonly ChatMessage[],
    addGenerationPrompt = false,
    variables: Record<string, JsonValue> = {},
  ): string {
    const { names, keys } = this.words;
    const properties = Object.fromEntries(keys.map((key) => [key, { type: "string", description: "A text." }]));
    const tools = names.map((name) => ({
      type: "function",
      function: { name, description: "A tool.", parameters: { type: "object", properties, required: [keys[0]] } },
    }));
    const all = [{ role: "user", content: this.#user }, ...messages];
    const text = this.#render(all, { tools, addGenerationPrompt, variables }).map((run) => run.text).join("");
    const at = text.lastIndexOf(this.#user);
    if (at < 0) throw new ProbeFailure("the template does not show what a user writes");
    return text.slice(at + this.#user.length);
  }

  /** An answer that calls tools, one for each of the arguments. */
  calls(given: readonly { readonly [name: string]: JsonValue }[], content = ""): string {
    const tool_calls = given.map((args, index) => ({
      id: this.ids[index],
      type: "function",
      function: { name: this.words.names[index], arguments: args },
    }));
    return this.after([{ role: "assistant", content, tool_calls }]);
  }
}

function words(): string[] {
  return [newWord(), newWord(), newWord()];
}
