/**
 * What a server of NATS refuses, in words of ours: what the permissions of a user do not allow, and what limits leave no room for.
 * The server says the first after the fact, beside all answers.
 *
 * @module
 */
import type { NatsConnection, PermissionViolationError } from "@nats-io/transport-node";
import { LightGPTError } from "../../ffi/errors.ts";
import type { Libraries } from "./libraries.ts";

/** What a user of a cluster publishes to and subscribes to, for its permissions. */
const needed = "publish and subscribe: lg.>, $JS.>, $KV.>, $O.>, _INBOX.>";

/** What is not allowed, where that is what an error says, or what it came of. */
export function violationOf({ core }: Pick<Libraries, "core">, error: unknown): PermissionViolationError | undefined {
  if (error instanceof core.PermissionViolationError) return error;
  return error instanceof Error && error.cause !== undefined ? violationOf({ core }, error.cause) : undefined;
}

/** NATS does not let its user do something. */
export function notAllowed(connection: NatsConnection, cause: PermissionViolationError): LightGPTError {
  const where = connection.getServer();
  const act = cause.operation === "publish" ? "publish to" : "subscribe to";
  return new LightGPTError("io", `NATS at ${where} does not let this user ${act} ${cause.subject}.`, {
    what: "permissions of NATS that do not suffice",
    where,
    expected: needed,
    got: cause.message,
  }, { cause });
}

/** JetStream says no. */
export function refusedBy(connection: NatsConnection, cause: Error): LightGPTError {
  const where = connection.getServer();
  return new LightGPTError("io", `JetStream of NATS at ${where} refuses: ${cause.message}.`, {
    what: "JetStream refuses",
    where,
    expected: "room for streams and 48 consumers of each model (max_streams, max_consumers, max_file_store)",
    got: cause.message,
  }, { cause });
}
