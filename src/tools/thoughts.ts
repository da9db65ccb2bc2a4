/**
 * What a model writes around its thoughts, found out by rendering an answer that has some, and whether a prompt has begun them.
 *
 * @module
 */
import { LightGPTError } from "../../ffi/errors.ts";
import type { ChatMessage } from "../text/chat/inputs.ts";
import { newWord } from "./nonces.ts";
import { outsideTag } from "./patterns.ts";
import type { Render } from "./types.ts";
import { type ControlTokens, type Wire, withoutBlanks } from "./wire.ts";

/** The marks of thoughts. */
export interface ThoughtMarks {
  readonly open: string;
  readonly close: string;
  /** What stands before the text of an answer, where the model writes something there. */
  readonly text?: string;
}

/** Pairs that models are known by, where a template drops the thoughts of earlier answers. */
const known: readonly ThoughtMarks[] = [
  { open: "<think>", close: "</think>" },
  { open: "[THINK]", close: "[/THINK]" },
  { open: "<|START_THINKING|>", close: "<|END_THINKING|>" },
  { open: "<|channel>thought", close: "<channel|>" },
  {
    open: "<|channel|>analysis<|message|>",
    close: "<|end|><|start|>assistant",
    text: "<|channel|>final<|message|>",
  },
];

/** The marks of a template; undefined where it has none. */
export function thoughtMarks(render: Render, template: string, controls: ControlTokens): ThoughtMarks | undefined {
  const has = (text: string) => template.includes(text) || controls.first(text) === 0;
  const marks = shownMarks(render) ??
    known.find(({ open, close }) => has(open) && has(close) && template.includes(open.slice(0, 7)));
  // What ends a whole answer ends no thoughts before one.
  return marks && controls.hasEnd(controls.read(marks.close)) ? undefined : marks;
}

/** The marks around thoughts that a template shows. */
function shownMarks(render: Render): ThoughtMarks | undefined {
  const [user, thought, content] = [newWord(), newWord(), newWord()];
  const show = (...answers: ChatMessage[]) => {
    const messages: ChatMessage[] = [{ role: "user", content: user }, ...answers];
    try {
      const options = { addGenerationPrompt: answers.length === 0 };
      const text = render(messages, options).map((run) => run.text).join("");
      return text.slice(text.lastIndexOf(user) + user.length);
    } catch (error) {
      if (error instanceof LightGPTError) return ""; // a template may not take such a message
      throw error;
    }
  };
  const answer = { role: "assistant", content };
  const [begin, plain] = [show(), show(answer)];
  const lead = plain.startsWith(begin) ? plain.slice(begin.length, plain.indexOf(content)).trim() : "";
  for (const name of ["reasoning_content", "reasoning", "thinking"]) {
    const shown = show({ ...answer, [name]: thought });
    const at = shown.indexOf(thought);
    const end = shown.indexOf(content);
    if (at < 0 || end < at) continue;
    const head = shown.slice(0, at).trimEnd();
    let shared = 0;
    while (shared < head.length && head[shared] === plain[shared]) shared++;
    const open = head.slice(outsideTag(head, shared, "before")).trim();
    const close = shown.slice(at + thought.length, end).trim();
    const mark = /<[^<>]+>$|\[[A-Z]+\]$|<\|[^|]+\|>[^<>]*$/.exec(open || head)?.[0];
    const last = /^(?:<[^<>]+>|\[\/[A-Z]+\])/.exec(close)?.[0];
    if (mark === undefined || last === undefined) continue;
    // Where thoughts are a message of their own, the head of the answer belongs to their end, and what the text begins with doesn't.
    const whole = lead !== "" && close.endsWith(lead) ? close.slice(0, -lead.length).trim() : last;
    const written = shown.startsWith(begin) ? shown.slice(begin.length, at).trim() : "";
    const marks = whole.length > last.length && written.endsWith(mark)
      ? { open: written, close: whole, text: lead }
      : { open: mark, close: last };
    // A mark of thoughts stands nowhere else.
    if (!plain.replace(close, "").includes(marks.open)) return marks;
  }
  return undefined;
}

/** Whether a prompt ends with the end of thoughts, which it writes where a model is not to think. */
export function closesThoughts(prompt: Wire, { close }: { close: Wire }): boolean {
  return withoutBlanks(prompt).endsWith(close);
}

/** Whether a prompt ends within thoughts that it has begun. */
export function opensThoughts(prompt: Wire, { open, close }: { open: Wire; close: Wire }): boolean {
  const at = prompt.lastIndexOf(open);
  if (at < 0 || prompt.indexOf(close, at) >= 0) return false;
  // Further back is an earlier message.
  return /^[ \t\r\n]*$/.test(prompt.slice(at + open.length));
}
