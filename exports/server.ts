/**
 * A server of models that clients of OpenAI, Anthropic and Ollama know: a web-standard handler for `Deno.serve`, `Bun.serve`
 * or any other. Nothing else of LightGPT loads it.
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { createServer } from "@lightgpt/lightgpt/server";
 *
 * await using lm = await LightGPT.load("model.gguf");
 * await using server = createServer({ models: { stories: lm }, keys: ["a long secret"] });
 * const headers = { authorization: "Bearer a long secret" };
 * console.log(await (await server.fetch(new Request("http://localhost/v1/models", { headers }))).json());
 * ```
 *
 * @module
 */
export { createServer, type Server } from "../src/server/server.ts";
export { listen, type Listening, type ListenOptions } from "../src/server/listen.ts";
export type {
  AccessLogEntry,
  ServedModelOptions,
  ServerKey,
  ServerLimitOptions,
  ServerOptions,
} from "../src/server/options.ts";
