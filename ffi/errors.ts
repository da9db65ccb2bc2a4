/**
 * What LightGPT throws: one class with a stable `code`, and a subclass only where a caller acts differently.
 *
 * A message is one plain sentence: what was wrong, where, and what would be right. The parts of it are in `detail` too,
 * for programs. Everything else, of TypeScript or of the library, is turned into one of these.
 *
 * @module
 */

import type { ErrorCode } from "./wire.ts";

export type { ErrorCode } from "./wire.ts";

/**
 * The parts of an error message, each absent where it has nothing to say.
 *
 * @example
 * ```ts
 * import { type ErrorDetail, InvalidArgumentError, Sampler } from "@lightgpt/lightgpt";
 *
 * try {
 *   new Sampler({ topK: -1 });
 * } catch (error) {
 *   if (!(error instanceof InvalidArgumentError)) throw error;
 *   const { where, expected, got }: ErrorDetail = error.detail;
 *   console.log(where, expected, got); // topK an integer from 0 to 4294967295 -1
 * }
 * ```
 */
export interface ErrorDetail {
  /** What was wrong, in a few words. */
  readonly what?: string;
  /** The option, the tensor, the metadata key or the file it was found in. */
  readonly where?: string;
  /** What would have been right. */
  readonly expected?: string;
  /** What was there instead. */
  readonly got?: string;
}

/**
 * The error of LightGPT; `code` says which kind.
 *
 * @example
 * ```ts
 * import { LightGPT, LightGPTError } from "@lightgpt/lightgpt";
 *
 * try {
 *   await LightGPT.load("missing.gguf");
 * } catch (error) {
 *   if (error instanceof LightGPTError && error.code === "io") console.error(error.message);
 * }
 * ```
 */
export class LightGPTError extends Error {
  /** What kind of thing went wrong. */
  readonly code: ErrorCode;
  /** The parts of the message. */
  readonly detail: ErrorDetail;

  /** Makes an error of the kind `code`; `options` may carry the cause. */
  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
    this.detail = detail;
  }

  /** What `JSON.stringify` takes: name, code, message, the parts of the message, and what a subclass adds. */
  toJSON(): Record<string, unknown> {
    const { name, message } = this;
    // An error's own message is no enumerable field, what a subclass adds is.
    const { cause: _, ...fields } = this;
    return { ...fields, name, message };
  }
}

/**
 * Where in a model file something is wrong.
 *
 * @example
 * ```ts
 * import { type ModelFormatDetail, ModelFormatError } from "@lightgpt/lightgpt";
 *
 * const detail: ModelFormatDetail = { field: "general.alignment", offset: 24, expected: "a power of two", got: "33" };
 * console.log(new ModelFormatError("The alignment cannot be used", detail).offset); // 24
 * ```
 */
export interface ModelFormatDetail {
  /** The field of the file: a metadata key, a tensor's name, or a part of the header. */
  readonly field: string;
  /** The byte in the file, where one can be named. */
  readonly offset?: number | undefined;
  /** What would have been right. */
  readonly expected?: string;
  /** What was there instead. */
  readonly got?: string;
}

/**
 * A model file is damaged or contradicts itself; `field` and `offset` say where.
 *
 * @example
 * ```ts
 * import { LightGPT, ModelFormatError } from "@lightgpt/lightgpt";
 *
 * try {
 *   await LightGPT.load("truncated.gguf");
 * } catch (error) {
 *   if (error instanceof ModelFormatError) console.error(`${error.field} at byte ${error.offset}`);
 * }
 * ```
 */
export class ModelFormatError extends LightGPTError {
  /** The field of the file that is wrong. */
  readonly field: string;
  /** The byte in the file, where one can be named. */
  readonly offset: number | undefined;

  /** Makes an error about one field of a file. */
  constructor(message: string, { field, offset, expected, got }: ModelFormatDetail, options?: ErrorOptions) {
    const shown = printable(message);
    super("modelFormat", shown, {
      what: shown,
      where: field,
      ...(expected === undefined ? {} : { expected }),
      ...(got === undefined ? {} : { got }),
    }, options);
    this.field = field;
    this.offset = offset;
  }
}

/**
 * Something is right but LightGPT cannot do it (yet): an architecture, a tensor type, a processor.
 *
 * @example
 * ```ts
 * import { LightGPT, UnsupportedError } from "@lightgpt/lightgpt";
 *
 * const lm = await LightGPT.load("new.gguf").catch((error) => {
 *   if (error instanceof UnsupportedError) return LightGPT.load();
 *   throw error;
 * });
 * ```
 */
export class UnsupportedError extends LightGPTError {
  /** Makes an error about something that is not supported. */
  constructor(message: string, detail?: ErrorDetail, options?: ErrorOptions) {
    super("unsupported", printable(message), detail, options);
  }
}

/**
 * An argument or option is wrong: the caller's program needs a change.
 *
 * @example
 * ```ts
 * import { InvalidArgumentError, LightGPT } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * try {
 *   await lm.complete("Once", { maxTokens: -1 });
 * } catch (error) {
 *   if (error instanceof InvalidArgumentError) console.error(error.detail.where); // "maxTokens"
 * }
 * ```
 */
export class InvalidArgumentError extends LightGPTError {
  /** Makes an error about an argument. */
  constructor(message: string, detail?: ErrorDetail, options?: ErrorOptions) {
    super("invalidArgument", message, detail, options);
  }
}

/**
 * There is not enough memory; a smaller context or model may fit.
 *
 * @example
 * ```ts
 * import { LightGPT, OutOfMemoryError } from "@lightgpt/lightgpt";
 *
 * const lm = await LightGPT.load("model.gguf", { context: 131072 }).catch((error) => {
 *   if (error instanceof OutOfMemoryError) return LightGPT.load("model.gguf", { context: 4096 });
 *   throw error;
 * });
 * ```
 */
export class OutOfMemoryError extends LightGPTError {
  /** Makes an error about memory. */
  constructor(message: string, detail?: ErrorDetail, options?: ErrorOptions) {
    super("outOfMemory", message, detail, options);
  }
}

/**
 * Something was used after its `dispose()`, or was disposed while it was used.
 *
 * @example
 * ```ts
 * import { ClosedError, LightGPT } from "@lightgpt/lightgpt";
 *
 * const lm = await LightGPT.load();
 * await lm.dispose();
 * await lm.complete("Once").catch((error) => console.log(error instanceof ClosedError)); // true
 * ```
 */
export class ClosedError extends LightGPTError {
  /** Makes an error about something that is closed. */
  constructor(message: string, detail?: ErrorDetail, options?: ErrorOptions) {
    super("closed", message, detail, options);
  }
}

/**
 * An `AbortSignal` ended the work; `cause` is the signal's reason.
 *
 * @example
 * ```ts
 * import { CancelledError, LightGPT } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * try {
 *   await lm.complete("Once upon a time", { signal: AbortSignal.timeout(50) });
 * } catch (error) {
 *   if (!(error instanceof CancelledError)) throw error;
 * }
 * ```
 */
export class CancelledError extends LightGPTError {
  /** Makes an error about work that was given up. */
  constructor(message: string, detail?: ErrorDetail, options?: ErrorOptions) {
    super("cancelled", message, detail, options);
  }
}

/**
 * More requests are open than may be; the same one will be taken later.
 *
 * @example
 * ```ts
 * import { LightGPT, QueueFullError } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * try {
 *   for await (const { text } of lm.batcher.submit({ prompt: "Once upon a time" })) console.log(text);
 * } catch (error) {
 *   if (!(error instanceof QueueFullError)) throw error;
 *   console.log("Busy; again in", error.retryAfterMs, "ms");
 * }
 * ```
 */
export class QueueFullError extends LightGPTError {
  /** When there will probably be room, in milliseconds from now. */
  readonly retryAfterMs: number;

  /** Makes an error about `open` requests where `most` may wait. */
  constructor(open: number, most: number, retryAfterMs: number) {
    super("queueFull", `${open} requests wait, and at most ${most} may; try again in ${retryAfterMs} ms.`, {
      what: "the queue is full",
      where: "batcher",
      expected: `at most ${most} requests that wait`,
      got: `${open}`,
    });
    this.retryAfterMs = retryAfterMs;
  }
}

/** A message without control characters: names from a file are untrusted, and messages end up in terminals. */
function printable(message: string): string {
  return message.replace(/\p{Cc}/gu, (code) => `\\x${code.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

/** One sentence of the parts of an error: `what: where; expected this, got that.` */
export function sentence({ what = "Something failed", where, expected, got }: ErrorDetail): string {
  let text = where === undefined || where === "" ? what : `${what}: ${where}`;
  if (expected) text += `; expected ${expected}`;
  if (got) text += `${expected ? ", got" : "; got"} ${got}`;
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/** The error class that belongs to `code`, made from the parts of its message. */
export function errorFor(code: ErrorCode, detail: ErrorDetail, options?: ErrorOptions): LightGPTError {
  const message = sentence(detail);
  switch (code) {
    case "modelFormat":
      return new ModelFormatError(message, {
        field: detail.where ?? "model",
        ...(detail.expected === undefined ? {} : { expected: detail.expected }),
        ...(detail.got === undefined ? {} : { got: detail.got }),
      }, options);
    case "unsupported":
      return new UnsupportedError(message, detail, options);
    case "invalidArgument":
      return new InvalidArgumentError(message, detail, options);
    case "outOfMemory":
      return new OutOfMemoryError(message, detail, options);
    case "closed":
      return new ClosedError(message, detail, options);
    case "cancelled":
      return new CancelledError(message, detail, options);
    default:
      return new LightGPTError(code, message, detail, options);
  }
}
