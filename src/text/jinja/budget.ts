/**
 * What a template may cost. A chat template is a program inside a model file, written by a stranger: reading it and running
 * it are charged for, in steps, in characters that are made and in depth, and it is stopped where its budget ends.
 *
 * A step is about the work of one small expression; what costs more by its size says so where it is done.
 *
 * @module
 */
import { LightGPTError } from "../../../ffi/errors.ts";

/** What a template may cost; measured so that each is reached within some 20 ms on a slow core, before code is optimized. */
export const LIMITS = {
  /** Characters of a template; the longest in use have some 20 000. */
  template: 1 << 18,
  /** Steps of reading a template: tokens and nodes of its syntax tree. */
  readingSteps: 50_000,
  /** Steps of a rendering, on top of those that its inputs bring. */
  steps: 50_000,
  /** Steps for each value of the inputs: a conversation of a thousand messages may take more than one of two. */
  stepsPerValue: 300,
  /** Characters of the inputs that bring one step. */
  charactersPerStep: 8,
  /** Characters of all texts that are made on the way, on top of those that the inputs bring. */
  characters: 1 << 22,
  /** Characters made for each character of the inputs. */
  charactersPerCharacter: 64,
  /** Nodes within nodes of a syntax tree, macros that call macros included. */
  depth: 1000,
  /** Brackets and blocks within one another; Python's own parser ends at some 90. */
  nesting: 120,
  /** Elements of `range()`, as in Jinja's sandbox. */
  range: 100_000,
  /** Bits of an integer: as many as Python would spell out (4300 digits). */
  integerBits: 14_284,
} as const;

/** What is left for one reading or one rendering. */
export class Budget {
  #steps: number;
  #characters: number;
  readonly #stepsGiven: number;
  readonly #charactersGiven: number;
  #depth = 0;

  /** A budget of so many steps and characters. */
  constructor(steps: number, characters: number) {
    this.#steps = this.#stepsGiven = steps;
    this.#characters = this.#charactersGiven = characters;
  }

  /** Pays for steps. */
  step(count = 1): void {
    this.#steps -= count;
    if (this.#steps < 0) throw overBudget(`${this.#stepsGiven} steps`);
  }

  /** Pays for characters that are about to be made. */
  make(characters: number): void {
    this.#characters -= characters;
    if (!(this.#characters >= 0)) throw overBudget(`${this.#charactersGiven} characters of text on the way`);
  }

  /** Pays for looking through characters: a hundred times as cheap as a step each. */
  scan(characters: number): void {
    if (characters > 64) this.step(characters >> 6);
  }

  /** Goes down into something `levels` deep; `leave` comes back. */
  enter(levels: number): void {
    this.#depth += levels;
    if (this.#depth > LIMITS.depth) throw overBudget(`nodes within nodes, ${LIMITS.depth} deep`);
  }

  /** Comes back from what was entered. */
  leave(levels: number): void {
    this.#depth -= levels;
  }
}

/** The error about a template that costs too much. */
export function overBudget(what: string): LightGPTError {
  return new LightGPTError("limit", `The chat template was stopped: it needs more than ${what}.`, {
    what: "a chat template over its budget",
    where: "tokenizer.chat_template",
    expected: `at most ${what}`,
  });
}
