/**
 * What a sequence is told when it is added: its first tokens, how it chooses, where its tokens go, and its place among others.
 *
 * @module
 */
import type { AdapterUse } from "../model/adapter.ts";
import type { SamplerState } from "../sampling/state.ts";
import type { Guesser } from "./drafting/types.ts";

/** Options for a sequence; all have been checked. */
export interface SequenceOptions {
  /** The first tokens; at least one. */
  readonly prompt: Uint32Array;
  /** Whether the first tokens end in those of an answer that broke off: its reader has waited for the next one since then. */
  readonly isResumed?: boolean;
  /** Positions that it will need at most. */
  readonly positions: number;
  /** How to choose tokens, and how many log probabilities to tell; absent: none is chosen. */
  readonly sample?: { readonly sampler: SamplerState; readonly top: number | undefined };
  /** May change the logits before a token is chosen; the array is valid during the call. */
  readonly process?: ((logits: Float32Array) => void) | undefined;
  /** Receives rows of logits, of all tokens or of the last, valid during the call; `position` is that of the first row. */
  readonly logits?: { readonly rows: "last" | "all"; receive(rows: Float32Array, position: number): void };
  /** The tenant whose share of the work it uses. Default: the empty string. */
  readonly tenant?: string;
  /** 0 to 9; higher goes first. Default 5. */
  readonly priority?: number;
  /** Milliseconds from now until it must have ended. */
  readonly deadlineMs?: number | undefined;
  /** The adapters that it uses. Default: the scheduler's. */
  readonly adapters?: AdapterUse | undefined;
  /** What guesses its next tokens. Default: nothing. */
  readonly guesser?: Guesser | undefined;
  /** How many tokens may be chosen before its reader asks for them. Default 0. */
  readonly ahead?: number | undefined;
  /** Tokens that end its text: none is chosen behind one before its reader asks for it. Default: none. */
  readonly ends?: ReadonlySet<number> | undefined;
  /** The salt of the prefixes that it finds and leaves in the cache; absent: it does not use the cache. */
  readonly salt?: string | undefined;
}
