/**
 * How fast bytes come: the rate of the last seconds, and how long the rest will take. It is told at most some times a second.
 *
 * @module
 */
import { given } from "../../options/schema.ts";
import type { DownloadProgress, HubContext } from "./types.ts";

/** Milliseconds that a rate is taken over, and between two that are told. */
const [windowMs, tellMs] = [5000, 100];

/** Tells how far one file is. */
export class Meter {
  readonly #context: Pick<HubContext, "onProgress" | "signal">;
  readonly #name: string;
  readonly #source: string;
  #samples: { readonly at: number; readonly bytes: number }[] = [];
  #told = -Infinity;
  #state: DownloadProgress["state"] | undefined;

  /** A meter for a file of this name, which comes from `source`. */
  constructor(context: Pick<HubContext, "onProgress" | "signal">, name: string, source: string) {
    this.#context = context;
    this.#name = name;
    this.#source = source;
  }

  /** The bytes that are there before any come: they are no part of the rate. */
  begin(bytes: number): void {
    this.#samples = [{ at: performance.now(), bytes }];
  }

  /** Tells how far it is: at once where the state changes or all is done, else now and then. */
  tell(state: DownloadProgress["state"], bytesDone: number, bytesTotal: number, note?: string): void {
    const { onProgress } = this.#context;
    if (onProgress === undefined) return;
    const now = performance.now();
    if (state !== this.#state) this.#samples = this.#samples.slice(0, state === "downloading" ? undefined : 0);
    const isDue = state !== this.#state || bytesDone === bytesTotal || note !== undefined || now - this.#told >= tellMs;
    if (!isDue) return;
    this.#state = state;
    this.#told = now;
    this.#samples = [...this.#samples.filter(({ at }) => now - at <= windowMs), { at: now, bytes: bytesDone }];
    const first = this.#samples[0] as { readonly at: number; readonly bytes: number };
    const bytesPerSecond = now > first.at ? Math.max(0, (bytesDone - first.bytes) / (now - first.at) * 1000) : 0;
    onProgress({
      state,
      name: this.#name,
      source: this.#source,
      bytesDone,
      bytesTotal,
      bytesPerSecond,
      secondsLeft: bytesPerSecond > 0 ? (bytesTotal - bytesDone) / bytesPerSecond : undefined,
      ...given({ note }),
    });
  }
}
