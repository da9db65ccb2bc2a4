/**
 * `/v1/embeddings` and `/v1/rerank`: vectors of texts as clients of OpenAI know them, and documents by how well they answer a query
 * as those of Jina, Cohere and llama.cpp do. A score is the model's own number.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { embedFields, rerankFields } from "../../embedding/options.ts";
import { boolean, choice, type Fields, text } from "../../options/schema.ts";
import type { JsonValue } from "../../text/chat/inputs.ts";
import { refuse } from "../failure.ts";
import { anything, readBody } from "../names.ts";
import { newId } from "../openai.ts";
import { embedInputs, readInputs } from "../texts.ts";
import type { Call, TextsRead } from "../types.ts";

/** The fields of `/v1/embeddings`. */
export const embeddingNames = {
  model: text({ about: "The model." }),
  input: { ...anything("A text, token ids, or an array of these."), isRequired: true },
  encoding_format: choice(["float", "base64"], {
    about: "Numbers, or their bytes as base64: 32-bit floats, the low byte first.",
    default: "float",
  }),
  dimensions: embedFields.dimensions,
  user: text({ about: "Names the user for abuse reports; nothing is done with it." }),
  prompt: embedFields.prompt,
  truncate: embedFields.truncate,
  pooling: choice(["mean", "cls", "last"], { about: "What a vector is made of.", otherwise: "what the file says" }),
  normalize: embedFields.normalize,
} as const satisfies Fields;

/** The vectors that a body asks for. */
export async function embeddings(call: Call): Promise<TextsRead> {
  const { given, body } = readBody(embeddingNames, call.body);
  const { encoding_format, model: _, input: __, user: ___, ...options } = body;
  const inputs = readInputs("input", given.input, call.limits.inputsMax);
  const vectors = await embedInputs(call, "input", inputs, options);
  const told = (vector: Float32Array): JsonValue => encoding_format === "base64" ? base64(vector) : [...vector];
  const data = Array.from(vectors, (vector, index) => ({ object: "embedding", index, embedding: told(vector) }));
  const { tokens } = vectors;
  const usage = { prompt_tokens: tokens, total_tokens: tokens };
  return { value: { object: "list", data, model: call.served.name, usage }, promptTokens: tokens };
}

function base64({ buffer, byteOffset, byteLength }: Float32Array): string {
  return Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength).toString("base64");
}

/** The fields of `/v1/rerank`. */
export const rerankNames = {
  model: text({ about: "The model." }),
  query: text({ about: "The question.", required: true }),
  documents: { ...anything("What may answer it: texts, or objects with a text."), isRequired: true },
  top_n: rerankFields.top,
  return_documents: boolean({ about: "Whether the documents are told, too.", default: false }),
  truncate: rerankFields.truncate,
} as const satisfies Fields;

/** The scores that a body asks for. */
export async function rerank(call: Call): Promise<TextsRead> {
  const { given, body } = readBody(rerankNames, call.body);
  const documents = readDocuments(given.documents, call.limits.inputsMax);
  const { served, tenant, signal } = call;
  let promptTokens = 0;
  const ranked = await served.reading(tenant).rerank(body.query, documents, {
    truncate: body.truncate,
    signal,
    onProgress: ({ tokens }) => promptTokens = tokens,
  });
  const results = ranked.slice(0, body.top_n).map(({ index, score, document }) => ({
    index,
    relevance_score: score,
    ...(body.return_documents ? { document: { text: document } } : {}),
  }));
  const usage = { prompt_tokens: promptTokens, total_tokens: promptTokens };
  return { value: { id: newId("rerank-"), object: "list", model: served.name, results, usage }, promptTokens };
}

function readDocuments(value: unknown, most: number): string[] {
  if (!Array.isArray(value) || value.length === 0) {
    return refuse("documents", "documents: expected an array of texts, or of objects with a text.");
  }
  if (value.length > most) refuse("documents", `documents: expected at most ${most}, got ${value.length}.`);
  return value.map((one: unknown, index) => {
    const document = one !== null && typeof one === "object" ? (one as { readonly text?: unknown }).text : one;
    if (typeof document === "string") return document;
    return refuse(`documents[${index}]`, `documents[${index}]: expected a text, or an object with a text.`);
  });
}
