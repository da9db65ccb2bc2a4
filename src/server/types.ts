/**
 * What the parts of the server say to one another. A skin turns the body of a request into jobs, and what comes of them into
 * the answer that its clients expect; it does no input or output itself. A job is plain data.
 *
 * @module
 */
import type { Completion, Piece } from "../batching/completion.ts";
import type { ResumeOptions } from "../batching/resume.ts";
import type { ConstraintOptions } from "../grammar/options.ts";
import type { LightGPT } from "../lightgpt/lightgpt.ts";
import type { Model } from "../model/model.ts";
import type { SamplingOptions } from "../sampling/options.ts";
import type { Conversations } from "../text/chat/conversation.ts";
import type { ChatMessage, JsonValue } from "../text/chat/inputs.ts";
import type { HeldAnswer } from "../tools/held_answer.ts";

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

/** A model that is ready to take jobs. */
export interface Served {
  readonly name: string;
  /** What is known of the model without its weights. */
  readonly model: Pick<Model, "context" | "gguf" | "plan" | "residentBytes" | "tokenizer">;
  readonly backend: Backend;
  /** The model itself, where it runs in this process. */
  readonly lm: LightGPT | undefined;
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
  readonly list: readonly { readonly name: string; readonly created: number; readonly served: Served | undefined }[];
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
  readonly openPerKey: number;
  readonly heartbeatMs: number;
}

/** An answer that is kept. */
export interface Kept {
  readonly tenant: string;
  /** The answer as its client got it. */
  readonly response: JsonValue;
  /** The conversation up to and with it. */
  readonly messages: readonly ChatMessage[];
}

/** Answers that clients may come back to. */
export interface AnswerStore {
  /** Keeps an answer; where there are too many, the oldest go. */
  keep(id: string, kept: Kept): void;
  /** The answer with this id; throws where there is none, or it is another tenant's, which is the same to a client. */
  find(id: string, tenant: string): Kept;
  /** Forgets an answer; throws where there is none. */
  forget(id: string, tenant: string): void;
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
}

/** Turns what comes of jobs into the parts of a streamed body. */
export interface Writer {
  /** What a stream begins with. */
  begin(): string;
  /** A piece of the answer with this index; the empty text where nothing is to be sent. */
  piece(index: number, piece: Piece): string;
  /** The end of the answer with this index. */
  end(index: number, completion: Completion): string;
  /** What a stream ends with once all answers have ended. */
  finish(completions: readonly Completion[]): string;
}

/** What is to be done for a request, and how it is told. */
export interface Plan {
  readonly jobs: readonly Job[];
  /** The body of an answer that is sent whole. */
  whole(completions: readonly Completion[]): JsonValue;
  /** Writes the answer as it comes; absent where it is sent whole. */
  readonly writer?: Writer | undefined;
}

/** The form of errors and streams that the clients of a route know. */
export type Dialect = "openai" | "anthropic" | "ollama";

/** How a request ended, for the log and the figures. */
export interface Outcome {
  readonly status: number;
  readonly model?: string | undefined;
  readonly tenant?: string | undefined;
  readonly promptTokens?: number;
  readonly tokens?: number;
  /** Why each answer ended. */
  readonly reasons?: readonly string[];
  /** Why it has no proper end. */
  readonly error?: string | undefined;
}
