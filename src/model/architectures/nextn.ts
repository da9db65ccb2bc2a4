/**
 * The drafter that some files have behind their layers (nextn, multi-token prediction): a layer that reads a token's embedding
 * joined with what the model's last norm gave after the token before, and guesses the token after. As a plan it is a model of one
 * layer; the library knows no other difference than the joining.
 *
 * @module
 */
import { UnsupportedError } from "../../../ffi/errors.ts";
import type { Gguf } from "../../files/gguf/read.ts";
import type { ModelPlan } from "./architectures.ts";
import { ARCHITECTURES } from "./table.ts";
import { planDrafterTensors } from "./tensors.ts";
import type { LayerParameters } from "./types.ts";

/** Whether a file has a drafter. */
export function hasDrafter({ metadata }: Gguf, { hyperparameters: { architecture } }: ModelPlan): boolean {
  return metadata.count(`${architecture}.nextn_predict_layers`, { least: 0, most: Infinity, fallback: 0 }) > 0;
}

/**
 * The plan of a file's drafter, the first where it has several.
 *
 * @param plan that of the model
 * @throws {UnsupportedError} where the file has none, or one whose layer is of no kind that is known
 */
export function planDrafter(gguf: Gguf, plan: ModelPlan): ModelPlan {
  const { hyperparameters: all } = plan;
  const traits = ARCHITECTURES.get(all.architecture);
  if (traits === undefined || !hasDrafter(gguf, plan)) {
    throw unsupported(gguf, "a file with extra prediction layers", "none");
  }
  const layer = layerOf(all.perLayer);
  if (layer === undefined) throw unsupported(gguf, "a model with layers of attention", all.architecture);
  const hyperparameters = {
    ...all,
    layers: 1,
    perLayer: [layer],
    layerInputs: 0,
    joinsStates: true,
    lastDeviation: traits.drafterDeviation === true,
  };
  const tensors = planDrafterTensors(gguf, hyperparameters, traits, {
    block: all.layers,
    ropeFactors: plan.ropeFactors,
  });
  const parameters = tensors.reduce((sum, { columns, rows, slabs }) => sum + columns * rows * slabs, 0);
  return { ...plan, hyperparameters, tensors, parameters };
}

/** A drafter's layer is like the model's last one with attention, with the feed-forward part of its last one that has any. */
function layerOf(layers: readonly LayerParameters[]): LayerParameters | undefined {
  const mixing = layers.findLast(({ mixer, keys }) => (mixer === "attention" || mixer === "latent") && keys === "own");
  const feeding = layers.findLast(({ feedForward, experts }) => feedForward + experts > 0);
  if (mixing === undefined || feeding === undefined) return undefined;
  const { feedForward, experts, expertsUsed, expertWidth, sharedWidth, expertLatent } = feeding;
  return { ...mixing, feedForward, experts, expertsUsed, expertWidth, sharedWidth, expertLatent };
}

function unsupported(gguf: Gguf, expected: string, got: string): UnsupportedError {
  return new UnsupportedError(`draft: expected ${expected}, got ${got}; ${gguf.files[0]}.`, {
    what: "a drafter that is not there",
    where: "draft",
    expected,
    got,
  });
}
