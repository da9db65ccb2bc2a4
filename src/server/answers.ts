/**
 * The answers that a server keeps for clients that come back to them: a bounded number, the oldest go first, and each is only
 * there for the tenant whose it is.
 *
 * @module
 */
import { Failure } from "./failure.ts";
import type { AnswerStore, Kept } from "./types.ts";

/** Answers that are kept at most, and characters of them all together. */
const keptMost = 1000;
const charactersMost = 1 << 24;

/** The answers of a server. */
export class Answers implements AnswerStore {
  readonly #kept = new Map<string, Kept & { readonly characters: number }>();
  #characters = 0;

  keep(id: string, kept: Kept): void {
    const characters = JSON.stringify([kept.response, kept.messages]).length;
    this.#kept.set(id, { ...kept, characters });
    this.#characters += characters;
    for (const [oldest] of this.#kept) {
      if (this.#kept.size <= keptMost && this.#characters <= charactersMost) break;
      this.#drop(oldest);
    }
  }

  find(id: string, tenant: string): Kept {
    const kept = this.#kept.get(id);
    if (kept !== undefined && kept.tenant === tenant) return kept;
    throw new Failure(`There is no response ${JSON.stringify(id.slice(0, 100))} here, or no more.`, {
      status: 404,
      type: "invalid_request_error",
      code: "response_not_found",
    });
  }

  forget(id: string, tenant: string): void {
    this.find(id, tenant);
    this.#drop(id);
  }

  #drop(id: string): void {
    this.#characters -= this.#kept.get(id)?.characters ?? 0;
    this.#kept.delete(id);
  }
}
