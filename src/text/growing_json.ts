/**
 * A JSON text that is still being written, as a value that grows with it. The text is read once, character by character; a value
 * that was given out never changes, and shares with the next all that did not.
 *
 * A text's beginning is there as soon as it is known; a number, true, false and null when they are whole, for 1 may become 12;
 * a property when its value has begun.
 *
 * @module
 */

type Container = unknown[] | Record<string, unknown>;

/** An object or an array that is not closed, and where in it the next value goes. */
interface Frame {
  container: Container;
  /** The name of the property; undefined where there is none yet. */
  name: string | undefined;
}

const simpleEscapes: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r", b: "\b", f: "\f" };

/** Reads JSON that comes in parts. What it reads must be the beginning of a JSON text: a grammar sees to that. */
export class GrowingJson {
  readonly #frames: Frame[] = [];
  /** How many frames, from the first, have containers that were given out. */
  #given = 0;
  #root: unknown;
  /** The string that is open, without its quotes. */
  #string: string | undefined;
  #isName = false;
  /** A number or a word that may go on. */
  #scalar = "";
  /** The beginning of an escape; of a pair of surrogates, both. */
  #escape = "";

  /** Reads on. */
  push(text: string): void {
    for (let at = 0; at < text.length;) {
      at = this.#string === undefined ? this.#outside(text, at) : this.#inside(text, at);
    }
    if (this.#string !== undefined && !this.#isName) this.#put(this.#string);
  }

  /** Says that the text is whole: a number that it ends with goes no further. */
  end(): void {
    this.#endScalar();
  }

  /** What is known of the value; undefined before anything is. It does not change any more. */
  get value(): unknown {
    this.#given = this.#frames.length;
    return this.#root;
  }

  #outside(text: string, at: number): number {
    const character = text[at];
    switch (character) {
      case '"':
        this.#string = "";
        this.#isName = this.#wantsName();
        return at + 1;
      case "{":
      case "[":
        this.#open(character === "{" ? {} : []);
        return at + 1;
      case "}":
      case "]":
        this.#endScalar();
        this.#frames.pop();
        this.#given = Math.min(this.#given, this.#frames.length);
        return at + 1;
      case ",": {
        this.#endScalar();
        const frame = this.#frames.at(-1);
        if (frame) frame.name = undefined;
        return at + 1;
      }
      case ":":
      case " ":
      case "\n":
      case "\r":
      case "\t":
        this.#endScalar();
        return at + 1;
      default:
        this.#scalar += character;
        return at + 1;
    }
  }

  #inside(text: string, at: number): number {
    if (this.#escape !== "") return this.#inEscape(text[at]) ? at + 1 : at;
    let end = at;
    while (end < text.length && text[end] !== '"' && text[end] !== "\\") end++;
    this.#string += text.slice(at, end);
    if (end === text.length) return end;
    if (text[end] === "\\") this.#escape = "\\";
    else this.#endString();
    return end + 1;
  }

  /** Reads a character of an escape; false where it belongs to none. */
  #inEscape(character: string): boolean {
    const before = this.#escape;
    // The first of two surrogates waits for the second, which comes as an escape as well.
    if (before.length === 6 && character !== "\\") {
      this.#endEscape(6);
      return false;
    }
    this.#escape += character;
    if (before.length === 7 && character !== "u") this.#endEscape(6);
    const { length } = this.#escape;
    if (length === 2 && character !== "u") {
      this.#string += simpleEscapes[character] ?? character;
      this.#escape = "";
    } else if (length === 6 && !isSurrogate(this.#code(0))) {
      this.#endEscape(6);
    } else if (length === 12) {
      // Two that are no pair: the second may be the first of one.
      this.#endEscape(isSurrogate(this.#code(6)) ? 6 : 12);
    }
    return true;
  }

  /** The code of the escape that begins at `at`. */
  #code(at: number): number {
    return parseInt(this.#escape.slice(at + 2, at + 6), 16);
  }

  /** Takes `length` characters of escapes. */
  #endEscape(length: number): void {
    for (let at = 0; at < length; at += 6) this.#string += String.fromCharCode(this.#code(at));
    this.#escape = this.#escape.slice(length);
  }

  #endString(): void {
    const text = this.#string as string;
    this.#string = undefined;
    const frame = this.#frames.at(-1);
    if (this.#isName && frame) frame.name = text;
    else this.#put(text);
    this.#isName = false;
  }

  #endScalar(): void {
    if (this.#scalar === "") return;
    this.#put(JSON.parse(this.#scalar));
    this.#scalar = "";
  }

  #wantsName(): boolean {
    const frame = this.#frames.at(-1);
    return frame !== undefined && !Array.isArray(frame.container) && frame.name === undefined;
  }

  #open(container: Container): void {
    this.#put(container);
    this.#frames.push({ container, name: undefined });
  }

  /** Puts a value, or more of a string, in the place that is next. */
  #put(value: unknown): void {
    const frame = this.#frames.at(-1);
    if (frame === undefined) {
      this.#root = value;
      return;
    }
    if (Array.isArray(frame.container) && frame.name === undefined) frame.name = String(frame.container.length);
    if (valueIn(frame) === value && typeof value === "string") return;
    this.#renew();
    setIn(frame, value);
  }

  /** Replaces containers that were given out by copies. */
  #renew(): void {
    for (let depth = 0; depth < this.#given; depth++) {
      const frame = this.#frames[depth];
      frame.container = Array.isArray(frame.container) ? frame.container.slice() : { ...frame.container };
      if (depth === 0) this.#root = frame.container;
      else setIn(this.#frames[depth - 1], frame.container);
    }
    this.#given = 0;
  }
}

/** Whether a code is that of the first of two surrogates. */
function isSurrogate(code: number): boolean {
  return code >= 0xd800 && code < 0xdc00;
}

function valueIn({ container, name }: Frame): unknown {
  return Object.hasOwn(container, name as string) ? (container as Record<string, unknown>)[name as string] : undefined;
}

/** Sets a property, also one that is called `__proto__`. */
function setIn({ container, name }: Frame, value: unknown): void {
  if (Array.isArray(container)) container[Number(name)] = value;
  else {
    Object.defineProperty(container, name as string, { value, writable: true, enumerable: true, configurable: true });
  }
}
