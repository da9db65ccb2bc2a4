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
import { dialectOf, type Outcome } from "./types.ts";

/** A value as the answer of a request that has ended. */
export function told(
  value: JsonValue,
  ended: (outcome: Outcome) => void,
  completions: readonly Completion[] = [],
): Response {
  ended({ status: 200, ...countsOf(completions) });
  return Response.json(value);
}

/**
 * All answers, once they have ended. An answer that is sent whole has no body yet whose reader could leave, so the request's
 * signal says it, where it can; others do without, for Deno warns where a signal is touched.
 */
export async function finished(
  run: Run,
  request: Request,
  controller: AbortController,
): Promise<readonly Completion[]> {
  const signal = currentRuntime().hearsLeaving ? request.signal : undefined;
  const abort = () => controller.abort();
  signal?.addEventListener("abort", abort, { once: true });
  try {
    if (signal?.aborted) abort();
    while (await run.next() !== undefined) { /* what the pieces say, the completions say */ }
    return run.completions;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

/** What a request came to in numbers. */
export function countsOf(completions: readonly Completion[]): Pick<Outcome, "promptTokens" | "tokens" | "reasons"> {
  if (completions.length === 0) return {};
  const sum = (value: (one: Completion) => number) => completions.reduce((total, one) => total + value(one), 0);
  return {
    promptTokens: sum((one) => one.promptTokens),
    tokens: sum((one) => one.generatedTokens),
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

/** Throws for a method that a path does not know. */
export function refuseMethod(method: string, path: string): never {
  const methods = ROUTES.filter((route) => route.path === path).map((route) => route.method);
  throw new Failure(`${method} is not for ${path}; ${methods.join(" and ")} is.`, {
    status: 405,
    type: "invalid_request_error",
    headers: { allow: methods.join(", ") },
  });
}

/** A path that there is not. */
export function unknownPath(path: string): Failure {
  return new Failure(`There is no ${path.slice(0, 100)} here; /openapi.json lists what there is.`, {
    status: 404,
    type: "invalid_request_error",
    code: "unknown_url",
  });
}
