/**
 * Sizes of files for people: in the units of hubs and disks, with as many digits as say something.
 *
 * @module
 */

/** A number of bytes, such as `105 MB` or `2.02 GB`. */
export function sizeText(bytes: number): string {
  if (bytes < 1000) return `${bytes} bytes`;
  if (bytes < 1e6) return `${(bytes / 1e3).toPrecision(bytes < 1e5 ? 2 : 3)} KB`;
  if (bytes < 1e9) return `${bytes < 1e7 ? (bytes / 1e6).toFixed(1) : Math.round(bytes / 1e6)} MB`;
  return `${(bytes / 1e9).toFixed(bytes < 1e11 ? 2 : 0)} GB`;
}
