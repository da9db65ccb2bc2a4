/**
 * What a worker sends to gateways: the parts of all answers that come within a few milliseconds, as one message for each gateway. What
 * begins or ends an answer goes at once. A message that would be too large is sent in several.
 *
 * @module
 */
import type { Clock } from "../batching/clock.ts";
import { frameSubject } from "./subjects.ts";
import { Together } from "./together.ts";
import type { Frame, Transport } from "./types.ts";

/** Characters of a message that leave room for what they may become as bytes. */
const shareOfBytes = 4;
/** Milliseconds between two messages to a gateway, half of those between two writes of a stream (`server/stream.ts`). */
const apartMs = 8;

/** Sends frames, many at once. */
export class Outbox {
  readonly #transport: Transport;
  readonly #together: Together<Frame>;

  /** Sends over a transport. */
  constructor(transport: Transport, clock: Clock) {
    this.#transport = transport;
    this.#together = new Together(clock, apartMs, (gateway, frames) => this.#send(gateway, frames));
  }

  /** Sends a part of an answer, soon. */
  send(gateway: string, frame: Frame): void {
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

  #send(gateway: string, frames: readonly Frame[]): void {
    const text = JSON.stringify(frames);
    if (text.length <= this.#transport.messageBytesMax / shareOfBytes) {
      return this.#transport.publish(frameSubject(gateway), text);
    }
    const halves = frames.length > 1 ? halvesOf(frames) : cut(frames[0]);
    for (const half of halves) this.#send(gateway, half);
  }
}

/** Two parts of an answer as one, where the second goes on from the first. */
function join(first: Frame, second: Frame): Frame | undefined {
  const goesOn = first.at + first.pieces.length === second.at && first.end === undefined && first.error === undefined;
  if (!goesOn || first.returned || second.returned) return undefined;
  return { ...second, at: first.at, pieces: [...first.pieces, ...second.pieces] };
}

function halvesOf<T>(list: readonly T[]): [T[], T[]] {
  const middle = list.length >> 1;
  return [list.slice(0, middle), list.slice(middle)];
}

/** A frame in two; what ends an answer is in the second. One piece cannot be cut: it has at most twenty likeliest tokens. */
function cut({ at, pieces, end, error, ...rest }: Frame): Frame[][] {
  const [first, second] = halvesOf(pieces);
  const ended = { ...(end === undefined ? {} : { end }), ...(error === undefined ? {} : { error }) };
  return [[{ ...rest, at, pieces: first }], [{ ...rest, at: at + first.length, pieces: second, ...ended }]];
}
