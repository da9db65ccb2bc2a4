/**
 * A doorbell for runtimes whose foreign calls all block: a worker thread that sits in `lg_wait` for a bounded time, for one caller
 * at a time. It keeps the process alive only while a caller waits. How the thread is made is the runtime's own matter.
 *
 * @module
 */
import type { EngineHandle, ModelHandle } from "../wire.ts";
import type { Doorbell } from "./types.ts";

/** What a caller waits for. */
export interface Wait {
  /** What is waited for. */
  readonly handle: ModelHandle | EngineHandle;
  /** For how long at most. */
  readonly milliseconds: number;
}

/** A thread that waits. */
export interface WaitingThread {
  /** Has it call `lg_wait`; it answers once for each. */
  wait(what: Wait): void;
  /** Whether it keeps the process alive. */
  ref(): void;
  /** The opposite. */
  unref(): void;
}

/**
 * Starts a thread: `answer` gets any number when it is there, then what each call of `lg_wait` returned; `fail` is called where it
 * will answer no more. Throws where the system gives no thread.
 */
export type StartThread = (answer: (returned: number) => void, fail: () => void) => WaitingThread;

/** Waits that end in time before the thread is started; one that doesn't starts it at once. */
const waitsBefore = 4;

/**
 * One thread that waits for one caller at a time; a caller that comes while it is taken, or not there yet, asks by timer. It starts
 * after some waits: until then its start would only slow down what is waited for, which with a small model is soon over.
 */
export class WorkerDoorbell implements Doorbell {
  readonly #startThread: StartThread;
  readonly #otherwise: Doorbell;
  #thread: WaitingThread | undefined;
  #waits = 0;
  #state: "absent" | "starting" | "free" | "taken" | "failed" = "absent";
  #answer: ((answer: number) => void) | undefined;

  constructor(startThread: StartThread, otherwise: Doorbell) {
    this.#startThread = startThread;
    this.#otherwise = otherwise;
  }

  #start(): void {
    this.#state = "starting";
    try {
      // A hint that cannot be given is no failure: the timer asks instead, and 0 means "not yet".
      this.#thread = this.#startThread((returned) => this.#become("free", returned), () => this.#become("failed", 0));
    } catch {
      // The system gives this process no more threads: the timer goes on asking.
      this.#state = "failed";
      return;
    }
    this.#thread.unref();
  }

  #become(state: "free" | "failed", answer: number): void {
    this.#state = state;
    this.#answer?.(answer);
    this.#answer = undefined;
  }

  async ring(handle: ModelHandle | EngineHandle, milliseconds: number): Promise<number> {
    const thread = this.#thread;
    if (this.#state !== "free" || thread === undefined) {
      const answer = await this.#otherwise.ring(handle, milliseconds);
      if (this.#state === "absent" && (answer === 0 || ++this.#waits === waitsBefore)) this.#start();
      return answer;
    }
    this.#state = "taken";
    thread.ref();
    try {
      return await new Promise((resolve) => {
        this.#answer = resolve;
        thread.wait({ handle, milliseconds });
      });
    } finally {
      thread.unref();
    }
  }
}
