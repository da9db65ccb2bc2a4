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
  return new Failure(
    `NATS has no room for it: ${cause.message} (its disk, max_file_store, max_streams, max_consumers).`,
    {
      status: 507,
      type: "server_error",
      code: "no_room",
      headers: { "x-should-retry": "false" },
    },
    { cause },
  );
}

/** NATS does not let the gateway do it. */
export function refused(cause: Error): Failure {
  return new Failure(cause.message, {
    status: 503,
    type: "server_error",
    code: "queue_refused",
    headers: { "x-should-retry": "false" },
  }, { cause });
}

/** Something goes into no message. */
export function tooLong(what: string, most: number): Failure {
  return new Failure(`${what} is longer than a message of NATS may be: ${most} bytes (by max_payload of its server).`, {
    status: 413,
    type: "invalid_request_error",
    code: "request_too_large",
  });
}
