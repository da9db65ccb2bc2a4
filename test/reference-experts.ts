/**
 * Experts in float64 by plain loops (`reference.ts`): scores, the choice, and the sum of what the chosen give.
 *
 * @module
 */
import type { Hyperparameters, LayerParameters } from "../src/model/architectures/types.ts";

/** What the feed-forward part of a layer with experts is made of. */
export interface ExpertParts {
  readonly router: RouterOf;
  /** Whether experts have a gate; without, up is its own. */
  readonly hasGate: boolean;
  readonly layer: LayerParameters;
  /** The values of a tensor of the layer, or undefined. */
  readonly find: (role: string) => Float64Array | undefined;
  readonly gated: (gate: number, up: number) => number;
}

type RouterOf = Pick<
  Hyperparameters,
  "routerScore" | "routerGroups" | "routerGroupsUsed" | "routerNormalises" | "routerScale"
>;

/** The smallest sum that weights are divided by. */
const sumLeast = 2 ** -14;

/** What the experts, and the shared one, make of a row; the router may read another. */
export function expertsOf(parts: ExpertParts, input: Float64Array, routed: Float64Array = input): Float64Array {
  const { layer, find, gated, hasGate } = parts;
  const part = (role: string, expert: number, size: number) => find(role)?.subarray(expert * size, (expert + 1) * size);
  const dense = (kind: string, inner: number, expert: number, input: Float64Array) => {
    const project = (name: string, from: Float64Array, rows: number) => {
      const product = times(part(`ffn_${name}_${kind}`, expert, rows * from.length), from);
      const bias = part(`ffn_${name}_${kind}_bias`, expert, rows);
      return bias === undefined ? product : product.map((value, row) => value + bias[row]);
    };
    const up = project("up", input, inner);
    const gate = hasGate ? project("gate", input, inner) : up;
    return project("down", gate.map((value, i) => gated(value, up[i])), input.length);
  };
  const narrow = layer.expertLatent > 0 ? times(find("ffn_latent_down"), input) : input;
  const sum = new Float64Array(narrow.length);
  const scales = find("ffn_down_exps_scale");
  for (const [expert, weight] of choose(parts, routed)) {
    const factor = weight * (scales?.[expert] ?? 1);
    dense("exps", layer.expertWidth, expert, narrow).forEach((value, i) => sum[i] += factor * value);
  }
  const out = layer.expertLatent > 0 ? times(find("ffn_latent_up"), sum) : sum;
  if (layer.sharedWidth === 0) return out;
  const gate = find("ffn_gate_inp_shexp");
  const weight = gate ? sigmoid(times(gate, input)[0]) : 1;
  const shared = dense("shexp", layer.sharedWidth, 0, input);
  return out.map((value, i) => value + weight * shared[i]);
}

/** The chosen experts and their weights. */
function choose({ router, layer, find }: ExpertParts, input: Float64Array): [number, number][] {
  const bias = find("ffn_gate_inp_bias");
  const logits = times(find("ffn_gate_inp"), input).map((logit, i) => logit + (bias?.[i] ?? 0));
  const scores = router.routerScore === "softmax"
    ? softmax(logits)
    : router.routerScore === "sigmoid"
    ? logits.map(sigmoid)
    : logits;
  const choiceBias = find("exp_probs_b");
  const ranked = Array.from(scores, (score, expert) => ({ expert, value: score + (choiceBias?.[expert] ?? 0) }));
  const size = layer.experts / router.routerGroups;
  const groupOf = (expert: number) => Math.floor(expert / size);
  const groups = Array.from({ length: router.routerGroups }, (_, group) => ({
    group,
    value: ranked.filter(({ expert }) => groupOf(expert) === group).map(({ value }) => value).sort((a, b) => b - a)
      .slice(0, 2).reduce((a, b) => a + b),
  }));
  const best = new Set(groups.sort((a, b) => b.value - a.value).slice(0, router.routerGroupsUsed).map((g) => g.group));
  const chosen = ranked.filter(({ expert }) => best.has(groupOf(expert))).sort((a, b) => b.value - a.value)
    .slice(0, layer.expertsUsed).map(({ expert }) => expert);
  let weights: Float64Array = Float64Array.from(chosen, (expert) => scores[expert]);
  if (router.routerScore === "softmaxOfChosen") weights = softmax(weights);
  if (router.routerNormalises) {
    const sum = Math.max(sumLeast, weights.reduce((a, b) => a + b));
    weights = weights.map((weight) => weight / sum);
  }
  return chosen.map((expert, i) => [expert, weights[i] * router.routerScale]);
}

function times(matrix: Float64Array | undefined, input: Float64Array): Float64Array {
  if (matrix === undefined) throw new Error("The plan lacks a matrix of the experts");
  return Float64Array.from({ length: matrix.length / input.length }, (_, row) => {
    let sum = 0;
    for (let column = 0; column < input.length; column++) sum += matrix[row * input.length + column] * input[column];
    return sum;
  });
}

function softmax(values: Float64Array): Float64Array {
  const most = Math.max(...values);
  const powers = values.map((value) => Math.exp(value - most));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}

function sigmoid(value: number): number {
  return 1 / (1 + Math.exp(-value));
}
