/**
 * How requests end: with a value, with what is wrong, once all answers have ended; and what the log and the figures hear of it.
 *
 * @module
 */
import { currentRuntime } from "../../ffi/runtime/pick.ts";
import type { Completion } from "../batching/completion.ts";
import type { JsonValue } from "../text/chat/inputs.ts";
import { Failure, failureResponse } from "./failure.ts";
import { finishReason } from "./openai.ts";
import { ROUTES } from "./routes.ts";
import type { Run } from "./run.ts";
import { type Backend, dialectOf, type Outcome, type Served } from "./types.ts";

/** A value as the answer of a request that has ended. */
export function told(
  value: JsonValue,
  ended: (outcome: Outcome) => void,
  counts: Underway["counts"] = () => ({}),
): Response {
  ended({ status: 200, ...counts() });
  return Response.json(value);
}

/** Work that an answer tells: what ends it, and what it came to so far. */
export interface Underway {
  readonly end: () => void;
  readonly counts: () => Pick<Outcome, "promptTokens" | "tokens" | "longest" | "reasons">;
}

/** A run as the work of an answer. */
export function underway(run: Run): Underway {
  return { end: () => run.end(), counts: () => countsOf(run.completions) };
}

/** What generates for a model; refuses one that only makes vectors or ranks. */
export function generating({ name, backend }: Served): Backend {
  if (backend !== undefined) return backend;
  throw new Failure(
    `The model ${name} generates no text; it is for /v1/embeddings or /v1/rerank. Expected a model that generates.`,
    { status: 400, type: "invalid_request_error", code: "unsupported", param: "model" },
  );
}

/** All answers of a run, once they have ended. */
export async function completed(run: Run): Promise<readonly Completion[]> {
  while (!run.isFinished) await run.take(); // what the pieces say, the completions say
  return run.completions;
}

/**
 * What work gives. An answer that is sent whole has no body yet whose reader could leave, so the request's signal says it, where
 * it can; others do without, for Deno warns where a signal is touched.
 */
export async function finished<T>(work: () => Promise<T>, request: Request, controller: AbortController): Promise<T> {
  const signal = currentRuntime().hearsLeaving ? request.signal : undefined;
  const abort = () => controller.abort();
  signal?.addEventListener("abort", abort, { once: true });
  try {
    if (signal?.aborted) abort();
    return await work();
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

/** What a request came to in numbers. */
export function countsOf(all: readonly Completion[]): ReturnType<Underway["counts"]> {
  const completions = Object.values(all); // where a client leaves, some answers have ended, and not the ones before them
  if (completions.length === 0) return {};
  const sum = (value: (one: Completion) => number) => completions.reduce((total, one) => total + value(one), 0);
  return {
    promptTokens: sum((one) => one.promptTokens),
    tokens: sum((one) => one.generatedTokens),
    longest: Math.max(...completions.map((one) => one.generatedTokens)),
    reasons: completions.map(finishReason),
  };
}

/** An error as the log has it: what a client does not hear, it says. */
export function describe({ message, cause }: Failure): string {
  return cause instanceof Error && cause.message !== message ? `${message} (${cause.name}: ${cause.message})` : message;
}

/** An error as an answer. */
export function refused(failure: Failure, path: string, ended: (outcome: Outcome) => void): Response {
  ended({ status: failure.parts.status, error: describe(failure) });
  return failureResponse(failure, dialectOf(path));
}

/** Throws for a method that the route `path` does not know; `asked` is the path of the request. */
export function refuseMethod(method: string, path: string, asked: string): never {
  const methods = ROUTES.filter((route) => route.path === path).map((route) => route.method);
  const others = `${methods.join(" and ")} ${methods.length === 1 ? "is" : "are"}`;
  throw new Failure(`${method} is not for ${asked.slice(0, 100)}; ${others}.`, {
    status: 405,
    type: "invalid_request_error",
    headers: { allow: methods.join(", ") },
  });
}

/** A path that there is not. The base URL of a client may lack /v1, or have it where the client adds it itself. */
export function unknownPath(path: string): Failure {
  const tried = [`/v1${path}`, path.replace(/^\/v1(?=\/)/, ""), path.replace(/^\/+/, "/")];
  const near = tried.find((one) => one !== path && ROUTES.some((route) => route.path === one));
  const hint = near === undefined ? "/openapi.json lists what there is." : `did you mean ${near}?`;
  return new Failure(`There is no ${path.slice(0, 100)} here; ${hint}`, {
    status: 404,
    type: "invalid_request_error",
    code: "unknown_url",
  });
}
