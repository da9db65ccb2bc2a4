/**
 * What is written down of an answer that may have to go on at another gateway: its pieces and its end, as frames, in a log. A piece
 * counts by its index there, too, so that two gateways which both write an answer write the same one.
 *
 * @module
 */
import { type Clock, pause } from "../batching/clock.ts";
import type { AnswerLog } from "./hub.ts";
import type { JobReading } from "./reading.ts";
import type { Frame, PieceData, Vault } from "./types.ts";

/** How long what cannot be written is tried again, and how often. */
const writeMs = 30_000;
const againMs = 250;

/** Writes an answer down as it comes: what comes while an entry is written goes into the next one. */
export class AnswerWriter implements AnswerLog {
  readonly before: readonly PieceData[];
  readonly #vault: Vault;
  readonly #log: string;
  readonly #clock: Clock;
  #written: number;
  #hasEnd = false;
  #writing: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;

  /** Writes behind the pieces that are there. */
  constructor(vault: Vault, log: string, clock: Clock, before: readonly PieceData[]) {
    this.#vault = vault;
    this.#log = log;
    this.#clock = clock;
    this.before = before;
    this.#written = before.length;
  }

  grown(reading: JobReading): void {
    this.#writing ??= this.#write(reading).then(
      () => this.#writing = undefined,
      (error) => this.#failure = { error },
    ) as Promise<void>;
  }

  /** Resolves when all that has come is written; rejects where it cannot be. */
  async settled(): Promise<void> {
    await this.#writing;
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async #write(reading: JobReading): Promise<void> {
    while (this.#written < reading.pieces.length || (reading.outcome !== undefined && !this.#hasEnd)) {
      const { job, pieces, outcome } = reading;
      const count = pieces.length;
      const frame: Frame = { job, worker: "", at: this.#written, pieces: pieces.slice(this.#written), ...outcome };
      await appendSurely(this.#vault, this.#log, JSON.stringify(frame), this.#clock, writeMs);
      this.#written = count;
      this.#hasEnd = outcome !== undefined;
    }
  }
}

/** Reads what is written of an answer, from where it has read before. */
export class AnswerReader {
  readonly #vault: Vault;
  readonly #log: string;
  #next = 0;

  /** Reads from the beginning. */
  constructor(vault: Vault, log: string) {
    this.#vault = vault;
    this.#log = log;
  }

  /** Takes what is new into a reading. */
  async into(reading: JobReading): Promise<void> {
    const { texts, next } = await this.#vault.entries(this.#log, this.#next);
    this.#next = next;
    for (const text of texts) reading.take(JSON.parse(text) as Frame);
  }
}

/** Adds an entry to a log; what cannot be written is tried again for `ms` milliseconds. */
export async function appendSurely(vault: Vault, log: string, text: string, clock: Clock, ms: number): Promise<void> {
  const end = clock.now() + ms;
  for (;;) {
    try {
      return await vault.append(log, text);
    } catch (error) {
      if (clock.now() >= end) throw error;
    }
    await pause(clock, againMs);
  }
}
