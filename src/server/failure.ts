/**
 * What goes wrong, as clients hear it: one table from the codes of errors to status, type and headers, in the forms of the
 * three dialects. What is no error of ours becomes a bare 500, so that no path and no stack leaves the process.
 *
 * @module
 */
import { type ErrorCode, LightGPTError, QueueFullError } from "../../ffi/errors.ts";
import type { Dialect } from "./types.ts";

/** The parts of a failure beside its message. */
export interface FailureParts {
  readonly status: number;
  /** OpenAI's kind of error. */
  readonly type: string;
  readonly code?: string | undefined;
  /** The field of the body that is wrong. */
  readonly param?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An answer that is an error. */
export class Failure extends Error {
  readonly parts: FailureParts;

  constructor(message: string, parts: FailureParts, options?: ErrorOptions) {
    super(message, options);
    this.parts = parts;
  }
}

/** Throws the failure of a request that is wrong in `param`. */
export function refuse(param: string, message: string, code?: string): never {
  throw new Failure(message, { status: 400, type: "invalid_request_error", param, code });
}

/** Refuses a request while the server is closed. */
export function draining(): Failure {
  return new Failure("The server takes no requests now.", {
    status: 503,
    type: "server_error",
    code: "not_ready",
    headers: { "retry-after": "1" },
  });
}

/** The failure of a request for files where there is no folder for them. */
export function noFolder(): Failure {
  return new Failure("This server keeps no files: it has no folder for them (files; --files FOLDER).", {
    status: 501,
    type: "server_error",
    code: "not_implemented",
    headers: { "x-should-retry": "false" },
  });
}

/** Throws for a model that there is not. */
export function refuseModel(name: unknown, list: Iterable<{ readonly name: string }>): never {
  const shown = typeof name === "string" ? JSON.stringify(name.slice(0, 100)) : "what is named";
  const there = Array.from(list, (one) => one.name).join(", ");
  throw new Failure(`The model ${shown} does not exist; there are ${there}.`, {
    status: 404,
    type: "invalid_request_error",
    code: "model_not_found",
    param: "model",
  });
}

/** A repeat cannot help. */
const never = { "x-should-retry": "false" };
const soon = { "retry-after": "1" };

/** The table; what a code of ours is to a client. */
const table: Readonly<Record<ErrorCode, FailureParts>> = {
  invalidArgument: { status: 400, type: "invalid_request_error" },
  unsupported: { status: 400, type: "invalid_request_error", code: "unsupported" },
  limit: { status: 400, type: "invalid_request_error", code: "limit_exceeded" },
  queueFull: { status: 429, type: "rate_limit_error", code: "queue_full" },
  outOfMemory: { status: 503, type: "server_error", code: "out_of_memory", headers: soon },
  closed: { status: 503, type: "server_error", code: "shutting_down", headers: soon },
  cancelled: { status: 499, type: "invalid_request_error", code: "cancelled" },
  incomplete: { status: 500, type: "server_error", code: "incomplete" },
  invalidOutput: { status: 500, type: "server_error", code: "invalid_output" },
  nonFinite: { status: 500, type: "server_error", code: "non_finite", headers: never },
  modelFormat: { status: 500, type: "server_error", code: "model_format", headers: never },
  library: { status: 500, type: "server_error", code: "library", headers: never },
  io: { status: 500, type: "server_error", code: "io", headers: never },
};

/** Codes whose messages are about the server's own files. */
const ownCodes: readonly ErrorCode[] = ["modelFormat", "library", "io"];

/** The failure that an error is to a client. */
export function failureOf(error: unknown): Failure {
  if (error instanceof Failure) return error;
  if (!(error instanceof LightGPTError)) {
    return new Failure("The server failed.", { status: 500, type: "server_error", code: "internal_error" }, {
      cause: error,
    });
  }
  const { code, detail, message } = error;
  const parts = table[code];
  if (ownCodes.includes(code)) return new Failure("The model cannot be used.", parts, { cause: error });
  if (error instanceof QueueFullError) {
    const { retryAfterMs } = error;
    const headers = { "retry-after-ms": `${retryAfterMs}`, "retry-after": `${Math.ceil(retryAfterMs / 1000)}` };
    return new Failure(message, { ...parts, headers }, { cause: error });
  }
  const isTooLong = detail.what === "too long for the context";
  const known = isTooLong ? { code: "context_length_exceeded" } : {};
  const isNamed = code === "invalidArgument" || (code === "unsupported" && detail.where === "suffix");
  const param = isNamed && detail.where !== undefined ? { param: detail.where } : {};
  return new Failure(message, { ...parts, ...param, ...known }, { cause: error });
}

/** Anthropic's names for the kinds of errors, by status. */
const anthropicTypes: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  503: "overloaded_error",
};

/** A failure as the body of an answer. */
export function failureBody({ message, parts }: Failure, dialect: Dialect): object {
  const { status, type, code = null, param = null } = parts;
  if (dialect === "ollama") return { error: message };
  if (dialect === "anthropic") {
    const fallback = status < 500 ? "invalid_request_error" : "api_error";
    return { type: "error", error: { type: anthropicTypes[status] ?? fallback, message } };
  }
  return { error: { message, type, param, code } };
}

/** A failure as an answer. */
export function failureResponse(failure: Failure, dialect: Dialect): Response {
  const { status, headers = {} } = failure.parts;
  return Response.json(failureBody(failure, dialect), { status, headers });
}

/** A failure as the last part of a streamed body, which does not end cleanly after it. */
export function failureFrame(failure: Failure, dialect: Dialect): string {
  const text = JSON.stringify(failureBody(failure, dialect));
  if (dialect === "ollama") return `${text}\n`;
  return dialect === "anthropic" ? `event: error\ndata: ${text}\n\n` : `data: ${text}\n\n`;
}
