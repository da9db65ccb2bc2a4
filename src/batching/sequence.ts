/**
 * One growing list of tokens: what it wants of the next step, and what came of it. It can lose its pages at any time between
 * two steps and goes on later as if nothing had happened: its tokens are read again, and the sampler's state is its own, so
 * that the next choice is the same.
 *
 * @module
 */
import { CancelledError, ClosedError } from "../../ffi/errors.ts";
import type { StepResult, StepSequence } from "../engine/engine.ts";
import { choose } from "../sampling/choose.ts";
import type { Choice, SamplerState } from "../sampling/state.ts";
import type { PageTable } from "./kv_store.ts";
import type { RequestEnd } from "./stats.ts";

/** What a sequence is for. */
export interface SequenceOptions {
  /** The first tokens; at least one. */
  readonly prompt: Uint32Array;
  /** Positions that it will need at most. */
  readonly positions: number;
  /** How to choose tokens, and how many log probabilities to tell; absent: none is chosen. */
  readonly sample?: { readonly sampler: SamplerState; readonly top: number | undefined };
  /** May change the logits before a token is chosen; the array is valid during the call. */
  readonly process?: ((logits: Float32Array) => void) | undefined;
  /** Receives rows of logits, of all tokens or of the last, valid during the call; `position` is that of the first row. */
  readonly logits?: { readonly rows: "last" | "all"; receive(rows: Float32Array, position: number): void };
  /** Who asks; shares are fair between tenants, and none finds another's prefixes. Default: the empty string. */
  readonly tenant?: string;
  /** 0 to 9; higher goes first. Default 5. */
  readonly priority?: number;
  /** Milliseconds from now until it must have ended. */
  readonly deadlineMs?: number | undefined;
  /** Whether it uses the prefix cache. Default false. */
  readonly isCached?: boolean;
}

/** Somebody who waits for the next token. */
interface Demand {
  resolve(choice: Choice | undefined): void;
  reject(error: unknown): void;
}

/** What a sequence needs of its scheduler. */
export interface SequenceOwner {
  /** It was asked for a token. */
  wake(sequence: Sequence): void;
  /** It has ended. */
  remove(sequence: Sequence): void;
  /** It gave a token. */
  delivered(sequence: Sequence): void;
}

/** One growing list of tokens. */
export class Sequence {
  /** Names it in a step, and says who came first. */
  readonly id: number;
  readonly tenant: string;
  readonly priority: number;
  readonly options: SequenceOptions;
  readonly #owner: SequenceOwner;
  #tokens: Uint32Array;
  #length: number;
  /** Tokens whose keys and values are in its pages. */
  #position = 0;
  /** The hidden state after the last token, where that needs no reading. */
  #state: Float32Array | undefined;
  #choices = 0;
  #demand: Demand | undefined;
  #ended: { readonly error: unknown } | undefined;
  /** Its pages, while it has a place. */
  table: PageTable | undefined;
  /** Tokens of the prompt that were found in the cache. */
  saved = 0;
  /** Steps of the scheduler: when it was asked, and served. */
  askedAt = 0;
  servedAt = -1;
  /** The step in which it got its place, the tokens that it had chosen by then, and whether it had waited too long. */
  placed = { at: 0, choices: 0, isOverdue: false };
  /** How it ended, once it has. */
  outcome: RequestEnd["outcome"] = "finished";
  /** When it came, and when its last token did, in milliseconds. */
  readonly bornMs: number;
  tokenMs = 0;
  /** Ends what its deadline waits for. */
  clearDeadline: (() => void) | undefined;

  /** Made by `Scheduler.add`. */
  constructor(id: number, owner: SequenceOwner, options: SequenceOptions, nowMs: number) {
    this.id = id;
    this.tenant = options.tenant ?? "";
    this.priority = options.priority ?? 5;
    this.options = options;
    this.#owner = owner;
    this.#tokens = options.prompt;
    this.#length = options.prompt.length;
    this.bornMs = nowMs;
  }

  /** Whether somebody waits for it. */
  get isAsked(): boolean {
    return this.#demand !== undefined;
  }

  /** Whether it has ended. */
  get isEnded(): boolean {
    return this.#ended !== undefined;
  }

  /** Tokens to read before the next one can be chosen; 0 where a hidden state takes their place. */
  get unread(): number {
    return this.#length - this.#position;
  }

  /** Tokens in its pages. */
  get position(): number {
    return this.#position;
  }

  /** All tokens so far. */
  get tokens(): Uint32Array {
    return this.#tokens.subarray(0, this.#length);
  }

  /** Tokens chosen so far. */
  get choices(): number {
    return this.#choices;
  }

  /** Whether each token that it reads gives a row of logits. */
  get wantsAllRows(): boolean {
    return this.options.logits?.rows === "all";
  }

  /** Reads all that is unread; resolves with the token chosen after it, which is then the next to be read. */
  next(): Promise<Choice | undefined> {
    if (this.#ended) return Promise.reject(this.#ended.error);
    if (this.#demand) throw new Error("A sequence was asked for a token while it made one.");
    return new Promise((resolve, reject) => {
      this.#demand = { resolve, reject };
      this.#owner.wake(this);
    });
  }

  /** Ends the sequence and gives its pages back; whoever waits gets `error`. Again is fine. */
  end(error?: unknown): void {
    if (this.#ended) return;
    const ended = error ?? new ClosedError("The sequence has ended.", { where: "sequence" });
    this.outcome = error === undefined ? "finished" : isGivenUp(error) ? "cancelled" : "failed";
    this.#ended = { error: ended };
    this.#demand?.reject(ended);
    this.#demand = undefined;
    this.clearDeadline?.();
    // A step in flight may still write beyond its tokens; nobody else's begins before it is over.
    this.release();
    this.#owner.remove(this);
  }

  /** Takes over what the cache has of its tokens, where it stands at the end of a page. */
  attach(): void {
    if (!this.table || this.unread === 0) return;
    const { position, state } = this.table.attach(this.tokens, this.#position);
    if (this.#choices === 0) this.saved += position - this.#position;
    this.#position = position;
    this.#state = state;
  }

  /** Gives its pages up, leaving them to the cache; it can be placed again. */
  release(): void {
    this.table?.publishTail(this.#tokens.subarray(0, this.#position));
    this.table?.close();
    this.table = undefined;
    this.#position = 0;
    this.#state = undefined;
  }

  /** What it does in the next step, reading at most `count` tokens, for which it has pages. */
  prepare(count: number): StepSequence {
    const { sample, process, logits } = this.options;
    const isLast = count === this.unread;
    const table = this.table as PageTable;
    return {
      id: this.id,
      position: this.#position,
      tokens: this.#tokens.subarray(this.#position, this.#position + count),
      pages: count === 0 ? [] : table.pages,
      logits: logits?.rows === "all" ? "all" : (logits || process) && isLast ? "last" : "none",
      sample: isLast && !process ? sample : undefined,
      keep: isLast && count > 0 && this.#choices === 0 && table.cursor !== undefined,
      hidden: this.#state,
    };
  }

  /** Takes over what came of its part in a step. */
  accept(step: StepSequence, result: StepResult): void {
    if (this.#ended) return;
    if (result.error) return this.end(result.error);
    const count = step.tokens.length;
    const first = this.#position + (step.logits === "all" ? 0 : count - 1);
    this.#position += count;
    this.#state = undefined;
    const read = this.#tokens.subarray(0, this.#position);
    if (result.hidden) this.table?.publishTail(read, result.hidden);
    else this.table?.publish(read);
    let choice = result.choice;
    try {
      if (result.logits.length > 0) {
        this.options.logits?.receive(result.logits, first);
        choice = this.#process(result.logits) ?? choice;
      }
    } catch (error) {
      return this.end(error);
    }
    if (this.unread > 0) return;
    if (choice !== undefined) {
      this.#choices++;
      this.options.sample?.sampler.accept(choice.token);
      this.#append(choice.token);
    }
    const demand = this.#demand;
    this.#demand = undefined;
    this.#owner.delivered(this);
    demand?.resolve(choice);
  }

  /** Chooses from logits that somebody may change first: the step only computed them. */
  #process(logits: Float32Array): Choice | undefined {
    const { process, sample } = this.options;
    if (!process || !sample) return undefined;
    process(logits);
    return choose(sample.sampler, logits, { position: this.#position, top: sample.top });
  }

  #append(token: number): void {
    if (this.#length === this.#tokens.length) {
      const larger = new Uint32Array(
        Math.max(16, Math.min(2 * this.#length, this.options.positions + 1), this.#length + 1),
      );
      larger.set(this.#tokens);
      this.#tokens = larger;
    }
    this.#tokens[this.#length++] = token;
  }
}

function isGivenUp(error: unknown): boolean {
  return error instanceof CancelledError || error instanceof ClosedError;
}

/** The error of a sequence whose deadline has passed. */
export function expired(deadlineMs: number): CancelledError {
  return new CancelledError(`The deadline of ${deadlineMs} ms has passed.`, {
    what: "cancelled",
    where: "deadlineMs",
    expected: `an end within ${deadlineMs} ms`,
  });
}

/** The error of a sequence whose scheduler was disposed. */
export function closed(): ClosedError {
  return new ClosedError("LightGPT was disposed.", { what: "used after it was disposed", where: "LightGPT" });
}
