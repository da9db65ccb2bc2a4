/**
 * How far something is, on standard error: a bar on a terminal, and elsewhere, where bytes are counted, a line now and then. It shows
 * itself only where something takes long enough to be worth it.
 *
 * @module
 */
import process from "node:process";
import { sizeText } from "../src/options/size_text.ts";
import { note } from "./output.ts";

/** Milliseconds before a bar is shown, between two lines where there is no terminal, and that a rate is taken over. */
const [delayMs, lineMs, windowMs] = [300, 10_000, 5000];
/** Columns of a terminal that does not say how many it has. */
const usualColumns = 80;

/** One bar. */
export class ProgressBar {
  readonly #what: string;
  readonly #counts: boolean;
  readonly #begin = performance.now();
  #bar: { update(value: number, payload: object): void; stop(): void } | undefined;
  #opening = false;
  #ended = false;
  /** How far it was in the last seconds. */
  #samples: { readonly at: number; readonly done: number }[] = [];
  #toldAt = this.#begin;

  /** A bar with this text before it; with `bytes`, it tells how many there are, how fast they come, and how long the rest will take. */
  constructor(what: string, unit?: "bytes") {
    this.#what = what;
    this.#counts = unit === "bytes";
  }

  /** Shows `done` of `total`. */
  update(done: number, total: number): void {
    const now = performance.now();
    this.#samples = [...this.#samples.filter(({ at }) => now - at <= windowMs), { at: now, done }];
    if (this.#bar) return this.#bar.update(done, { text: this.#text(done, total) });
    if (!process.stderr.isTTY) return this.#tell(done, total);
    if (this.#opening || now - this.#begin < delayMs) return;
    this.#opening = true;
    void this.#open(done, total);
  }

  /** A line now and then. */
  #tell(done: number, total: number): void {
    const now = performance.now();
    if (!this.#counts || now - this.#toldAt < lineMs || done >= total) return;
    note(`${this.#what}: ${this.#text(done, total)}`);
    this.#toldAt = now;
  }

  #text(done: number, total: number): string {
    const percent = `${total > 0 ? Math.floor(100 * done / total) : 0} %`;
    if (!this.#counts) return percent;
    const first = this.#samples[0] ?? { at: this.#begin, done: 0 };
    const seconds = (performance.now() - first.at) / 1000;
    const rate = seconds > 0.2 ? Math.max(0, done - first.done) / seconds : 0;
    const left = rate > 0 && done < total ? `, ${sizeText(rate)}/s, ${timeText((total - done) / rate)} left` : "";
    return `${percent}, ${sizeText(done)} of ${sizeText(total)}${left}`;
  }

  /** Takes the bar away. */
  end(): void {
    this.#ended = true;
    this.#bar?.stop();
  }

  async #open(done: number, total: number): Promise<void> {
    const { default: { SingleBar } } = await import("cli-progress"); // only where a bar is shown
    if (this.#ended) return;
    const columns = process.stderr.columns || usualColumns;
    const room = columns - this.#what.length - (this.#counts ? 60 : 12);
    const bar = new SingleBar({
      stream: process.stderr,
      format: `${this.#what} ${room >= 10 ? "[{bar}] " : ""}{text}`,
      barsize: Math.min(40, Math.max(10, room)),
      clearOnComplete: true,
      gracefulExit: false, // Ctrl-C is ours
    });
    bar.start(total, done, { text: this.#text(done, total) });
    this.#bar = bar;
  }
}

function timeText(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  return seconds < 5400 ? `${Math.ceil(seconds / 60)} minutes` : `${(seconds / 3600).toFixed(1)} hours`;
}
