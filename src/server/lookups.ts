/**
 * What is found by a name in its path: a model, a response that is kept.
 *
 * @module
 */
import type { JsonValue } from "../text/chat/inputs.ts";
import { Failure, refuse } from "./failure.ts";
import type { AnswerStore, ModelPool } from "./types.ts";

/** A model as OpenAI lists it. */
export function modelEntry({ name, created }: { readonly name: string; readonly created: number }): JsonValue {
  return { id: name, object: "model", created, owned_by: "lightgpt" };
}

/** What a path with a name in it tells; undefined where it is no such path. */
export function lookUp(
  { method, url }: Request,
  { models, answers }: { readonly models: ModelPool; readonly answers: AnswerStore },
  tenant: string,
): JsonValue | undefined {
  const { pathname: path, searchParams } = new URL(url);
  const [, kind, part] = /^\/v1\/(models|responses)\/(.+)$/.exec(path) ?? [];
  if (kind === undefined) return undefined;
  const name = decoded(part);
  if (kind === "models" && method === "GET") {
    const found = models.list.find((one) => one.name === name);
    if (found !== undefined) return modelEntry(found);
    throw new Failure(`The model ${JSON.stringify(name.slice(0, 100))} does not exist.`, {
      status: 404,
      type: "invalid_request_error",
      code: "model_not_found",
      param: "model",
    });
  }
  if (kind === "responses" && method === "GET") {
    const [query] = [...searchParams.keys()];
    if (query !== undefined) refuse(query, `${query}: a response that is kept is told whole, and as it is.`);
    return answers.find(name, tenant).response;
  }
  if (kind !== "responses" || method !== "DELETE") return undefined;
  answers.forget(name, tenant);
  return { id: name, object: "response", deleted: true };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (error) {
    throw new Failure("The path is not encoded as paths are.", { status: 400, type: "invalid_request_error" }, {
      cause: error,
    });
  }
}
