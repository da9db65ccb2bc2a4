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
import { detokenize, detokenizeNames, tokenize, tokenizeNames } from "./skins/tokens.ts";
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
  readonly tell?: "health" | "ready" | "metrics" | "models" | "openapi";
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
  { method: "GET", path: "/v1/models", dialect: "openai", about: "The models.", tell: "models" },
  { method: "GET", path: "/health", dialect: "openai", about: "Whether the process is alive.", tell: "health" },
  { method: "GET", path: "/ready", dialect: "openai", about: "Whether requests would be taken now.", tell: "ready" },
  { method: "GET", path: "/metrics", dialect: "openai", about: "Figures as Prometheus reads them.", tell: "metrics" },
  { method: "GET", path: "/openapi.json", dialect: "openai", about: "This list.", tell: "openapi" },
];
