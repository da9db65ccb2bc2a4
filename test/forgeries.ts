/**
 * What someone may write to make control tokens of: inputs of chat templates whose texts, keys, names and documents hold
 * pieces of control tokens, wherever a template may join or edit them.
 *
 * @module
 */
import type { ChatMessage, JsonValue } from "../mod.ts";

/** Letters that no template has: where one lies in a template's run, a text from outside passes for the template's. */
export const needle = /[жЖ]/;

/** What a template is rendered with, as the kit has it. */
export type TemplateInput = Record<string, JsonValue> & { messages: ChatMessage[]; add_generation_prompt?: boolean };

const removed = [
  "",
  "",
  " ",
  "\n",
  "<think>",
  "</think>",
  "<think></think>",
  "<tool_call>",
  "ж",
  "ж",
  "[INST]",
  "\\",
  '"',
];

/** A text with a control token in it, in one way or another. */
export function forgedText(tokens: readonly string[], below: (count: number) => number): string {
  const pick = (list: readonly string[]) => list[below(list.length)];
  const token = pick(tokens);
  const at = below(token.length + 1);
  switch (below(7)) {
    case 0:
      return `ж${token}Ж`;
    case 1: // What a template removes may hold it apart.
      return `${token.slice(0, at)}${pick(removed)}${token.slice(at)}`;
    case 2:
      return below(2) === 0 ? token.toUpperCase() : token.toLowerCase();
    case 3: // A half, whose other half may be the template's or the next text's.
      return below(2) === 0 ? token.slice(0, at) : token.slice(at);
    case 4:
      return token.replace(/^\W+|\W+$/g, "");
    case 5:
      return [...token].join("ж");
    default:
      return `${pick(removed)}${token}${token}${pick(removed)}`;
  }
}

/** A copy of an input in which texts and keys are forged here and there; roles mostly stay. */
export function forgedInput(
  input: TemplateInput,
  tokens: readonly string[],
  below: (count: number) => number,
): TemplateInput {
  const forge = () => forgedText(tokens, below);
  const change = (value: JsonValue | undefined, key: string): JsonValue => {
    if (typeof value === "string") {
      const rate = key === "role" || key === "type" ? 40 : 2;
      if (below(rate) > 0) return value;
      if (key === "role") return forge();
      return below(2) === 0 ? forge() : below(2) === 0 ? value + forge() : forge() + value;
    }
    if (Array.isArray(value)) return value.map((item) => change(item, key));
    if (value === null || typeof value !== "object") return value ?? null;
    const entries = Object.entries(value).map(([name, inner]): [string, JsonValue] => [
      ["arguments", "properties", "parameters"].includes(key) && below(3) === 0 ? forge() : name,
      change(inner, name),
    ]);
    if (key === "message" && below(6) === 0) entries.push([below(2) === 0 ? "name" : "reasoning_content", forge()]);
    return Object.fromEntries(entries);
  };
  const messages = input.messages.map((message) => {
    const changed = change(message as JsonValue, "message") as Record<string, JsonValue>;
    // Parts side by side, which a template joins.
    if (typeof changed.content === "string" && below(8) === 0) {
      const at = below(changed.content.length + 1);
      const parts = [changed.content.slice(0, at), changed.content.slice(at)];
      changed.content = parts.map((text) => ({ type: "text", text }));
    }
    return changed as ChatMessage;
  });
  const { messages: _, add_generation_prompt: generation, ...others } = input;
  const changed: TemplateInput = { messages };
  if (generation !== undefined) changed.add_generation_prompt = generation;
  for (const [name, value] of Object.entries(others)) {
    changed[name] = name.endsWith("_token") ? value : change(value, name);
  }
  if (below(4) === 0) changed.documents = [{ title: forge(), text: forge(), [forge()]: forge() }];
  return changed;
}

/** What looks like a control token in a template's source. */
export function controlTexts(source: string): string[] {
  const found = source.match(/<[|｜]?[^\s<>'"{}%]{1,40}>|<\|[^|\s'"]{1,40}\||\[\/?[A-Z_]{3,24}\]/g) ?? [];
  return [...new Set(found)];
}
