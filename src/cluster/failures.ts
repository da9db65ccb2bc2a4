/**
 * What gateways say where NATS does not do what it must.
 *
 * @module
 */
import { Failure } from "../server/failure.ts";

/** NATS cannot be reached, or does not answer. */
export function unreachable(cause: unknown): Failure {
  return new Failure("The queue of jobs cannot be reached.", {
    status: 503,
    type: "server_error",
    code: "queue_unreachable",
    headers: { "retry-after": "1" },
  }, { cause });
}

/** NATS has no room. */
export function noRoom(cause: Error): Failure {
  return new Failure(`NATS has no room for it: ${cause.message} (its disk, or max_file_store).`, {
    status: 507,
    type: "server_error",
    code: "no_room",
    headers: { "x-should-retry": "false" },
  }, { cause });
}
