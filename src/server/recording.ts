/**
 * An answer in the background: its run is read as fast as it comes, and its events stay, so that clients may read them at any time,
 * from any of them on, together or one after the other.
 *
 * @module
 */
import { CancelledError } from "../../ffi/errors.ts";
import { given } from "../options/schema.ts";
import type { JsonValue } from "../text/chat/inputs.ts";
import { type Failure, failureOf } from "./failure.ts";
import { countsOf, describe } from "./outcomes.ts";
import type { Run } from "./run.ts";
import { heartbeats, tellRun, withHeartbeats } from "./stream.ts";
import type { Background, Outcome, Recording, Writer } from "./types.ts";

/** What a recording is made with. */
interface RecordingParts {
  readonly run: Run;
  readonly writer: Writer;
  readonly heartbeatMs: number;
  /** Ends the run. */
  readonly controller: AbortController;
  /** Called once at the end, with what went wrong. */
  readonly ended: (failure: Failure | undefined) => Promise<void>;
}

/** Records a run. */
class RunRecording implements Recording {
  readonly #parts: RecordingParts;
  readonly #events: string[] = [];
  #failure: Failure | undefined;
  #isLive = true;
  readonly #settled = Promise.withResolvers<void>();
  #changed = Promise.withResolvers<void>();
  bytes = 0;

  constructor(parts: RecordingParts) {
    this.#parts = parts;
  }

  get isLive(): boolean {
    return this.#isLive;
  }

  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  /** Reads the run to its end. */
  async record(): Promise<void> {
    const { run, writer, ended } = this.#parts;
    try {
      for await (const text of tellRun(run, writer)) this.#add(text);
    } catch (error) {
      this.#failure ??= failureOf(error);
    }
    this.#end(ended);
  }

  cancel(): void {
    if (!this.#isLive) return;
    const { run, controller, ended } = this.#parts;
    this.#failure = failureOf(new CancelledError("The response was cancelled."));
    run.end();
    controller.abort();
    this.#end(ended);
  }

  frames(after: number): AsyncGenerator<string, void, void> {
    return withHeartbeats(this.#eventsBehind(after), this.#parts.heartbeatMs, heartbeats.openai);
  }

  async *#eventsBehind(after: number): AsyncGenerator<string, void, void> {
    for (let next = after + 1;;) {
      const events = this.#events.slice(next);
      if (events.length > 0) yield events.join("");
      next += events.length;
      if (next < this.#events.length) continue;
      if (this.#failure) throw this.#failure;
      if (!this.#isLive) return;
      await this.#changed.promise;
    }
  }

  /** Adds what a writer gave: each event has its number as its place. */
  #add(text: string): void {
    if (text === "" || !this.#isLive) return;
    this.#events.push(...text.split(/(?<=\n\n)/));
    this.bytes += 2 * text.length;
    this.#wake();
  }

  #end(ended: RecordingParts["ended"]): void {
    if (!this.#isLive) return;
    this.#isLive = false;
    ended(this.#failure)
      .catch((error) => this.#failure ??= failureOf(error))
      .finally(() => {
        this.#settled.resolve();
        this.#wake();
      });
    this.#wake();
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}

/** Lets a run go on without its client; gives what its client gets at once, too. */
export function recordRun(
  background: Background,
  run: Run,
  { heartbeatMs, controller, finish }: Pick<RecordingParts, "heartbeatMs" | "controller"> & {
    readonly finish: (outcome: Outcome) => void;
  },
): { readonly recording: Recording; readonly first: JsonValue } {
  const { writer, failed } = background;
  const recording = new RunRecording({
    run,
    writer,
    heartbeatMs,
    controller,
    ended: async (failure) => {
      if (failure) await failed({ ...failure.parts, message: failure.message });
      const status = failure?.parts.status ?? 200;
      finish({ status, ...countsOf(run.completions), ...given({ error: failure && describe(failure) }) });
    },
  });
  const first = background.begun(recording);
  void recording.record();
  return { recording, first };
}
