/**
 * The responses that a server keeps for clients that come back to them: bounded in number, bytes and age, the oldest go first, and
 * each is only there for the tenant whose it is. One that is still made stays until it has ended.
 *
 * @module
 */
import { Failure } from "./failure.ts";
import type { AnswerStore, Backend, Begun, Kept, Limits, Recording } from "./types.ts";

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

  keep(id: string, kept: Kept): Promise<void> {
    this.drop(id);
    const bytes = 2 * JSON.stringify([kept.response, kept.messages]).length + (kept.recording?.bytes ?? 0);
    this.#kept.set(id, { ...kept, bytes, since: performance.now() });
    this.#bytes += bytes;
    this.#shrink();
    return Promise.resolve();
  }

  /** The response with this id, if it is here and this tenant's. */
  peek(id: string, tenant: string): Kept | undefined {
    this.#shrink();
    const kept = this.#kept.get(id);
    return kept?.tenant === tenant ? kept : undefined;
  }

  // deno-lint-ignore require-await -- what it throws, it rejects with
  async find(id: string, tenant: string): Promise<Kept> {
    return this.peek(id, tenant) ?? noResponse(id);
  }

  async cancel(id: string, tenant: string): Promise<Kept> {
    recordingOf(await this.find(id, tenant)).cancel();
    return await this.find(id, tenant);
  }

  async forget(id: string, tenant: string): Promise<void> {
    // What ends is kept once more, with how it has ended.
    (await this.find(id, tenant)).recording?.cancel();
    this.drop(id);
  }

  backendOf(_: Begun, own: Backend): Backend {
    return own;
  }

  /** Drops the oldest while there are too many, and all that are too old. */
  #shrink(): void {
    const { answersMax, answersBytesMax, answersMs } = this.#bounds;
    const oldest = performance.now() - answersMs;
    for (const [id, { since, recording }] of this.#kept) {
      const isFull = this.#kept.size > answersMax || this.#bytes > answersBytesMax;
      if (!isFull && since > oldest) break;
      if (!recording?.isLive) this.drop(id);
    }
  }

  /** Forgets a response that ends by itself. */
  drop(id: string): void {
    this.#bytes -= this.#kept.get(id)?.bytes ?? 0;
    this.#kept.delete(id);
  }
}

/** Throws for a response that there is not. */
export function noResponse(id: string): never {
  throw new Failure(`There is no response ${JSON.stringify(id.slice(0, 100))} here, or no more.`, {
    status: 404,
    type: "invalid_request_error",
    code: "response_not_found",
  });
}

/** What makes a response in the background; throws for one that was not. */
export function recordingOf({ recording }: Kept): Recording {
  if (recording !== undefined) return recording;
  throw new Failure("Only a response in the background can be cancelled.", {
    status: 400,
    type: "invalid_request_error",
    code: "not_in_background",
  });
}
