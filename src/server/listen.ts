/**
 * A server on a socket of the runtime that runs: the same on each of them.
 *
 * @module
 */
import { LightGPTError } from "../../ffi/errors.ts";
import { currentRuntime } from "../../ffi/runtime/pick.ts";
import { type FieldsOf, integer, readOptions, text } from "../options/schema.ts";
import type { Server } from "./server.ts";

/**
 * Options for where a server listens.
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { createServer, listen, type ListenOptions } from "@lightgpt/lightgpt/server";
 *
 * const where: ListenOptions = { port: 0 }; // any that is free
 * await using lm = await LightGPT.load();
 * await using server = createServer({ models: { stories: lm } });
 * const listening = await listen(server, where);
 * console.log(listening.url);
 * await listening.close();
 * ```
 */
export interface ListenOptions {
  /**
   * The port; 0 is one that is free.
   * @default {8080}
   */
  readonly port?: number;
  /**
   * The address. Beyond `127.0.0.1` others can reach the server: give it keys.
   * @default {"127.0.0.1"}
   */
  readonly hostname?: string;
}

/** The schema of {@link ListenOptions}. */
export const listenFields = {
  port: integer({
    about: "The port; 0 is one that is free.",
    least: 0,
    most: 65_535,
    default: 8080,
    flag: { value: "N", about: "listen on port N; 0 takes one that is free" },
  }),
  hostname: text({
    about: "The address.",
    default: "127.0.0.1",
    flag: { name: "host", value: "ADDRESS", about: "listen on this address; 0.0.0.0 lets other machines in" },
  }),
} as const satisfies FieldsOf<ListenOptions>;

/**
 * A server that listens.
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { createServer, listen, type Listening } from "@lightgpt/lightgpt/server";
 *
 * await using lm = await LightGPT.load();
 * await using server = createServer({ models: { stories: lm } });
 * const listening: Listening = await listen(server, { port: 0 });
 * console.log((await fetch(`${listening.url}/health`)).status);
 * await listening.close();
 * ```
 */
export interface Listening {
  /** Where it can be called, without a slash at the end. */
  readonly url: string;
  /** The port that it has. */
  readonly port: number;
  /** Takes no more requests, and resolves when those that are open have ended. */
  close(): Promise<void>;
}

/**
 * Lets a `server` listen, alike on each runtime. It takes plain HTTP; put a proxy before it for TLS.
 *
 * @throws {LightGPTError} of the code `io` if the address cannot be had
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { createServer, listen } from "@lightgpt/lightgpt/server";
 *
 * await using lm = await LightGPT.load();
 * await using server = createServer({ models: { stories: lm } });
 * const listening = await listen(server, { port: 0 });
 * console.log(await (await fetch(`${listening.url}/v1/models`)).json());
 * await listening.close();
 * ```
 */
export async function listen(server: Server, options: ListenOptions = {}): Promise<Listening> {
  const { port, hostname } = readOptions(listenFields, options);
  try {
    const socket = await currentRuntime().listen(hostname, port, server.fetch);
    const host = hostname.includes(":") ? `[${hostname}]` : hostname;
    return { url: `http://${host}:${socket.port}`, port: socket.port, close: () => socket.close() };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new LightGPTError("io", `${hostname}:${port}: cannot listen there: ${reason}`, {
      what: "an address that cannot be had",
      where: `${hostname}:${port}`,
    }, { cause: error });
  }
}
