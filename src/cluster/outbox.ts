/**
 * What a worker sends to gateways: the parts of all answers that come within a turn of the event loop, as one message for each gateway.
 * A message that would be too large is sent in several.
 *
 * @module
 */
import { turn } from "../../ffi/runtime/builtins.ts";
import { frameSubject } from "./subjects.ts";
import type { Frame, Transport } from "./types.ts";

/** Characters of a message that leave room for what they may become as bytes. */
const shareOfBytes = 4;

/** Sends frames, many at once. */
export class Outbox {
  readonly #transport: Transport;
  readonly #frames = new Map<string, Frame[]>();
  #isScheduled = false;

  /** Sends over a transport. */
  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Sends a part of an answer, soon. */
  send(gateway: string, frame: Frame): void {
    const frames = this.#frames.get(gateway);
    if (frames) frames.push(frame);
    else this.#frames.set(gateway, [frame]);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    void turn().then(() => this.flush());
  }

  /** Sends all that waits. */
  flush(): void {
    this.#isScheduled = false;
    for (const [gateway, frames] of this.#frames) this.#send(gateway, frames);
    this.#frames.clear();
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
