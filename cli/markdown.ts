/**
 * Markdown as it comes from a model, for a terminal: headings and bold are bold, code is coloured. Marks stay, so that what is
 * copied is what the model wrote. Each piece is shown at once: no more than a mark that may go on is held back.
 *
 * @module
 */
import { styleText } from "node:util";

type Style = Parameters<typeof styleText>[0];

/** Shows one answer. */
export class Markdown {
  readonly #stream: NodeJS.WriteStream;
  #held = "";
  #isAtLineStart = true;
  #isHeading = false;
  #isBold = false;
  #isCode = false;
  #isFence = false;

  /** For the stream that it is written to; without colours there, the text stays as it is. */
  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  /** What is shown of the next text. */
  push(text: string): string {
    const all = this.#held + text;
    // A mark may go on in the next piece: ` may become ```, * may become **, # ends a line's beginning.
    const open = /(?:`{1,2}|\*|#{1,6})$/.exec(all)?.[0] ?? "";
    this.#held = open;
    return this.#show(all.slice(0, all.length - open.length));
  }

  /** What was held back. */
  end(): string {
    const rest = this.#held;
    this.#held = "";
    return this.#show(rest);
  }

  #show(text: string): string {
    let shown = "";
    for (const [part] of text.matchAll(/```|`|\*\*|\n|[^`*\n]+|\*/g)) shown += this.#part(part);
    return shown;
  }

  #part(part: string): string {
    if (part === "\n") {
      this.#isAtLineStart = true;
      this.#isHeading = this.#isBold = this.#isCode = false;
      return part;
    }
    if (this.#isAtLineStart && !this.#isFence) this.#isHeading = /^#{1,6}( |$)/.test(part);
    this.#isAtLineStart = false;
    const before = this.#style();
    if (part === "```") this.#isFence = !this.#isFence;
    else if (part === "`" && !this.#isFence) this.#isCode = !this.#isCode;
    else if (part === "**" && !this.#isFence && !this.#isCode) this.#isBold = !this.#isBold;
    // A mark looks like what it begins or ends.
    const style = this.#style() ?? before;
    return style === undefined ? part : styleText(style, part, { stream: this.#stream });
  }

  #style(): Style | undefined {
    if (this.#isFence || this.#isCode) return "cyan";
    return this.#isHeading || this.#isBold ? "bold" : undefined;
  }
}
