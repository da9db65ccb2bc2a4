/**
 * Mixers with a state, in float64 by plain loops, for `reference.ts`: what each gives for the inputs of all tokens.
 *
 * @module
 */
import type { LayerParameters } from "../src/model/architectures/types.ts";

/** A layer's weights and what is done with them. */
export interface ReferenceLayer {
  readonly parameters: LayerParameters;
  /** What is added under the root of a norm. */
  readonly epsilon: number;
  /** A tensor, row after row. */
  need(role: string): Float64Array;
  /** One that not all models have. */
  find(role: string): Float64Array | undefined;
  /** A matrix times a vector, and its bias, where there is one of its name. */
  project(role: string, input: Float64Array): Float64Array;
}

/** What a mixer gives, before it is added. */
export function mixWithState(layer: ReferenceLayer, inputs: readonly Float64Array[]): Float64Array[] {
  switch (layer.parameters.mixer) {
    case "shortConvolution":
      return shortConvolution(layer, inputs);
    case "deltaRule":
      return deltaRule(layer, inputs);
    case "mamba2":
    case "paired":
      return mamba2(layer, inputs);
    case "attention":
    case "latent":
    case "none":
      throw new Error("The mixer has no state.");
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
  { parameters: { convKernel: taps }, need, find }: ReferenceLayer,
  inputs: readonly Float64Array[],
): Float64Array[] {
  const kernel = need("ssm_conv1d");
  const bias = find("ssm_conv1d_bias");
  return inputs.map((input, token) =>
    input.map((_, channel) => {
      let sum = 0;
      for (let tap = 0; tap < taps; tap++) {
        sum += (inputs[token - taps + 1 + tap]?.[channel] ?? 0) * kernel[channel * taps + tap];
      }
      return sum + (bias?.[channel] ?? 0);
    })
  );
}

/** Mamba-2. */
function mamba2(layer: ReferenceLayer, inputs: readonly Float64Array[]): Float64Array[] {
  const { parameters: { stateHeads: heads, stateGroups: groups, stateSize: size, stateWidth: width }, epsilon } = layer;
  const inner = heads * width;
  const convolved = convolve(layer, inputs.map((input) => layer.project("ssm_in", input)));
  const [rates, through] = ["ssm_a", "ssm_d"].map((role) => layer.need(role));
  const states = Array.from({ length: inner }, () => new Float64Array(size));
  return inputs.map((input, token) => {
    const row = convolved[token].map(silu);
    const z = layer.project("ssm_gate", input);
    const steps = layer.project("ssm_dt", input).map((step) => Math.log1p(Math.exp(step)));
    const gated = z.map((gate, channel) => {
      const head = Math.floor(channel / width);
      const group = Math.floor(head * groups / heads);
      const [b, c] = [group, groups + group].map((index) => row.subarray(inner + index * size));
      let sum = through[head] * row[channel];
      states[channel].forEach((state, i) => {
        const next = state * Math.exp(rates[head] * steps[head]) + steps[head] * row[channel] * b[i];
        states[channel][i] = next;
        sum += next * c[i];
      });
      return sum * silu(gate);
    });
    return layer.project("ssm_out", normOfGroups(gated, layer.find("ssm_norm"), groups, epsilon));
  });
}

function normOfGroups(row: Float64Array, weight: Float64Array | undefined, groups: number, epsilon: number) {
  if (weight === undefined) return row;
  const length = row.length / groups;
  return row.map((value, at) => {
    const begin = Math.floor(at / length) * length;
    const squares = row.subarray(begin, begin + length).reduce((sum, other) => sum + other * other, 0);
    return value / Math.sqrt(squares / length + epsilon) * weight[at];
  });
}

/** The gated delta rule. */
function deltaRule(layer: ReferenceLayer, inputs: readonly Float64Array[]): Float64Array[] {
  const { parameters: { stateHeads: heads, stateGroups: groups, stateSize: size, stateHeadsInTurn }, epsilon } = layer;
  const projected = inputs.map((input) => deltaProjections(layer, input));
  const convolved = convolve(layer, projected.map(({ channels }) => channels));
  const [rates, biases, weight] = ["ssm_a", "ssm_dt_bias", "ssm_norm"].map((role) => layer.need(role));
  const states = Array.from({ length: heads }, () => new Float64Array(size * size));
  return inputs.map((input, token) => {
    const row = convolved[token].map(silu);
    const part = (begin: number) => row.subarray(begin, begin + size);
    const { z } = projected[token];
    const out = new Float64Array(heads * size);
    for (const [head, m] of states.entries()) {
      const group = stateHeadsInTurn ? head % groups : Math.floor(head * groups / heads);
      const [q, k] = [group, groups + group].map((index) => unit(part(index * size), epsilon));
      const v = part((2 * groups + head) * size);
      const [beta, alpha] = gates(layer, input, head);
      const decay = Math.exp(rates[head] * Math.log1p(Math.exp(alpha + biases[head])));
      for (let i = 0; i < m.length; i++) m[i] *= decay;
      const result = new Float64Array(size);
      for (let column = 0; column < size; column++) {
        let known = 0;
        for (let i = 0; i < size; i++) known += k[i] * m[i * size + column];
        const d = (v[column] - known) / (1 + Math.exp(-beta));
        for (let i = 0; i < size; i++) {
          m[i * size + column] += k[i] * d;
          result[column] += q[i] * m[i * size + column] / Math.sqrt(size);
        }
      }
      const mean = result.reduce((sum, value) => sum + value * value, 0) / size;
      result.forEach((value, i) => {
        const at = head * size + i;
        out[at] = value / Math.sqrt(mean + epsilon) * weight[i] * silu(z[at]);
      });
    }
    return layer.project("ssm_out", out);
  });
}

/** What goes through the convolution, all queries, then keys, then values; and z. Old files have them group by group. */
function deltaProjections({ parameters, project }: ReferenceLayer, input: Float64Array) {
  const { stateHeads: heads, stateGroups: groups, stateSize: size, stateRowsTogether } = parameters;
  const rows = project("ssm_in", input);
  if (!stateRowsTogether) return { channels: rows, z: project("ssm_gate", input) };
  const shared = heads / groups * size;
  const of = (begin: number, length: number) =>
    Array.from({ length: groups }, (_, group) => group * 2 * (size + shared) + begin)
      .flatMap((at) => [...rows.subarray(at, at + length)]);
  const channels = [...of(0, size), ...of(size, size), ...of(2 * size, shared)];
  return { channels: Float64Array.from(channels), z: Float64Array.from(of(2 * size + shared, shared)) };
}

/** The projections of a head's gates, beta and alpha. */
function gates({ parameters, project }: ReferenceLayer, input: Float64Array, head: number): [number, number] {
  if (!parameters.stateGatesTogether) return [project("ssm_beta", input)[head], project("ssm_alpha", input)[head]];
  const both = project("ssm_ba", input);
  const shared = parameters.stateHeads / parameters.stateGroups;
  const begin = Math.floor(head / shared) * 2 * shared + head % shared;
  return [both[begin], both[begin + shared]];
}

function unit(vector: Float64Array, epsilon: number): Float64Array {
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0) + epsilon);
  return vector.map((value) => value / length);
}

function silu(value: number): number {
  return value / (1 + Math.exp(-value));
}

function thirds(row: Float64Array): [Float64Array, Float64Array, Float64Array] {
  const length = row.length / 3;
  return [row.subarray(0, length), row.subarray(length, 2 * length), row.subarray(2 * length)];
}
