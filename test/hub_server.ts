/**
 * A hub on loopback, with a storage host behind it as the real one has, and a Python package index: what they answer is right unless a
 * test asks for a fault.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";

/** What may go wrong with an answer. */
export type Fault =
  | { readonly kind: "status"; readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  | { readonly kind: "html" | "reset" | "silent" | "ignoreRange" | "wrongRange" | "notRange" | "zip" }
  /** Closes the connection after so many bytes of the body; `stall` keeps it open and sends no more. */
  | { readonly kind: "cut" | "stall"; readonly after: number }
  | { readonly kind: "flip" }
  | { readonly kind: "redirect"; readonly location: string }
  | { readonly kind: "etag"; readonly etag: string | undefined }
  | { readonly kind: "body"; readonly body: string; readonly type: string };

/** A request as a test sees it. */
export interface Seen {
  readonly host: "hub" | "storage";
  readonly path: string;
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
  readonly authorization: string | undefined;
}

/** One repository. */
export interface Repository {
  commit: string;
  readonly files: Record<string, Uint8Array>;
  /** Files whose sum the hub does not tell, as of those in git itself. */
  readonly plain?: readonly string[];
}

/** The hub, its storage, and what they were asked. */
export class TestHub {
  readonly repositories = new Map<string, Repository>();
  /** Files of other addresses, by their path: `/files/x.gguf`. */
  readonly files = new Map<string, Uint8Array>();
  /** Pages of a package index by package. */
  readonly index = new Map<string, { readonly type: string; readonly body: string }>();
  /** What goes wrong with the next answer, if anything. */
  fault: (seen: Seen) => Fault | undefined = () => undefined;
  readonly seen: Seen[] = [];
  readonly #servers: Server[] = [];
  #ports = { hub: 0, storage: 0 };

  /** Listens. */
  static async open(): Promise<TestHub> {
    const hub = new TestHub();
    const ports = await Promise.all((["hub", "storage"] as const).map(async (host) => {
      const server = createServer((request, response) => hub.#answer(host, request, response));
      hub.#servers.push(server);
      await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
      return (server.address() as AddressInfo).port;
    }));
    hub.#ports = { hub: ports[0] as number, storage: ports[1] as number };
    return hub;
  }

  /** The hub's address. */
  get endpoint(): string {
    return `http://127.0.0.1:${this.#ports.hub}`;
  }

  /** The address of the package index. */
  get indexUrl(): string {
    return `${this.endpoint}/simple`;
  }

  /** Forgets what was asked, and every fault. */
  calm(): void {
    this.seen.length = 0;
    this.fault = () => undefined;
  }

  /** Ends it, with all connections. */
  async close(): Promise<void> {
    await Promise.all(this.#servers.map((server) => {
      server.closeAllConnections();
      return new Promise((done) => server.close(done));
    }));
  }

  #answer(host: Seen["host"], request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? "/", this.endpoint);
    const { range, authorization } = request.headers;
    const ifRange = request.headers["if-range"];
    const seen: Seen = {
      host,
      path: decodeURIComponent(url.pathname),
      range,
      authorization,
      ifRange: ifRange as string,
    };
    this.seen.push(seen);
    const fault = this.fault(seen);
    if (fault?.kind === "silent") return;
    if (fault?.kind === "reset") return void request.socket.destroy();
    if (fault?.kind === "status") return void response.writeHead(fault.status, fault.headers).end("no");
    if (fault?.kind === "redirect") return void response.writeHead(302, { location: fault.location }).end();
    if (fault?.kind === "html") return void response.setHeader("content-type", "text/html").end("<html>log in</html>");
    if (fault?.kind === "body") return void response.setHeader("content-type", fault.type).end(fault.body);
    const { path } = seen;
    const [, listed] = /^\/api\/models\/([^/]+\/[^/]+)\/revision\//.exec(path) ?? [];
    const [, repository, commit, name] = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(path) ?? [];
    const [, packageName] = /^\/simple\/([^/]+)\/$/.exec(path) ?? [];
    if (listed !== undefined) return this.#list(listed, response);
    if (repository !== undefined && name !== undefined) {
      const found = this.repositories.get(repository);
      if (found?.commit !== commit || found?.files[name] === undefined) {
        return void response.writeHead(404, { "x-error-code": "EntryNotFound" }).end();
      }
      const location = `http://127.0.0.1:${this.#ports.storage}/blob/${encodeURIComponent(repository)}/${
        encodeURIComponent(name)
      }`;
      return void response.writeHead(302, { location: `${location}?signature=secret` }).end();
    }
    const page = packageName && this.index.get(packageName);
    if (page) return void response.setHeader("content-type", page.type).end(page.body);
    const [, blobRepository = "", blobName = ""] = /^\/blob\/([^/]+\/[^/]+)\/(.+)$/.exec(path) ?? [];
    const bytes = this.files.get(path) ?? this.repositories.get(blobRepository)?.files[blobName];
    if (bytes === undefined) return void response.writeHead(404).end();
    send(bytes, seen, response, fault);
  }

  #list(name: string, response: ServerResponse): void {
    const found = this.repositories.get(name);
    if (found === undefined) return void response.writeHead(401, { "x-error-code": "RepoNotFound" }).end();
    const siblings = Object.entries(found.files).map(([rfilename, bytes]) => {
      const lfs = { sha256: sumOf(bytes), size: bytes.length, pointerSize: 134 };
      const isPlain = found.plain?.includes(rfilename);
      return { rfilename, size: bytes.length, blobId: sumOf(bytes).slice(0, 40), ...isPlain ? {} : { lfs } };
    });
    response.setHeader("content-type", "application/json").end(
      JSON.stringify({ id: name, sha: found.commit, siblings }),
    );
  }
}

/** The SHA-256 of bytes. */
export function sumOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Sends a file, or the range of it that was asked for. */
function send(whole: Uint8Array, { range, ifRange }: Seen, response: ServerResponse, fault: Fault | undefined): void {
  const etag = fault?.kind === "etag" ? fault.etag : `"${sumOf(whole).slice(0, 16)}"`;
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(range ?? "") ?? [];
  const isFresh = ifRange === undefined || ifRange === etag;
  const isPart = first !== undefined && isFresh && fault?.kind !== "ignoreRange";
  const start = isPart ? Number(first) : 0;
  const end = isPart ? Math.min(whole.length, last === "" ? Infinity : Number(last) + 1) : whole.length;
  if (isPart && start >= whole.length) {
    return void response.writeHead(416, { "content-range": `bytes */${whole.length}` }).end();
  }
  let body = whole.slice(start, end);
  const shift = fault?.kind === "wrongRange" ? 1 : 0;
  if (fault?.kind === "flip") body = body.map((byte, index) => index === body.length >> 1 ? byte ^ 1 : byte);
  if (fault?.kind === "zip") body = gzipSync(body);
  const name = fault?.kind === "notRange"
    ? {}
    : { "content-range": `bytes ${start + shift}-${end + shift - 1}/${whole.length}` };
  response.writeHead(isPart ? 206 : 200, {
    "content-type": "application/octet-stream",
    "content-length": body.length,
    ...etag === undefined ? {} : { etag },
    ...isPart ? name : {},
    ...fault?.kind === "zip" ? { "content-encoding": "gzip" } : {},
  });
  if (fault?.kind !== "cut" && fault?.kind !== "stall") return void response.end(body);
  response.write(body.subarray(0, fault.after), () => {
    if (fault.kind === "cut") response.socket?.destroy();
  });
}
