/**
 * Stop strings in a stream of text. Text that may be the beginning of a stop string is held back until more text decides, so
 * no part of a stop string is shown. The string that is complete first stops, whatever pieces the text came in.
 *
 * @module
 */
import { refuseOption } from "../options/checks.ts";

/** Watches text for stop strings. */
export class StopFilter {
  readonly #stops: readonly string[];
  readonly #longest: number;
  #held = "";
  #found: string | undefined;

  /** Watches for any of `stops`; none of them is empty. */
  constructor(stops: readonly string[]) {
    this.#stops = stops;
    this.#longest = Math.max(0, ...stops.map((stop) => stop.length));
  }

  /** Whether a stop string has come. */
  get stopped(): boolean {
    return this.#found !== undefined;
  }

  /** The stop string that has come. */
  get found(): string | undefined {
    return this.#found;
  }

  /** Whether text is held back that may be the beginning of a stop string. */
  get isHolding(): boolean {
    return this.#held !== "";
  }

  /**
   * Takes more text.
   *
   * @returns the text that may be shown
   */
  push(text: string): string {
    if (this.stopped) return "";
    if (this.#longest === 0) return text;
    const all = this.#held + text;
    const found = this.#first(all);
    if (found !== undefined) {
      this.#found = found.stop;
      this.#held = "";
      return all.slice(0, found.begin);
    }
    const held = this.#beginning(all);
    this.#held = all.slice(all.length - held);
    return all.slice(0, all.length - held);
  }

  /**
   * Ends the text.
   *
   * @returns the text that was held back
   */
  end(): string {
    const held = this.#held;
    this.#held = "";
    return held;
  }

  /** Where the stop string begins that ends first; of several that end there, the longest. */
  #first(text: string): { readonly begin: number; readonly stop: string } | undefined {
    let first: { begin: number; stop: string } | undefined;
    let end = Infinity;
    for (const stop of this.#stops) {
      const at = text.indexOf(stop);
      if (at < 0) continue;
      const stopEnd = at + stop.length;
      if (stopEnd < end || (stopEnd === end && first !== undefined && at < first.begin)) {
        first = { begin: at, stop };
        end = stopEnd;
      }
    }
    return first;
  }

  /** How many characters at the end of `text` are the beginning of a stop string; the most that are. */
  #beginning(text: string): number {
    for (let length = Math.min(text.length, this.#longest - 1); length > 0; length--) {
      const tail = text.slice(text.length - length);
      if (this.#stops.some((stop) => stop.startsWith(tail))) return length;
    }
    return 0;
  }
}

/**
 * Checks the option `stop`: a string or several, none of them empty.
 *
 * @returns the strings, each once
 * @throws {InvalidArgumentError} if it is something else
 */
export function resolveStops(stop: unknown, name: string = "stop"): readonly string[] {
  const stops: unknown = typeof stop === "string" ? [stop] : stop;
  if (!Array.isArray(stops)) refuseOption(name, "a string or an array of strings", stop);
  const found = new Set<string>();
  for (const one of stops) {
    if (typeof one !== "string" || one === "") refuseOption(name, "strings that are not empty", one);
    found.add(one);
  }
  return [...found];
}
