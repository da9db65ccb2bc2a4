/**
 * From a conversation to tokens: which template of a model file is used, with which variables, and how its output is read.
 * The tokenizer is told which text the template wrote, so that no other becomes a control token.
 *
 * @module
 */
import { UnsupportedError } from "../../../ffi/errors.ts";
import type { ConversationOptions } from "./options.ts";
import type { AdaptedTemplate } from "./adapted_template.ts";
import type { ChatMessage } from "./inputs.ts";
import type { Metadata } from "../../files/gguf/read.ts";
import type { TextRun } from "../types.ts";
import type { EncodeAsyncOptions, Tokenizer } from "../tokenizer/types.ts";

/** A template that is read. */
export interface ReadTemplate {
  readonly source: string;
  /** The prompt for a conversation in runs. */
  readonly render: (
    messages: readonly ChatMessage[],
    options: Omit<ConversationOptions, "template">,
  ) => readonly TextRun[];
}

/** Renders conversations for one model; templates are read once. */
export class Conversations {
  readonly #metadata: Metadata;
  readonly #tokenizer: Tokenizer;
  readonly #templates = new Map<string, Promise<AdaptedTemplate>>();

  /** For the model whose file has this metadata. */
  constructor(metadata: Metadata, tokenizer: Tokenizer) {
    this.#metadata = metadata;
    this.#tokenizer = tokenizer;
  }

  /**
   * Turns a conversation into tokens that are ready to be continued.
   *
   * @param limits what ends the work, how many tokens there may be, and the beginning of the answer where it is given
   */
  async tokens(
    messages: readonly ChatMessage[],
    options: ConversationOptions = {},
    { begun = "", ...limits }: Pick<EncodeAsyncOptions, "signal" | "context"> & { readonly begun?: string } = {},
  ): Promise<Uint32Array> {
    const { template, ...rest } = options;
    const { render } = await this.template(template, options.tools !== undefined);
    const runs = render(messages, rest);
    const prompt = begun === "" ? runs : [...runs, { text: begun, foreign: true }];
    return await this.#tokenizer.encodeAsync(prompt, { ...limits, name: "messages" });
  }

  /**
   * A template that is read: the model's own, unless another is given.
   *
   * @param own the other one
   * @param withTools whether the model's own for tools is wanted, where it has one
   */
  async template(own: string | undefined, withTools: boolean): Promise<ReadTemplate> {
    const source = own ?? this.#source(withTools);
    const served = await this.#parse(source);
    const tokens = { bos_token: this.#text(this.#tokenizer.bos), eos_token: this.#text(this.#tokenizer.eos) };
    return { source, render: (messages, options) => served.runs(messages, { ...options, tokens }) };
  }

  #source(withTools: boolean): string {
    const key = "tokenizer.chat_template";
    const named = `${key}.tool_use`;
    if (withTools && this.#metadata.has(named)) return this.#metadata.text(named);
    if (this.#metadata.has(key)) return this.#metadata.text(key);
    throw new UnsupportedError(
      "This model has no chat template (tokenizer.chat_template): it continues texts. To chat, take a chat model, or give a " +
        "template of your own (template; in the command --template FILE).",
      { what: "a model without a chat template", where: key, expected: "the option template" },
    );
  }

  #parse(source: string): Promise<AdaptedTemplate> {
    const known = this.#templates.get(source);
    if (known !== undefined) return known;
    const parsed = readTemplate(source);
    // A server may be given templates by its users: only a few are kept.
    if (this.#templates.size >= 8) this.#templates.clear();
    this.#templates.set(source, parsed);
    return parsed;
  }

  #text(token: number | undefined): string {
    return token === undefined ? "" : new TextDecoder().decode(this.#tokenizer.piece(token));
  }
}

/** The template language is a third of all code, and most programs that only continue texts never need it. */
async function readTemplate(source: string): Promise<AdaptedTemplate> {
  const { AdaptedTemplate } = await import("./adapted_template.ts");
  return await AdaptedTemplate.read(source);
}
