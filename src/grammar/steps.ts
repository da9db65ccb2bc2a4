/**
 * Where labels lead to: of a state and a label, such as a byte's class or a token, the state behind it, kept where a text went on so.
 * A step of a model empties the processor's caches, so one look here is a good deal quicker than finding the state anew.
 *
 * @module
 */

/** Keeps the steps of texts through one grammar. */
export class Steps {
  readonly #labels: number;
  readonly #keptMost: number;
  readonly #kept = new Map<number, number>();

  /** Steps by labels below `labels`, so many of them: where there are more, all begins anew. */
  constructor(labels: number, keptMost: number) {
    this.#labels = labels;
    this.#keptMost = keptMost;
  }

  /** The state behind a label, where a text went on so before. */
  get(state: number, label: number): number | undefined {
    return this.#kept.get(state * this.#labels + label);
  }

  /** Keeps a step for the texts that come. */
  keep(state: number, label: number, behind: number): void {
    if (this.#kept.size === this.#keptMost) this.#kept.clear();
    this.#kept.set(state * this.#labels + label, behind);
  }
}
