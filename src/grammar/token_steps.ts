/**
 * Where tokens lead to: of a state and a token the state behind it, kept where a text went on so. A step of a model empties the
 * processor's caches, so one look here is a good deal quicker than the way byte by byte.
 *
 * @module
 */
import type { State } from "./automaton.ts";

/** Steps that are kept: some megabytes. */
const keptMost = 1 << 15;
/** Above all tokens. */
const tokensMost = 1 << 24;

/** Keeps the steps of texts through one grammar. */
export class TokenSteps {
  readonly #kept = new Map<number, State>();

  /** The state behind a token, where a text went on so before. */
  get(state: State, token: number): State | undefined {
    return this.#kept.get(state * tokensMost + token);
  }

  /** Keeps a step for the texts that come. */
  keep(state: State, token: number, behind: State): void {
    if (this.#kept.size === keptMost) this.#kept.clear();
    this.#kept.set(state * tokensMost + token, behind);
  }
}
