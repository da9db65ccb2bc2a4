/**
 * A text in windows, and an engine that reads them one after the other and keeps the inputs of products (`Engine.captured`).
 * Calibrating and collecting an importance matrix use it.
 *
 * @module
 */
import { given } from "../options/schema.ts";
import { InvalidArgumentError } from "../../ffi/errors.ts";
import { Engine, type EngineModel, kvSizes } from "../engine/engine.ts";
import type { Model } from "../model/model.ts";
import { pagesFor } from "../engine/page_pool.ts";
import { headOf } from "./window.ts";

const pageSize = 32;

/**
 * Cuts a text into windows, each of which begins as the file wants a text to begin.
 *
 * @returns the tokens of each window
 * @throws {CancelledError} once the signal is aborted
 */
export async function windowsOf(
  { tokenizer }: Pick<Model, "tokenizer">,
  text: string,
  window: number,
  signal: AbortSignal | undefined,
): Promise<Uint32Array[]> {
  const ids = await tokenizer.encodeAsync(text, { addSpecial: false, ...given({ signal }) });
  const head = headOf(tokenizer);
  const step = window - head.length;
  const windows: Uint32Array[] = [];
  for (let begin = 0; begin < ids.length; begin += step) {
    windows.push(Uint32Array.of(...head, ...ids.subarray(begin, begin + step)));
  }
  if (windows.length === 0) {
    throw new InvalidArgumentError("text: expected a text with at least one token, like what the model will read.", {
      what: "a text without tokens",
      where: "text",
      expected: "at least one token",
      got: "none",
    });
  }
  return windows;
}

/** Makes an engine for windows of at most so many tokens; the caller disposes it. */
export function openReader(model: EngineModel, window: number, threads: number, activationBits: 8 | 16 = 8): Engine {
  return new Engine(model, {
    kv: "f32",
    pageSize,
    pages: kvSizes(model.plan, "f32", pageSize).statePages + pagesFor(window, pageSize),
    batchTokens: window,
    sequences: 1,
    threads,
    activationBits,
    logitRows: 1,
  });
}

/** Reads one window from its beginning. */
export async function readWindow(engine: Engine, tokens: Uint32Array): Promise<void> {
  const count = engine.statePages + pagesFor(tokens.length, pageSize);
  const pages = Array.from({ length: count }, (_, page) => page);
  const [{ error }] = await engine.run([{ id: 1, position: 0, tokens, pages, logits: "none" }], false);
  if (error !== undefined) throw error;
}
