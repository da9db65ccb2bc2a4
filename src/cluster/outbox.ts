/**
 * What a worker sends to gateways: the parts of all answers that come within a few milliseconds, as one message for each gateway. What
 * begins or ends an answer goes at once. A message that would be too large is sent in several.
 *
 * @module
 */
import type { Clock } from "../batching/clock.ts";
import { errorData } from "./crossing.ts";
import { tooLong } from "./failures.ts";
import { frameSubject } from "./subjects.ts";
import { Together } from "./together.ts";
import type { Frame, PartData, Transport } from "./types.ts";

/** Characters of a message that leave room for what they may become as bytes. */
const shareOfBytes = 4;
/** The same of one piece: its text is short, or all of it is base64. */
const shareOfOne = 2;
/** Milliseconds between two messages to a gateway, half of those between two writes of a stream (`server/stream.ts`). */
const apartMs = 8;

/** Sends frames, many at once. */
export class Outbox {
  readonly #transport: Transport;
  readonly #together: Together<Frame<PartData>>;

  /** Sends over a transport. */
  constructor(transport: Transport, clock: Clock) {
    this.#transport = transport;
    this.#together = new Together(clock, apartMs, (gateway, frames) => this.#send(gateway, frames));
  }

  /** Sends a part of an answer, soon. */
  send(gateway: string, frame: Frame<PartData>): void {
    const frames = this.#together.waitingFor(gateway);
    const index = frames.findIndex(({ job }) => job === frame.job);
    const joined = index < 0 ? undefined : join(frames[index], frame);
    if (joined === undefined) frames.push(frame);
    else frames[index] = joined;
    const { at, end, error, returned } = frame;
    this.#together.schedule(at === 0 || end !== undefined || error !== undefined || returned === true);
  }

  /** Sends all that waits. */
  flush(): void {
    this.#together.flush();
  }

  #send(gateway: string, frames: readonly Frame<PartData>[]): void {
    const text = JSON.stringify(frames);
    const { textBytesMax } = this.#transport;
    if (text.length <= textBytesMax / shareOfBytes) return this.#transport.publish(frameSubject(gateway), text);
    const [first] = frames;
    if (frames.length === 1 && first.pieces.length === 1) {
      if (text.length <= textBytesMax / shareOfOne) return this.#transport.publish(frameSubject(gateway), text);
      return this.#send(gateway, [tooLarge(first, textBytesMax)]);
    }
    const halves = frames.length > 1 ? halvesOf(frames) : cut(first);
    for (const half of halves) this.#send(gateway, half);
  }
}

/** Two parts of an answer as one, where the second goes on from the first. */
function join(first: Frame<PartData>, second: Frame<PartData>): Frame<PartData> | undefined {
  const goesOn = first.at + first.pieces.length === second.at && first.end === undefined && first.error === undefined;
  if (!goesOn || first.returned || second.returned) return undefined;
  return { ...second, at: first.at, pieces: [...first.pieces, ...second.pieces] };
}

function halvesOf<T>(list: readonly T[]): [T[], T[]] {
  const middle = list.length >> 1;
  return [list.slice(0, middle), list.slice(middle)];
}

/** A job of which one piece goes into no message, as a vector may under a small limit. */
function tooLarge({ job, worker, at }: Frame<PartData>, most: number): Frame<PartData> {
  return { job, worker, at, pieces: [], error: errorData(tooLong(`A piece of the job ${job}`, most)) };
}

/** A frame in two; what ends an answer is in the second. */
function cut({ at, pieces, end, error, ...rest }: Frame<PartData>): Frame<PartData>[][] {
  const [first, second] = halvesOf(pieces);
  const ended = { ...(end === undefined ? {} : { end }), ...(error === undefined ? {} : { error }) };
  return [[{ ...rest, at, pieces: first }], [{ ...rest, at: at + first.length, pieces: second, ...ended }]];
}
