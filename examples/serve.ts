/**
 * A server that clients of OpenAI know, on Deno and on Bun.
 *
 *     deno run -A examples/serve.ts                      (or: bun examples/serve.ts)
 *     curl -N http://127.0.0.1:8080/v1/completions -H "content-type: application/json" \
 *       -d '{"model": "stories", "prompt": "The red fox", "max_tokens": 100, "stream": true}'
 */
import process from "node:process";
import { createServer, listen } from "../exports/server.ts";
import { LightGPT } from "../mod.ts";

const lm = await LightGPT.load();
const server = createServer({ models: { stories: lm } });
console.log((await listen(server, { port: Number(process.env.PORT ?? 8080) })).url);
