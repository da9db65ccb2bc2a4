/**
 * The files that are fetched where LightGPT was imported from the net: their bytes and SHA-256 sums. Empty in a checkout,
 * where files are opened in place; `npm run package` writes the package's own, as `scripts/package.js` says.
 *
 * @module
 */

/** What a file must be. */
export interface FileSum {
  /** Its length in bytes. */
  readonly bytes: number;
  /** Its SHA-256 sum in hexadecimal digits. */
  readonly sha256: string;
}

/** The files of this package by their path in it. */
export const SUMS: Readonly<Record<string, FileSum>> = {};
