/**
 * A search for a text of a language, where its end seems near. One that is broken off goes on where it was.
 *
 * @module
 */
import type { Lexeme } from "./lexemes.ts";

/** How much more the way to a text's end counts than the way that was gone. */
const distanceWeight = 8;

/** A language that is to be looked at, and how many bytes led to it. */
export type SearchPlace = readonly [lexeme: Lexeme, depth: number];

/** What a search has found so far. */
export class TextSearch {
  /** Of each language that was met the one before it. */
  readonly from: Map<Lexeme, Lexeme>;
  /** Work of it so far, but for what is being looked at. */
  steps = 0;
  readonly #open = new Map<number, SearchPlace[]>();
  #best = Infinity;
  #current: SearchPlace | undefined;

  /** A search from a language, whose end is so far away. */
  constructor(start: Lexeme, distance: number) {
    this.from = new Map([[start, start]]);
    this.enter(start, 0, distance);
  }

  /** What is being looked at, or is next; `undefined` where nothing is left. */
  get current(): SearchPlace | undefined {
    return this.#current ??= this.#next();
  }

  /** Says that what is being looked at was looked at, by so much work in all. */
  leave(steps: number): void {
    this.steps = steps;
    this.#current = undefined;
  }

  /** Adds a language to those that are to be looked at. */
  enter(lexeme: Lexeme, depth: number, distance: number): void {
    // The way back counts too, or a search would go on and on where the end seems always equally near.
    const rank = depth + distanceWeight * distance;
    if (rank === Infinity) return;
    const others = this.#open.get(rank);
    if (others) others.push([lexeme, depth]);
    else this.#open.set(rank, [[lexeme, depth]]);
    this.#best = Math.min(this.#best, rank);
  }

  #next(): SearchPlace | undefined {
    const ranked = this.#open.get(this.#best);
    const found = ranked?.pop();
    if (ranked?.length === 0) {
      this.#open.delete(this.#best);
      this.#best = [...this.#open.keys()].reduce((least, rank) => Math.min(least, rank), Infinity);
    }
    return found;
  }
}
