/**
 * From what a caller gives to the tokens of a text: strings with a prompt in front, or token ids as they are; what is empty or too
 * long is refused by its place, or cut so that the token at its end stays.
 *
 * @module
 */
import { InvalidArgumentError } from "../../ffi/errors.ts";
import type { TokenText } from "../engine/text_engine.ts";
import { refuseOption } from "../options/checks.ts";
import { tokenIds } from "../options/token_ids.ts";
import type { EmbedInput, TextModel } from "./types.ts";

/** Characters of a text that is tokenized at once; a longer one lets the event loop go on. */
const longText = 4096;

/** How texts become tokens. */
export interface Reading {
  readonly prompt: string;
  readonly truncate: boolean;
  /** Most tokens of a text. */
  readonly most: number;
  readonly signal: AbortSignal | undefined;
}

/** Makes tokens of texts for one model. */
export class Inputs {
  readonly #model: TextModel;

  /** For the texts of `model`. */
  constructor(model: TextModel) {
    this.#model = model;
  }

  /** The tokens of one text, called `name` in errors. */
  async read(name: string, input: EmbedInput, reading: Reading): Promise<TokenText> {
    const ids = typeof input === "string"
      ? await this.#encode(name, input, reading)
      : tokenIds(name, input, this.#model.plan.hyperparameters.vocabulary);
    if (ids.length === 0) refuseOption(name, "a text with at least one token", "none");
    return { tokens: this.fit(name, ids, reading), secondType: 0 };
  }

  /** The tokens of a part of a text, without any at its ends. */
  async part(name: string, text: string, signal: AbortSignal | undefined): Promise<Uint32Array> {
    if (typeof text !== "string") refuseOption(name, "a string", text);
    const options = { addSpecial: false, name, ...(signal === undefined ? {} : { signal }) };
    const { tokenizer } = this.#model;
    return text.length < longText
      ? tokenizer.encode(text, { addSpecial: false })
      : await tokenizer.encodeAsync(text, options);
  }

  /** Tokens that are no more than the model reads: cut, or refused. */
  fit(name: string, ids: Uint32Array, { truncate, most }: Pick<Reading, "truncate" | "most">): Uint32Array {
    if (ids.length <= most) return ids;
    if (!truncate) {
      throw new InvalidArgumentError(
        `${name}: the text has ${ids.length} tokens; expected at most ${most}, or \`truncate: true\`, which cuts it.`,
        { what: "a text that is too long", where: name, expected: `at most ${most} tokens`, got: `${ids.length}` },
      );
    }
    const cut = ids.slice(0, most);
    // The token that ends a text stays.
    const end = this.ends.at(-1);
    if (end !== undefined && ids.at(-1) === end) cut[most - 1] = end;
    return cut;
  }

  /** What stands around a text: the tokens of an empty one. */
  get ends(): Uint32Array {
    return this.#model.tokenizer.encode("");
  }

  async #encode(name: string, text: string, { prompt, signal, truncate, most }: Reading): Promise<Uint32Array> {
    if (text === "") refuseOption(name, "a text with at least one character", text);
    const whole = prompt + text;
    const { tokenizer } = this.#model;
    if (whole.length < longText) return tokenizer.encode(whole);
    const context = truncate ? {} : { context: most };
    return await tokenizer.encodeAsync(whole, { name, ...context, ...(signal === undefined ? {} : { signal }) });
  }
}
