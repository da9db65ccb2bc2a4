/**
 * One line of a batch: a request in OpenAI's form, and what is written for it. The same line in the same place gives the same bytes
 * whenever it is worked: its seed comes from the line, and what only tells one run from another (ids, times, what a cache had) is left
 * out or comes from the line, too.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** The paths that lines may ask. */
export const batchPaths = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"] as const;

/** A request of a line. */
export interface LineRequest {
  readonly id: string | null;
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** What tells this line from all others. */
  readonly sum: string;
}

/** A line that is no request. */
export interface BadLine {
  readonly id: string | null;
  readonly sum: string;
  readonly message: string;
}

/** Reads a line; `number` counts from 1, and `path` is what all lines must ask, where that is said. */
export function readLine(text: string, number: number, path?: string): LineRequest | BadLine {
  const sum = createHash("sha256").update(`${number}\n${text}`).digest("hex");
  let line: unknown;
  try {
    line = JSON.parse(text);
  } catch {
    return { id: null, sum, message: `line ${number}: it is not JSON` };
  }
  if (line === null || typeof line !== "object" || Array.isArray(line)) {
    return { id: null, sum, message: `line ${number}: expected an object with custom_id, method, url and body` };
  }
  const { custom_id, method, url, body } = line as Record<string, unknown>;
  const id = typeof custom_id === "string" ? custom_id : null;
  const bad = (message: string): BadLine => ({ id, sum, message: `line ${number}: ${message}` });
  if (id === null) return bad("custom_id: expected a text");
  if (method !== "POST") return bad('method: expected "POST"');
  const allowed = path === undefined ? batchPaths : [path];
  if (!allowed.some((one) => one === url)) return bad(`url: expected ${allowed.join(", ")}`);
  if (body === null || typeof body !== "object" || Array.isArray(body)) return bad("body: expected an object");
  if ((body as { stream?: unknown }).stream === true) return bad("body.stream: expected false");
  return { id, sum, path: url as string, body: withSeed(url as string, body as Record<string, unknown>, sum) };
}

/** A request without a seed gets one of 52 bits, which every client reads as a number. */
function withSeed(path: string, body: Record<string, unknown>, sum: string): Record<string, unknown> {
  const isDrawn = body.seed === undefined || body.seed === null;
  return isDrawn && path !== "/v1/embeddings" ? { ...body, seed: Number.parseInt(sum.slice(0, 13), 16) } : body;
}

/** What is written for a line that is no request. */
export function badText({ id, sum, message }: BadLine): string {
  const error = { code: "invalid_line", message };
  return JSON.stringify({ id: `batch_req_${sum.slice(0, 32)}`, custom_id: id, response: null, error });
}

/** What is written for an answer. */
export function answerText({ id, sum }: LineRequest, status: number, body: unknown): string {
  const response = { status_code: status, request_id: sum.slice(32), body: settled(body, sum) };
  return JSON.stringify({ id: `batch_req_${sum.slice(0, 32)}`, custom_id: id, response, error: null });
}

/** An answer without what differs from run to run. */
function settled(body: unknown, sum: string): unknown {
  if (body === null || typeof body !== "object") return body;
  const answer = body as Record<string, unknown>;
  const { usage, choices } = answer;
  let calls = 0;
  const own = (call: object) => ({ ...call, id: `call_${sum.slice(0, 24)}${calls++}` });
  return {
    ...answer,
    ...(typeof answer.id === "string" ? { id: `${answer.id.split("-")[0]}-${sum.slice(0, 32)}` } : {}),
    ...(typeof answer.created === "number" ? { created: 0 } : {}),
    ...(usage !== null && typeof usage === "object" ? { usage: { ...usage, prompt_tokens_details: undefined } } : {}),
    ...(Array.isArray(choices)
      ? {
        choices: choices.map((choice: { message?: { tool_calls?: object[] } }) =>
          choice.message?.tool_calls === undefined
            ? choice
            : { ...choice, message: { ...choice.message, tool_calls: choice.message.tool_calls.map(own) } }
        ),
      }
      : {}),
  };
}
