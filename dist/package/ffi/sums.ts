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
export const SUMS: Readonly<Record<string, FileSum>> = {
  "lib/linux-x64/liblightgpt.so": {
    bytes: 676576,
    sha256: "544c67d53c2b088139f3ac62619504ab944ceeb67f3df8ff5181962f13271076",
  },
  "models/tinytales-q4_0.gguf": {
    bytes: 2829248,
    sha256: "2873e671dc8c1ef82be6d302c6a958a080d8a4aa74efc0cbd0a9eae63aaad4ee",
  },
};
