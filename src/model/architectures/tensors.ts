/**
 * Which tensors a model has and what each is for: every name that an architecture uses, with the shape it must have and
 * the types it may have. A required tensor that is missing is refused, and so is one that nothing would use, since the
 * model would compute something else without it.
 *
 * @module
 */
import type { Hyperparameters, LayerParameters, Role, Traits } from "./types.ts";
import { mixerTensors, type Part } from "./mixer_tensors.ts";
import { hasHeads } from "./recurrent.ts";
import { Plan, type PlannedTensor } from "./tensor_plan.ts";
import { streamNorms, textTensors } from "./text_tensors.ts";
import type { Gguf } from "../../files/gguf/read.ts";

/** The tensors of a model in the order of the roles, layer by layer. */
export function planTensors(
  gguf: Gguf,
  hyperparameters: Hyperparameters,
  traits: Traits,
  ropeFactors: string | undefined,
): PlannedTensor[] {
  const plan = new Plan(gguf);
  const { embedding, vocabulary } = hyperparameters;
  plan.matrix("token_embd", 0, "token_embd.weight", embedding, vocabulary);
  if (!traits.streamNorms) plan.vector("output_norm", 0, traits.outputNorm ?? "output_norm.weight", embedding);
  for (const tensor of textTensors(hyperparameters, traits)) plan.text(0, tensor);
  if (traits.layerNorms) plan.bias("output_norm_bias", 0, "output_norm.bias", embedding);
  if (gguf.tensors.has("output.weight")) plan.matrix("output", 0, "output.weight", embedding, vocabulary);
  if (ropeFactors !== undefined) plan.vector("rope_freqs", 0, ropeFactors, hyperparameters.ropeFactors);
  if (hyperparameters.layerInputs > 0) planInputs(plan, hyperparameters);
  hyperparameters.perLayer.forEach((layer, index) => planLayer(plan, hyperparameters, traits, layer, index));
  plan.refuseUnused(hyperparameters.layers);
  return plan.tensors;
}

/** The tensors of a drafter's layer (nextn), which is number `block` of the file, as those of a model of this layer alone. */
export function planDrafterTensors(
  gguf: Gguf,
  sizes: Hyperparameters,
  traits: Traits,
  { block, ropeFactors }: { readonly block: number; readonly ropeFactors: string | undefined },
): PlannedTensor[] {
  const plan = new Plan(gguf);
  const { embedding, vocabulary, perLayer: [layer] } = sizes;
  const own = (part: string) => `blk.${block}.nextn.${part}.weight`;
  const ownOr = (part: string, usual: string) => plan.has(own(part)) ? own(part) : usual;
  plan.matrix("token_embd", 0, ownOr("embed_tokens", "token_embd.weight"), embedding, vocabulary);
  plan.vector("output_norm", 0, ownOr("shared_head_norm", traits.outputNorm ?? "output_norm.weight"), embedding);
  const usual = plan.has("output.weight") ? "output.weight" : "token_embd.weight";
  const head = ownOr("shared_head_head", usual);
  // Its embedding serves as its output, unless that is another tensor.
  if (head !== ownOr("embed_tokens", "token_embd.weight")) plan.matrix("output", 0, head, embedding, vocabulary);
  plan.vector("nextn_enorm", 0, own("enorm"), embedding);
  plan.vector("nextn_hnorm", 0, own("hnorm"), embedding);
  plan.matrix("nextn_eh_proj", 0, own("eh_proj"), 2 * embedding, embedding);
  if (ropeFactors !== undefined) plan.vector("rope_freqs", 0, ropeFactors, sizes.ropeFactors);
  // Where layers have one half each, a drafter's has both, and the name of its second norm is another's.
  const halves = traits.halves ? { ...traits, secondNorm: "post_attention_norm.weight" } : traits;
  planLayer(plan, sizes, halves, layer, block);
  return plan.tensors.map((tensor) => ({ ...tensor, layer: 0 }));
}

/** What the inputs are made of that layers get beside the stream. */
function planInputs(plan: Plan, { embedding, vocabulary, layers, layerInputs }: Hyperparameters): void {
  const all = layers * layerInputs;
  plan.matrix("per_layer_token_embd", 0, "per_layer_token_embd.weight", all, vocabulary);
  plan.matrix("per_layer_model_proj", 0, "per_layer_model_proj.weight", embedding, all);
  plan.vector("per_layer_proj_norm", 0, "per_layer_proj_norm.weight", layerInputs);
}

function planLayer(plan: Plan, sizes: Hyperparameters, traits: Traits, parameters: LayerParameters, layer: number) {
  const { embedding } = sizes;
  const name = (part: string) => `blk.${layer}.${part}`;
  const { mixer, feedForward, experts } = parameters;
  const before = traits.postNorms !== "only" && !traits.streamNorms;
  // The one norm of a layer without a mixer has the name of a mixer's.
  if (before && !(traits.bareFirst && layer === 0)) {
    plan.vector(mixer === "none" ? "ffn_norm" : "attn_norm", layer, name("attn_norm.weight"), embedding);
  }
  if (traits.layerNorms) plan.bias("attn_norm_bias", layer, name("attn_norm.bias"), embedding);
  if (mixer === "latent") planLatent(plan, embedding, parameters, layer);
  else if (hasHeads(mixer)) planAttention(plan, sizes, traits, parameters, layer);
  for (const tensor of mixerTensors(sizes, parameters)) {
    const whole = name(tensor.name);
    if (tensor.optional && !plan.has(whole)) continue;
    if (tensor.form === "parts") plan.split(layer, whole, tensor.columns, tensor.parts);
    else plan[tensor.form](tensor.role, layer, whole, tensor.columns, tensor.rows);
  }
  if (traits.postNorms) plan.vector("post_attention_norm", layer, name("post_attention_norm.weight"), embedding);

  if (traits.layerNorms && !sizes.parallel) plan.bias("ffn_norm_bias", layer, name("ffn_norm.bias"), embedding);
  if (before && !sizes.parallel && mixer !== "none" && feedForward + experts > 0) {
    plan.vector("ffn_norm", layer, name(traits.secondNorm ?? "ffn_norm.weight"), embedding);
  }
  if (feedForward > 0) planDense(plan, embedding, traits, feedForward, layer);
  if (experts > 0) planExpertTensors(plan, embedding, traits, parameters, layer);
  if (traits.postNorms) plan.vector("post_ffw_norm", layer, name("post_ffw_norm.weight"), embedding);
  if (traits.streamNorms) { for (const tensor of streamNorms(sizes, layer)) plan.text(layer, tensor); }
  if (traits.layerInputs === undefined) return;
  plan.bias("layer_output_scale", layer, name("layer_output_scale.weight"), 1);
  if (sizes.layerInputs === 0) return;
  plan.matrix("inp_gate", layer, name("inp_gate.weight"), embedding, sizes.layerInputs);
  plan.matrix("proj", layer, name("proj.weight"), sizes.layerInputs, embedding);
  plan.vector("post_norm", layer, name("post_norm.weight"), embedding);
}

function planAttention(
  plan: Plan,
  { embedding, queryNorms }: Hyperparameters,
  traits: Traits,
  { heads, kvHeads, kDim, vDim, keys, attentionGate }: LayerParameters,
  layer: number,
) {
  const name = (part: string) => `blk.${layer}.${part}`;
  const queries = heads * kDim * (attentionGate ? 2 : 1);
  const attention: Part[] = [{ role: "attn_q", rows: queries }];
  if (keys !== "ofLayer") attention.push({ role: "attn_k", rows: kvHeads * kDim });
  if (keys === "own") attention.push({ role: "attn_v", rows: kvHeads * vDim });
  if (plan.has(name("attn_qkv.weight"))) {
    plan.split(layer, name("attn_qkv.weight"), embedding, attention);
  } else {
    for (const { role, rows } of attention) plan.matrix(role, layer, name(`${role}.weight`), embedding, rows);
  }
  plan.matrix("attn_output", layer, name("attn_output.weight"), heads * vDim, embedding);
  const biases = attention.map(({ role, rows }) => ({ role: `${role}_bias` as Role, rows }));
  if (plan.has(name("attn_qkv.bias"))) plan.splitVector(layer, name("attn_qkv.bias"), biases);
  else {for (const { role, rows } of biases) {
      plan.bias(role, layer, name(role.replace("_bias", ".bias")), rows, traits.biases);
    }}
  plan.bias("attn_output_bias", layer, name("attn_output.bias"), embedding);
  if (traits.sinks) plan.vector("attn_sinks", layer, name("attn_sinks.weight"), heads);
  const mayLack = traits.optionalNorms && !plan.has(name("attn_q_norm.weight"));
  if (traits.queryNorms !== undefined && !mayLack) {
    const [queryHeads, keyHeads] = queryNorms === "rows" ? [heads, kvHeads] : [1, 1];
    plan.vector("attn_q_norm", layer, name("attn_q_norm.weight"), queryHeads * kDim);
    if (keys !== "ofLayer") plan.vector("attn_k_norm", layer, name("attn_k_norm.weight"), keyHeads * kDim);
    if (traits.layerNorms) {
      plan.bias("attn_q_norm_bias", layer, name("attn_q_norm.bias"), queryHeads * kDim);
      plan.bias("attn_k_norm_bias", layer, name("attn_k_norm.bias"), keyHeads * kDim);
    }
  }
  // Converters write these for all layers, also where the keys of another are read.
  if (keys === "ofLayer") plan.ignore(["attn_k", "attn_v", "attn_k_norm"].map((part) => name(`${part}.weight`)));
}

/** Latent attention: queries by way of a narrow row or from the stream; the latent row; and head by head what reads it. */
function planLatent(plan: Plan, embedding: number, parameters: LayerParameters, layer: number) {
  const { heads, kDim, vDim, latentRank, latentRotated, queryRank } = parameters;
  const name = (part: string) => `blk.${layer}.${part}`;
  const queries = heads * kDim;
  const plain = kDim - latentRotated;
  if (queryRank > 0) {
    plan.matrix("attn_q_a", layer, name("attn_q_a.weight"), embedding, queryRank);
    plan.vector("attn_q_a_norm", layer, name("attn_q_a_norm.weight"), queryRank);
    plan.matrix("attn_q_b", layer, name("attn_q_b.weight"), queryRank, queries);
  } else plan.matrix("attn_q", layer, name("attn_q.weight"), embedding, queries);
  plan.matrix("attn_kv_a_mqa", layer, name("attn_kv_a_mqa.weight"), embedding, latentRank + latentRotated);
  plan.vector("attn_kv_a_norm", layer, name("attn_kv_a_norm.weight"), latentRank);
  plan.matrix("attn_output", layer, name("attn_output.weight"), heads * vDim, embedding);
  plan.bias("attn_output_bias", layer, name("attn_output.bias"), embedding);
  const joined = name("attn_kv_b.weight");
  if (plan.has(joined)) {
    // Of old files: for each head the rows of its keys, then those of its values, in one matrix.
    const parts: Part[] = [{ role: "attn_kv_b", rows: plain }, { role: "attn_v_b", rows: vDim }];
    plan.split(layer, joined, latentRank, parts, heads, true);
    return;
  }
  plan.split(layer, name("attn_k_b.weight"), plain, [{ role: "attn_k_b", rows: latentRank }], heads);
  plan.split(layer, name("attn_v_b.weight"), latentRank, [{ role: "attn_v_b", rows: vDim }], heads);
}

function planDense(plan: Plan, embedding: number, traits: Traits, feedForward: number, layer: number) {
  const name = (part: string) => `blk.${layer}.${part}`;
  if (traits.fused && !plan.has(name("ffn_gate.weight"))) {
    plan.split(layer, name("ffn_up.weight"), embedding, [
      { role: "ffn_gate", rows: feedForward },
      { role: "ffn_up", rows: feedForward },
    ]);
  } else {
    if (!traits.ungated) plan.matrix("ffn_gate", layer, name("ffn_gate.weight"), embedding, feedForward);
    plan.matrix("ffn_up", layer, name("ffn_up.weight"), embedding, feedForward);
  }
  plan.matrix("ffn_down", layer, name("ffn_down.weight"), feedForward, embedding);
  if (!traits.ungated) plan.bias("ffn_gate_bias", layer, name("ffn_gate.bias"), feedForward);
  plan.bias("ffn_up_bias", layer, name("ffn_up.bias"), feedForward);
  plan.bias("ffn_down_bias", layer, name("ffn_down.bias"), embedding);
}

/** The router, the experts as slabs of one tensor, and the shared expert with the row that weighs it. */
function planExpertTensors(plan: Plan, embedding: number, traits: Traits, parameters: LayerParameters, layer: number) {
  const { experts, expertWidth, sharedWidth, expertLatent } = parameters;
  const stream = expertLatent > 0 ? expertLatent : embedding;
  const name = (part: string) => `blk.${layer}.${part}`;
  plan.matrix("ffn_gate_inp", layer, name("ffn_gate_inp.weight"), embedding, experts);
  plan.bias("ffn_gate_inp_bias", layer, name("ffn_gate_inp.bias"), experts);
  plan.bias("exp_probs_b", layer, name("exp_probs_b.bias"), experts);
  if (expertLatent > 0) {
    plan.matrix("ffn_latent_down", layer, name("ffn_latent_down.weight"), embedding, expertLatent);
    plan.matrix("ffn_latent_up", layer, name("ffn_latent_up.weight"), expertLatent, embedding);
  }
  const up: Part = { role: "ffn_up_exps", rows: expertWidth };
  const inner: Part[] = traits.ungated ? [up] : [{ role: "ffn_gate_exps", rows: expertWidth }, up];
  const joined = name("ffn_gate_up_exps.weight");
  if (plan.has(joined) && !traits.ungated) plan.split(layer, joined, stream, inner, experts);
  else for (const part of inner) plan.split(layer, name(`${part.role}.weight`), stream, [part], experts);
  plan.split(layer, name("ffn_down_exps.weight"), expertWidth, [{ role: "ffn_down_exps", rows: stream }], experts);
  if (!traits.ungated) plan.bias("ffn_gate_exps_bias", layer, name("ffn_gate_exps.bias"), expertWidth, false, experts);
  plan.bias("ffn_up_exps_bias", layer, name("ffn_up_exps.bias"), expertWidth, false, experts);
  plan.bias("ffn_down_exps_bias", layer, name("ffn_down_exps.bias"), stream, false, experts);
  plan.bias("ffn_down_exps_scale", layer, name("ffn_down_exps.scale"), experts);
  if (parameters.feedForward > 0) {
    plan.vector("ffn_gate_inp_scale", layer, name("ffn_gate_inp.scale"), embedding);
    for (const role of ["post_ffw_norm_1", "pre_ffw_norm_2", "post_ffw_norm_2"] as const) {
      plan.vector(role, layer, name(`${role}.weight`), embedding);
    }
  }
  if (sharedWidth === 0) return;
  if (!traits.ungated) plan.matrix("ffn_gate_shexp", layer, name("ffn_gate_shexp.weight"), embedding, sharedWidth);
  plan.matrix("ffn_up_shexp", layer, name("ffn_up_shexp.weight"), embedding, sharedWidth);
  plan.matrix("ffn_down_shexp", layer, name("ffn_down_shexp.weight"), sharedWidth, embedding);
  if (traits.experts?.shared !== "weighed") return;
  plan.matrix("ffn_gate_inp_shexp", layer, name("ffn_gate_inp_shexp.weight"), embedding, 1);
}
