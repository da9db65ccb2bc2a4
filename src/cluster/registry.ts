/**
 * The workers and gateways that are there: each worker tells again and again what it is and how busy, and one that is silent for a while is gone. How long ago
 * something was heard is measured by the clock of the machine that hears it, so clocks need not agree.
 *
 * @module
 */
import type { Clock } from "../batching/clock.ts";
import type { Transport } from "./types.ts";

/** How often a worker tells what it is, and when a silent one is gone. */
export const beatMs = 1500;
export const goneMs = 5000;

/** What a worker says of itself. */
export interface WorkerEntry {
  readonly worker: string;
  /** The model's name, and what tells it from all others. */
  readonly model: string;
  readonly fingerprint: string;
  /** The jobs that it may have at once, and those that it has. */
  readonly rows: number;
  readonly running: number;
  readonly tokensPerSecond: number;
  /** Tokens since it began, and of the tokens of prompts those that the cache had. */
  readonly tokens: number;
  readonly cacheAsked: number;
  readonly cacheFound: number;
  readonly runtime: string;
  readonly isDraining: boolean;
}

/** The key of a worker among what is announced. */
export function workerKey({ fingerprint, worker }: Pick<WorkerEntry, "fingerprint" | "worker">): string {
  return `worker.${fingerprint}.${worker}`;
}

/** The key of a gateway. */
export function gatewayKey(gateway: string): string {
  return `gateway.${gateway}`;
}

/** Those that are there. */
export class Registry {
  readonly #clock: Clock;
  readonly #heard = new Map<string, { readonly entry: WorkerEntry; readonly at: number }>();
  readonly #gateways = new Map<string, number>();
  #stop: (() => void) | undefined;

  private constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Begins to listen. */
  static async open(transport: Transport, clock: Clock): Promise<Registry> {
    const registry = new Registry(clock);
    registry.#stop = await transport.watch((key, text) => registry.#hear(key, text));
    return registry;
  }

  /** The workers that are there, of one model or of all. */
  workers(fingerprint?: string): WorkerEntry[] {
    const now = this.#clock.now();
    for (const [key, { at }] of this.#heard) if (now - at > goneMs) this.#heard.delete(key);
    const all = [...this.#heard.values()].map(({ entry }) => entry);
    return all.filter((entry) => fingerprint === undefined || entry.fingerprint === fingerprint);
  }

  /** Whether a worker is there. */
  hasWorker(id: string): boolean {
    return this.workers().some(({ worker }) => worker === id);
  }

  /** The gateways that are there. */
  gateways(): ReadonlySet<string> {
    const now = this.#clock.now();
    for (const [gateway, at] of this.#gateways) if (now - at > goneMs) this.#gateways.delete(gateway);
    return new Set(this.#gateways.keys());
  }

  /** Listens no more. */
  close(): void {
    this.#stop?.();
  }

  #hear(key: string, text: string | undefined): void {
    const [kind, name] = key.split(".");
    if (kind === "gateway") {
      if (text === undefined) this.#gateways.delete(name);
      else this.#gateways.set(name, this.#clock.now());
    }
    if (kind !== "worker") return;
    if (text === undefined) this.#heard.delete(key);
    else this.#heard.set(key, { entry: JSON.parse(text) as WorkerEntry, at: this.#clock.now() });
  }
}
