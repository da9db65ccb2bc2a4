/**
 * The sliding windows of a model: how many positions each layer sees.
 *
 * @module
 */
import { type Metadata, MetadataArray } from "../../files/gguf/read.ts";
import type { Traits } from "./types.ts";

/** The most positions of a window: what a signed 32-bit number holds. */
const windowMost = 2 ** 31 - 1;

/** The window of each layer, 0 where it sees everything. */
export function readWindows(metadata: Metadata, architecture: string, { window }: Traits, layers: number): number[] {
  if (window === undefined || (window.ofLayers ?? layers) !== layers) return new Array<number>(layers).fill(0);
  const size = metadata.count(`${architecture}.attention.sliding_window`, {
    // 0 is none where an architecture may be without windows.
    least: window.size === 0 ? 0 : 1,
    most: windowMost,
    ...(window.size === "required" ? {} : { fallback: window.size }),
  });
  const key = `${architecture}.attention.sliding_window_pattern`;
  const pattern = metadata.get(key);
  if (pattern instanceof MetadataArray) {
    if (pattern.length !== layers) {
      throw metadata.wrong(key, `a number, or one for each of ${layers} layers`, `an array of ${pattern.length}`);
    }
    return Array.from(pattern, (windowed) => {
      if (![true, false, 0, 1].includes(windowed as boolean | number)) {
        throw metadata.wrong(key, "true or false for each layer", `an array with ${windowed}`);
      }
      return windowed === true || windowed === 1 ? size : 0;
    });
  }
  if (window.period === "stated") throw metadata.wrong(key, "true or false for each layer", "none");
  const period = metadata.count(key, { least: 0, fallback: window.period });
  const whole = window.first ? 0 : period - 1;
  return Array.from({ length: layers }, (_, layer) => period > 0 && layer % period === whole ? 0 : size);
}
