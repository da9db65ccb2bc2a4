/**
 * Whose turn it is. Between priorities the higher goes first; between tenants of one priority, who has had the least work
 * for its weight (start-time fair queueing: Goyal, Vin and Cheng); of one tenant, who was served longest ago. Who has
 * waited for `patience` steps goes before all of them, so that nobody waits for ever.
 *
 * @module
 */
import type { Sequence } from "./sequence.ts";

interface Tenant {
  readonly weight: number;
  /** Tokens of work, divided by the weight; begins at what the others have when it comes. */
  service: number;
  /** Sequences that have not ended. */
  sequences: number;
}

/** Shares of work between tenants. */
export class Fairness {
  readonly patience: number;
  readonly #weights: ReadonlyMap<string, number>;
  readonly #tenants = new Map<string, Tenant>();

  /** `weights`: of tenants that have another than 1. */
  constructor(patience: number, weights: ReadonlyMap<string, number>) {
    this.patience = patience;
    this.#weights = weights;
  }

  /** Tenants that have sequences. */
  get size(): number {
    return this.#tenants.size;
  }

  /** A tenant's sequence came. */
  enter(name: string): void {
    const tenant = this.#tenants.get(name);
    if (tenant) {
      tenant.sequences++;
      return;
    }
    // Nobody saves up a share by staying away.
    let service = Infinity;
    for (const other of this.#tenants.values()) service = Math.min(service, other.service);
    this.#tenants.set(name, {
      weight: this.#weights.get(name) ?? 1,
      service: service === Infinity ? 0 : service,
      sequences: 1,
    });
  }

  /** A tenant's sequence ended. */
  leave(name: string): void {
    const tenant = this.#tenants.get(name) as Tenant;
    if (--tenant.sequences === 0) this.#tenants.delete(name);
  }

  /** A tenant's sequence had `tokens` of work done. */
  charge(name: string, tokens: number): void {
    const tenant = this.#tenants.get(name);
    if (tenant) tenant.service += tokens / tenant.weight;
  }

  /** Whether a sequence has waited so long at `step` that it goes first. */
  isOverdue({ askedAt, servedAt }: Sequence, step: number): boolean {
    return step - Math.max(askedAt, servedAt) > this.patience;
  }

  /** Sorts by whose turn it is at `step`. */
  sort(sequences: Sequence[], step: number): Sequence[] {
    if (sequences.length < 2) return sequences;
    return sequences.sort((a, b) => this.#compare(a, b, step));
  }

  #compare(a: Sequence, b: Sequence, step: number): number {
    const isOverdue = this.isOverdue(a, step);
    if (isOverdue !== this.isOverdue(b, step)) return isOverdue ? -1 : 1;
    if (isOverdue) return Math.max(a.askedAt, a.servedAt) - Math.max(b.askedAt, b.servedAt) || a.id - b.id;
    if (a.priority !== b.priority) return b.priority - a.priority;
    if (a.tenant !== b.tenant) {
      const had = (name: string) => this.#tenants.get(name)?.service ?? 0;
      const difference = had(a.tenant) - had(b.tenant);
      if (difference !== 0) return difference;
    }
    return a.servedAt - b.servedAt || a.id - b.id;
  }
}
