/**
 * A forward pass in float64 by plain loops over a model's plan: no batching, no packing, no shared code with the library.
 * It shows that the table of architectures means what it should, and how the library's graph ought to come out.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import {
  type ModelPlan,
  planModel,
  type PlannedTensor,
  type PlanOptions,
} from "../src/model/architectures/architectures.ts";
import type { Rotation } from "../src/model/architectures/types.ts";
import { mixWithState } from "./reference_states.ts";
import { type Gguf, readGguf } from "../src/files/gguf/read.ts";
import { expertsOf } from "./reference-experts.ts";

/** The logits after every token, as float64. Weights have to be F32 or F16. `options` are those of the plan. */
export function referenceLogits(path: string, tokens: readonly number[], options: PlanOptions = {}): Float64Array[] {
  const gguf = readGguf(path);
  return referencePass(gguf, planModel(gguf, options), tokens).logits;
}

/**
 * The logits after every token, and what the last norm gave before them; `beside`: of a drafter's layer, what the model's last norm
 * gave after the token before each.
 */
export function referencePass(
  gguf: Gguf,
  { hyperparameters: h, tensors }: ModelPlan,
  tokens: readonly number[],
  beside: readonly Float64Array[] = [],
): { logits: Float64Array[]; states: Float64Array[] } {
  const data = gguf.files.map((file) => readFileSync(file));
  const weights = new Map(tensors.map((tensor) => [`${tensor.role} ${tensor.layer}`, tensor]));
  const find = (role: string, layer = 0) => {
    const tensor = weights.get(`${role} ${layer}`);
    return tensor === undefined ? undefined : widen(data[tensor.tensor.file], tensor);
  };
  const need = (role: string, layer = 0) => {
    const found = find(role, layer);
    if (found === undefined) throw new Error(`The plan has no ${role} for layer ${layer}`);
    return found;
  };
  const embedding = need("token_embd");
  const x: Float64Array[] = tokens.map((token) =>
    Float64Array.from(embedding.subarray(token * h.embedding, (token + 1) * h.embedding), (e) => e * h.embeddingScale)
  );

  if (h.joinsStates) {
    x.forEach((vector, position) => {
      const halves = [
        norm(vector, need("nextn_enorm"), h.epsilon),
        norm(beside[position], need("nextn_hnorm"), h.epsilon),
      ];
      x[position] = multiply(need("nextn_eh_proj"), Float64Array.from(halves.flatMap((half) => [...half])));
    });
  }

  const inputs = h.layerInputs === 0 ? undefined : x.map((vector, position) => layerInputs(vector, tokens[position]));
  const kept: { keys: Float64Array[]; values: Float64Array[] }[] = [];
  for (const [layer, parameters] of h.perLayer.entries()) {
    const { heads, kvHeads, kDim, vDim, window, rotation } = parameters;
    const project = (role: string, input: Float64Array) =>
      add(multiply(need(role, layer), input), find(`${role}_bias`, layer));
    const normalise = (role: string, input: Float64Array) => norm(input, need(role, layer), h.epsilon);
    const maybeNormalise = (role: string, input: Float64Array) =>
      find(role, layer) === undefined ? input : normalise(role, input);
    const read = (role: string, input: Float64Array) =>
      h.norms === "rootMeanSquare"
        ? maybeNormalise(role, input)
        : layerNorm(input, need(role, layer), find(`${role}_bias`, layer), h.epsilon);
    const rotated = (role: string, input: Float64Array, position: number) => {
      let vector = project(role, input);
      if (parameters.attentionGate && role === "attn_q") vector = takeGates(vector, kDim).queries;
      if (h.queryNorms === "rows") vector = maybeNormalise(`${role}_norm`, vector);
      for (let at = 0; at < vector.length; at += kDim) {
        const head = vector.subarray(at, at + kDim);
        if (h.queryNorms === "heads") head.set(maybeNormalise(`${role}_norm`, head.slice()));
        if (rotation > 0) rotate(head, position, h.rotations[rotation - 1]);
        if (h.queryNorms === "rotatedHeads") head.set(maybeNormalise(`${role}_norm`, head.slice()));
      }
      return vector;
    };
    const stateOf = () => ({
      parameters,
      epsilon: h.epsilon,
      project,
      need: (role: string) => need(role, layer),
      find: (role: string) => find(role, layer),
    });
    const normed = x.map((vector) => read("attn_norm", vector));
    const before = h.parallel ? normed : undefined;
    const beside = parameters.mixer === "paired" ? mixWithState(stateOf(), normed) : undefined;
    const mix = (position: number, given: Float64Array) => {
      const result = add(given, beside?.[position]);
      x[position] = add(x[position], scaled(maybeNormalise("post_attention_norm", result)));
    };
    const attend = (inputs: readonly Float64Array[]) => {
      const gated = parameters.attentionGate ? inputs.map((vector) => takeGates(project("attn_q", vector), kDim)) : [];
      const queries = inputs.map((vector, position) => rotated("attn_q", vector, position));
      kept[layer] = parameters.keys === "ofLayer" ? kept[parameters.keysLayer] : {
        keys: inputs.map((vector, position) => rotated("attn_k", vector, position)),
        values: inputs.map((vector) => {
          const value = project(parameters.keys === "own" ? "attn_v" : "attn_k", vector);
          return h.valueNorms ? inParts(value, vDim, (head) => norm(head, undefined, h.epsilon)) : value;
        }),
      };
      const { keys, values } = kept[layer];
      for (const [position, query] of queries.entries()) {
        const temperature = 1 + h.temperatureScale * Math.log(Math.floor(position / h.temperatureContext) + 1);
        const out = new Float64Array(heads * vDim);
        const sinks = find("attn_sinks", layer);
        const first = window === 0 ? 0 : Math.max(0, position - window + 1);
        for (let head = 0; head < heads; head++) {
          const group = Math.floor(head * kvHeads / heads);
          const scores: number[] = [];
          for (let past = first; past <= position; past++) {
            let score = 0;
            for (let i = 0; i < kDim; i++) score += query[head * kDim + i] * keys[past][group * kDim + i];
            scores.push(softcap(score * h.attentionScale * temperature, h.attentionSoftcap));
          }
          const most = Math.max(...scores);
          const shares = scores.map((score) => Math.exp(score - most));
          const sink = sinks === undefined ? 0 : Math.exp(sinks[head] - most);
          const sum = shares.reduce((total, share) => total + share, sink);
          shares.forEach((share, index) => {
            const value = values[first + index];
            for (let i = 0; i < vDim; i++) out[head * vDim + i] += share / sum * value[group * vDim + i];
          });
        }
        gated[position]?.gates.forEach((gate, index) => out[index] /= 1 + Math.exp(-gate));
        mix(position, project("attn_output", out));
      }
    };
    if (parameters.mixer === "attention" || parameters.mixer === "paired") attend(normed);
    else if (parameters.mixer !== "none") {
      mixWithState(stateOf(), normed).forEach((result, position) => mix(position, result));
    }
    if (parameters.feedForward + parameters.experts === 0) continue;
    const dense = (input: Float64Array) => {
      const up = project("ffn_up", input);
      const gate = h.feedForwardGate ? project("ffn_gate", input) : up;
      return project("ffn_down", gate.map((gate, i) => gated(gate, up[i])));
    };
    const experts = {
      router: h,
      hasGate: h.feedForwardGate,
      layer: parameters,
      find: (role: string) => find(role, layer),
      gated,
    };
    const feedForward = (vector: Float64Array, input: Float64Array) => {
      if (parameters.experts === 0) return dense(input);
      if (parameters.feedForward === 0) return expertsOf(experts, input);
      const routed = normalise("ffn_gate_inp_scale", vector).map((value) => value / Math.sqrt(h.embedding));
      const sparse = expertsOf(experts, normalise("pre_ffw_norm_2", vector), routed);
      return add(normalise("post_ffw_norm_1", dense(input)), normalise("post_ffw_norm_2", sparse));
    };
    x.forEach((vector, position) => {
      const input = before?.[position] ?? read("ffn_norm", vector);
      x[position] = add(vector, scaled(maybeNormalise("post_ffw_norm", feedForward(vector, input))));
    });
    inputs?.forEach((ofLayers, position) => {
      const own = ofLayers.subarray(layer * h.layerInputs, (layer + 1) * h.layerInputs);
      const gated = project("inp_gate", x[position]).map((gate, i) => activate(gate) * own[i]);
      x[position] = add(x[position], normalise("post_norm", project("proj", gated)));
    });
    const factor = find("layer_output_scale", layer)?.[0] ?? 1;
    x.forEach((vector, position) => x[position] = vector.map((value) => value * factor));
  }
  const output = find("output") ?? embedding;
  const states = x.map(lastNorm);
  const logits = states.map((state) =>
    multiply(output, state).map((logit) => softcap(logit * h.logitScale, h.logitSoftcap))
  );
  return { logits, states };

  function lastNorm(vector: Float64Array): Float64Array {
    const weight = need("output_norm");
    if (h.norms === "rootMeanSquare" && !h.lastDeviation) return norm(vector, weight, h.epsilon);
    return layerNorm(vector, weight, find("output_norm_bias"), h.epsilon);
  }

  /** What the layers get of a token beside the stream, one layer after the other. */
  function layerInputs(stream: Float64Array, token: number): Float64Array {
    const count = h.layerInputs * h.layers;
    const own = need("per_layer_token_embd").subarray(token * count, (token + 1) * count);
    const projected = multiply(need("per_layer_model_proj"), stream).map((value) => value / Math.sqrt(h.embedding));
    const weight = need("per_layer_proj_norm");
    const normed = inParts(projected, h.layerInputs, (part) => norm(part, weight, h.epsilon));
    return normed.map((value, i) => (value + own[i] * Math.sqrt(h.layerInputs)) / Math.SQRT2);
  }

  function scaled(result: Float64Array): Float64Array {
    return result.map((value) => value * h.residualScale);
  }

  function rotate(head: Float64Array, position: number, rotation: Rotation): void {
    const { base, dimensions, scale, rampBegin, rampEnd, magnitude } = rotation;
    const factors = rotation.factors ? find("rope_freqs") : undefined;
    const half = dimensions / 2;
    for (let k = 0; k < half; k++) {
      const kept = 1 - Math.min(1, Math.max(0, (k - rampBegin) / Math.max(0.001, rampEnd - rampBegin)));
      const frequency = base ** (-2 * k / dimensions) / (factors?.[k] ?? 1);
      const angle = position * (scale * (1 - kept) + kept) * frequency;
      const [i, j] = h.ropeStyle === "norm" ? [2 * k, 2 * k + 1] : [k, k + half];
      const [a, b] = [head[i], head[j]];
      head[i] = (a * Math.cos(angle) - b * Math.sin(angle)) * magnitude;
      head[j] = (a * Math.sin(angle) + b * Math.cos(angle)) * magnitude;
    }
  }

  function gated(gate: number, up: number): number {
    if (h.activation !== "clamped") return activate(gate) * up;
    const low = Math.min(gate, 7);
    return low / (1 + Math.exp(-1.702 * low)) * (Math.max(-7, Math.min(up, 7)) + 1);
  }

  function activate(value: number): number {
    if (h.activation === "relu") return Math.max(0, value);
    if (h.activation === "silu") return value / (1 + Math.exp(-value));
    return 0.5 * value * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (value + 0.044715 * value ** 3)));
  }
}

/** Queries and gates, which come head by head. */
function takeGates(row: Float64Array, kDim: number): { queries: Float64Array; gates: Float64Array } {
  const isGate = (index: number) => Math.floor(index / kDim) % 2 === 1;
  return { queries: row.filter((_, index) => !isGate(index)), gates: row.filter((_, index) => isGate(index)) };
}

function widen(data: Uint8Array, { tensor, offset, columns, rows, slabs, stride }: PlannedTensor): Float64Array {
  const view = new DataView(data.buffer, data.byteOffset + offset);
  const read = tensor.typeName === "F32"
    ? (index: number) => view.getFloat32(4 * index, true)
    : (index: number) => half(view.getUint16(2 * index, true));
  const each = columns * rows;
  const apart = stride / (tensor.typeName === "F32" ? 4 : 2);
  return Float64Array.from({ length: slabs * each }, (_, i) => read(Math.floor(i / each) * apart + i % each));
}

function half(bits: number): number {
  const [exponent, fraction] = [bits >> 10 & 31, bits & 1023];
  const size = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
  return bits & 0x8000 ? -size : size;
}

function multiply(matrix: Float64Array, input: Float64Array): Float64Array {
  const out = new Float64Array(matrix.length / input.length);
  for (let row = 0, at = 0; row < out.length; row++) {
    let sum = 0;
    for (let column = 0; column < input.length; column++) sum += matrix[at++] * input[column];
    out[row] = sum;
  }
  return out;
}

function add(left: Float64Array, right: Float64Array | undefined): Float64Array {
  return right === undefined ? left : left.map((value, index) => value + right[index]);
}

/** A vector with each part of `length` elements replaced. */
function inParts(vector: Float64Array, length: number, replace: (part: Float64Array) => Float64Array): Float64Array {
  const out = new Float64Array(vector.length);
  for (let at = 0; at < vector.length; at += length) out.set(replace(vector.slice(at, at + length)), at);
  return out;
}

function norm(input: Float64Array, weight: Float64Array | undefined, epsilon: number): Float64Array {
  const mean = input.reduce((sum, value) => sum + value * value, 0) / input.length;
  const scale = 1 / Math.sqrt(mean + epsilon);
  return input.map((value, index) => value * scale * (weight?.[index] ?? 1));
}

function layerNorm(
  input: Float64Array,
  weight: Float64Array,
  bias: Float64Array | undefined,
  epsilon: number,
): Float64Array {
  const mean = input.reduce((sum, value) => sum + value, 0) / input.length;
  return add(norm(input.map((value) => value - mean), weight, epsilon), bias);
}

function softcap(value: number, cap: number): number {
  return cap === 0 ? value : cap * Math.tanh(value / cap);
}
