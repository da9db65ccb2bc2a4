/**
 * Families whose templates do not write calls: their formats as their makers document them, recognized by what their templates or
 * vocabularies have and no other's.
 *
 * @module
 */
import type { ToolFormat } from "./types.ts";
import type { ControlTokens } from "./wire.ts";

/** A family of models. */
export interface Family {
  readonly name: string;
  /** Control tokens that all must be in the vocabulary. */
  readonly tokens: readonly string[];
  /** What must stand in the template. */
  readonly template: RegExp;
  readonly format: ToolFormat;
  /** Whether the model writes calls in another way than the template writes earlier ones. */
  readonly isOwn?: true;
}

const families: readonly Family[] = [
  {
    // Its template names the recipient before the channel; the model writes the channel first.
    name: "gpt-oss (harmony)",
    isOwn: true,
    tokens: ["<|start|>", "<|channel|>", "<|message|>", "<|constrain|>", "<|call|>"],
    template: /<\|channel\|>/,
    format: {
      before: ["<|channel|>commentary to=functions."],
      between: [" <|constrain|>json<|message|>"],
      arguments: { kind: "json" },
      end: [],
      text: { before: "<|channel|>final<|message|>", after: "" },
    },
  },
  {
    name: "LFM2",
    tokens: ["<|tool_call_start|>", "<|tool_call_end|>"],
    template: /<\|tool_list_start\|>|List of tools/,
    format: {
      before: ["<|tool_call_start|>["],
      between: [],
      arguments: { kind: "pythonic" },
      separator: [", "],
      end: ["]<|tool_call_end|>"],
    },
  },
  {
    // Templates of this family that append to lists, which Hugging Face's sandbox refuses, as does ours.
    name: "Kimi K2",
    tokens: ["<|tool_calls_section_begin|>", "<|tool_call_begin|>", "<|tool_call_argument_begin|>"],
    template: /<\|tool_calls_section_begin\|>/,
    format: {
      before: ["<|tool_calls_section_begin|><|tool_call_begin|>functions."],
      between: [":", { hole: "index" }, "<|tool_call_argument_begin|>"],
      arguments: { kind: "json" },
      separator: ["<|tool_call_end|><|tool_call_begin|>functions."],
      end: ["<|tool_call_end|><|tool_calls_section_end|>"],
      id: ["functions.", { hole: "name" }, ":", { hole: "index" }],
    },
  },
  {
    // A call is a turn of its own, so it begins with what ends the answer before it.
    name: "GigaChat 3",
    tokens: ["<|role_sep|>", "<|message_sep|>"],
    template: /'function call'/,
    format: {
      before: ['<|message_sep|>\n\nfunction call<|role_sep|>\n{"name": "'],
      between: ['", "arguments": '],
      arguments: { kind: "json" },
      end: ["}"],
    },
  },
  {
    // Their templates tell this form in words, and write earlier calls so that strings lose their quotes.
    name: "Llama 3.2 and 4, ToolACE and Gemma 3, told to write lists of Python's calls",
    tokens: [],
    template: /\[func_name1\((?:params_name1|param1)=/,
    format: {
      before: ["["],
      between: [],
      arguments: { kind: "pythonic" },
      separator: [", "],
      end: ["]"],
    },
  },
  {
    name: "Granite 3",
    tokens: ["<|tool_call|>", "<|start_of_role|>"],
    template: /<\|tool_call\|>/,
    format: {
      before: ['<|tool_call|>[{"name": "'],
      between: ['", "arguments": '],
      arguments: { kind: "json" },
      separator: ['}, {"name": "'],
      end: ["}]"],
    },
  },
];

/** The family that a template and a vocabulary belong to. */
export function familyOf(template: string, controls: ControlTokens): Family | undefined {
  const has = (token: string) => controls.at(token, 0)?.text === token;
  // Where what a call begins with ends an answer, none ever comes.
  const ends = ({ before: [text] }: ToolFormat) => controls.ends.has(controls.at(String(text), 0)?.wire ?? "");
  return families.find(({ tokens, template: own, format }) => tokens.every(has) && own.test(template) && !ends(format));
}
