/**
 * Options of tokenizers, as a schema.
 *
 * @module
 */
import { abortSignal, boolean, type FieldsOf, integer, text } from "../../options/schema.ts";
import type { DecodeOptions, EncodeAsyncOptions, EncodeOptions, TokenizerOptions } from "./types.ts";

/** The option `allowUnknownPreTokenizer`, as everything that loads a vocabulary has it. */
export const allowUnknownField = boolean({
  about: "Cut words by default rules where the file names unknown ones; tokens may be slightly wrong then.",
  default: false,
  flag: { about: "cut words by default rules where the model's are unknown; tokens may be slightly wrong" },
});

/** The schema of {@link TokenizerOptions}. */
export const tokenizerFields = {
  allowUnknownPreTokenizer: allowUnknownField,
  signal: abortSignal("Ends the work."),
} as const satisfies FieldsOf<TokenizerOptions>;

/** The schema of {@link EncodeOptions}. */
export const encodeFields = {
  addSpecial: boolean({
    about: "Put the tokens for the beginning and the end of a text around it, if the file asks for them.",
    default: true,
  }),
  parseSpecial: boolean({ about: "Turn the texts of control tokens into these tokens.", default: false }),
  isPrompt: boolean({ about: "The text is a prompt, which is to be continued.", default: false }),
} as const satisfies FieldsOf<EncodeOptions>;

/** The schema of {@link EncodeAsyncOptions}. */
export const encodeAsyncFields = {
  ...encodeFields,
  signal: abortSignal("Ends the work."),
  context: integer({
    about: "Tokens that the text may have.",
    least: 1,
    most: Number.MAX_SAFE_INTEGER,
    otherwise: "any number",
  }),
  name: text({ about: "What the error calls a text that is too long.", default: "text" }),
} as const satisfies FieldsOf<EncodeAsyncOptions>;

/** The schema of the options of `Tokenizer.encodeRuns`. */
export const encodeRunsFields = { addSpecial: encodeFields.addSpecial } as const;

/** The schema of {@link DecodeOptions}. */
export const decodeFields = {
  special: boolean({ about: "Show control tokens.", default: false }),
  continued: boolean({ about: "The tokens go on after others.", default: false }),
} as const satisfies FieldsOf<DecodeOptions>;
