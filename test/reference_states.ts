/**
 * Mixers with a state, in float64 by plain loops, for `reference.ts`: what each gives for the inputs of all tokens.
 *
 * @module
 */
import type { LayerParameters } from "../src/model/architectures/types.ts";

/** A layer's weights and what is done with them. */
export interface ReferenceLayer {
  readonly parameters: LayerParameters;
  /** A tensor, row after row. */
  need(role: string): Float64Array;
  /** A matrix times a vector. */
  project(role: string, input: Float64Array): Float64Array;
}

/** What a mixer gives, before it is added. */
export function mixWithState(layer: ReferenceLayer, inputs: readonly Float64Array[]): Float64Array[] {
  switch (layer.parameters.mixer) {
    case "shortConvolution":
      return shortConvolution(layer, inputs);
    case "attention":
      throw new Error("Attention has no state.");
  }
}

function shortConvolution(layer: ReferenceLayer, inputs: readonly Float64Array[]): Float64Array[] {
  const parts = inputs.map((input) => thirds(layer.project("ssm_in", input)));
  const convolved = convolve(layer, parts.map(([b, , z]) => b.map((value, channel) => value * z[channel])));
  return parts.map(([, c], token) =>
    layer.project("ssm_out", c.map((value, channel) => value * convolved[token][channel]))
  );
}

/** The causal convolution of each channel. */
function convolve(
  { parameters: { convKernel: taps }, need }: ReferenceLayer,
  inputs: readonly Float64Array[],
): Float64Array[] {
  const kernel = need("ssm_conv1d");
  return inputs.map((input, token) =>
    input.map((_, channel) => {
      let sum = 0;
      for (let tap = 0; tap < taps; tap++) {
        sum += (inputs[token - taps + 1 + tap]?.[channel] ?? 0) * kernel[channel * taps + tap];
      }
      return sum;
    })
  );
}

function thirds(row: Float64Array): [Float64Array, Float64Array, Float64Array] {
  const length = row.length / 3;
  return [row.subarray(0, length), row.subarray(length, 2 * length), row.subarray(2 * length)];
}
