/**
 * Which pages may ask, and by which names the server may be called. A browser sends requests for any page that it shows, with
 * the page's origin; without these checks every page could use a server on the user's own machine.
 *
 * @module
 */
import { Failure } from "./failure.ts";

/** The checks of `Origin` and `Host`. */
export class Doors {
  readonly #origins: readonly string[];
  readonly #hosts: readonly string[] | undefined;

  constructor(origins: readonly string[] = [], hosts: readonly string[] | undefined) {
    this.#origins = origins;
    this.#hosts = hosts?.map((host) => host.toLowerCase());
  }

  /** Throws for a page or a name that is not known; gives the answer to a browser that asks whether a page may ask. */
  check(request: Request): Response | undefined {
    const { hostname, origin } = new URL(request.url);
    const name = (request.headers.get("host") ?? hostname).replace(/:\d+$/, "").toLowerCase();
    if (this.#hosts !== undefined && !this.#hosts.includes(name)) {
      throw forbidden(`This server is not known as ${name.slice(0, 100)}; the option hosts (--host-name) names it so.`);
    }
    const page = request.headers.get("origin");
    if (page === null) return undefined;
    // A page that this server itself sent.
    if (page === origin) return undefined;
    if (!this.#isKnown(page)) {
      throw forbidden(
        `Pages of ${page.slice(0, 100)} may not ask here; the option origins (--origin) names those that may.`,
      );
    }
    return request.method === "OPTIONS" ? this.#preflight(request) : undefined;
  }

  /** Tells a browser that the page may read the answer. */
  mark(request: Request, response: Response): void {
    const page = request.headers.get("origin");
    if (page === null || !this.#isKnown(page)) return;
    response.headers.set("access-control-allow-origin", page);
    response.headers.append("vary", "origin");
  }

  #isKnown(page: string): boolean {
    return this.#origins.includes(page) || this.#origins.includes("*");
  }

  #preflight({ headers }: Request): Response {
    return new Response(null, {
      status: 204,
      headers: {
        "access-control-allow-methods": "GET, POST, DELETE",
        "access-control-allow-headers": headers.get("access-control-request-headers") ?? "",
        "access-control-max-age": "600",
      },
    });
  }
}

function forbidden(message: string): Failure {
  return new Failure(message, { status: 403, type: "permission_error", code: "forbidden" });
}
