/**
 * The handler where people mount it: in the runtime's own server, in one of hono under a prefix; and what sockets do to a server:
 * clients that send their request byte by byte, two at once, half of one, or none at all.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { connect, type Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { Hono } from "hono";
import { listen, type Listening } from "../exports/server.ts";
import { often } from "./counts.ts";
import { posted, serveStories, type SmallServer } from "./small-server.ts";

type Handler = (request: Request) => Response | Promise<Response>;

/** What the test uses of the runtimes' own servers. */
interface Runtimes {
  readonly Deno?: {
    serve(options: object, handler: Handler): { readonly addr: { readonly port: number }; shutdown(): Promise<void> };
  };
  readonly Bun?: {
    serve(options: object): { readonly port: number; stop(): Promise<void> };
  };
}

const { Deno: deno, Bun: bun } = globalThis as unknown as Runtimes;
const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));

/** A handler in the server of this runtime, as its documentation says. */
async function serveByRuntime(handler: Handler): Promise<{ readonly port: number; close(): Promise<void> }> {
  if (deno) {
    const server = deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, handler);
    return { port: server.addr.port, close: () => server.shutdown() };
  }
  if (bun) {
    const server = bun.serve({ port: 0, hostname: "127.0.0.1", fetch: handler, idleTimeout: 0 });
    return { port: server.port, close: () => server.stop() };
  }
  const { listenHttp } = await import("../ffi/runtime/node_http.ts");
  return await listenHttp("127.0.0.1", 0, async (request) => await handler(request));
}

describe("a mounted handler", () => {
  let small: SmallServer;
  before(async () => {
    small = await serveStories({}, { cache: false });
  });
  after(() => small[Symbol.asyncDispose]());
  const messages = [{ role: "user", content: "Of a fox." }];
  const [seed, num_predict] = [7, 12];
  const body = { messages, seed, max_tokens: num_predict };
  /** Answers without what no two of them share. */
  const plain = (text: string) => text.replace(/"(id|created)":("[^"]*"|\d+)/g, "");
  const asked = async (ask: (path: string, body: object) => Promise<Response>) => {
    const chat = "/v1/chat/completions";
    const wrong = await ask(chat, { ...body, top_p: 3 });
    assertEquals(wrong.status, 400);
    const texts = [
      await (await ask(chat, body)).text(),
      await (await ask(chat, { ...body, stream: true })).text(),
      await (await ask("/v1/messages", body)).text(),
      await (await ask("/api/chat", { messages, options: { seed, num_predict }, stream: false })).text(),
      await wrong.text(),
    ];
    return texts.map(plain).map((text) => text.replace(/"(\w+_duration|created_at)":("[^"]*"|\d+)/g, ""));
  };

  it("gives the same answers in the runtime's server, in hono's, and under a prefix", async () => {
    const direct = await asked((path, body) => small.post(path, body));
    const app = new Hono().get("/", (context) => context.text("mine")).mount("/llm", small.server.fetch);
    for (const [handler, prefix] of [[small.server.fetch, ""], [app.fetch, "/llm"]] as const) {
      const mounted = await serveByRuntime((request) => handler(request));
      try {
        const url = `http://127.0.0.1:${mounted.port}`;
        assertEquals(await asked((path, body) => fetch(posted(`${url}${prefix}${path}`, body))), direct);
        const models = await (await fetch(`${url}${prefix}/v1/models`)).json();
        assertEquals(models.data[0].id, "stories");
        const root = await (await fetch(`${url}/`)).text();
        assert(prefix === "" ? root.startsWith("<!doctype html>") : root === "mine", root.slice(0, 40));
        // One that leaves frees its place under a prefix, too.
        const long = { ...body, max_tokens: 400, stream: true };
        const controller = new AbortController();
        const open = await fetch(posted(`${url}${prefix}/v1/chat/completions`, long), { signal: controller.signal });
        await open.body?.getReader().read();
        controller.abort();
        for (let tries = 0; small.server.open > 0; tries++) {
          assert(tries < 5000, "it is still open");
          await pause(5);
        }
      } finally {
        await mounted.close();
      }
    }
  });
});

describe("sockets", () => {
  let small: SmallServer;
  let listening: Listening;
  before(async () => {
    small = await serveStories();
    listening = await listen(small.server, { port: 0 });
  });
  after(async () => {
    await small[Symbol.asyncDispose]();
    await listening.close();
  });
  /** A socket, and all that came by it so far. */
  const open = async () => {
    const socket: Socket = connect({ port: listening.port, host: "127.0.0.1", allowHalfOpen: true });
    const seen = { text: "", isClosed: false };
    socket.setEncoding("utf8").on("data", (text: string) => seen.text += text);
    for (const ending of ["end", "close", "error"]) socket.on(ending, () => seen.isClosed = true);
    await new Promise<void>((done) => socket.once("connect", () => done()));
    return { socket, seen };
  };
  const request = (body: object, head: readonly string[] = []) => {
    const text = JSON.stringify(body);
    const lines = ["POST /v1/completions HTTP/1.1", "host: 127.0.0.1", "content-type: application/json", ...head];
    return [...lines, `content-length: ${text.length}`, "", text].join("\r\n");
  };
  const until = async (test: () => boolean, what: () => string) => {
    for (let tries = 0; !test(); tries++) {
      assert(tries < 10_000, what());
      await pause(5);
    }
  };
  const isServing = async () => {
    const response = await fetch(posted(`${listening.url}/v1/completions`, { prompt: "Once", max_tokens: 2 }));
    assertEquals((await response.json()).usage.completion_tokens, 2);
  };
  const answers = (text: string) => text.match(/HTTP\/1\.1 200/g)?.length ?? 0;

  it("are answered where a request comes byte by byte, and two where two come at once", async () => {
    const slow = await open();
    for (const byte of request({ prompt: "Once", max_tokens: 2, seed: 1 })) {
      slow.socket.write(byte);
      await pause(0);
    }
    await until(() => answers(slow.seen.text) === 1, () => slow.seen.text);
    slow.socket.destroy();
    const both = await open();
    const [first, second] = [1, 2].map((most) => request({ prompt: "Once", max_tokens: most, seed: 1 }));
    both.socket.write(first + second);
    // Bun 1.4.5 closes a connection whose second request comes before the first is answered: clients ask again.
    // Of an answer that takes a while the head comes before the rest.
    const counts = () => [...both.seen.text.matchAll(/"completion_tokens":(\d+),/g)].map(([, count]) => count);
    await until(() => counts().length === 2 || both.seen.isClosed, () => both.seen.text);
    const seen = counts();
    assertEquals(seen, ["1", "2"].slice(0, both.seen.isClosed ? seen.length : 2), "in the order in which they came");
    both.socket.destroy();
  });

  it("leave nothing behind where they half-close, break their chunks, or say nothing", async () => {
    const idle = await Promise.all(Array.from({ length: often(100, 1000) }, open));
    const half = await open();
    half.socket.end(request({ prompt: "Once", max_tokens: 400, stream: true }));
    const cut = await open();
    cut.socket.write(request({ prompt: "Once" }).slice(0, -5));
    const broken = await open();
    const head = ["POST /v1/completions HTTP/1.1", "host: 127.0.0.1", "content-type: application/json"];
    broken.socket.write([...head, "transfer-encoding: chunked", "", "zz", "{}", ""].join("\r\n"));
    const garbage = await open();
    garbage.socket.write("\x16\x03\x01 this is no HTTP\r\n\r\n");
    await until(() => broken.seen.isClosed || broken.seen.text !== "", () => "broken chunks are answered");
    if (broken.seen.text !== "") assertMatch(broken.seen.text, /^HTTP\/1\.1 400/);
    await isServing();
    for (const { socket } of [...idle, half, cut, broken, garbage]) socket.destroy();
    const { batcher } = small.lm;
    const isFree = () => small.server.open === 0 && batcher.stats().running + batcher.stats().paused === 0;
    await until(isFree, () => `${small.server.open} are open, ${JSON.stringify(batcher.stats())}`);
    await isServing();
  });

  it("survive a silence before the head and inside a stream", async () => {
    const silence = often(300, 60_000);
    const submit = small.lm.batcher.submit.bind(small.lm.batcher);
    small.lm.batcher.submit = (request) => {
      const pieces = submit(request);
      const next = pieces.next.bind(pieces);
      let count = 0;
      pieces.next = async () => {
        if (count++ % 3 === 0) await pause(silence);
        return await next();
      };
      return pieces;
    };
    // What a timer of the same length gets to on this machine, which may be busy, or stop this process for a while.
    let ticks = 0;
    let timer = setTimeout(function again() {
      ticks++;
      timer = setTimeout(again, 5000);
    }, 5000);
    try {
      const body = { prompt: "Once", max_tokens: 4, seed: 1 };
      const asked = [body, { ...body, stream: true }].map((one) =>
        fetch(posted(`${listening.url}/v1/completions`, one)).then((response) => response.text())
      );
      const [whole, streamed] = await Promise.all(asked);
      assertEquals(JSON.parse(whole).usage.completion_tokens, 4);
      assert(streamed.endsWith("data: [DONE]\n\n"), streamed);
      const signs = streamed.match(/^: alive$/gm)?.length ?? 0;
      // Each of the two silences in it may end just before a sign.
      assert(signs >= ticks - 3, `${signs} signs of life, ${ticks} ticks`);
    } finally {
      clearTimeout(timer);
      small.lm.batcher.submit = submit;
    }
  });
});
