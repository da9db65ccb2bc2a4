/**
 * Who gives his pages up when there are no more. That is who is paused longest, whoever he is; else the newest of the lowest
 * priority, if he stands below the one who needs them. Two exceptions see to it that all end in the end: who has waited
 * too long may take the place of who has had one for as long; and when nobody can go on, one may take everything.
 *
 * @module
 */
import type { Fairness } from "./fairness.ts";
import type { Sequence } from "./sequence.ts";

/** Compares claims to pages. */
export class Precedence {
  readonly #fairness: Fairness;
  /** Who went on when nobody else could. */
  #leader: Sequence | undefined;

  /** `fairness` says who has waited too long. */
  constructor(fairness: Fairness) {
    this.#fairness = fairness;
  }

  /** A sequence ended. */
  forget(sequence: Sequence): void {
    if (this.#leader === sequence) this.#leader = undefined;
  }

  /** Who of `candidates` gives its pages up for `sequence` at `step`; `isForced`: somebody must. */
  victim(
    sequence: Sequence,
    candidates: readonly Sequence[],
    isForced: boolean,
    step: number,
  ): Sequence | undefined {
    let victim: Sequence | undefined;
    for (const other of candidates) {
      if (other.isAsked && !isForced && !this.#outranks(sequence, other, step)) continue;
      if (!victim || goesBefore(other, victim)) victim = other;
    }
    return victim;
  }

  /** Puts first who goes on when nobody can: the oldest, and the same one until that has brought it a token. */
  putFirst(asked: Sequence[], step: number): void {
    let first = asked.find((sequence) => sequence === this.#leader && this.#isFresh(sequence, step));
    first ??= asked.reduce<Sequence | undefined>((a, b) => a && a.id < b.id ? a : b, undefined);
    if (!first) return;
    if (first !== this.#leader || !this.#isProtected(first, step)) {
      this.#leader = first;
      first.placed = { at: step, choices: first.choices, isOverdue: true };
    }
    asked.splice(asked.indexOf(first), 1);
    asked.unshift(first);
  }

  #outranks(a: Sequence, b: Sequence, step: number): boolean {
    if (this.#fairness.isOverdue(a, step) || this.#isProtected(a, step)) return !this.#isFresh(b, step);
    if (this.#isProtected(b, step)) return false;
    return a.priority !== b.priority ? a.priority > b.priority : a.id < b.id;
  }

  /** Who had to wait too long for his place has it for as long. */
  #isProtected(sequence: Sequence, step: number): boolean {
    return sequence.placed.isOverdue && this.#isFresh(sequence, step);
  }

  /** Whether its place has brought it no token yet, or not been its own for long. */
  #isFresh({ placed, choices }: Sequence, step: number): boolean {
    return choices === placed.choices || step - placed.at <= this.#fairness.patience;
  }
}

/** Whether `a` gives its pages up before `b`. */
export function goesBefore(a: Sequence, b: Sequence): boolean {
  if (a.isAsked !== b.isAsked) return !a.isAsked;
  if (!a.isAsked) return a.servedAt < b.servedAt;
  return a.priority !== b.priority ? a.priority < b.priority : a.id > b.id;
}
