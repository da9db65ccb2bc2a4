/**
 * The paths of a server, as one table: what each takes, in which dialect it answers, and what does the work. The list of
 * `/openapi.json` comes from it, and so does the answer to a method that a path does not know.
 *
 * @module
 */
import type { Fields } from "../options/schema.ts";
import type { JsonValue } from "../text/chat/inputs.ts";
import { chatNames, planChat } from "./skins/chat.ts";
import { completionNames, planCompletions } from "./skins/completions.ts";
import { countNames, countTokens, messagesNames, planMessages } from "./skins/messages.ts";
import * as ollama from "./skins/ollama.ts";
import { planResponses, responsesNames } from "./skins/responses.ts";
import { detokenize, detokenizeNames, tokenize, tokenizeNames } from "./skins/tokens.ts";
import { Failure } from "./failure.ts";
import type { Call, Dialect, Plan } from "./types.ts";

/** What a path does. */
export interface Route {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly dialect: Dialect;
  readonly about: string;
  /** The fields of the body, where it has one. */
  readonly names?: Fields;
  /** Generates: what a body asks for, as jobs. */
  readonly plan?: (call: Call) => Promise<Plan>;
  /** Answers at once, by the model that the body names. */
  readonly answer?: (call: Call) => JsonValue | Promise<JsonValue>;
  /** Tells something of the server itself. */
  readonly tell?: "health" | "ready" | "metrics" | "models" | "openapi" | "tags" | "version";
}

/** What clients may ask for and is still to come. */
function notImplemented(): never {
  throw new Failure("This server makes no embeddings yet.", {
    status: 501,
    type: "server_error",
    code: "not_implemented",
    headers: { "x-should-retry": "false" },
  });
}

/** All paths. */
export const ROUTES: readonly Route[] = [
  {
    method: "POST",
    path: "/v1/chat/completions",
    dialect: "openai",
    about: "Answers a conversation.",
    names: chatNames,
    plan: planChat,
  },
  {
    method: "POST",
    path: "/v1/completions",
    dialect: "openai",
    about: "Goes on with texts or tokens.",
    names: completionNames,
    plan: planCompletions,
  },
  {
    method: "POST",
    path: "/tokenize",
    dialect: "openai",
    about: "The tokens of a text or a conversation.",
    names: tokenizeNames,
    answer: tokenize,
  },
  {
    method: "POST",
    path: "/detokenize",
    dialect: "openai",
    about: "The text of tokens.",
    names: detokenizeNames,
    answer: detokenize,
  },
  {
    method: "POST",
    path: "/v1/responses",
    dialect: "openai",
    about: "Answers a conversation; GET and DELETE /v1/responses/ID tell and forget an answer that is kept.",
    names: responsesNames,
    plan: planResponses,
  },
  {
    method: "POST",
    path: "/v1/messages",
    dialect: "anthropic",
    about: "Answers a conversation, as clients of Anthropic ask.",
    names: messagesNames,
    plan: planMessages,
  },
  {
    method: "POST",
    path: "/v1/messages/count_tokens",
    dialect: "anthropic",
    about: "How many tokens a conversation has.",
    names: countNames,
    answer: countTokens,
  },
  {
    method: "POST",
    path: "/api/chat",
    dialect: "ollama",
    about: "Answers a conversation, as clients of Ollama ask.",
    names: ollama.chatNames,
    plan: ollama.planChat,
  },
  {
    method: "POST",
    path: "/api/generate",
    dialect: "ollama",
    about: "Answers a prompt, as clients of Ollama ask.",
    names: ollama.generateNames,
    plan: ollama.planGenerate,
  },
  {
    method: "POST",
    path: "/api/show",
    dialect: "ollama",
    about: "What is known of a model.",
    names: ollama.showNames,
    answer: ollama.show,
  },
  { method: "GET", path: "/api/tags", dialect: "ollama", about: "The models, as Ollama lists them.", tell: "tags" },
  { method: "GET", path: "/api/version", dialect: "ollama", about: "The version.", tell: "version" },
  ...["/v1/embeddings", "/api/embed", "/api/embeddings"].map((path): Route => ({
    method: "POST",
    path,
    dialect: path.startsWith("/api") ? "ollama" : "openai",
    about: "Embeddings: not implemented yet, status 501.",
    answer: notImplemented,
  })),
  { method: "GET", path: "/v1/models", dialect: "openai", about: "The models.", tell: "models" },
  { method: "GET", path: "/health", dialect: "openai", about: "Whether the process is alive.", tell: "health" },
  { method: "GET", path: "/ready", dialect: "openai", about: "Whether requests would be taken now.", tell: "ready" },
  { method: "GET", path: "/metrics", dialect: "openai", about: "Figures as Prometheus reads them.", tell: "metrics" },
  { method: "GET", path: "/openapi.json", dialect: "openai", about: "This list.", tell: "openapi" },
];
