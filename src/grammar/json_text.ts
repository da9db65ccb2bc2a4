/**
 * The JSON text of what a caller passes as a schema. Objects that are held in several places are written at each, so sixty levels
 * that hold the next one twice have no end: the text is counted while it is written. What JSON has not is refused by name, not
 * left out: a schema that asks less than its caller wrote is another schema.
 *
 * @module
 */
import { guarded, refuseOption } from "../options/checks.ts";
import { GRAMMAR_LIMITS, refuseSize } from "./budget.ts";

/** Characters that are written at most; a schema of more than a grammar may have is refused where it is compiled. */
const charactersMost = 2 * GRAMMAR_LIMITS.characters;

/** Objects inside objects: a schema inside another is so at a name of a keyword's object, or at a place of its list. */
const depthMost = 8 * GRAMMAR_LIMITS.depth;

/** A value as `JSON.stringify` writes it; `undefined` where it is `undefined`. `name` names it in errors. */
export function jsonText(value: unknown, name: string): string | undefined {
  const written = new Written(name);
  return guarded(name, () =>
    JSON.stringify(value, function (this: unknown, key: string, inner: unknown) {
      written.add(this, key, inner);
      return inner;
    }));
}

/** What has been written. */
class Written {
  readonly #name: string;
  #characters = 0;
  /** The objects that hold the value that is written, from outside. */
  readonly #path: unknown[] = [];
  readonly #holders = new Set<unknown>();

  constructor(name: string) {
    this.#name = name;
  }

  /** Counts a value at a key of what holds it; throws for what JSON has not. */
  add(holder: unknown, key: string, value: unknown): void {
    while (this.#path.length > 0 && this.#path.at(-1) !== holder) this.#holders.delete(this.#path.pop());
    switch (typeof value) {
      case "undefined":
        if (!Array.isArray(holder)) return;
        break;
      case "number":
        // It would be null in the text, which is another value.
        if (!Number.isFinite(value)) refuseOption(this.#name, `a finite number at ${key}`, value);
        break;
      case "bigint":
      case "function":
      case "symbol":
        refuseOption(this.#name, `a value of JSON${key === "" ? "" : ` at ${key}`}`, value);
    }
    // Each with what stands around it: a comma or bracket, quotes, a colon.
    const name = Array.isArray(holder) ? 0 : key.length + 3;
    this.#count(1 + name + (typeof value === "string" ? value.length + 2 : 1));
    if (value === null || typeof value !== "object") return;
    if (this.#holders.has(value)) refuseOption(this.#name, `no object that holds itself, as at ${key}`, value);
    if (this.#path.push(value) > depthMost) refuseSize("depth", this.#path.length);
    this.#holders.add(value);
  }

  #count(characters: number): void {
    this.#characters += characters;
    if (this.#characters > charactersMost) refuseSize("characters", this.#characters);
  }
}
