/**
 * Why a format could not be found out.
 *
 * @module
 */

/** The reason, as the end of a sentence. */
export class ProbeFailure extends Error {
  override name = "ProbeFailure";
}
