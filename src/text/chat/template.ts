/**
 * Chat templates: the Jinja text in a model file that turns a conversation into the prompt its model was trained on. The
 * template is untrusted code, so it runs in a library's interpreter with a budget (`interpreter.ts`), over plain data
 * (`values.ts`).
 *
 * @module
 */
import { InvalidArgumentError, LightGPTError, ModelFormatError } from "../../../ffi/errors.ts";
import { budgetedInterpreter, type Jinja, LIMITS, overBudget } from "./interpreter.ts";
import { formatTime, type JsonValue, plainCopy } from "./values.ts";
import { refuseOption } from "../../options/checks.ts";

export type { JsonValue } from "./values.ts";

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
  /** Who speaks. */
  readonly role: string;
  /** What was said: a text, or what the template wants in its place. */
  readonly content?: JsonValue;
  /** Further fields for the template. */
  readonly [field: string]: JsonValue | undefined;
}

/** What a template is rendered with. */
export interface RenderOptions {
  /** End with what begins an answer. Default: true. */
  readonly addGenerationPrompt?: boolean;
  /** Descriptions of tools, where the template knows them. */
  readonly tools?: JsonValue;
  /** Further variables of the template, such as `bos_token` or `enable_thinking`. */
  readonly variables?: Readonly<Record<string, JsonValue>>;
  /** What `strftime_now` takes for now. */
  readonly now?: Date;
  /** Changes every text of every message but the assistant's own, before the template sees it. */
  readonly guard?: (text: string) => string;
}

const messagesMost = 10_000;

/**
 * A chat template, ready to render. The language is Jinja as Hugging Face's templates use it.
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
  readonly #jinja: Jinja;
  readonly #program: ReturnType<Jinja["parse"]>;

  private constructor(jinja: Jinja, program: ReturnType<Jinja["parse"]>) {
    this.#jinja = jinja;
    this.#program = program;
  }

  /** Reads a template; throws a {@link ModelFormatError} where it is no Jinja. */
  static async parse(source: string): Promise<ChatTemplate> {
    if (typeof source !== "string") refuseOption("template", "a string", source);
    if (source.length > LIMITS.template) throw overBudget(`${LIMITS.template} characters of template`);
    const jinja = await import("@huggingface/jinja");
    try {
      const tokens = jinja.tokenize(source, { lstrip_blocks: true, trim_blocks: true });
      return new ChatTemplate(jinja, jinja.parse(tokens));
    } catch (cause) {
      const reason = cause instanceof RangeError ? "it is nested too deeply" : messageOf(cause);
      throw new ModelFormatError(`The chat template cannot be read: ${reason}.`, {
        field: "tokenizer.chat_template",
        expected: "a Jinja template",
      }, { cause });
    }
  }

  /**
   * The prompt for a conversation. Throws an {@link InvalidArgumentError} with the template's own words where it refuses the
   * messages, and an error of the code `limit` where it costs too much.
   */
  render(messages: readonly ChatMessage[], options: RenderOptions = {}): string {
    const { addGenerationPrompt = true, tools, variables = {}, now = new Date(), guard = (text) => text } = options;
    const { Environment } = this.#jinja;
    const environment = new Environment();
    const globals: Record<string, unknown> = {
      true: true,
      false: false,
      none: null,
      True: true,
      False: false,
      None: null,
      raise_exception: (reason: unknown) => {
        throw new Refusal(String(reason));
      },
      range: budgetedRange,
      strftime_now: (format: unknown) => formatTime(now, String(format)),
      messages: checkMessages(messages, guard),
      add_generation_prompt: addGenerationPrompt,
      ...(tools === undefined ? {} : { tools: plainCopy(tools, "tools", guard) }),
    };
    for (const [name, value] of Object.entries(variables)) {
      globals[name] = plainCopy(value, `variables.${name}`, String);
    }
    for (const [name, value] of Object.entries(globals)) environment.set(name, value);
    try {
      const { value } = budgetedInterpreter(this.#jinja, environment).run(this.#program);
      return String(value);
    } catch (cause) {
      throw renderError(cause);
    }
  }
}

/** What a template says by raise_exception. */
class Refusal extends Error {}

function renderError(cause: unknown): Error {
  if (cause instanceof LightGPTError) return cause;
  if (cause instanceof Refusal) {
    return new InvalidArgumentError(`messages: the chat template refuses them: ${cause.message}`, {
      what: "messages that the chat template refuses",
      where: "messages",
      got: cause.message,
    });
  }
  if (cause instanceof RangeError) return overBudget("the memory or depth that there is");
  return new ModelFormatError(`The chat template failed: ${messageOf(cause)}.`, {
    field: "tokenizer.chat_template",
    expected: "a template that suits these messages",
  }, { cause });
}

function checkMessages(messages: readonly ChatMessage[], guard: (text: string) => string): JsonValue[] {
  if (!Array.isArray(messages)) refuseOption("messages", "an array of messages", messages);
  if (messages.length > messagesMost) refuseOption("messages", `at most ${messagesMost} messages`, messages.length);
  return messages.map((message: unknown, index) => {
    const where = `messages[${index}]`;
    if (message === null || typeof message !== "object") {
      refuseOption(where, "an object with role and content", message);
    }
    const { role } = message as { role?: unknown };
    if (typeof role !== "string") refuseOption(`${where}.role`, "a string such as user", role);
    // What the model itself wrote may hold its own markers, which templates look for.
    return plainCopy(message, where, role === "assistant" ? String : guard);
  });
}

function budgetedRange(start: number, stop?: number, step = 1): number[] {
  if (stop === undefined) [start, stop] = [0, start];
  const count = Math.ceil((stop - start) / step);
  if (Number.isNaN(count) || step === 0) throw new TypeError("range() takes whole numbers and a step that is not 0");
  if (count > LIMITS.steps) throw overBudget(`${LIMITS.steps} numbers of a range`);
  return Array.from({ length: Math.max(0, count) }, (_, index) => start + index * step);
}

function messageOf(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).split("\n", 1)[0].replace(/[.:\s]+$/, "");
}
