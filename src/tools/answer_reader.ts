/**
 * An answer while it comes, told apart into thoughts, text and calls. What may be the beginning of a mark is held back until more
 * decides; no mark is ever part of a text.
 *
 * @module
 */
import type { WireFormat } from "./format.ts";
import { type CallDelta, CallReader, type WholeCall } from "./read_calls.ts";
import type { ToolDeclaration } from "./types.ts";
import { isRead, PARTIAL, scanText, skipBlanks, WRONG } from "./values.ts";
import { CONTROL, heldBack, textOfWire, type Wire, withoutBlanks } from "./wire.ts";

/** What came of an answer. */
export type AnswerEvent =
  | { readonly type: "text" | "reasoning"; readonly text: string }
  | ({ readonly type: "toolCallDelta" } & CallDelta)
  | { readonly type: "toolCall"; readonly index: number; readonly call: WholeCall };

/** What an answer is read by. */
export interface AnswerMarks {
  /** Marks of thoughts, and whether the prompt has begun some. */
  readonly thoughts: {
    readonly open: Wire;
    readonly close: Wire;
    readonly isOpen: boolean;
    /** Whether the prompt has ended them, so that none come. */
    readonly isOver?: boolean;
    /** What stands before a text, where a model that thinks writes something there. */
    readonly text?: Wire;
  } | undefined;
  /** How calls are written, where some may come. */
  readonly format: WireFormat | undefined;
  readonly tools: readonly ToolDeclaration[];
  /** What the prompt has written of the answer. */
  readonly begun?: Wire;
}

type State = "start" | "thoughts" | "begin" | "text" | "behind" | "calls";

/** Reads one answer. */
export class AnswerReader {
  readonly #marks: AnswerMarks;
  #wire: Wire;
  #state: State;
  #calls: CallReader | undefined;
  #isWrong = false;

  constructor(marks: AnswerMarks) {
    this.#marks = marks;
    this.#wire = marks.begun ?? "";
    const { thoughts } = marks;
    this.#state = thoughts === undefined || thoughts.isOver ? "begin" : thoughts.isOpen ? "thoughts" : "start";
  }

  /** Whether a call has begun that did not come whole. */
  get isCut(): boolean {
    return this.#calls !== undefined && !this.#calls.isDone;
  }

  /** Whether something stands where only a call can; without a constraint that is what a model may write. */
  get isWrong(): boolean {
    return this.#isWrong;
  }

  /** Takes what one token adds; gives what is known now. */
  push(wire: Wire): AnswerEvent[] {
    this.#wire += wire;
    return this.#read(false);
  }

  /** Takes the end. */
  end(): AnswerEvent[] {
    return this.#read(true);
  }

  #read(isEnd: boolean): AnswerEvent[] {
    const events: AnswerEvent[] = [];
    for (let isNew = true; isNew;) {
      const before = this.#state;
      this.#step(before, isEnd, events);
      isNew = this.#state !== before;
    }
    return events;
  }

  #step(state: State, isEnd: boolean, events: AnswerEvent[]): void {
    const { thoughts, format } = this.#marks;
    switch (state) {
      case "start":
        if (thoughts && this.#skipMark(thoughts.open, isEnd, "thoughts") === WRONG) this.#state = "begin";
        break;
      case "thoughts":
        if (thoughts && this.#until([thoughts.close], "reasoning", isEnd, events) === thoughts.close) {
          this.#skip(thoughts.close.length);
          this.#state = "begin";
        }
        break;
      case "begin":
        this.#begin(format, isEnd);
        break;
      case "text": {
        const own = [format?.text?.after, format?.onlyFirst ? "" : format?.trigger, thoughts?.close];
        const marks = own.filter((mark) => mark) as Wire[];
        let found = this.#until(marks, "text", isEnd, events);
        // One that ends no thoughts is part of no text either.
        while (found !== undefined && found === thoughts?.close) {
          this.#skip(found.length);
          found = this.#until(marks, "text", isEnd, events);
        }
        if (found === undefined) break;
        if (found === format?.trigger) this.#beginCalls(format);
        else {
          this.#skip(found.length);
          this.#state = "behind";
        }
        break;
      }
      case "behind":
        if (format && this.#skipMark(format.trigger, isEnd, "calls", false) === "calls") this.#beginCalls(format);
        break;
      default:
        this.#readCalls(isEnd, events);
    }
  }

  /** What an answer begins with behind its thoughts: a call, or what stands before its text. */
  #begin(format: WireFormat | undefined, isEnd: boolean): void {
    const at = skipBlanks(this.#wire, 0);
    if (at >= this.#wire.length && !isEnd) return;
    const called = format ? scanText(this.#wire, at, format.trigger) : WRONG;
    const lead = format ? format.text?.before : this.#marks.thoughts?.text;
    const opened = lead ? scanText(this.#wire, at, lead) : WRONG;
    if (isRead(opened)) {
      this.#skip(opened.end);
      this.#state = "text";
    } else if (isRead(called) && format) {
      if (opened === PARTIAL && !isEnd) return; // both begin alike
      this.#skip(at);
      this.#beginCalls(format);
    } else if (isEnd || (called === WRONG && opened === WRONG)) {
      // Blanks behind thoughts belong to neither.
      this.#skip(this.#marks.thoughts ? at : 0);
      this.#state = "text";
    }
  }

  #beginCalls(format: WireFormat): void {
    this.#calls = new CallReader(format, this.#marks.tools, 0);
    this.#state = "calls";
  }

  #readCalls(isEnd: boolean, events: AnswerEvent[]): void {
    const reader = this.#calls as CallReader;
    const tell = (delta: CallDelta) => events.push({ type: "toolCallDelta", ...delta });
    while (!reader.isDone) {
      const { count } = reader;
      const call = reader.next(this.#wire, isEnd, tell);
      if (call === WRONG) this.#isWrong = true;
      if (typeof call === "string") return;
      events.push({ type: "toolCall", index: count, call });
    }
  }

  /** Skips blanks and a mark at the beginning; says the next state where the mark was there. */
  #skipMark(mark: Wire, isEnd: boolean, next: State, skips = true): State | typeof PARTIAL | typeof WRONG {
    const at = skipBlanks(this.#wire, 0);
    const found = scanText(this.#wire, at, mark);
    if (!isRead(found)) return isEnd ? WRONG : found;
    this.#skip(skips ? found.end : at);
    if (skips) this.#state = next;
    return next;
  }

  /** Gives the text up to the first of some marks, or as much of it as is no beginning of one. */
  #until(marks: readonly Wire[], type: "text" | "reasoning", isEnd: boolean, events: AnswerEvent[]): Wire | undefined {
    const places = marks.map((mark) => ({ mark, at: this.#wire.indexOf(mark) })).filter(({ at }) => at >= 0);
    const [first] = places.sort((a, b) => a.at - b.at);
    const all = first ? this.#wire.slice(0, first.at) : this.#wire;
    // Blanks before a mark belong to it.
    const shown = first ? withoutBlanks(all) : isEnd ? all : all.slice(0, all.length - heldBack(all, marks));
    const text = textOfWire(shown.replaceAll(controls, ""));
    if (text !== "") events.push({ type, text });
    this.#skip(first ? first.at : shown.length);
    return first?.mark;
  }

  #skip(length: number): void {
    this.#wire = this.#wire.slice(length);
  }
}

const controls = new RegExp(CONTROL, "g");
