/**
 * What clients ask of a response that is kept: to be told it, whole or as events; to end its work; to forget it.
 *
 * @module
 */
import type { JsonValue } from "../text/chat/inputs.ts";
import { refuse } from "./failure.ts";
import { eventBody, streamResponse } from "./stream.ts";
import type { Look } from "./types.ts";

/** The response, or its events from a number on. */
export async function tellResponse({ host, tenant, name, query }: Look): Promise<JsonValue | Response> {
  const { response, recording } = await host.answers.find(name, tenant);
  const { stream = "false", starting_after, ...rest } = Object.fromEntries(query);
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) refuse(unknown, `${unknown}: it is not supported; there are stream and starting_after.`);
  if (stream !== "true" && stream !== "false") refuse("stream", "stream: expected true or false.");
  if (stream === "false") {
    if (starting_after !== undefined) refuse("starting_after", "starting_after: stream must be true.");
    return response;
  }
  if (recording === undefined) refuse("stream", "stream: only a response in the background is told as events again.");
  const after = starting_after === undefined ? -1 : Number(starting_after);
  if (!Number.isInteger(after) || after < -1 || starting_after === "") {
    refuse("starting_after", "starting_after: expected the number of an event.");
  }
  const frames = recording.frames(after);
  return streamResponse(eventBody(frames), "openai");
}

/** Ends the work of a response. One that has ended is told as it is. */
export async function cancelResponse({ host, tenant, name }: Look): Promise<JsonValue> {
  return (await host.answers.cancel(name, tenant)).response;
}

/** Forgets a response. */
export async function forgetResponse({ host, tenant, name }: Look): Promise<JsonValue> {
  await host.answers.forget(name, tenant);
  return { id: name, object: "response", deleted: true };
}
