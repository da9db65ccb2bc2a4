/**
 * Batchers over the small model with a short context, for the tests of the batcher and of the prefix cache.
 *
 * @module
 */
import { after, before } from "node:test";
import { Batcher, type BatcherOptions, Model } from "../mod.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import { kvSizes } from "../src/engine/engine.ts";

/** The beginning of many prompts. */
export const stem =
  "Once upon a time, there was a little girl named Lily. She lived in a house by the bridge and had a red fox. ";

/** The model, from before the first test of a file to after its last. */
export let model: Model;
/** Bytes of the pages of one context. */
export let contextBytes: number;

/** To be called by each file, for Bun counts a hook to the file that registers it and loads this one once for all. */
export function useModel(): void {
  before(async () => {
    model = await Model.load(embeddedModel(), { context: 160 });
    contextBytes = kvSizes(model.plan, "f16", 16).pageBytes * 10;
  });
  after(() => model.dispose());
}

/** A batcher, which the caller disposes. */
export function open(options: BatcherOptions = {}): Batcher {
  return new Batcher(model, { pageSize: 16, ...options });
}
