/**
 * How a template fails: as Python would say it, by its own words, or by what is not supported here.
 *
 * @module
 */
import { UnsupportedError } from "../../../ffi/errors.ts";

/** The kinds of Python's and Jinja's errors that matter: some are caught by what looks up attributes. */
export type FailureKind =
  | "AttributeError"
  | "FilterArgumentError"
  | "KeyError"
  | "IndexError"
  | "OverflowError"
  | "SecurityError"
  | "TemplateRuntimeError"
  | "TemplateSyntaxError"
  | "TypeError"
  | "UndefinedError"
  | "ValueError"
  | "ZeroDivisionError";

/** An error of a template. */
export class Failure extends Error {
  /** Python's or Jinja's name of it. */
  readonly kind: FailureKind;

  constructor(kind: FailureKind, message: string) {
    super(message);
    this.kind = kind;
  }
}

/** What a template says by `raise_exception`. */
export class Refusal extends Error {}

/** Throws a TypeError of Python's. */
export function wrongType(message: string): never {
  throw new Failure("TypeError", message);
}

/** The error about something that Jinja has and that is refused here by name. */
export function unsupported(what: string, why: string): UnsupportedError {
  return new UnsupportedError(`The chat template uses ${what}, which is not supported: ${why}.`, {
    what: `${what} of a chat template`,
    where: "tokenizer.chat_template",
    expected: "a template without it",
  });
}
