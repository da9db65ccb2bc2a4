/**
 * Tools that a model may call, from a file; the command prints the calls, and runs none.
 *
 * @module
 */
import type { AnswerOptions } from "../src/lightgpt/answer_options.ts";
import type { ToolChoice } from "../src/tools/options.ts";
import { toolsOf } from "../src/tools/tool.ts";
import type { Arguments } from "./arguments.ts";
import { readJson, readText } from "./files.ts";
import { type OptionSpec, UsageError } from "./types.ts";

/** The flags. */
export const TOOLS: Readonly<Record<string, OptionSpec>> = {
  tools: {
    kind: "text",
    value: "FILE",
    about: "functions that the model may call, as OpenAI's interface describes them: the calls are printed",
  },
  "tool-choice": {
    kind: "text",
    value: "WHICH",
    about: "auto, none, required, or the name of the tool to call (default: auto)",
  },
  template: { kind: "text", value: "FILE", about: "a Jinja template in place of the model's own" },
};

const choices = ["auto", "none", "required"];

/** What the flags ask for; undefined without tools. */
export function toolOptions(args: Arguments): Pick<AnswerOptions, "tools" | "toolChoice"> | undefined {
  const path = args.text("tools");
  const choice = args.text("tool-choice");
  if (path === undefined) {
    if (choice !== undefined) throw new UsageError("--tool-choice is of --tools, which is missing");
    return undefined;
  }
  const held = ["schema", "regex", "grammar"].find((kind) => args.flag(kind));
  if (held !== undefined) throw new UsageError(`--tools and --${held}: an answer can be held to one of them`);
  const tools = toolsOf(readJson("--tools", path, "a list of tools"));
  const toolChoice = choice === undefined || choices.includes(choice) ? choice : { name: choice };
  return { tools, ...(toolChoice === undefined ? {} : { toolChoice: toolChoice as ToolChoice }) };
}

/** The template that replaces the model's own. */
export function templateOption(args: Arguments): { readonly template?: string } {
  const path = args.text("template");
  return path === undefined ? {} : { template: readText("--template", path) };
}

/** A call as it is printed. */
export function callLine({ name, input }: { readonly name: string; readonly input: unknown }): string {
  return `${JSON.stringify({ name, arguments: input })}\n`;
}
