/**
 * Whether a sequence can take part in a step: settings and constraint must leave it a token to choose.
 *
 * @module
 */
import type { Sequence } from "./sequence.ts";

/** Whether a sequence has a token to choose; one that has none ends alone, for an error of a step ends all that are in it. */
export function canChoose(sequence: Sequence): boolean {
  try {
    sequence.options.sample?.sampler.assertChoice();
    return true;
  } catch (error) {
    sequence.fail(error);
    return false;
  }
}
