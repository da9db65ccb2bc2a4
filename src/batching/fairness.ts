/**
 * Whose turn it is. Between priorities the higher goes first; between tenants of one priority, the one that has had the
 * least work for its weight (start-time fair queueing: Goyal, Vin and Cheng), and of two that have had the same the one of
 * more weight; within a tenant, the request that came first. A sequence that has waited for longer than `patience` steps
 * goes before all of them, so that none waits for ever; the scheduler lets one such sequence at a time take pages of others.
 *
 * @module
 */
import type { SequenceView } from "./types.ts";

interface Tenant {
  readonly weight: number;
  /** Tokens of work, divided by the weight; begins at the least that another tenant has when it comes. */
  service: number;
  /** Sequences that have not ended. */
  sequences: number;
}

/** Shares of work between tenants. */
export class Fairness {
  /** Steps that a sequence waits before it goes first. */
  readonly patience: number;
  readonly #weights: ReadonlyMap<string, number>;
  readonly #tenants = new Map<string, Tenant>();

  /** `weights` has the tenants whose weight is not 1. */
  constructor(patience: number, weights: ReadonlyMap<string, number>) {
    this.patience = patience;
    this.#weights = weights;
  }

  /** Tenants that have sequences. */
  get size(): number {
    return this.#tenants.size;
  }

  /** A sequence of a tenant was added. */
  enter(name: string): void {
    const tenant = this.#tenants.get(name);
    if (tenant) {
      tenant.sequences++;
      return;
    }
    // A tenant that stays away does not save up a share, so it begins where the others are.
    let service = Infinity;
    for (const other of this.#tenants.values()) service = Math.min(service, other.service);
    this.#tenants.set(name, {
      weight: this.#weights.get(name) ?? 1,
      service: service === Infinity ? 0 : service,
      sequences: 1,
    });
  }

  /** A sequence of a tenant ended. */
  leave(name: string): void {
    const tenant = this.#tenants.get(name) as Tenant;
    if (--tenant.sequences === 0) this.#tenants.delete(name);
  }

  /** `tokens` of work were done for a tenant. */
  charge(name: string, tokens: number): void {
    const tenant = this.#tenants.get(name);
    if (tenant) tenant.service += tokens / tenant.weight;
  }

  /** Whether a sequence has waited so long at `step` that it goes first. */
  isOverdue(sequence: SequenceView, step: number): boolean {
    return waitingSince(sequence) + this.patience < step;
  }

  /** The order of turns at `step`. */
  turns(step: number): Turns {
    return new Turns(this, step, (name) => this.#tenants.get(name));
  }
}

/** The order of turns at one step, with the work that the step's plan gives out as it is given. */
export class Turns {
  readonly #fairness: Fairness;
  readonly #step: number;
  readonly #tenant: (name: string) => Readonly<Tenant> | undefined;
  readonly #given = new Map<string, number>();

  /** Made by {@link Fairness.turns}. */
  constructor(fairness: Fairness, step: number, tenant: (name: string) => Readonly<Tenant> | undefined) {
    this.#fairness = fairness;
    this.#step = step;
    this.#tenant = tenant;
  }

  /** The plan gives `tokens` of work to a tenant. */
  give(name: string, tokens: number): void {
    this.#given.set(name, (this.#given.get(name) ?? 0) + tokens);
  }

  /** Whether a sequence has waited so long that it goes first. */
  isOverdue(sequence: SequenceView): boolean {
    return this.#fairness.isOverdue(sequence, this.#step);
  }

  /** Below 0 where `a` goes before `b` whatever their tenants have had: it is overdue, or of a higher priority. */
  compareClass(a: SequenceView, b: SequenceView): number {
    const isOverdue = this.isOverdue(a);
    if (isOverdue !== this.isOverdue(b)) return isOverdue ? -1 : 1;
    if (isOverdue) return waitingSince(a) - waitingSince(b) || a.id - b.id;
    return b.priority - a.priority;
  }

  /** The order of turns; within a tenant, by arrival. */
  compare(a: SequenceView, b: SequenceView): number {
    return this.compareClass(a, b) || this.#compareTenants(a.tenant, b.tenant) || a.id - b.id;
  }

  /** The same, but within a tenant the sequence that was served longest ago goes first: for more than a step has places for. */
  compareInRotation(a: SequenceView, b: SequenceView): number {
    return this.compareClass(a, b) || this.#compareTenants(a.tenant, b.tenant) || a.servedAt - b.servedAt ||
      a.id - b.id;
  }

  #compareTenants(a: string, b: string): number {
    if (a === b) return 0;
    return this.#had(a) - this.#had(b) || this.#weight(b) - this.#weight(a);
  }

  #had(name: string): number {
    return (this.#tenant(name)?.service ?? 0) + (this.#given.get(name) ?? 0) / this.#weight(name);
  }

  #weight(name: string): number {
    return this.#tenant(name)?.weight ?? 1;
  }
}

function waitingSince({ askedAt, servedAt }: SequenceView): number {
  return Math.max(askedAt, servedAt);
}
