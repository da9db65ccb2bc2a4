/**
 * What is done between two steps, when no page is being written, and the wait of a scheduler that can't run a step until
 * something changes.
 *
 * @module
 */

/** Jobs for the time between two steps. */
export class BetweenSteps {
  #jobs: (() => void)[] = [];
  #wake: (() => void) | undefined;

  /** Adds a job, and ends a wait. */
  add(job: () => void): void {
    this.#jobs.push(job);
    this.wake();
  }

  /** Does all jobs; returns whether there were any. */
  run(): boolean {
    const jobs = this.#jobs;
    this.#jobs = [];
    for (const job of jobs) job();
    return jobs.length > 0;
  }

  /** Waits for a job, or until {@link BetweenSteps.wake}. */
  async wait(): Promise<void> {
    await new Promise<void>((resolve) => this.#wake = resolve);
    this.#wake = undefined;
  }

  /** Ends a wait. */
  wake(): void {
    this.#wake?.();
  }
}
