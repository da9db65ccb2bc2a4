/**
 * Where an answer begins and ends, and what stands around its text: from what a template writes around answers that are text and
 * around those that are calls.
 *
 * @module
 */
import { commonPrefix, commonSuffix, outsideTag } from "./patterns.ts";
import type { Prober } from "./prober.ts";
import { ProbeFailure } from "./probe_failure.ts";
import type { ToolFormat } from "./types.ts";
import type { ControlTokens } from "./wire.ts";

/** The turns of a model. */
export class Turn {
  /** What stands around the text of an answer. */
  readonly text: ToolFormat["text"];
  readonly #prober: Prober;
  readonly #controls: ControlTokens;
  /** What begins an answer. */
  readonly #begin: string;
  /** What stands before the text of an answer. */
  readonly #head: string;
  /** What stands behind it. */
  readonly #tail: string;

  constructor(prober: Prober, controls: ControlTokens) {
    this.#prober = prober;
    this.#controls = controls;
    this.#begin = prober.after([], true);
    const plain = prober.after([{ role: "assistant", content: prober.content }]);
    const at = plain.indexOf(prober.content);
    if (at < 0) throw new ProbeFailure("the template does not show answers");
    this.#head = plain.slice(0, at);
    this.#tail = plain.slice(at + prober.content.length);
    this.text = this.#around();
  }

  /** What the model writes before the first name, of all that stands before it. */
  before(head: string): string {
    if (this.text && head.includes(this.text.before)) throw new ProbeFailure("a call stands behind an empty text");
    const begun = outsideTag(head, commonPrefix(head, this.#begin).length, "before");
    const candidates = [this.#behindText(head), begun === 0 ? "" : head.slice(begun)];
    if (head.startsWith(this.#head)) candidates.push(head.slice(this.#head.length));
    const [before] = candidates.map((text) => withoutThoughts(text.trimStart())).filter((text) => text !== "")
      .sort((a, b) => a.length - b.length);
    if (before === undefined) throw new ProbeFailure("it cannot be told where a call begins");
    if (this.#endOfTurn(before) < before.length) throw new ProbeFailure("a call begins with what ends an answer");
    return before;
  }

  /** What stands around the text of an answer whose prompt ends with what a call begins with. */
  textBeside(before: string): ToolFormat["text"] {
    if (!this.#begin.endsWith(before)) return this.text;
    if (this.text === undefined) throw new ProbeFailure("the prompt begins a call");
    return { ...this.text, before: before + this.text.before };
  }

  /** What the model writes behind the last arguments, of all that stands there. */
  end(tail: string): string {
    const end = this.#find(tail, (wire) => this.#controls.ends.has(wire));
    if (end < tail.length) return tail.slice(0, end).trimEnd();
    const shared = tail.length - commonSuffix(tail, this.#tail).length;
    const cut = outsideTag(tail, shared, "behind");
    if (tail.slice(cut).trim() !== "") return tail.slice(0, cut).trimEnd();
    return tail.slice(0, this.#endOfTurn(tail)).trimEnd();
  }

  /** What stands before a call behind a text; nothing where none is shown there. */
  #behindText(head: string): string {
    const { content, words: { names, keys, values } } = this.#prober;
    const rendered = this.#prober.calls([{ [keys[0]]: values[0] }], content);
    const [from, to] = [rendered.indexOf(content), rendered.indexOf(names[0])];
    if (from < 0 || to < from) return "";
    const between = rendered.slice(from + content.length, to);
    // Where such a text stands within marks of its own, a call alone has both of them before it.
    const lead = rendered.startsWith(this.#begin) ? rendered.slice(this.#begin.length, from).trim() : "";
    if (lead !== "" && lead !== this.text?.before.trim() && withoutThoughts(lead) !== "") return "";
    const behindText = this.text?.after ?? "";
    return commonSuffix(between.startsWith(behindText) ? between.slice(behindText.length) : between, head);
  }

  /** Where the first token stands that ends an answer, as the vocabulary says or as the template does behind a text. */
  #endOfTurn(text: string): number {
    const first = this.#find(this.#tail, () => true);
    const own = this.#controls.at(this.#tail, first)?.wire;
    const isWrapped = this.text !== undefined && this.text.after !== "";
    return this.#find(text, (wire) => this.#controls.ends.has(wire) || (!isWrapped && wire === own));
  }

  #find(text: string, isOne: (wire: string) => boolean): number {
    for (let place = 0; place < text.length; place++) {
      const found = this.#controls.at(text, place);
      if (found && isOne(found.wire)) return place;
    }
    return text.length;
  }

  #around(): ToolFormat["text"] {
    const quiet = this.#prober.after([], true, { enable_thinking: false });
    if ([this.#begin, quiet].some((begin) => begin.trim() === this.#head.trim())) return undefined;
    const cut = outsideTag(this.#head, commonPrefix(this.#head, this.#begin).length, "before");
    const before = withoutThoughts(this.#head.slice(cut));
    if (before === "" || this.#begin.trimEnd().endsWith(before.trimEnd())) return undefined;
    const end = this.#find(this.#tail, (wire) => this.#controls.ends.has(wire));
    // What stands behind a call as well ends the answer and not its text.
    const { names, keys, values } = this.#prober.words;
    const called = this.#prober.calls([{ [keys[0]]: values[0] }]);
    const shared = commonSuffix(this.#tail, called.slice(called.indexOf(names[0])));
    const behind = outsideTag(this.#tail, this.#tail.length - shared.length, "behind");
    return { before, after: this.#tail.slice(0, Math.min(end, behind)).trim() };
  }
}

/** What stands before a text without the thoughts, which are empty there. */
function withoutThoughts(before: string): string {
  return before.replace(/^[^]*<\/[^<>]*think[^<>]*>|^[^]*<\|(?:END_THINKING|close)\|>(?:think<\|sep\|>)?/, "")
    .trimStart();
}
