/**
 * The subjects of messages, in one place. Queues of jobs are named where they are made (`jetstream_queue.ts`).
 *
 * @module
 */
import type { Place } from "./types.ts";

/** Questions of workers to a gateway: how far a job is. */
export const askSubject = (gateway: string) => `lg.ask.${gateway}`;
/** Parts of answers to a gateway. */
export const frameSubject = (gateway: string) => `lg.out.${gateway}`;
/** What gateways say to a worker. */
export const controlSubject = (worker: string) => `lg.control.${worker}`;
/** What gateways say to one another of responses that end before their time. */
export const responsesSubject = "lg.responses";
/** A job was put into the queue of a model: its place. A hint, for idle workers look by themselves now and then. */
export const newSubject = (fingerprint: string) => `lg.new.${fingerprint}`;

/** A place as text. */
export function placeText({ priority, shard }: Place): string {
  return `${priority}.${shard}`;
}

/** The place of a text. */
export function readPlace(text: string): Place {
  const [priority, shard] = text.split(".").map(Number);
  return { priority, shard };
}
