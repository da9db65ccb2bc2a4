/**
 * A query and a document as one text for a reranking model: by the template that the file has for it, whose control tokens are read
 * where the template wrote them and nowhere else; or one behind the other with the model's own tokens between.
 *
 * @module
 */
import type { TokenText } from "../engine/text_engine.ts";
import type { Inputs, Reading } from "./inputs.ts";
import type { TextModel } from "./types.ts";

/** Puts pairs together for one model. */
export class Pairs {
  readonly #model: TextModel;
  readonly #inputs: Inputs;
  readonly #template: string | undefined;

  /** For `model`, whose texts `inputs` makes tokens of. */
  constructor(model: TextModel, inputs: Inputs) {
    this.#model = model;
    this.#inputs = inputs;
    const template = model.gguf.metadata.get("tokenizer.chat_template.rerank");
    this.#template = typeof template === "string" ? template : undefined;
  }

  /** The tokens of a pair; the document is called `name` in errors. */
  async read(name: string, query: string, document: string, reading: Reading): Promise<TokenText> {
    // Both are checked here, and made tokens of where there is no template.
    const first = await this.#inputs.part("query", query, reading.signal);
    const second = await this.#inputs.part(name, document, reading.signal);
    if (this.#template !== undefined) {
      const runs = runsOf(this.#template, { query, document });
      const ids = await this.#model.tokenizer.encodeAsync(runs, { addSpecial: false, name });
      return { tokens: this.#inputs.fit(name, ids, { ...reading, truncate: false }), secondType: 0 };
    }
    return this.#joined(name, first, second, reading);
  }

  #joined(name: string, query: Uint32Array, document: Uint32Array, reading: Reading): TokenText {
    const { metadata } = this.#model.gguf;
    const { tokenizer, plan: { texts, hyperparameters } } = this.#model;
    const around = [...this.#inputs.ends];
    const end = around.length > (tokenizer.addBos ? 1 : 0) ? around.slice(-1) : [];
    const begin = around.slice(0, around.length - end.length);
    const id = "tokenizer.ggml.seperator_token_id";
    const separator = metadata.flag("tokenizer.ggml.add_sep_token", false)
      ? [metadata.count(id, { least: 0, most: this.#model.plan.hyperparameters.vocabulary - 1, fallback: end[0] ?? 0 })]
      : [];
    const before = [...begin, ...query, ...end, ...separator];
    const room = reading.most - before.length - end.length;
    const kept = reading.truncate && document.length > room ? document.subarray(0, Math.max(1, room)) : document;
    const ids = Uint32Array.from([...before, ...kept, ...end]);
    const hasTypes = texts.secondType && hyperparameters.tokenTypes === 2;
    return {
      tokens: this.#inputs.fit(name, ids, { ...reading, truncate: false }),
      secondType: hasTypes ? kept.length + end.length : 0,
    };
  }
}

/** A prompt in runs, as the tokenizer takes it. */
type Runs = Extract<Parameters<TextModel["tokenizer"]["encodeAsync"]>[0], readonly unknown[]>;

/** A template with both texts in their places, which no control token is read in. */
function runsOf(template: string, values: { readonly query: string; readonly document: string }): Runs {
  return template.split(/(\{query\}|\{document\})/).filter((part) => part !== "").map((part) => {
    if (part === "{query}") return { text: values.query, foreign: true };
    return part === "{document}" ? { text: values.document, foreign: true } : { text: part, foreign: false };
  });
}
