/**
 * Whole numbers that a file states for each layer, as elements of an array.
 *
 * @module
 */
import type { Metadata, MetadataValue } from "../../files/gguf/read.ts";

/** An element of the array of `key`, which must be a whole number from 1 to `most`. */
export function wholeNumber(metadata: Metadata, key: string, element: MetadataValue, most: number): number {
  if (typeof element === "number" && Number.isInteger(element) && element >= 1 && element <= most) return element;
  throw metadata.wrong(key, `whole numbers from 1 to ${most}`, `an array with ${element}`);
}
