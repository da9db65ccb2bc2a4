/**
 * What machines say to one another, and what carries it. Everything is text, so that any transport can carry it; the one of NATS is in
 * `nats.ts`. Times are spans, never moments: clocks of different machines are never compared.
 *
 * @module
 */
import type { Piece } from "../batching/completion.ts";
import type { Completion } from "../batching/completion.ts";
import type { ErrorCode, ErrorDetail } from "../../ffi/errors.ts";

/** A piece of an answer as it crosses. */
export type PieceData = Pick<Piece, "text" | "token"> & Partial<Pick<Piece, "logprob" | "top" | "mu">>;

/** The numbers of a text as they cross: 32-bit floats, the low byte first, in base64. */
export interface RowData {
  readonly numbers: string;
}

/** What an answer consists of. */
export type PartData = PieceData | RowData;

/** What a completion has beside its pieces. */
export type EndData = Omit<Completion, "text" | "tokens" | "generatedTokens" | "logprobs" | "toJSON">;

/** The end of rows: how many there are. */
export interface RowsEnd {
  readonly rows: number;
}

/** An error as it crosses. */
export interface ErrorData {
  readonly code: ErrorCode;
  readonly message: string;
  readonly detail: ErrorDetail;
}

/** A part of an answer: pieces from an index on, and how it ended, once it has. */
export interface Frame<Part extends PartData = PieceData> {
  readonly job: string;
  readonly worker: string;
  /** The index of the first piece; of an end without pieces, how many pieces there are. */
  readonly at: number;
  readonly pieces: readonly Part[];
  readonly end?: EndData | RowsEnd;
  readonly error?: ErrorData;
  /** The worker takes no more part, and has put the job back. */
  readonly returned?: true;
}

/** A worker asks the gateway how far a job is; `first` when it takes the job up. */
export interface Question {
  readonly job: string;
  readonly worker: string;
  readonly first?: true;
  /** How often the queue has handed the job over. */
  readonly deliveries?: number;
}

/** What the gateway says to that: the job is not wanted any more, another worker has it, or it goes on. */
export type Reply =
  | { readonly kind: "done" | "moved" }
  | {
    readonly kind: "open";
    /** How many pieces the gateway has. */
    readonly have: number;
    /** How many pieces the reader wants in all. */
    readonly upTo: number;
    /** The tokens of the pieces that it has, to a worker that takes the job up; with mirostat, its threshold. */
    readonly tokens?: readonly number[];
    readonly mu?: number;
  };

/** What a gateway says to a worker unasked. */
export type Control =
  & { readonly job: string }
  & ({ readonly kind: "done" | "moved" } | {
    readonly kind: "credit";
    readonly upTo: number;
  });

/** A place in the queue of a model: by priority, and by what the prompt begins with. */
export interface Place {
  /** 0 goes first. */
  readonly priority: number;
  readonly shard: number;
}

/** A job as it lies in the queue. */
export interface Envelope {
  readonly id: string;
  /** Where its answer goes. */
  readonly gateway: string;
  readonly fingerprint: string;
  /** The job as `jobText` writes it, or as `textsText` does. */
  readonly job: string;
  /** Texts are to be computed, and nothing generated. */
  readonly isTexts?: true;
  /** Nothing has come of it yet: the first worker begins without asking how far it is. */
  readonly isNew?: true;
}

/** A job that a worker has been handed, until it is acknowledged. */
export interface Delivery {
  readonly text: string;
  /** How often it was handed over, this time included. */
  readonly deliveries: number;
  /** Says that it is worked on, so that it is not handed to another. */
  working(): void;
  /** It is done. */
  acknowledge(): void;
  /** It goes back at once, or after a while. */
  giveBack(delayMs: number): void;
}

/** The queue of one model. */
export interface WorkQueue {
  /** Adds a job; with an id that it had before, nothing. Rejects where the queue is full, or it cannot be reached. */
  add(place: Place, id: string, text: string): Promise<number>;
  /** Whether a job is still there, by what `add` gave and took: a queue that has lost its last jobs gives their entries to others. */
  has(entry: number, id: string): Promise<boolean>;
  /** Takes a job out. One that is not there any more is fine. */
  remove(entry: number): Promise<void>;
  /** The next job of a place, if there is one now. */
  take(place: Place): Promise<Delivery | undefined>;
  /** Begins to hand out the jobs of a place anew, those at work there, too. */
  renew(place: Place): Promise<void>;
  /** How many jobs lie at each place, those at work included. */
  counts(): Promise<readonly { readonly place: Place; readonly count: number }[]>;
}

/** What gateways keep together, so that each finds what another has left: small records, files, and logs that grow. */
export interface Vault {
  /** A record, and what `write` takes to replace just this one. */
  read(key: string): Promise<{ readonly text: string; readonly revision: number } | undefined>;
  /** Writes a record in place of that of a revision, 0 for none; false where it was replaced by another before. */
  write(key: string, text: string, revision: number): Promise<boolean>;
  /** Erases a record. */
  erase(key: string): Promise<void>;
  /** The keys of all records whose keys begin so, up to a point. */
  keys(beginning: string): Promise<readonly string[]>;
  /** Adds an entry to a log; several may add, and all read the same. */
  append(log: string, text: string): Promise<void>;
  /** The entries of a log from a place on, 0 for all, and the place behind them. An entry may come again. */
  entries(log: string, from: number): Promise<{ readonly texts: readonly string[]; readonly next: number }>;
  /** Calls `grown` when there are new entries, as far as it is heard; returns what ends this. */
  follow(log: string, grown: () => void): () => void;
  /** Empties a log. */
  wipe(log: string): Promise<void>;
  /** Keeps a file. */
  put(name: string, bytes: Uint8Array): Promise<void>;
  /** A file. */
  get(name: string): Promise<Uint8Array | undefined>;
  /** The bytes of a file. */
  size(name: string): Promise<number | undefined>;
  /** Drops a file. One that is not there is fine. */
  drop(name: string): Promise<void>;
}

/** What carries everything between machines. */
export interface Transport {
  /** Sends a message to those that listen now; it may be lost. */
  publish(subject: string, text: string): void;
  /** Asks; undefined where nothing answers in time. */
  request(subject: string, text: string, timeoutMs: number): Promise<string | undefined>;
  /** Listens; returns what ends it. */
  subscribe(subject: string, heard: (text: string, answer: (text: string) => void) => void): () => void;
  /** The queue of a model, made where there is none. */
  queue(fingerprint: string): Promise<WorkQueue>;
  /** Keeps a job that is not tried again, with the reason. */
  bury(fingerprint: string, id: string, text: string): Promise<void>;
  /** Tells all what one is; it is forgotten unless it is told again. */
  announce(key: string, text: string): Promise<void>;
  /** Takes that back. */
  withdraw(key: string): Promise<void>;
  /** Hears what is announced, and undefined for what is withdrawn. */
  watch(heard: (key: string, text: string | undefined) => void): Promise<() => void>;
  /** Keeps bytes under a name. */
  store(name: string, bytes: Uint8Array): Promise<void>;
  /** The bytes under a name. */
  fetch(name: string): Promise<Uint8Array | undefined>;
  /** What all gateways keep together under a name, each part of it for `ageMs` milliseconds. */
  vault(name: string, ageMs: number): Promise<Vault>;
  /** Milliseconds after which a job that gives no sign is handed to another worker. */
  readonly ackWaitMs: number;
  /** Bytes that the text of a message may have. */
  readonly textBytesMax: number;
  /** Whether messages go through now. */
  readonly isConnected: boolean;
  /** Sends what is still to be sent, and ends. */
  close(): Promise<void>;
}
