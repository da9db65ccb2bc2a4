/**
 * Entries for hostile values: tools, and answers with calls and thoughts.
 *
 * @module
 */
import * as face from "../mod.ts";
import { answerFields } from "../src/lightgpt/answer_options.ts";
import { runToolsFields } from "../src/lightgpt/run_tools.ts";
import { argument, drain, options } from "./hostile_entries.ts";

/** Adds the entries. */
export function toolEntries(lm: face.LightGPT): void {
  const input = face.jsonSchema({ type: "object" });
  const tools = { time: face.tool({ description: "The time.", input, run: () => "noon" }) };
  const template = "{% for m in messages %}{{ m.content }}{% for c in m.tool_calls or [] %}" +
    '<call>{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}</call>{% endfor %}{% endfor %}';
  const base = { tools, template, maxTokens: 2 };
  const messages = [{ role: "user", content: "a" }];
  for (const make of ["tool", "Tool"] as const) {
    const call = (value: never) => make === "tool" ? face.tool(value) : new face.Tool(value);
    argument(make, call);
    for (const field of ["description", "input", "run"]) {
      argument(`${make} ${field}`, (value) => call({ description: "a", input, [field]: value } as never));
    }
  }
  argument("Tool.run input", (value) => tools.time.run?.(value, { id: "a", signal: AbortSignal.timeout(1000) }));
  argument("toolsOf list", (value) => face.toolsOf(value));
  argument("toolsOf tool", (value) => face.toolsOf([value]));
  argument("toolsOf function", (value) => face.toolsOf([{ function: value }]));
  argument("toolResult call", (value) => face.toolResult(value, 1));
  argument("toolResult result", (value) => face.toolResult({ id: "a", name: "b" }, value));
  argument("LightGPT.chat tools messages", (value) => drain(lm.chat(value, base)));
  options("LightGPT.chat tools", answerFields, (value) => drain(lm.chat(messages, value)), base);
  options("LightGPT.reply tools", answerFields, (value) => lm.reply(messages, value), base);
  argument("runTools lm", (value) => face.runTools(value, messages, base));
  argument("runTools messages", (value) => face.runTools(lm, value, { ...base, rounds: 1 }));
  options("runTools", runToolsFields, (value) => face.runTools(lm, messages, value), { ...base, rounds: 1 });
}
