/**
 * What the files of this room share about a sequence: its states, and what a decision may read of it. Decisions
 * (`plan_step.ts`, `fairness.ts`, `precedence.ts`) see sequences through {@link SequenceView}, so that they change nothing.
 *
 * @module
 */

/**
 * Where a sequence is in its life:
 * - `idle`: it has no pages, and asks for nothing;
 * - `waiting`: it asks for a token, and it has no place in the batch yet (again, after a preemption);
 * - `running`: it asks, and it has a place;
 * - `paused`: it has a place, and asks for nothing;
 * - `ended`.
 */
export type SequenceState = "idle" | "waiting" | "running" | "paused" | "ended";

/** The place in the batch that a sequence got last. */
export interface Place {
  /** The step in which it got the place. */
  readonly at: number;
  /** Tokens that it had chosen by then. */
  readonly choices: number;
  /** Whether it had waited for longer than the patience. */
  readonly isOverdue: boolean;
}

/** What a decision reads of a sequence. */
export interface SequenceView {
  /** Names it in a step; a lower id came earlier. */
  readonly id: number;
  readonly tenant: string;
  /** 0 to 9; higher goes first. */
  readonly priority: number;
  /** Whether it asks for a token: its reader does, or it may be ahead of its reader. */
  readonly isAsked: boolean;
  /** Tokens whose keys and values are in its pages. */
  readonly position: number;
  /** Tokens to read before the next one can be chosen; 0 where a kept hidden state takes their place. */
  readonly unread: number;
  /** How many of these a step may read at most: a chunk ends where a copy of the state is to stay. */
  readonly readable: number;
  /** All tokens so far. */
  readonly tokens: Uint32Array;
  /** Tokens chosen so far. */
  readonly choices: number;
  /** Whether it goes on with an answer that broke off, and has chosen no token yet. */
  readonly isResuming: boolean;
  /** Whether each token that it reads gives a row of logits. */
  readonly wantsAllRows: boolean;
  /** The numbers of its pages. */
  readonly pages: readonly number[];
  /** The step in which its reader asked last. */
  readonly askedAt: number;
  /** The step in which it took part last; -1 before the first. */
  readonly servedAt: number;
  readonly placed: Place;
}
