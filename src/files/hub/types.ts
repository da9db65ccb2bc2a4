/**
 * What the files of this room share: which places are asked for a model, how patiently, what is told meanwhile, and what a place that
 * has models says of its files.
 *
 * @module
 */

/**
 * How far fetching a model is.
 *
 * @example
 * ```ts
 * import { type DownloadProgress, LightGPT } from "@lightgpt/lightgpt";
 *
 * const onDownload = ({ state, name, bytesDone, bytesTotal }: DownloadProgress) =>
 *   console.error(state, name, bytesDone, "of", bytesTotal);
 * await using lm = await LightGPT.load("smollm2:135m", { onDownload });
 * ```
 */
export interface DownloadProgress {
  /**
   * What is being done: the source is asked, another process fetches the file, bytes come, their sum is checked, or the file
   * is taken out of an archive.
   */
  readonly state: "asking" | "waiting" | "downloading" | "checking" | "unpacking";
  /** The file. */
  readonly name: string;
  /** The host that it comes from. */
  readonly source: string;
  /** Bytes that are there, those of earlier tries included; while the sum is checked, those that were read. */
  readonly bytesDone: number;
  /** Bytes of the file; 0 while that is not known. */
  readonly bytesTotal: number;
  /** Bytes a second, of the last seconds. */
  readonly bytesPerSecond: number;
  /** Seconds until the file is there, at that rate; undefined while there is none. */
  readonly secondsLeft: number | undefined;
  /** What a person should know, where there is such a thing: a sentence without a full stop. */
  readonly note?: string;
}

/** Called with the progress of fetching. */
export type OnDownload = (progress: DownloadProgress) => void;

/** Times and sizes of a transfer; tests have others. */
export interface Patience {
  /** Milliseconds until a server has begun to answer. */
  readonly answerMs: number;
  /** Milliseconds without a byte after which a connection counts as broken. */
  readonly stallMs: number;
  /** Tries in a row that bring nothing, after which a transfer gives up. */
  readonly triesMost: number;
  /** Milliseconds before a second try; each further try waits twice as long. */
  readonly pauseMs: number;
  /** Seconds that a server may ask to wait (`Retry-After`); beyond them its answer is an error. */
  readonly waitMostSeconds: number;
  /** Connections of one file. */
  readonly connections: number;
  /** The least and the most bytes that one request asks for. */
  readonly pieceLeast: number;
  readonly pieceMost: number;
}

/** Where models come from, and where they are kept. */
export interface HubContext {
  /** The hub, with no slash at its end. */
  readonly endpoint: string;
  /** A token of the hub, and where it came from. */
  readonly token: { readonly value: string; readonly from: string } | undefined;
  /** True where no network may be used. */
  readonly isOffline: boolean;
  /** The folder of Hugging Face's cache. */
  readonly hubFolder: string;
  /** The folder of models that came from elsewhere. */
  readonly ownFolder: string;
  readonly patience: Patience;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: OnDownload | undefined;
  /** Bytes that the disk of a folder has free; undefined where that is not known. */
  readonly freeBytes: (folder: string) => number | undefined;
}

/** A file that a place has. */
export interface ListedFile {
  /** Its path in the repository, with slashes. */
  readonly path: string;
  readonly bytes: number;
  /** Its SHA-256, where the place tells it. */
  readonly sha256?: string;
}
