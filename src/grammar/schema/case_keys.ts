/**
 * Which cases of a value are the same, so that what was made of them is made once, and none stands in a list twice.
 *
 * @module
 */
import type { Case } from "./types.ts";

/** Tells cases apart by what they say. */
export class CaseKeys {
  readonly #known = new WeakMap<Case, string>();

  /** The same text for the same cases. */
  of(cases: readonly Case[]): string {
    return cases.map((one) => this.#key(one)).join();
  }

  /** Each case once. */
  unique(cases: Case[]): Case[] {
    const seen = new Map(cases.map((one) => [this.#key(one), one]));
    return seen.size === cases.length ? cases : [...seen.values()];
  }

  #key(one: Case): string {
    if (one.type === "null") return "null";
    if (one.type === "boolean") return String(one.values);
    if ("lexeme" in one) return `${one.type}${one.lexeme}`;
    let key = this.#known.get(one);
    if (key === undefined) {
      key = JSON.stringify(one.type === "object" ? { ...one, named: [...one.named] } : one);
      this.#known.set(one, key);
    }
    return key;
  }
}
