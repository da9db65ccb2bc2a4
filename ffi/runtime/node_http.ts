/**
 * A handler of web-standard requests on Node's own server. Node's modules do the work: bodies are streamed both ways, as fast as the
 * other side reads, and a client that goes away aborts its request.
 *
 * @module
 */
import { node } from "./builtins.ts";
import type { Handler, Socket } from "./types.ts";

type IncomingMessage = InstanceType<typeof import("node:http").IncomingMessage>;
type ServerResponse = InstanceType<typeof import("node:http").ServerResponse>;

/** Takes requests at an address; fails with Node's error where that cannot be had. */
export async function listenHttp(hostname: string, port: number, handler: Handler): Promise<Socket> {
  const server = node("node:http").createServer((incoming, outgoing) => void answer(incoming, outgoing, handler));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, hostname, resolve);
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : port,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeIdleConnections();
      }),
  };
}

async function answer(incoming: IncomingMessage, outgoing: ServerResponse, handler: Handler): Promise<void> {
  const gone = new AbortController();
  outgoing.once("close", () => outgoing.writableFinished || gone.abort());
  const request = requestOf(incoming, gone.signal);
  if (request === undefined) return void outgoing.writeHead(400).end();
  try {
    const { status, headers, body } = await handler(request);
    outgoing.statusCode = status;
    outgoing.setHeaders(headers);
    if (body === null || incoming.method === "HEAD") return void outgoing.end();
    outgoing.flushHeaders();
    await node("node:stream/promises").pipeline(body as unknown as AsyncIterable<Uint8Array>, outgoing);
  } catch (error) {
    if (gone.signal.aborted) return; // the client went away, which the handler has heard
    if (outgoing.headersSent) return void outgoing.destroy(error instanceof Error ? error : undefined);
    outgoing.writeHead(500).end();
  }
}

/** The request; undefined where its parts are none of a request. */
function requestOf(incoming: IncomingMessage, signal: AbortSignal): Request | undefined {
  const { method = "GET", url = "/", headers, rawHeaders } = incoming;
  const pairs: [string, string][] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) pairs.push([rawHeaders[i], rawHeaders[i + 1]]);
  const hasBody = method !== "GET" && method !== "HEAD";
  const body = hasBody ? node("node:stream").Readable.toWeb(incoming) as ReadableStream<Uint8Array> : null;
  try {
    // `duplex` is not in the types that Deno has: a body that is a stream needs it.
    const init = { method, headers: pairs, body, duplex: "half", signal } as RequestInit;
    return new Request(new URL(url, `http://${headers.host ?? "localhost"}`), init);
  } catch {
    return undefined;
  }
}
