/**
 * What a step is told and what it gives: its sequences, how it is repeated as a chain, its results, and what runs it.
 *
 * @module
 */
import type { LogitRow } from "../../ffi/wire.ts";
import type { AdapterUse } from "../model/adapter.ts";
import type { Choice, SamplerState } from "../sampling/state.ts";
import type { KvType } from "./types.ts";

/** Which rows of logits a step should give for a sequence. */
export type LogitRows = LogitRow;

/** How a token is chosen. */
export interface SampleRequest {
  readonly sampler: SamplerState;
  /** How many log probabilities to tell. */
  readonly top: number | undefined;
}

/** What one sequence does in a step. */
export interface StepSequence {
  /** Names the sequence to `cancel`; any u32 that no other sequence of the step has. */
  readonly id: number;
  /** Position of the first token. */
  readonly position: number;
  /** The tokens to read; at least one, unless `hidden` is given. */
  readonly tokens: ArrayLike<number>;
  /** How many of them, at the end, are guesses of what will be chosen. Default 0. */
  readonly drafts?: number;
  /** Page numbers: those of its state, where the model keeps one, then those that cover all positions so far, these tokens' included. */
  readonly pages: ArrayLike<number>;
  /** Logits to hand out. */
  readonly logits: LogitRows;
  /** How to choose a token after the last one; absent: none is chosen. */
  readonly sample?: SampleRequest | undefined;
  /** Whether to hand out the hidden state after the last token, from which the rest of a step can be done again. */
  readonly keep?: boolean;
  /** A hidden state handed out after the token before `position`, in place of tokens; of a model that joins states, all tokens'. */
  readonly hidden?: Float32Array | undefined;
  /** Whether to hand out what the last norm gives after each token. */
  readonly states?: boolean;
  /** Whether it sits the rounds of a chain out from one of its own on until `goOn` says what it reads next. */
  readonly pauses?: boolean;
  /** The adapters that apply to it. */
  readonly adapters?: AdapterUse["list"] | undefined;
}

/** What came of one sequence in a step. */
export interface StepResult {
  /** Why the sequence failed; the others of the step did not. */
  readonly error?: Error;
  /** The chosen tokens: one, and one more for each draft that was right before the first that was wrong. */
  readonly choices?: readonly Choice[];
  /** Rows of logits, one after the other. Valid until the next step: copy what must stay. */
  readonly logits: Float32Array;
  /** The hidden state; as short-lived as the logits. */
  readonly hidden?: Float32Array;
  /** What the last norm gave after each token, row after row; as short-lived. */
  readonly states?: Float32Array;
}

/** Settings of an engine; all have been checked. */
export interface EngineSettings {
  /** How keys and values are stored. */
  readonly kv: KvType;
  /** Positions of a page. */
  readonly pageSize: number;
  /** Pages. */
  readonly pages: number;
  /** Most tokens of a step. */
  readonly batchTokens: number;
  /** Most sequences of a step. */
  readonly sequences: number;
  /** Threads, the conductor included. */
  readonly threads: number;
  /** Bits of quantized activations. */
  readonly activationBits: 8 | 16;
  /** Most rows of logits of a step. */
  readonly logitRows: number;
}

/**
 * How a step is repeated. Each of its sequences brings one token, chooses one, and wants neither logits nor drafts; those that pause
 * come last, and may want logits in place of a choice.
 */
export interface Chain {
  /** Rounds at most, the first included; there are pages for all of them. */
  readonly rounds: number;
  /** How many of them may run before one was taken. */
  readonly granted: number;
  /** Tokens that end it when one of them is chosen. */
  readonly ends: Iterable<number>;
  /** Takes what came of a round; returns how many rounds may run in all. 0: none after the one in flight. */
  take(round: Round): number;
}

/** What came of one round of a chain. */
export interface Round {
  /** In the order of the sequences; undefined of one that paused. */
  readonly results: readonly (StepResult | undefined)[];
  /** How long it took. */
  readonly ms: number;
  /** Whether no round follows. */
  readonly isLast: boolean;
}

/** What runs steps: an engine, or, in tests of the scheduler, what stands in for one. */
export interface StepRunner {
  /** What it can take. */
  readonly settings: Pick<EngineSettings, "pages" | "pageSize" | "batchTokens" | "sequences" | "logitRows">;
  /** Runs one step. */
  run(sequences: readonly StepSequence[], isInline: boolean): Promise<StepResult[]>;
  /** Runs a step round after round, until no round follows. */
  runChain(sequences: readonly StepSequence[], isInline: boolean, chain: Chain): Promise<void>;
  /** Ends the chain in flight with the round in flight. */
  haltChain(): void;
  /** Hands over what the choice of a sequence in the round in flight goes by, where that changes from token to token. */
  handOver(id: number, sample: SampleRequest, position: number): void;
  /** Lets a sequence of the chain that pauses read `token` in the next round; false where none follows. */
  goOn(id: number, token: number, sample: SampleRequest | undefined, position: number): boolean;
  /** Cancels a sequence of the step in flight. */
  cancel(id: number): void;
  /** Ends it. */
  dispose(): Promise<void>;
}
