/**
 * What the parts of batches say to one another: files and batches as they are kept, where they are kept, where lines come from and
 * where results go.
 *
 * @module
 */
import type { JsonValue } from "../../text/chat/inputs.ts";

/** A file, as it is told. */
export interface StoredFile {
  readonly id: string;
  readonly tenant: string;
  readonly filename: string;
  readonly purpose: string;
  readonly created_at: number;
}

/** A batch, as it is kept. */
export interface StoredBatch {
  readonly id: string;
  readonly tenant: string;
  readonly endpoint: string;
  readonly input_file_id: string;
  readonly output_file_id: string;
  readonly completion_window: string;
  readonly metadata: JsonValue;
  readonly created_at: number;
  readonly status: "in_progress" | "completed" | "failed" | "cancelled";
  readonly ended_at?: number;
  readonly counts?: { readonly total: number; readonly completed: number; readonly failed: number };
  readonly error?: string;
  /** The server that works it, where several could. */
  readonly owner?: string;
}

/** What is kept, by its kind. */
export interface Records {
  readonly files: StoredFile;
  readonly batches: StoredBatch;
}

/** Results that are there, and more to come. */
export interface ResultLines {
  /** How many there are. */
  readonly lines: number;
  /** Adds a line; resolves when there is room for the next. */
  append(line: string): Promise<void>;
  /** Resolves when all are where they must be. */
  close(): Promise<void>;
}

/** Where lines come from. */
export interface BatchInput {
  readonly name: string;
  /** All lines, each time from the first on. */
  lines(): AsyncIterable<string>;
}

/** Where results go. */
export interface BatchOutput {
  readonly name: string;
  /** Opens the results; `earlier` is called with each line that is there. */
  open(earlier: (line: string) => void): Promise<ResultLines>;
}

/** Where files and batches are kept: a folder of one server, or what several servers share. */
export interface Shelf {
  /** After how many milliseconds batches of servers that are gone are looked for again; absent where no other server is. */
  readonly lookMs?: number;
  /** A record. */
  load<K extends keyof Records>(kind: K, id: string): Promise<Records[K] | undefined>;
  /** All records of a kind. */
  all<K extends keyof Records>(kind: K): Promise<Records[K][]>;
  /** Puts in place of a record what `change` makes of it; undefined: it stays. Gives what is kept then. */
  change<K extends keyof Records>(
    kind: K,
    id: string,
    change: (now: Records[K] | undefined) => Records[K] | undefined,
  ): Promise<Records[K] | undefined>;
  /** Drops a file and its record. */
  drop(id: string): Promise<void>;
  /** Whether a batch that has not ended is this server's to work; then others leave it. */
  claim(id: string): Promise<boolean>;
  /** Keeps the bytes of a file. */
  put(id: string, bytes: Uint8Array): Promise<void>;
  /** The bytes of a file; none where nothing was written yet. */
  bytes(id: string): Promise<Uint8Array<ArrayBuffer>>;
  /** How many there are. */
  size(id: string): Promise<number>;
  /** The lines of a file. */
  input(id: string): BatchInput;
  /** The results of a batch. */
  output(id: string): BatchOutput;
  /** All results are there, and none will come. */
  finish(id: string): Promise<void>;
}
