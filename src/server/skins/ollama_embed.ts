/**
 * `/api/embed` and the older `/api/embeddings`: vectors of texts, as clients of Ollama know them.
 *
 * @module
 */
import { embedFields } from "../../embedding/options.ts";
import { boolean, type Fields, text } from "../../options/schema.ts";
import { anything, readBody } from "../names.ts";
import { embedInputs, readInputs } from "../texts.ts";
import type { Call, TextsRead } from "../types.ts";

const common = {
  model: text({ about: "The model." }),
  options: anything("Nothing: how a model runs is the server's part."),
  keep_alive: anything("Nothing: how long models stay is the server's part."),
  truncate: boolean({ about: "Whether a text that is too long is cut; else it is refused.", default: true }),
} as const;

/** The fields of `/api/embed`. */
export const embedNames = {
  ...common,
  input: anything("A text or an array of texts; without one, the model is only loaded."),
  dimensions: embedFields.dimensions,
} as const satisfies Fields;

/** The vectors that a body asks for. */
export async function embed(call: Call): Promise<TextsRead> {
  const begin = performance.now();
  const { given: { input }, body: { truncate, dimensions } } = readBody(embedNames, call.body);
  const isNone = input === undefined || input === "" || (Array.isArray(input) && input.length === 0);
  const { name } = call.served;
  if (isNone) return { value: { model: name, embeddings: [] }, promptTokens: 0 };
  const inputs = readInputs("input", input, call.limits.inputsMax);
  const vectors = await embedInputs(call, "input", inputs, {
    truncate,
    ...(dimensions === undefined ? {} : { dimensions }),
  });
  const total_duration = Math.round((performance.now() - begin) * 1e6); // nanoseconds
  const embeddings = Array.from(vectors, (vector) => [...vector]);
  const prompt_eval_count = vectors.tokens;
  return {
    value: { model: name, embeddings, total_duration, load_duration: 0, prompt_eval_count },
    promptTokens: vectors.tokens,
  };
}

/** The fields of `/api/embeddings`. */
export const embedOneNames = {
  ...common,
  prompt: text({ about: "A text; without one, the model is only loaded.", default: "" }),
} as const satisfies Fields;

/** The vector of one text. */
export async function embedOne(call: Call): Promise<TextsRead> {
  const { prompt, truncate } = readBody(embedOneNames, call.body).body;
  if (prompt === "") return { value: { embedding: [] }, promptTokens: 0 };
  const vectors = await embedInputs(call, "prompt", [prompt], { truncate });
  return { value: { embedding: [...vectors.row(0)] }, promptTokens: vectors.tokens };
}
