/**
 * The events of an optimizer: every decision, in words and with its figures. The last thousand are kept, and
 * a listener is called with each as it happens.
 *
 * @module
 */

/**
 * Something that an optimizer did, or could not do.
 *
 * @example
 * ```ts
 * import { LightGPT, type OptimizerEvent } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load(undefined, { tune: "auto" });
 * lm.optimizer.events.forEach(({ kind, text }: OptimizerEvent) => console.log(kind, text));
 * ```
 */
export interface OptimizerEvent {
  /** `note`: something that could not be done, and what follows from it; `profile` and `tune`: where the settings come from. */
  readonly kind: "note" | "profile" | "tune" | "adapt" | "memory";
  /** Milliseconds since the optimizer was opened. */
  readonly atMs: number;
  /** What happened and why, in a sentence. */
  readonly text: string;
  /** The setting that changed. */
  readonly setting?: string;
  /** The value before the change. */
  readonly from?: number;
  /** The value after it. */
  readonly to?: number;
}

/** Events that are kept. */
const eventsMost = 1000;

/** The events of one optimizer. */
export class EventLog {
  readonly #events: OptimizerEvent[] = [];
  readonly #listeners = new Set<(event: OptimizerEvent) => void>();
  readonly #now: () => number;
  readonly #begin: number;

  /** An empty log that begins now. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#begin = now();
  }

  /** The last of them, the oldest first. */
  get events(): readonly OptimizerEvent[] {
    return this.#events;
  }

  /** Tells something. A listener that throws does not keep the others from hearing it. */
  tell(kind: OptimizerEvent["kind"], text: string, change: Pick<OptimizerEvent, "setting" | "from" | "to"> = {}): void {
    const event = { kind, atMs: this.#now() - this.#begin, text, ...change };
    this.#events.push(event);
    if (this.#events.length > eventsMost) this.#events.shift();
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        reportError(error); // as of any listener: it ends nothing that runs here
      }
    }
  }

  /** Calls `listener` of each event to come; the function it returns ends that. */
  listen(listener: (event: OptimizerEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}
