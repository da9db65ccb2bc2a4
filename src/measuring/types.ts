/**
 * What measuring a text reads with.
 *
 * @module
 */
import type { LogitRows } from "../batching/read_logits.ts";
import type { Model } from "../model/model.ts";

/** Reads tokens and gives the logits after each from position `first` on, part by part. */
export type ReadRows = (
  tokens: Uint32Array,
  first: number,
  signal: AbortSignal | undefined,
) => AsyncGenerator<LogitRows, void, void>;

/** What reads a text: a vocabulary and a context. */
export interface Reader {
  /** Turns the text into tokens. */
  readonly tokenizer: Model["tokenizer"];
  /** The most tokens of a window. */
  readonly context: number;
}
