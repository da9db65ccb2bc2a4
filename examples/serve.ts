/**
 * A web server that streams stories as server-sent events, on Deno and on Bun.
 *
 *     deno run -A examples/serve.ts                      (or: bun examples/serve.ts)
 *     curl -N "http://127.0.0.1:8080/?prompt=The+red+fox"
 */
import process from "node:process";
import { LightGPT, LightGPTError } from "../mod.ts";

interface Serve {
  serve(options: { hostname: string; port: number; fetch?: Handler }, handler?: Handler): unknown;
}
type Handler = (request: Request) => Response;

const lm = await LightGPT.load();

function story(request: Request): Response {
  const prompt = new URL(request.url).searchParams.get("prompt") ?? "Once upon a time";
  if (prompt.length > 1000) return new Response("The prompt is too long.", { status: 400 });
  const encoder = new TextEncoder();
  // A client that closes the connection ends the generation; a slow reader holds up no other.
  const pieces = lm.generate(prompt, { maxTokens: 100, signal: request.signal });
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await pieces.next();
        const event = done ? "event: end\ndata: {}\n\n" : `data: ${JSON.stringify({ text: value.text })}\n\n`;
        controller.enqueue(encoder.encode(event));
        if (done) controller.close();
      } catch (error) {
        if (!(error instanceof LightGPTError)) throw error;
        controller.enqueue(encoder.encode(`event: error\ndata: ${JSON.stringify({ message: error.message })}\n\n`));
        controller.close();
      }
    },
    async cancel() {
      await pieces[Symbol.asyncDispose]();
    },
  });
  return new Response(body, { headers: { "content-type": "text/event-stream", "cache-control": "no-store" } });
}

const address = { hostname: "127.0.0.1", port: Number(process.env.PORT ?? 8080) };
const { Deno, Bun } = globalThis as unknown as { Deno?: Serve; Bun?: Serve };
if (Deno) Deno.serve(address, story);
else Bun?.serve({ ...address, fetch: story });
