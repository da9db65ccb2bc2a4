/**
 * The clients of NATS. They are loaded when a cluster is opened, and only then; a program that has none of them is told how to get
 * them.
 *
 * @module
 */
import { LightGPTError } from "../../ffi/errors.ts";
import type { NatsConnection, NodeConnectionOptions } from "@nats-io/transport-node";

/** What is installed for a cluster. */
const packages = ["transport-node", "jetstream", "kv", "obj"].map((name) => `@nats-io/${name}`);

/** The parts of the clients that are used. */
export interface Libraries {
  readonly core: typeof import("@nats-io/transport-node");
  readonly jetstream: typeof import("@nats-io/jetstream");
  readonly kv: typeof import("@nats-io/kv");
  readonly obj: typeof import("@nats-io/obj");
}

/** Loads the clients. */
export async function loadLibraries(
  load: () => Promise<Libraries> = async () => ({
    core: await import("@nats-io/transport-node"),
    jetstream: await import("@nats-io/jetstream"),
    kv: await import("@nats-io/kv"),
    obj: await import("@nats-io/obj"),
  }),
): Promise<Libraries> {
  try {
    return await load();
  } catch (cause) {
    throw new LightGPTError("library", `A cluster needs the clients of NATS: npm install ${packages.join(" ")}`, {
      what: "the clients of NATS are not installed",
      expected: packages.join(", "),
    }, { cause });
  }
}

/** Whether an error says that a server does not answer, and nothing else. */
export function isLost(core: Libraries["core"], error: unknown): boolean {
  const kinds = [core.NoRespondersError, core.RequestError, core.TimeoutError, core.ClosedConnectionError];
  return [...kinds, core.DrainingConnectionError].some((kind) => error instanceof kind);
}

/** What a message has beside its text, at most, in bytes: its headers. */
const overheadBytes = 1024;

/** The bytes that the text of a message may have: what the server says of a message, less what is not its text. */
export function textBytesMost({ info }: NatsConnection): number {
  return (info?.max_payload ?? 1 << 20) - overheadBytes;
}

/** Connects to a server of NATS by its address, which may have a user and a password, or a token. */
export async function connect({ core }: Libraries, url: string, name: string): Promise<NatsConnection> {
  const { servers, ...login } = readUrl(url);
  const options: NodeConnectionOptions = {
    servers,
    name,
    ...login,
    maxReconnectAttempts: -1,
    // A server that refuses after its return may take the same again.
    ignoreAuthErrorAbort: true,
    reconnectTimeWait: 250,
    reconnectJitter: 100,
    pingInterval: 5000,
    timeout: 5000,
  };
  try {
    return await core.connect(options);
  } catch (cause) {
    const isRefused = cause instanceof core.AuthorizationError || /authori[sz]ation|permission/i.test(String(cause));
    const what = isRefused ? "refuses this user, password or token" : "cannot be reached";
    throw new LightGPTError("io", `NATS at ${servers} ${what}.`, {
      what: `NATS ${what}`,
      where: servers,
      expected: isRefused
        ? "nats://USER:PASSWORD@HOST:PORT, or nats://TOKEN@HOST:PORT"
        : "a server of NATS that listens",
      got: cause instanceof Error ? cause.message : String(cause),
    }, { cause });
  }
}

/** The address without what is secret, and that. */
function readUrl(text: string): { servers: string; user?: string; pass?: string; token?: string } {
  let url: URL;
  try {
    url = new URL(text.includes("://") ? text : `nats://${text}`);
  } catch (cause) {
    throw new LightGPTError("invalidArgument", "nats: expected an address such as nats://127.0.0.1:4222.", {
      what: "an address that cannot be read",
      where: "nats",
      expected: "nats://HOST:PORT",
    }, { cause });
  }
  const servers = `${url.protocol}//${url.host}`;
  const [user, pass] = [decodeURIComponent(url.username), decodeURIComponent(url.password)];
  if (user === "") return { servers };
  return pass === "" ? { servers, token: user } : { servers, user, pass };
}
