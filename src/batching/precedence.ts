/**
 * Which sequence gives its pages up when there are no more. A paused one goes first, the one that was served longest ago;
 * else the newest of the lowest priority, where it stands below the sequence that needs them. Two exceptions let every
 * sequence come to its end: one that has waited too long may take the place of one that has had its own for as long, and
 * when none can go on, one may take everything.
 *
 * @module
 */
import type { Fairness } from "./fairness.ts";
import type { SequenceView } from "./types.ts";

/** Compares claims to pages at one step. */
export class Precedence {
  readonly #fairness: Fairness;
  readonly #step: number;

  /** `fairness` says which sequence has waited too long at `step`. */
  constructor(fairness: Fairness, step: number) {
    this.#fairness = fairness;
    this.#step = step;
  }

  /** Which of `candidates` gives its pages up for `sequence`; `isForced`: one of them must. */
  victim<S extends SequenceView>(sequence: SequenceView, candidates: Iterable<S>, isForced: boolean): S | undefined {
    let victim: S | undefined;
    for (const other of candidates) {
      if (other.isAsked && !isForced && !this.#outranks(sequence, other)) continue;
      if (!victim || goesBefore(other, victim)) victim = other;
    }
    return victim;
  }

  /** Which of `running` goes on when none can: the oldest, and the same one until that has brought it a token. */
  leader<S extends SequenceView>(running: readonly S[], last: SequenceView | undefined): S | undefined {
    const kept = running.find((sequence) => sequence === last && this.#isFresh(sequence));
    return kept ?? running.reduce<S | undefined>((a, b) => a && a.id < b.id ? a : b, undefined);
  }

  /** Whether a sequence keeps its place although others may outrank it: it had to wait too long for it, and has it for as long. */
  isProtected(sequence: SequenceView): boolean {
    return sequence.placed.isOverdue && this.#isFresh(sequence);
  }

  #outranks(a: SequenceView, b: SequenceView): boolean {
    if (this.#fairness.isOverdue(a, this.#step) || this.isProtected(a)) return !this.#isFresh(b);
    if (this.isProtected(b)) return false;
    return a.priority !== b.priority ? a.priority > b.priority : a.id < b.id;
  }

  /** Whether its place has brought it no token yet, or has not been its own for long. */
  #isFresh({ placed, choices }: SequenceView): boolean {
    return choices === placed.choices || this.#step - placed.at <= this.#fairness.patience;
  }
}

/** Whether `a` gives its pages up before `b`. */
export function goesBefore(a: SequenceView, b: SequenceView): boolean {
  if (a.isAsked !== b.isAsked) return !a.isAsked;
  if (!a.isAsked) return a.servedAt < b.servedAt;
  return a.priority !== b.priority ? a.priority < b.priority : a.id > b.id;
}
