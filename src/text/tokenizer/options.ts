/**
 * Options of tokenizers, as a schema.
 *
 * @module
 */
import { boolean } from "../../options/schema.ts";

/** The option `allowUnknownPreTokenizer`, as everything that loads a vocabulary has it. */
export const allowUnknownField = boolean({
  about: "Cut words by default rules where the file names unknown ones; tokens may be slightly wrong then.",
  default: false,
  flag: { about: "cut words by default rules where the model's are unknown; tokens may be slightly wrong" },
});
