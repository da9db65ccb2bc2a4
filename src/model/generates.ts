/**
 * Whether a model generates text: what keeps positions and chooses tokens asks before it does anything.
 *
 * @module
 */
import { UnsupportedError } from "../../ffi/errors.ts";
import type { ModelPlan } from "./architectures/architectures.ts";

const generatesNone = "a model that generates no text";

/** Whether an error says that a model reads texts and generates none. */
export function isReadingOnly(error: unknown): boolean {
  return error instanceof UnsupportedError && error.detail.what === generatesNone;
}

/** Refuses a model that reads texts and generates none. */
export function assertGenerates({ texts, hyperparameters: { architecture } }: ModelPlan): void {
  if (texts.generates) return;
  throw new UnsupportedError(
    `A model of the architecture ${architecture} that sees texts in both directions generates none; ` +
      "expected a model that generates text, or `Embedder.load` for its vectors and scores.",
    { what: generatesNone, where: architecture, expected: "a model that generates text" },
  );
}
