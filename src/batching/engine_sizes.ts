/**
 * How much an engine should have room for, from the model and the memory that the process may use.
 *
 * @module
 */
import { InvalidArgumentError, OutOfMemoryError } from "../../ffi/errors.ts";
import { native } from "../../ffi/native.ts";
import { type EngineSettings, pageBytes } from "../engine/engine.ts";
import type { Model } from "../model/model.ts";
import { chunkMost } from "../engine/step_times.ts";
import { pagesFor } from "../engine/page_pool.ts";

/** Sequences of a step, unless somebody says otherwise. */
export const sequencesDefault = 16;
/** Beyond the first, contexts get pages only within so much memory. */
const pageBudget = 2 ** 30;
/** Logits of a step get so much memory. */
const logitBudget = 2 ** 24;

/** What the engine should have room for: as many contexts as are cheap, and at least one. */
export function engineSizes(
  model: Model,
  { kv, pageSize, kvBytesMax, sequences = sequencesDefault }:
    & Pick<EngineSettings, "kv" | "pageSize">
    & { kvBytesMax?: number | undefined; sequences?: number },
): Pick<
  EngineSettings,
  "pages" | "sequences" | "batchTokens" | "logitRows"
> {
  const pages = pagesFor(model.context, pageSize);
  const bytes = pages * pageBytes(model.plan.hyperparameters, kv, pageSize);
  if (kvBytesMax !== undefined && kvBytesMax < bytes) {
    throw new InvalidArgumentError(
      `kvBytesMax: expected at least ${bytes} bytes, which the keys and values of a context of ${model.context} ` +
        `positions take, got ${kvBytesMax}; a smaller context needs less.`,
      { what: "too little for one context", where: "kvBytesMax", expected: `at least ${bytes}`, got: `${kvBytesMax}` },
    );
  }
  const wanted = model.residentBytes + Math.max(bytes, Math.min(pageBudget, bytes * sequences));
  const limit = native().memoryFor(wanted);
  const left = limit === undefined ? Infinity : limit - model.residentBytes;
  if (bytes > left) {
    const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
    throw new OutOfMemoryError(
      `context: the keys and values of ${model.context} positions take ${gib(bytes)}, and of ${gib(limit as number)} ` +
        `of memory the weights leave ${gib(left)}; expected a smaller context, or kv "q8_0".`,
      { what: "not enough memory", where: "context", expected: `at most ${gib(left)}`, got: gib(bytes) },
    );
  }
  const contexts = Math.max(1, Math.min(sequences, Math.floor(Math.min(pageBudget, left / 2) / bytes)));
  const logitRows = Math.floor(logitBudget / (4 * model.vocabulary));
  return {
    pages: kvBytesMax === undefined ? pages * contexts : Math.floor((pages * kvBytesMax) / bytes),
    sequences,
    batchTokens: chunkMost + sequences,
    logitRows: Math.max(sequences, Math.min(chunkMost, logitRows)),
  };
}
