/**
 * A native engine as long as it is held: open until it is disposed, which waits for what is in flight, and freed where it was lost.
 *
 * @module
 */
import { ClosedError } from "../../ffi/errors.ts";
import { type Native, native } from "../../ffi/native.ts";
import type { EngineHandle } from "../../ffi/wire.ts";
import type { Words } from "../../ffi/words.ts";
import type { Model } from "../model/model.ts";

/** Milliseconds of one wait for the end of a step; the wait is renewed while the step runs. */
const waitMs = 25;

/** Frees what a lost engine holds: the net below `dispose`. */
const lost = new FinalizationRegistry<EngineHandle>((handle) => native().engineFree(handle));

/** Holds one engine. */
export class HeldEngine {
  readonly #native: Native = native();
  /** Undefined once it was disposed. */
  #handle: EngineHandle | undefined;
  #step: Promise<unknown> | undefined;

  /** Opens it over a model. */
  constructor(model: Pick<Model, "handle">, options: Words<"engine">) {
    this.#handle = this.#native.engineOpen(model.handle, options);
    lost.register(this, this.#handle, this);
  }

  /** What native code knows it by. */
  get handle(): EngineHandle {
    if (this.#handle !== undefined) return this.#handle;
    throw new ClosedError("The engine was used after it was disposed.", { where: "engine" });
  }

  /** Whether it was not disposed yet. */
  get isOpen(): boolean {
    return this.#handle !== undefined;
  }

  /** Whether a step is in flight. */
  get isBusy(): boolean {
    return this.#step !== undefined;
  }

  /** Remembers that something is in flight while `work` awaits its end. */
  async inFlight(work: () => Promise<void>): Promise<void> {
    const step = work();
    this.#step = step;
    try {
      await step;
    } finally {
      this.#step = undefined;
    }
  }

  /** Waits for a step in flight, which the caller has cancelled, and frees the memory. Again is fine. */
  async dispose(): Promise<void> {
    const handle = this.#handle;
    if (handle === undefined) return;
    this.#handle = undefined;
    lost.unregister(this);
    await this.#step;
    this.#native.engineFree(handle);
  }
}

/** Waits, beside the event loop, until a step has ended, or a round of a chain has. */
export async function settle(handle: EngineHandle): Promise<void> {
  while (!native().idle(handle) && !await native().wait(handle, waitMs));
}
