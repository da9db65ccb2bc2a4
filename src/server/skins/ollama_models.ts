/**
 * `/api/tags`, `/api/ps` and `/api/show`: the models, as clients of Ollama know them.
 *
 * @module
 */
import { boolean, type Fields, text } from "../../options/schema.ts";
import type { JsonValue } from "../../text/chat/inputs.ts";
import { readBody } from "../names.ts";
import type { Call, Listed, Served } from "../types.ts";

/** What a list says of a model; of one that is not loaded, its name. */
export function tag({ name, created, served }: Listed): Record<string, JsonValue> {
  return {
    name,
    model: name,
    modified_at: new Date(created * 1000).toISOString(),
    size: served?.model.residentBytes ?? 0,
    digest: "",
    details: details(served),
  };
}

/** What is said of a model that is loaded: it stays, and none of it is on a graphics card. */
export function loadedTag(listed: Listed): JsonValue {
  return { ...tag(listed), expires_at: "9999-12-31T23:59:59Z", size_vram: 0 };
}

function details(served: Served | undefined): Record<string, JsonValue> {
  if (served === undefined) return { format: "gguf" };
  const { plan, gguf } = served.model;
  const family = gguf.metadata.text("general.architecture");
  return {
    parent_model: "",
    format: "gguf",
    family,
    families: [family],
    parameter_size: parametersText(plan.parameters),
    quantization_level: "",
  };
}

function parametersText(parameters: number): string {
  return parameters >= 1e9 ? `${(parameters / 1e9).toFixed(1)}B` : `${(parameters / 1e6).toFixed(2)}M`;
}

/** The fields of `/api/show`. */
export const showNames = {
  model: text({ about: "The model." }),
  verbose: boolean({ about: "Nothing: lists are never told.", default: false }),
} as const satisfies Fields;

/** What is known of a model: its template, and what its file says in numbers and texts. */
export function show({ body, served }: Call): JsonValue {
  readBody(showNames, body);
  const { metadata } = served.model.gguf;
  const key = "tokenizer.chat_template";
  const facts = Object.fromEntries(
    [...metadata.keys()].flatMap((name) => {
      const value = name === key ? undefined : metadata.get(name);
      const isPlain = typeof value === "string" || typeof value === "number" || typeof value === "boolean";
      return isPlain ? [[name, value as JsonValue]] : [];
    }),
  );
  return {
    template: served.template ?? (metadata.has(key) ? metadata.text(key) : ""),
    parameters: `num_ctx ${served.model.context}`,
    details: details(served),
    model_info: facts,
    capabilities: served.backend === undefined ? ["embedding"] : ["completion", "embedding"],
  };
}
