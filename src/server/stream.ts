/**
 * A streamed body: its reader pulls, so a slow one pauses its own answers and no other. It has three ends. A finished answer
 * ends it cleanly; what fails is told in a last event, and then the body breaks off, so that no client takes it for whole; a
 * reader that leaves ends the work.
 *
 * @module
 */
import { failureFrame, failureOf } from "./failure.ts";
import type { Run } from "./run.ts";
import type { Dialect, Writer } from "./types.ts";

/** What a streamed body is made with. */
export interface BodyParts {
  readonly run: Run;
  readonly writer: Writer;
  readonly dialect: Dialect;
  readonly heartbeatMs: number;
  /** Called once: with the error, or with undefined at a proper end; `left` where the reader went. */
  readonly ended: (how: { readonly error?: unknown; readonly left?: boolean }) => void;
}

/** The signs of life, each of which every client of its dialect skips; NDJSON has none. */
const heartbeats: Readonly<Record<Dialect, string>> = {
  openai: ": alive\n\n",
  anthropic: 'event: ping\ndata: {"type": "ping"}\n\n',
  ollama: "",
};

/** The body that tells a run. */
export function streamBody(parts: BodyParts): ReadableStream<Uint8Array> {
  const { run, writer, dialect, ended } = parts;
  const encoder = new TextEncoder();
  const frames = framesOf(parts);
  let failed: Error | undefined;
  let text = writer.begin();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (failed !== undefined) {
        await sent();
        return controller.error(failed);
      }
      try {
        while (text === "") {
          const { done, value } = await frames.next();
          if (done) {
            ended({});
            return controller.close();
          }
          text = value;
        }
        controller.enqueue(encoder.encode(text));
        text = "";
      } catch (error) {
        const failure = failureOf(error);
        ended({ error: failure });
        failed = brokenOff(failure.message);
        controller.enqueue(encoder.encode(failureFrame(failure, dialect)));
      }
    },
    cancel() {
      if (failed) return;
      run.end();
      ended({ left: true });
    },
  }, { highWaterMark: 0 });
}

/** Bun drops what it has not sent yet when a body breaks off: the last event gets the time to leave. */
function sent(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 20));
}

/** What a body breaks off with. Runtimes print it: one line, for the log has the rest. */
function brokenOff(message: string): Error {
  const error = new Error(`A streamed answer has failed: ${message}`);
  error.stack = `Error: ${error.message}`;
  return error;
}

/** The parts of the body, with signs of life where there is silence. */
async function* framesOf({ run, writer, dialect, heartbeatMs }: BodyParts): AsyncGenerator<string, void, void> {
  for (;;) {
    const next = run.next();
    while (await isSilent(next, heartbeatMs)) yield heartbeats[dialect];
    const event = await next;
    if (event === undefined) break;
    yield "piece" in event ? writer.piece(event.index, event.piece) : writer.end(event.index, event.completion);
  }
  yield writer.finish(run.completions);
}

/** Whether `promise` is still open after a while. */
async function isSilent(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<true>((resolve) => timer = setTimeout(() => resolve(true), ms));
  try {
    return await Promise.race([promise.then(() => false, () => false), silence]);
  } finally {
    clearTimeout(timer);
  }
}
