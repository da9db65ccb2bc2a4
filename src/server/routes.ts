/**
 * The paths of a server, as one table: what each takes, and what does the work. The list of `/openapi.json` comes from it, and so
 * does the answer to a method that a path does not know.
 *
 * @module
 */
import { VERSION } from "../../ffi/wire.ts";
import type { JsonValue } from "../text/chat/inputs.ts";
import { chatNames, planChat } from "./skins/chat.ts";
import { embeddingNames, embeddings, rerank, rerankNames } from "./skins/embeddings.ts";
import { completionNames, planCompletions } from "./skins/completions.ts";
import { countNames, countTokens, messagesNames, planMessages } from "./skins/messages.ts";
import * as ollama from "./skins/ollama.ts";
import { embed, embedNames, embedOne, embedOneNames } from "./skins/ollama_embed.ts";
import { loadedTag, show, showNames, tag } from "./skins/ollama_models.ts";
import { cancelResponse, forgetResponse, tellResponse } from "./kept_responses.ts";
import { openApi } from "./openapi.ts";
import { playground } from "./playground/page.ts";
import { countInput, planResponses, responsesNames } from "./skins/responses.ts";
import { detokenize, detokenizeNames, tokenize, tokenizeNames } from "./skins/tokens.ts";
import { draining, refuseModel } from "./failure.ts";
import type { Listed, Look, Route } from "./types.ts";

/** All paths. */
export const ROUTES: readonly Route[] = [
  {
    method: "POST",
    path: "/v1/chat/completions",
    about: "Answers a conversation.",
    names: chatNames,
    plan: planChat,
  },
  {
    method: "POST",
    path: "/v1/completions",
    about: "Goes on with texts or tokens.",
    names: completionNames,
    plan: planCompletions,
  },
  {
    method: "POST",
    path: "/tokenize",
    about: "The tokens of a text or a conversation.",
    names: tokenizeNames,
    answer: tokenize,
  },
  {
    method: "POST",
    path: "/detokenize",
    about: "The text of tokens.",
    names: detokenizeNames,
    answer: detokenize,
  },
  {
    method: "POST",
    path: "/v1/responses",
    about: "Answers a conversation.",
    names: responsesNames,
    plan: planResponses,
  },
  {
    method: "POST",
    path: "/v1/responses/input_tokens",
    about: "How many tokens the prompt of a response has.",
    names: responsesNames,
    answer: countInput,
  },
  {
    method: "GET",
    path: "/v1/responses/:name",
    about: "A response that is kept; with stream=true the events of one in the background, from starting_after on.",
    tell: tellResponse,
  },
  {
    method: "DELETE",
    path: "/v1/responses/:name",
    about: "Forgets a response, and ends its work.",
    tell: forgetResponse,
  },
  {
    method: "POST",
    path: "/v1/responses/:name/cancel",
    about: "Ends the work of a response in the background.",
    tell: cancelResponse,
  },
  {
    method: "POST",
    path: "/v1/messages",
    about: "Answers a conversation, as clients of Anthropic ask.",
    names: messagesNames,
    plan: planMessages,
  },
  {
    method: "POST",
    path: "/v1/messages/count_tokens",
    about: "How many tokens a conversation has.",
    names: countNames,
    answer: countTokens,
  },
  {
    method: "POST",
    path: "/api/chat",
    about: "Answers a conversation, as clients of Ollama ask.",
    names: ollama.chatNames,
    plan: ollama.planChat,
  },
  {
    method: "POST",
    path: "/api/generate",
    about: "Answers a prompt, as clients of Ollama ask.",
    names: ollama.generateNames,
    plan: ollama.planGenerate,
  },
  {
    method: "POST",
    path: "/api/show",
    about: "What is known of a model.",
    names: showNames,
    answer: show,
  },
  {
    method: "GET",
    path: "/api/tags",
    about: "The models, as Ollama lists them.",
    tell: ({ host }) => ({ models: host.list.map(tag) }),
  },
  {
    method: "GET",
    path: "/api/ps",
    about: "The models that are loaded, as Ollama lists them.",
    tell: ({ host }) => ({ models: host.list.filter(({ served }) => served !== undefined).map(loadedTag) }),
  },
  { method: "GET", path: "/api/version", about: "The version.", tell: () => ({ version: VERSION }) },
  { method: "POST", path: "/v1/embeddings", about: "Vectors of texts.", names: embeddingNames, read: embeddings },
  {
    method: "POST",
    path: "/v1/rerank",
    about: "Documents by how well they answer a query.",
    names: rerankNames,
    read: rerank,
  },
  { method: "POST", path: "/api/embed", about: "Vectors of texts.", names: embedNames, read: embed },
  { method: "POST", path: "/api/embeddings", about: "The vector of a text.", names: embedOneNames, read: embedOne },
  {
    method: "GET",
    path: "/v1/models",
    about: "The models.",
    tell: ({ host }) => ({ object: "list", data: host.list.map(modelEntry) }),
  },
  { method: "GET", path: "/v1/models/:name{.+}", about: "A model.", tell: tellModel },
  { method: "GET", path: "/", about: "A page to try the models with.", isOpen: true, tell: playground },
  {
    method: "GET",
    path: "/health",
    about: "Whether the process is alive.",
    isOpen: true,
    tell: () => ({ status: "ok" }),
  },
  { method: "GET", path: "/ready", about: "Whether requests would be taken now.", tell: tellReady },
  { method: "GET", path: "/metrics", about: "Figures as Prometheus reads them.", tell: tellFigures },
  { method: "GET", path: "/openapi.json", about: "This list.", tell: () => openApi(ROUTES) },
];

/** A model as OpenAI lists it. */
function modelEntry({ name, created }: Listed): JsonValue {
  return { id: name, object: "model", created, owned_by: "lightgpt" };
}

function tellModel({ host, name }: Look): JsonValue {
  const found = host.list.find((one) => one.name === name);
  return found ? modelEntry(found) : refuseModel(name, host.list);
}

function tellReady({ host }: Look): JsonValue {
  if (host.isReady) return { status: "ready" };
  throw draining();
}

function tellFigures({ host }: Look): Response {
  return new Response(host.figures(), { headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" } });
}
