/**
 * Chat templates: the Jinja text in a model file that turns a conversation into the prompt its model was trained on. The
 * template is untrusted code, so it runs in our own evaluator (`../jinja`) within a budget, over plain data (`inputs.ts`).
 * Every character of the prompt knows whether the template wrote it.
 *
 * @module
 */
import type { Program } from "../jinja/program.ts";
import type { TextRun } from "../types.ts";
import type { ChatMessage } from "./inputs.ts";
import type { RenderOptions } from "./options.ts";
import type { renderPrompt } from "./prompt.ts";

export type { ChatMessage, JsonValue } from "./inputs.ts";
export type { RenderOptions } from "./options.ts";

/**
 * A chat template, ready to render. The language is Jinja as Python's jinja2 and Hugging Face run it.
 *
 * @example
 * ```ts
 * import { ChatTemplate } from "@lightgpt/lightgpt";
 *
 * const template = await ChatTemplate.parse("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}");
 * console.log(template.render([{ role: "user", content: "Hello" }])); // <user>Hello
 * ```
 */
export class ChatTemplate {
  readonly #program: Program;
  readonly #render: typeof renderPrompt;

  private constructor(program: Program, render: typeof renderPrompt) {
    this.#program = program;
    this.#render = render;
  }

  /** Reads the template in `source`; throws a {@link ModelFormatError} where it is no Jinja. */
  static async parse(source: string): Promise<ChatTemplate> {
    // The template language is loaded when it is needed: it would delay the first token of programs that do without.
    const { readProgram, renderPrompt } = await import("./prompt.ts");
    return new ChatTemplate(readProgram(source), renderPrompt);
  }

  /**
   * The prompt for a conversation. Throws an {@link InvalidArgumentError} with the template's own words where it refuses the
   * messages, and an error of the code `limit` where it costs too much.
   */
  render(messages: readonly ChatMessage[], options: RenderOptions = {}): string {
    return this.#render(this.#program, messages, options).text;
  }

  /**
   * The prompt for `messages` in runs: what the template wrote, and what came from outside. `Tokenizer.encodeRuns`
   * makes tokens of them.
   */
  runs(messages: readonly ChatMessage[], options: RenderOptions = {}): TextRun[] {
    return this.#render(this.#program, messages, options).runs;
  }
}
