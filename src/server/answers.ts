/**
 * The responses that a server keeps for clients that come back to them: bounded in number, bytes and age, the oldest go first, and
 * each is only there for the tenant whose it is. One that is still made stays until it has ended.
 *
 * @module
 */
import { Failure } from "./failure.ts";
import type { AnswerStore, Kept, Limits } from "./types.ts";

type Bounds = Pick<Limits, "answersMax" | "answersBytesMax" | "answersMs">;

interface Entry extends Kept {
  readonly bytes: number;
  readonly since: number;
}

/** The responses of a server. */
export class Answers implements AnswerStore {
  readonly #bounds: Bounds;
  readonly #kept = new Map<string, Entry>();
  #bytes = 0;

  constructor(bounds: Bounds) {
    this.#bounds = bounds;
  }

  keep(id: string, kept: Kept): void {
    this.#drop(id);
    const bytes = 2 * JSON.stringify([kept.response, kept.messages]).length + (kept.recording?.bytes ?? 0);
    this.#kept.set(id, { ...kept, bytes, since: performance.now() });
    this.#bytes += bytes;
    this.#shrink();
  }

  find(id: string, tenant: string): Kept {
    this.#shrink();
    const kept = this.#kept.get(id);
    if (kept !== undefined && kept.tenant === tenant) return kept;
    throw new Failure(`There is no response ${JSON.stringify(id.slice(0, 100))} here, or no more.`, {
      status: 404,
      type: "invalid_request_error",
      code: "response_not_found",
    });
  }

  forget(id: string, tenant: string): void {
    // What ends is kept once more, with how it has ended.
    this.find(id, tenant).recording?.cancel();
    this.#drop(id);
  }

  /** Drops the oldest while there are too many, and all that are too old. */
  #shrink(): void {
    const { answersMax, answersBytesMax, answersMs } = this.#bounds;
    const oldest = performance.now() - answersMs;
    for (const [id, { since, recording }] of this.#kept) {
      const isFull = this.#kept.size > answersMax || this.#bytes > answersBytesMax;
      if (!isFull && since > oldest) break;
      if (!recording?.isLive) this.#drop(id);
    }
  }

  #drop(id: string): void {
    this.#bytes -= this.#kept.get(id)?.bytes ?? 0;
    this.#kept.delete(id);
  }
}
