/**
 * Strings that remember where each of their characters came from: from the template's own source, or from outside
 * (foreign). Marks are put on inputs and carried through everything that a template does to a string.
 *
 * A string is its characters and the places where its origin changes, so that the many strings of one origin cost nothing
 * more. Offsets in here are UTF-16 units; Python's code points are counted where a template counts.
 *
 * @module
 */
import type { Budget } from "./budget.ts";

/** Where the origin of a string changes, from the left; before the first place it is the template's. */
export type Borders = readonly number[];

/** The borders of a string that the template wrote. */
const OWN: Borders = [];
/** The borders of a string that came from outside. */
const FOREIGN: Borders = [0];

/** A string of a template's world. */
export class Text {
  /** The characters, well-formed. */
  readonly value: string;
  /** Where its origin changes. */
  readonly borders: Borders;
  /** Whether it went through `safe` or `escape`: what is joined to it is escaped for HTML. */
  readonly markup: boolean;
  #astral: boolean | undefined;
  #offsets: Uint32Array | undefined;

  /** `plain` where no character is known to be two units. */
  constructor(value: string, borders: Borders, markup = false, plain = false) {
    this.value = value;
    this.borders = borders;
    this.markup = markup;
    if (plain) this.#astral = false;
  }

  /** A string that the template wrote, or one from outside. */
  static of(value: string, foreign: boolean): Text {
    return new Text(value, foreign && value !== "" ? FOREIGN : OWN);
  }

  /** Whether the character at an offset came from outside. */
  isForeign(offset: number): boolean {
    return (bordersUpTo(this.borders, offset) & 1) === 1;
  }

  /** Whether all characters are the template's, all are foreign, or they are mixed. */
  get origin(): "own" | "foreign" | "mixed" {
    if (this.borders.length === 0) return "own";
    return this.borders.length === 1 && this.borders[0] === 0 ? "foreign" : "mixed";
  }

  /** The same characters, marked as `safe` or not. */
  withMarkup(markup: boolean): Text {
    return markup === this.markup ? this : new Text(this.value, this.borders, markup, this.plain);
  }

  /** A part, by offsets in UTF-16 units. */
  slice(start: number, end: number): Text {
    if (start === 0 && end === this.value.length) return this;
    if (start >= end) return EMPTY.withMarkup(this.markup);
    const value = this.value.slice(start, end);
    const { borders } = this;
    if (borders.length < 2 && (borders.length === 0 || borders[0] === 0)) {
      return new Text(value, borders, this.markup, this.plain);
    }
    const passed = bordersUpTo(borders, start);
    const cut: number[] = (passed & 1) === 1 ? [0] : [];
    for (let index = passed; index < borders.length && borders[index] < end; index++) cut.push(borders[index] - start);
    return new Text(value, cut, this.markup, this.plain);
  }

  /** Whether all characters are known to be single units. */
  get plain(): boolean {
    return this.#astral === false;
  }

  /** How many units have to be looked at before characters can be counted. */
  get uncounted(): number {
    return this.plain || this.#offsets !== undefined ? 0 : this.value.length;
  }

  /** How many characters Python counts. */
  get length(): number {
    return this.astral ? this.#codePoints().length - 1 : this.value.length;
  }

  /** Whether some characters are two UTF-16 units. */
  get astral(): boolean {
    return this.#astral ??= /[\ud800-\udfff]/.test(this.value);
  }

  /** The offset of the character with Python's index; `length` gives the end. */
  offset(index: number): number {
    return this.astral ? this.#codePoints()[index] : index;
  }

  /** Python's index of the character at an offset. */
  index(offset: number): number {
    if (!this.astral) return offset;
    const offsets = this.#codePoints();
    let [low, high] = [0, offsets.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (offsets[middle] < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The character with Python's index. */
  at(index: number): Text {
    return this.slice(this.offset(index), this.offset(index + 1));
  }

  /** Offsets of all code points, and of the end. */
  #codePoints(): Uint32Array {
    if (this.#offsets !== undefined) return this.#offsets;
    const offsets = new Uint32Array(this.value.length + 1);
    let count = 0;
    for (let offset = 0; offset < this.value.length; count++) {
      offsets[count] = offset;
      offset += (this.value.codePointAt(offset) as number) > 0xffff ? 2 : 1;
    }
    offsets[count] = this.value.length;
    return this.#offsets = offsets.subarray(0, count + 1);
  }
}

/** No characters. */
export const EMPTY: Text = new Text("", OWN);

/**
 * Two strings as one. Engines keep such a string as its two parts, so only the shorter is paid for: texts that a template
 * puts together piece by piece cost what they are long.
 */
export function concat(budget: Budget, left: Text, right: Text): Text {
  const markup = left.markup || right.markup;
  if (right.value === "") return left.withMarkup(markup);
  if (left.value === "") return right.withMarkup(markup);
  const [a, b] = [left.borders, right.borders];
  budget.make(Math.min(left.value.length, right.value.length) + 2 * (a.length + b.length));
  const value = left.value + right.value;
  // Whatever looks into it makes one string of its parts first.
  budget.step(value.length >> 10);
  const plain = left.plain && right.plain;
  if (a.length < 2 && a.length === b.length && a[0] === b[0] && (a.length === 0 || a[0] === 0)) {
    return new Text(value, a, markup, plain);
  }
  budget.step((a.length + b.length) >> 3);
  const offset = left.value.length;
  const borders = a.slice();
  // An odd count: what is on the left ends foreign.
  const foreign = (a.length & 1) === 1;
  const begins = b.length > 0 && b[0] === 0;
  if (foreign !== begins) borders.push(offset);
  for (let index = begins ? 1 : 0; index < b.length; index++) borders.push(b[index] + offset);
  return new Text(value, borders, markup, plain);
}

/** Joins strings; what it makes is paid for. */
export class TextBuilder {
  readonly #budget: Budget;
  #value = "";
  readonly #borders: number[] = [];
  #foreign = false;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  /** How many UTF-16 units there are so far. */
  get length(): number {
    return this.#value.length;
  }

  /** Adds characters of one origin. */
  add(value: string, foreign: boolean): this {
    if (value === "") return this;
    this.#budget.make(value.length);
    this.#turn(foreign);
    this.#value += value;
    return this;
  }

  /** Adds a string, or a part of it by offsets. */
  append(text: Text, start = 0, end = text.value.length): this {
    if (start >= end) return this;
    const { borders, value } = text;
    if (borders.length < 2 && (borders.length === 0 || borders[0] === 0)) {
      return this.add(start === 0 && end === value.length ? value : value.slice(start, end), borders.length === 1);
    }
    for (let index = bordersUpTo(borders, start), at = start; at < end; index++) {
      const next = Math.min(end, borders[index] ?? end);
      this.#budget.make(next - at + 2);
      this.#turn((index & 1) === 1);
      this.#value += value.slice(at, next);
      at = next;
    }
    this.#budget.step(borders.length >> 3);
    return this;
  }

  /** What was joined. */
  build(markup = false): Text {
    const borders = this.#borders;
    if (borders.length === 0) return new Text(this.#value, OWN, markup);
    return new Text(this.#value, borders.length === 1 && borders[0] === 0 ? FOREIGN : borders.slice(), markup);
  }

  #turn(foreign: boolean): void {
    if (foreign === this.#foreign) return;
    this.#borders.push(this.#value.length);
    this.#foreign = foreign;
  }
}

/** How many borders lie at or before an offset: odd where its character is foreign. */
function bordersUpTo(borders: Borders, offset: number): number {
  let [low, high] = [0, borders.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (borders[middle] <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
