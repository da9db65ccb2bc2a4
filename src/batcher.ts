/**
 * Who takes part in the next step. Sequences ask for a token when their reader does; all that ask are served together: every
 * sequence that generates gets its token, and those still reading their prompt share a chunk. Who does not ask costs
 * nothing, so a slow reader holds up nobody. The event loop gets its turn between any two steps.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { ClosedError } from "../ffi/errors.ts";
import type { Engine, StepResult, StepSequence } from "./engine.ts";
import { Pace } from "./pace.ts";
import { PagePool, PageTable } from "./pages.ts";
import { choose } from "./sampler/choose.ts";
import type { Choice, SamplerState } from "./sampler/state.ts";

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
}

/** Somebody who waits for the next token. */
interface Demand {
  resolve(choice: Choice | undefined): void;
  reject(error: unknown): void;
}

/** One growing list of tokens. */
export class Sequence {
  /** Names it in a step. */
  readonly id: number;
  readonly #owner: SequenceOwner;
  readonly #options: SequenceOptions;
  /** Tokens that the model has yet to read, and the position of the first. */
  #unread: Uint32Array;
  #position = 0;
  #demand: Demand | undefined;
  #ended: { readonly error: unknown } | undefined;
  /** Its pages, once it was admitted. */
  table: PageTable | undefined;

  /** Made by `Batcher.add`. */
  constructor(id: number, owner: SequenceOwner, options: SequenceOptions) {
    this.id = id;
    this.#owner = owner;
    this.#options = options;
    this.#unread = options.prompt;
  }

  /** Whether somebody waits for it. */
  get isAsked(): boolean {
    return this.#demand !== undefined;
  }

  /** Tokens to read before the next one can be chosen. */
  get unread(): number {
    return this.#unread.length;
  }

  /** Positions that it will need at most. */
  get positions(): number {
    return this.#options.positions;
  }

  /** Whether each token that it reads gives a row of logits. */
  get wantsAllRows(): boolean {
    return this.#options.logits?.rows === "all";
  }

  /** Reads all that is unread; resolves with the token chosen after it, which is then the next to be read. */
  next(): Promise<Choice | undefined> {
    if (this.#ended) return Promise.reject(this.#ended.error);
    if (this.#demand) throw new Error("A sequence was asked for a token while it made one.");
    return new Promise((resolve, reject) => {
      this.#demand = { resolve, reject };
      this.#owner.wake();
    });
  }

  /** Ends the sequence and gives its pages back; whoever waits gets `error`. Again is fine. */
  end(error: unknown = new ClosedError("The sequence has ended.", { where: "sequence" })): void {
    if (this.#ended) return;
    this.#ended = { error };
    this.#demand?.reject(error);
    this.#demand = undefined;
    // A step in flight may still read these pages; nobody else's begins before it is over.
    this.table?.close();
    this.#owner.remove(this);
  }

  /** What it does in the next step, reading at most `count` tokens. */
  prepare(count: number): StepSequence {
    const { sample, process, logits } = this.#options;
    const isLast = count === this.unread;
    const table = this.table as PageTable;
    table.cover(this.#position + count);
    return {
      id: this.id,
      position: this.#position,
      tokens: this.#unread.subarray(0, count),
      pages: table.pages,
      logits: logits?.rows === "all" ? "all" : (logits || process) && isLast ? "last" : "none",
      sample: isLast && !process ? sample : undefined,
    };
  }

  /** Takes over what came of its part in a step. */
  accept(step: StepSequence, result: StepResult): void {
    if (this.#ended) return;
    if (result.error) return this.end(result.error);
    const count = step.tokens.length;
    const first = this.#position + (step.logits === "all" ? 0 : count - 1);
    this.#position += count;
    this.#unread = this.#unread.subarray(count);
    let choice = result.choice;
    try {
      if (result.logits.length > 0) {
        this.#options.logits?.receive(result.logits, first);
        choice = this.#process(result.logits) ?? choice;
      }
    } catch (error) {
      return this.end(error);
    }
    if (this.unread > 0) return;
    if (choice !== undefined) {
      this.#options.sample?.sampler.accept(choice.token);
      this.#unread = Uint32Array.of(choice.token);
    }
    const demand = this.#demand;
    this.#demand = undefined;
    demand?.resolve(choice);
  }

  /** Chooses from logits that somebody may change first: the step only computed them. */
  #process(logits: Float32Array): Choice | undefined {
    const { process, sample } = this.#options;
    if (!process || !sample) return undefined;
    process(logits);
    return choose(sample.sampler, logits, { position: this.#position, top: sample.top });
  }
}

/** Who takes part in a step, and how many tokens it reads. */
interface Member {
  readonly sequence: Sequence;
  readonly count: number;
}

/** What a sequence needs of its batcher. */
interface SequenceOwner {
  wake(): void;
  remove(sequence: Sequence): void;
}

/** Runs the sequences of one engine. */
export class Batcher {
  readonly #engine: Engine;
  readonly #pace: Pace;
  readonly #pool: PagePool;
  /** Those who wait for pages, the first first; and those who have them, the last served last. */
  readonly #waiting: Sequence[] = [];
  #admitted: Sequence[] = [];
  #nextId = 0;
  #running: Promise<void> | undefined;
  #closed = false;

  /** `weightBytes` help to guess how long the first steps take; `chunk` fixes how much of a prompt a step reads. */
  constructor(engine: Engine, weightBytes: number, chunk?: number) {
    this.#engine = engine;
    this.#pace = new Pace(weightBytes, chunk);
    this.#pool = new PagePool(engine.settings.pages, engine.settings.pageSize);
  }

  /** Pages that sequences hold at the moment. */
  get pagesHeld(): number {
    return this.#pool.held;
  }

  /** Sequences that have not ended. */
  get sequences(): number {
    return this.#waiting.length + this.#admitted.length;
  }

  /** Adds a sequence; it runs when it is asked. */
  add(options: SequenceOptions): Sequence {
    if (this.#closed) throw closed();
    const sequence = new Sequence(this.#nextId, {
      wake: () => this.#wake(),
      remove: (sequence) => this.#remove(sequence),
    }, options);
    this.#nextId = (this.#nextId + 1) >>> 0;
    this.#waiting.push(sequence);
    return sequence;
  }

  /** Ends all sequences and frees the engine, once the step in flight has given up. Again is fine. */
  async dispose(): Promise<void> {
    this.#closed = true;
    for (const sequence of [...this.#waiting, ...this.#admitted]) sequence.end(closed());
    await this.#running;
    await this.#engine.dispose();
  }

  #wake(): void {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  #remove(sequence: Sequence): void {
    this.#engine.cancel(sequence.id);
    const waiting = this.#waiting.indexOf(sequence);
    if (waiting >= 0) this.#waiting.splice(waiting, 1);
    this.#admitted = this.#admitted.filter((other) => other !== sequence);
    // The pages that it leaves may be what another waits for.
    if (this.#waiting.some((other) => other.isAsked)) this.#wake();
  }

  /** Runs steps for as long as somebody asks. */
  async #run(): Promise<void> {
    for (;;) {
      await turn();
      this.#admit();
      const members = this.#compose();
      if (members.length === 0) return;
      try {
        await this.#step(members);
      } catch (error) {
        // The step as a whole was refused; nobody can know whose fault it is.
        for (const { sequence } of members) sequence.end(error);
      }
    }
  }

  async #step(members: readonly Member[]): Promise<void> {
    const steps = members.map(({ sequence, count }) => sequence.prepare(count));
    let tokens = 0;
    let prompt = 0;
    for (const { count } of members) {
      tokens += count;
      if (count > 1) prompt += count;
    }
    const begin = performance.now();
    const results = await this.#engine.run(steps, this.#pace.isInline(tokens));
    this.#pace.record(tokens, performance.now() - begin, prompt);
    members.forEach(({ sequence }, index) => sequence.accept(steps[index], results[index]));
  }

  /** First come, first admitted: a large sequence is not passed over for ever. */
  #admit(): void {
    for (let index = 0; index < this.#waiting.length;) {
      const sequence = this.#waiting[index] as Sequence;
      if (!sequence.isAsked) {
        index++;
        continue;
      }
      const table = PageTable.open(this.#pool, sequence.positions);
      if (!table) return;
      sequence.table = table;
      this.#waiting.splice(index, 1);
      this.#admitted.push(sequence);
    }
  }

  /** Picks who takes part and how many tokens each reads; whoever is picked goes to the end of the row. */
  #compose(): Member[] {
    const { sequences, logitRows, batchTokens } = this.#engine.settings;
    const picked = this.#admitted.filter((sequence) => sequence.isAsked).slice(0, sequences);
    const readers = picked.filter((sequence) => sequence.unread > 1);
    let chunk = Math.min(this.#pace.chunk, batchTokens - (picked.length - readers.length));
    let rows = logitRows - picked.length;
    let left = readers.length;
    const members: Member[] = [];
    for (const sequence of picked) {
      let count = 1;
      if (sequence.unread > 1) {
        // An equal share of what is left of the chunk; what a short prompt leaves goes to the next.
        count = Math.min(sequence.unread, Math.ceil(chunk / left--));
        if (sequence.wantsAllRows) count = Math.min(count, rows + 1);
        if (count === 0) continue;
        chunk -= count;
        if (sequence.wantsAllRows) rows -= count - 1;
      }
      members.push({ sequence, count });
    }
    const served = new Set(members.map(({ sequence }) => sequence));
    this.#admitted = [...this.#admitted.filter((sequence) => !served.has(sequence)), ...served];
    return members;
  }
}

/** The event loop's turn: timers, files and sockets, and readers that ask for their next token. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function closed(): ClosedError {
  return new ClosedError("LightGPT was disposed.", { what: "used after it was disposed", where: "LightGPT" });
}
