/**
 * A server over the embedded model for tests, with a chat template, and requests to it.
 *
 * @module
 */
import { LightGPT, type LightGPTOptions } from "../mod.ts";
import { createServer, type Server, type ServerOptions } from "../exports/server.ts";

/** A template that shows every message, and asks for an answer. */
export const template =
  "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}";

/** A server, and ways to ask it without a socket. */
export interface SmallServer extends AsyncDisposable {
  readonly lm: LightGPT;
  readonly server: Server;
  get(path: string, headers?: Record<string, string>): Promise<Response>;
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>;
}

/** A request with a body of JSON. */
export function posted(url: string, body: unknown, headers: Record<string, string> = {}): Request {
  const text = typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
  return new Request(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: text as BodyInit,
  });
}

/** Serves the embedded model as `stories`; `loading`: how it is loaded. */
export async function serveStories(
  options: Partial<ServerOptions> = {},
  loading: LightGPTOptions = {},
): Promise<SmallServer> {
  const lm = await LightGPT.load(undefined, { kvBytesMax: 2 ** 26, ...loading });
  const server = createServer({ models: { stories: lm }, template, ...options });
  return {
    lm,
    server,
    get: (path, headers = {}) => server.fetch(new Request(`http://localhost${path}`, { headers })),
    post: (path, body, headers) => server.fetch(posted(`http://localhost${path}`, body, headers)),
    async [Symbol.asyncDispose]() {
      await server.close(0);
      await lm.dispose();
    },
  };
}

/** The events of a streamed body, by the field `data` of each; comments are left out. */
export async function eventsOf(response: Response): Promise<string[]> {
  const text = await response.text();
  return text.split("\n\n").flatMap((event) => /^data: (.*)$/m.exec(event)?.[1] ?? []);
}
