/**
 * The one place that turns what a native function returns into an error: a status below 0, and the four lines of its buffer for
 * details, where it has one.
 *
 * @module
 */
import { errorFor, type LightGPTError } from "./errors.ts";
import { type Status, STATUSES } from "./wire.ts";

/** What to say where the library gave a status and no words. */
const messages: Readonly<Record<Exclude<Status, "ok">, string>> = {
  modelFormat: "the model is damaged",
  unsupported: "not supported",
  invalidArgument: "an argument is out of range",
  outOfMemory: "not enough memory",
  closed: "used after it was disposed",
  cancelled: "cancelled",
  queueFull: "too much is queued",
  nonFinite: "a value is infinite or not a number",
  limit: "a limit is reached",
  library: "the native library failed",
  io: "reading failed",
  busy: "a step is in flight",
  incomplete: "cut before its end",
  invalidOutput: "an answer that its schema's own check refuses",
};

/** What a native function returned; throws where that is a status. `details` is the buffer that it wrote an error's details to. */
export function checked<Result extends number>(result: Result, where: string, details?: Uint8Array): Result {
  if (result < 0) throw errorOf(result, where, details);
  return result;
}

/** The error that a status stands for. */
export function errorOf(status: number, where: string, details: Uint8Array = nothing): LightGPTError {
  const end = details.indexOf(0);
  const lines = new TextDecoder().decode(end < 0 ? details : details.subarray(0, end)).split("\n");
  const [what, place, expected, got] = lines.map((line) => line.trim() || undefined);
  const found = Object.entries(STATUSES).find(([, number]) => number === status)?.[0] as Status | undefined;
  const name = found === undefined || found === "ok" ? "library" : found;
  const parts = { what: what ?? messages[name], where: place ?? where, expected, got };
  return errorFor(
    name === "busy" ? "library" : name,
    Object.fromEntries(Object.entries(parts).filter(([, part]) => part !== undefined)),
  );
}

const nothing = new Uint8Array(0);
