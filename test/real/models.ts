/**
 * The real models that `npm run models` fetches, and what is known of their answers (`real/greedy.json` of the kit). A test
 * that needs a model is skipped by name where it is absent; in CI that is a failure, unless the registry did not answer
 * (`LIGHTGPT_MODELS_OFFLINE`, which `.ci/run` sets).
 *
 * @module
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, it } from "node:test";
import { models, modelsFolder } from "../../scripts/models.js";
import { kitDirectory, readJson } from "../kit.ts";

/** One prompt and what a model answers to it. */
export interface GreedyPrompt {
  model: string;
  prompt: string;
  ids: number[];
  /** The tokens that follow by greedy choice over exact logits. */
  greedy: number[];
  /** Before each, by how much the highest logit exceeds the next. */
  margins: number[];
  /** The 32 highest log probabilities after the prompt: token, value. */
  top: [number, number][];
  llamacpp_as_is: number[];
}

/** The path of a model by its name in `scripts/models.js`; undefined where it was not fetched. */
export function realModel(name: string): string | undefined {
  const model = models.find((each) => each.name === name);
  if (model === undefined) throw new Error(`scripts/models.js has no "${name}"`);
  const path = join(modelsFolder(), model.file);
  return existsSync(path) ? path : undefined;
}

/** The kit's prompts for a model; none without the kit. */
export function greedyPrompts(model: string): GreedyPrompt[] {
  if (kitDirectory === undefined) return [];
  const { prompts } = readJson<{ prompts: GreedyPrompt[] }>(kitDirectory, "real", "greedy.json");
  return prompts.filter((prompt) => prompt.model === model);
}

/** Tests that need a real model: `body` is called with its path. */
export function describeReal(name: string, model: string, body: (path: string) => void): void {
  const path = realModel(model);
  const isOffline = process.env.LIGHTGPT_MODELS_OFFLINE === "1";
  if (path !== undefined) {
    describe(name, () => body(path));
  } else if (isOffline || process.env.CI !== "true") {
    it.skip(`${name}: needs ${model} (${isOffline ? "the package registry did not answer" : "npm run models"})`, () => {});
  } else {
    describe(name, () => {
      it(`needs ${model}`, () => {
        throw new Error(`${model}: not fetched (npm run models), and CI=true asks for it`);
      });
    });
  }
}
