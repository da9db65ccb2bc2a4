/**
 * A token that a request asked for before its reader did, so that its sequence is in the step that the others are in.
 *
 * @module
 */
import type { Sequence } from "./sequence.ts";

/** A token that is awaited later; where it cannot be had, the error is thrown then. */
export class AskedToken {
  /** What the sequence gives. */
  readonly token: ReturnType<Sequence["next"]>;
  /** Whether the token, or an error, is there. */
  isThere = false;

  /** Asks for the next token of a sequence. */
  constructor(sequence: Sequence) {
    this.token = sequence.next();
    const note = () => {
      this.isThere = true;
    };
    this.token.then(note, note);
  }
}
