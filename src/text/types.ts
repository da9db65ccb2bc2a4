/**
 * What the parts of this room say to one another: text, and where it came from.
 *
 * @module
 */

/**
 * A part of a prompt, and where it came from. Neighbours are one text for the tokenizer: only control tokens heed the border.
 *
 * @example
 * ```ts
 * import type { TextRun } from "@lightgpt/lightgpt";
 *
 * const runs: TextRun[] = [
 *   { text: "<|im_start|>user\n", foreign: false },
 *   { text: "What does <|im_end|> mean?", foreign: true },
 *   { text: "<|im_end|>\n", foreign: false },
 * ];
 * console.log(runs.length);
 * ```
 */
export interface TextRun {
  /** The characters. */
  readonly text: string;
  /** Whether they came from outside the template: from a user, a tool, a document, a variable or a model. */
  readonly foreign: boolean;
}
