/**
 * What a model is asked for that it can do, but that it was not made for.
 *
 * @module
 */
import type { ModelPlan } from "./architectures/architectures.ts";

/**
 * Warns of what a caller should know before it uses a model.
 *
 * @param plan the model
 * @param context positions that will be used
 * @returns a sentence for each warning
 */
export function warningsOf({ hyperparameters }: ModelPlan, context: number): readonly string[] {
  const { architecture, context: trained } = hyperparameters;
  if (context <= trained) return [];
  return [
    `The context of ${context} tokens is longer than the ${trained} that the model was trained for ` +
    `(${architecture}.context_length); what it writes beyond these is likely to be poor.`,
  ];
}
