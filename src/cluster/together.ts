/**
 * Things for several addresses, sent together: what comes within a turn of the event loop, or within a few milliseconds, goes as one
 * message to each address. A message costs its sender, the server and its receiver about as much as a token of a small model.
 *
 * @module
 */
import type { Clock } from "../batching/clock.ts";

/** Collects things by address. */
export class Together<Item> {
  readonly #clock: Clock;
  /** Milliseconds from a sending to the next one that is not urgent. */
  readonly #apartMs: number;
  readonly #send: (address: string, items: Item[]) => void;
  readonly #waiting = new Map<string, Item[]>();
  #sentAt = -Infinity;
  /** Whether it is sent at the end of this turn, and what calls off a later sending. */
  #isSoon = false;
  #callOff: (() => void) | undefined;

  /** Sends by `send`. */
  constructor(clock: Clock, apartMs: number, send: (address: string, items: Item[]) => void) {
    this.#clock = clock;
    this.#apartMs = apartMs;
    this.#send = send;
  }

  /** What waits for an address, to which more may be added. */
  waitingFor(address: string): Item[] {
    const known = this.#waiting.get(address);
    if (known !== undefined) return known;
    const items: Item[] = [];
    this.#waiting.set(address, items);
    return items;
  }

  /** Sees to it that what waits is sent: in this turn where it is urgent, or nothing was sent a moment ago. */
  schedule(isUrgent: boolean): void {
    if (this.#isSoon) return;
    const waitMs = isUrgent ? 0 : this.#sentAt + this.#apartMs - this.#clock.now();
    if (waitMs > 0) {
      this.#callOff ??= this.#clock.after(waitMs, () => this.flush());
      return;
    }
    this.#isSoon = true;
    void this.#clock.turn().then(() => {
      if (this.#isSoon) this.flush();
    });
  }

  /** Sends all that waits. */
  flush(): void {
    this.#isSoon = false;
    this.#callOff?.();
    this.#callOff = undefined;
    this.#sentAt = this.#clock.now();
    for (const [address, items] of this.#waiting) this.#send(address, items);
    this.#waiting.clear();
  }
}
