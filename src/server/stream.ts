/**
 * A streamed body: its reader pulls, so a slow one pauses its own answers and no other. It has three ends. A finished answer
 * ends it cleanly; what fails is told in a last event, and then the body breaks off, so that no client takes it for whole; a
 * reader that leaves ends the work.
 *
 * @module
 */
import { type Failure, failureFrame, failureOf } from "./failure.ts";
import type { Run } from "./run.ts";
import type { Dialect, Writer } from "./types.ts";

/** What a streamed body is made with. */
export interface BodyParts {
  /** The texts that it consists of. */
  readonly frames: AsyncGenerator<string, void, void>;
  /** What is told last where it fails. */
  readonly failed: (failure: Failure) => string;
  /** Called where the reader goes before the end. */
  readonly left: () => void;
  /** Called once: with the error, or with undefined at a proper end; `left` where the reader went. */
  readonly ended: (how: { readonly error?: unknown; readonly left?: boolean }) => void;
}

/** Signs of life, each of which every client of its dialect skips; NDJSON has none. */
export const heartbeats: Readonly<Record<Dialect, string>> = {
  openai: ": alive\n\n",
  anthropic: 'event: ping\ndata: {"type": "ping"}\n\n',
  ollama: "",
};

/** The body of some frames. */
export function streamBody({ frames, failed: tell, left, ended }: BodyParts): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let failed: Error | undefined;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (failed !== undefined) {
        await sent();
        return controller.error(failed);
      }
      try {
        for (;;) {
          const { done, value } = await frames.next();
          if (done) {
            ended({});
            return controller.close();
          }
          if (value !== "") return controller.enqueue(encoder.encode(value));
        }
      } catch (error) {
        const failure = failureOf(error);
        ended({ error: failure });
        failed = brokenOff(failure.message);
        controller.enqueue(encoder.encode(tell(failure)));
      }
    },
    cancel() {
      if (failed) return;
      left();
      ended({ left: true });
      void frames.return(); // it may wait for what a reader takes
    },
  }, { highWaterMark: 0 });
}

/** The body that tells the events of a recording, which goes on without its reader. */
export function eventBody(frames: BodyParts["frames"]): ReadableStream<Uint8Array> {
  const failed = (failure: Failure) => failureFrame(failure, "openai");
  return streamBody({ frames, failed, left: () => {}, ended: () => {} });
}

/** A streamed body as an answer. */
export function streamResponse(body: ReadableStream<Uint8Array>, dialect: Dialect): Response {
  const type = dialect === "ollama" ? "application/x-ndjson" : "text/event-stream; charset=utf-8";
  return new Response(body, { headers: { "content-type": type, "cache-control": "no-store" } });
}

/**
 * Bun drops what it has not sent yet when a body breaks off: the last event gets the time to leave, and turns of the event loop,
 * for on a busy machine a time may be over before anything was done in it.
 */
async function sent(): Promise<void> {
  for (let turns = 0; turns < 5; turns++) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** What a body breaks off with. Runtimes print it: one line, for the log has the rest. */
function brokenOff(message: string): Error {
  const error = new Error(`A streamed answer has failed: ${message}`);
  error.stack = `Error: ${error.message}`;
  return error;
}

/**
 * Milliseconds between two writes of a stream, as between two pictures of a screen, or every second one: what comes sooner goes
 * together, each token as an event of its own. A write costs the server and its client about as much as a token of a small model
 * (35 us on Bun, 75 on Deno), so where many streams are open each has its turn less often: one write in `eachMs` of them all.
 */
const [leastMs, mostMs, eachMs] = [16, 33, 2];

/** Runs that are told now, of all servers: they share the event loop. */
let telling = 0;

/** A run as its writer tells it; where it is silent for a while, `alive` comes again and again. */
export async function* tellRun(
  run: Run,
  writer: Writer,
  { ms, alive }: { readonly ms: number; readonly alive: string } = { ms: Infinity, alive: "" },
): AsyncGenerator<string, void, void> {
  telling++;
  try {
    yield writer.begin();
    for (let toldMs = -Infinity; !run.isFinished;) {
      const togetherMs = Math.min(mostMs, Math.max(leastMs, eachMs * telling));
      await run.fill(toldMs + togetherMs - performance.now());
      const events = await run.take(ms);
      let told = "";
      for (const event of events) {
        told += "piece" in event
          ? writer.piece(event.index, event.piece)
          : await writer.end(event.index, event.completion);
      }
      toldMs = performance.now();
      if (run.isFinished) yield told + writer.finish(run.completions);
      else yield events.length === 0 ? alive : told;
    }
  } finally {
    telling--;
  }
}

/** Some texts, with signs of life where there is silence. */
export async function* withHeartbeats(
  texts: AsyncGenerator<string, void, void>,
  heartbeatMs: number,
  alive: string,
): AsyncGenerator<string, void, void> {
  for (;;) {
    const next = texts.next();
    while (await isSilent(next, heartbeatMs)) yield alive;
    const { done, value } = await next;
    if (done) return;
    yield value;
  }
}

/** Whether `promise` is still open after a while. */
export async function isSilent(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<true>((resolve) => timer = setTimeout(() => resolve(true), ms));
  try {
    return await Promise.race([promise.then(() => false, () => false), silence]);
  } finally {
    clearTimeout(timer);
  }
}
