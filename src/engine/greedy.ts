/**
 * The choice of the likeliest token, for the house's own steps: those that are measured, and those in which a model guesses.
 *
 * @module
 */
import { resolveSampling } from "../sampling/resolve.ts";
import { SamplerState } from "../sampling/state.ts";

/** A sampler that chooses the likeliest token. */
export function greedySampler(): SamplerState {
  return new SamplerState(resolveSampling({ temperature: 0, seed: 0 }));
}
