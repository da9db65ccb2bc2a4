/**
 * What the parts of the server say to one another. A skin turns the body of a request into jobs, and what comes of them into
 * the answer that its clients expect; it does no input or output itself. A job is plain data.
 *
 * @module
 */
import type { Completion, Piece } from "../batching/completion.ts";
import type { ResumeOptions } from "../batching/resume.ts";
import type { ConstraintOptions } from "../grammar/options.ts";
import type { Fields } from "../options/schema.ts";
import type { Embedder } from "../embedding/embedder.ts";
import type { TextsOrder } from "../embedding/types.ts";
import type { LightGPT } from "../lightgpt/lightgpt.ts";
import type { SamplingOptions } from "../sampling/options.ts";
import type { Conversations } from "../text/chat/conversation.ts";
import type { ChatMessage, JsonValue } from "../text/chat/inputs.ts";
import type { HeldAnswer } from "../tools/held_answer.ts";

export type { Embedder, TextsOrder };

/** What is to be generated: plain data, which can cross to another machine (`job_text.ts`). */
export interface Job {
  readonly prompt: Uint32Array;
  readonly maxTokens?: number;
  /** With the seed: the same job gives the same answer wherever it runs. */
  readonly sampling: SamplingOptions & Required<Pick<SamplingOptions, "seed">>;
  readonly stop: readonly string[];
  readonly logprobs?: number;
  readonly constraint?: ConstraintOptions;
  /** What an answer with thoughts or calls is held to, in place of a constraint. */
  readonly held?: HeldAnswer;
  readonly tenant: string;
  readonly priority: number;
  /** Milliseconds from the request on after which it is not wanted any more. */
  readonly deadlineMs?: number;
  /** The tokens that were given before, where it goes on. */
  readonly resume?: ResumeOptions;
}

/** What takes jobs; whether they run in this process or elsewhere, no skin knows. */
export interface Backend {
  /** Begins a job; rejects where there is no room for it, or it cannot be run. Ending what it gives ends the job. */
  submit(job: Job, signal: AbortSignal): Promise<AsyncGenerator<Piece, Completion, void>>;
}

/** What computes texts; whether in this process or elsewhere, no skin knows. */
export interface TextBackend {
  /** The numbers of each text in their order. Ending what it gives, or the signal, ends the work. */
  read(order: TextsOrder, signal: AbortSignal): AsyncGenerator<Float32Array, void, void>;
}

/** What makes vectors and scores of texts. */
export type TextReading = Pick<LightGPT, "embed" | "rerank">;

/** A model that is ready to take jobs. */
export interface Served {
  readonly name: string;
  /** What is known of the model without its weights. */
  readonly model: Pick<LightGPT["model"], "context" | "gguf" | "plan" | "residentBytes" | "tokenizer">;
  /** Generates; undefined where the model only makes vectors or ranks. */
  readonly backend: Backend | undefined;
  /** Reads texts for a tenant. */
  reading(tenant: Tenant): TextReading;
  /** The model itself, where it runs in this process. */
  readonly lm: LightGPT | Embedder | undefined;
  readonly talk: Conversations;
  /** The chat template in place of the model's own. */
  readonly template: string | undefined;
}

/** A model in use; `release` must be called once. */
export interface Lease {
  readonly served: Served;
  release(): void;
}

/** The models of a server by name. */
export interface ModelPool {
  /** The names of all, since when they are known, and what serves those that are ready. */
  readonly list: readonly Listed[];
  /** Whether a request to some model would not wait for a load, or all are loaded on demand. */
  readonly isReady: boolean;
  /** Takes a model for a request: `name` names it, or the first is meant. */
  take(name: unknown): Promise<Lease>;
  /** Disposes of what the pool has made itself. */
  close(): Promise<void>;
}

/** The owner of a key: whose work it is. */
export interface Tenant {
  readonly tenant: string;
  readonly priority: number;
}

/** What a request may ask for. */
export interface Limits {
  readonly bodyBytesMax: number;
  readonly depthMax: number;
  readonly messagesMax: number;
  readonly choicesMax: number;
  readonly inputsMax: number;
  readonly openPerKey: number;
  readonly heartbeatMs: number;
  readonly answersMax: number;
  readonly answersBytesMax: number;
  readonly answersMs: number;
}

/** A response that is kept. */
export interface Kept {
  readonly tenant: string;
  /** The response as it is now. */
  readonly response: Readonly<Record<string, JsonValue>>;
  /** The conversation up to and with its answer; undefined until that is whole. */
  readonly messages: readonly ChatMessage[] | undefined;
  /** What goes on without its client, where the response was made in the background. */
  readonly recording?: Recording | undefined;
}

/** An answer that goes on without a reader, and can be read again from any of its events. */
export interface Recording {
  /** Whether it goes on. */
  readonly isLive: boolean;
  /** Resolves when it has ended and is kept. */
  readonly settled: Promise<void>;
  /** Bytes of its events. */
  readonly bytes: number;
  /** Its events behind those with numbers up to `after`: those that are there, then those that come. */
  frames(after: number): AsyncGenerator<string, void, void>;
  /** Ends it. Again is fine. */
  cancel(): void;
}

/** Answers that clients may come back to. */
export interface AnswerStore {
  /** Keeps a response, or what has become of it; where there are too many, the oldest go. */
  keep(id: string, kept: Kept): Promise<void>;
  /** The response with this id; rejects where there is none, or it is another tenant's, which is the same to a client. */
  find(id: string, tenant: string): Promise<Kept>;
  /** Ends the work of a response in the background; gives the response. */
  cancel(id: string, tenant: string): Promise<Kept>;
  /** Forgets a response and ends its work; rejects where there is none. */
  forget(id: string, tenant: string): Promise<void>;
  /**
   * What takes the job of a response in the background: `own`, the model's, or what writes down beside it what is needed to go on
   * elsewhere.
   */
  backendOf(begun: Begun, own: Backend): Backend;
}

/** What a response is told with: a server that has the same name and time, and the same pieces, tells the same. */
export interface Named {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
}

/** A response in the background, as it was asked for. */
export interface Begun {
  readonly named: Named;
  readonly body: Call["body"];
  readonly tenant: Tenant;
  readonly served: Served;
}

/** A model by the name that clients ask for. */
export interface Listed {
  readonly name: string;
  /** Since when it is known, in seconds since 1970. */
  readonly created: number;
  /** The model, where it is loaded. */
  readonly served: Served | undefined;
}

/** What a server tells of itself. */
export interface Host {
  readonly list: readonly Listed[];
  readonly answers: AnswerStore;
  /** Whether requests would be taken now. */
  readonly isReady: boolean;
  /** The figures, as Prometheus reads them. */
  figures(): string;
}

/** A request for what needs no model. */
export interface Look {
  readonly host: Host;
  readonly tenant: string;
  /** The part of the path that names something. */
  readonly name: string;
  readonly query: URLSearchParams;
}

/** What a path takes and does. */
export interface Route {
  readonly method: "GET" | "POST" | "DELETE";
  /** As hono writes it: `:name` is the part that names something. */
  readonly path: string;
  readonly about: string;
  /** Whether it needs no key: it tells nothing of this server. */
  readonly isOpen?: true;
  /** The fields of the body, where it has one. */
  readonly names?: Fields;
  /** Generates: what a body asks for, as jobs. */
  readonly plan?: (call: Call) => Promise<Plan>;
  /** Answers at once, by the model that the body names. */
  readonly answer?: (call: Call) => JsonValue | Promise<JsonValue>;
  /** Reads texts, and generates nothing. */
  readonly read?: (call: Call) => Promise<TextsRead>;
  /** Tells what needs no model. */
  readonly tell?: (look: Look) => JsonValue | Response | Promise<JsonValue | Response>;
}

/** What texts came to. */
export interface TextsRead {
  readonly value: JsonValue;
  /** Tokens that were read. */
  readonly promptTokens: number;
}

/** A request on its way: its body, and what serves it. */
export interface Call {
  /** What the body says, as JSON. */
  readonly body: Readonly<Record<string, unknown>>;
  readonly served: Served;
  readonly tenant: Tenant;
  readonly limits: Limits;
  /** The answers that clients may come back to. */
  readonly answers: AnswerStore;
  /** Ends the work. */
  readonly signal: AbortSignal;
  /** What a response is told with that began elsewhere. */
  readonly named?: Named | undefined;
}

/** Turns what comes of jobs into the parts of a streamed body. */
export interface Writer {
  /** What a stream begins with. */
  begin(): string;
  /** A piece of the answer with this index; the empty text where nothing is to be sent. */
  piece(index: number, piece: Piece): string;
  /** The end of the answer with this index. */
  end(index: number, completion: Completion): string | Promise<string>;
  /** What a stream ends with once all answers have ended. */
  finish(completions: readonly Completion[]): string;
}

/** What is to be done for a request, and how it is told. */
export interface Plan {
  readonly jobs: readonly Job[];
  /** The body of an answer that is sent whole. */
  whole(completions: readonly Completion[]): JsonValue | Promise<JsonValue>;
  /** Writes the answer as it comes; absent where it is sent whole. */
  readonly writer?: Writer | undefined;
  /** Takes the answer over, which then goes on without its client; absent where it is made while the client waits. */
  readonly background?: Background | undefined;
}

/** How an answer in the background is told. */
export interface Background {
  readonly named: Named;
  readonly writer: Writer;
  /** Whether the client that asked reads it as it comes. */
  readonly isStream: boolean;
  /** What the client that asked gets at once otherwise. */
  begun(recording: Recording): JsonValue;
  /** Hears that there will be no proper end, and why. */
  failed(failure: { readonly message: string; readonly code?: string | undefined }): Promise<void>;
}

/** The form of errors and streams that clients know. */
export type Dialect = "openai" | "anthropic" | "ollama";

/** The dialect of those that ask for a path. */
export function dialectOf(path: string): Dialect {
  if (path.startsWith("/api/")) return "ollama";
  return path.startsWith("/v1/messages") ? "anthropic" : "openai";
}

/** How a request ended, for the log and the figures. */
export interface Outcome {
  readonly status: number;
  readonly model?: string | undefined;
  readonly tenant?: string | undefined;
  readonly promptTokens?: number;
  readonly tokens?: number;
  /** Tokens of its longest answer. */
  readonly longest?: number;
  /** Why each answer ended. */
  readonly reasons?: readonly string[];
  /** Why it has no proper end. */
  readonly error?: string | undefined;
}
