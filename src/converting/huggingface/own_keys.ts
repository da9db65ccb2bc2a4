/**
 * The keys that single families of folders have beside those of all: experts, states, windows, scales. A setting that the
 * architecture has no other value for is refused by name.
 *
 * @module
 */
import { LIMITS } from "../../../ffi/wire.ts";
import { VALUE_TYPE } from "../../files/gguf/metadata.ts";
import type { NewValue } from "../../files/gguf/encode.ts";
import { pow } from "../../model/architectures/elementary.ts";
import type { OwnKeys, OwnSettings } from "./types.ts";

export const u32 = (value: number): NewValue => ({ type: VALUE_TYPE.uint32, value });
export const f32 = (value: number): NewValue => ({ type: VALUE_TYPE.float32, value });
export const text = (value: string): NewValue => ({ type: VALUE_TYPE.string, value });
export const flag = (value: boolean): NewValue => ({ type: VALUE_TYPE.bool, value });
export const flags = (value: boolean[]): NewValue => ({ type: VALUE_TYPE.bool, value });
const counts = (value: number[]): NewValue => ({ type: VALUE_TYPE.uint32, value });

/** What stands for a pair that is not rotated: its frequency divided by this is 0, for all that matters. */
const unrotated = 1e30;

/** The kinds of layers, one for each; undefined where the file does not say. */
function layerKinds({ config, layers }: OwnSettings, known: readonly string[]): string[] | undefined {
  const kinds = config.list("layer_types");
  if (kinds === undefined) return undefined;
  if (kinds.length !== layers || !kinds.every((kind) => known.includes(kind as string))) {
    throw config.wrong("layer_types", `${known.join(" or ")} for each of ${layers} layers`);
  }
  return kinds as string[];
}

const WINDOWED = ["sliding_attention", "full_attention"];

/** Which layers have a window; `otherwise` where the file does not say. */
export function windowedLayers(settings: OwnSettings, otherwise: (layer: number) => boolean): boolean[] {
  return layerKinds(settings, WINDOWED)?.map((kind) => kind === WINDOWED[0]) ??
    Array.from({ length: settings.layers }, (_, layer) => otherwise(layer));
}

/** Refuses layers with windows where the architecture has none. */
function requireWindows(settings: OwnSettings, isWindowed: (layer: number) => boolean, expected: string): void {
  if (windowedLayers(settings, isWindowed).every((is, layer) => is === isWindowed(layer))) return;
  throw settings.config.unsupported("layer_types", expected);
}

/** How many experts, how many of them a token goes to, and how wide they are. */
function setExperts({ config, set }: OwnSettings, count: string, used: string, width?: string): void {
  const experts = config.count(count, { most: LIMITS.expertsMax });
  set("expert_count", u32(experts));
  set("expert_used_count", u32(config.count(used, { most: experts })));
  if (width !== undefined) set("expert_feed_forward_length", u32(config.count(width)));
}

export const experts: OwnKeys = (settings) => {
  const { config, set } = settings;
  setExperts(settings, "num_experts", "num_experts_per_tok", "moe_intermediate_size");
  const shared = "shared_expert_intermediate_size";
  if (config.get(shared) !== undefined) set("expert_shared_feed_forward_length", u32(config.count(shared)));
};

export const mixtral: OwnKeys = (settings) => setExperts(settings, "num_local_experts", "num_experts_per_tok");

export const olmoe: OwnKeys = (settings) => {
  setExperts(settings, "num_experts", "num_experts_per_tok");
  settings.set("expert_feed_forward_length", u32(settings.config.count("intermediate_size")));
};

/** Layers with the delta rule, and where they are. */
function setDeltaRule(settings: OwnSettings): void {
  const { config, set } = settings;
  const count = (key: string) => config.count(key, { most: LIMITS.headsMax });
  const [groups, heads] = [count("linear_num_key_heads"), count("linear_num_value_heads")];
  const size = config.count("linear_key_head_dim", { most: LIMITS.stateSizeMax });
  if (config.count("linear_value_head_dim") !== size) {
    throw config.unsupported("linear_value_head_dim", `${size}, as linear_key_head_dim`);
  }
  if (heads % groups !== 0) throw config.wrong("linear_num_value_heads", `a multiple of ${groups}`);
  set("ssm.conv_kernel", u32(config.count("linear_conv_kernel_dim", { most: LIMITS.convKernelMax })));
  set("ssm.state_size", u32(size));
  set("ssm.group_count", u32(groups));
  set("ssm.time_step_rank", u32(heads));
  set("ssm.inner_size", u32(heads * size));
  set("full_attention_interval", u32(config.count("full_attention_interval", { fallback: 4 })));
  const kinds = layerKinds(settings, ["linear_attention", "full_attention"]);
  if (kinds !== undefined) set("attention.recurrent_layers", flags(kinds.map((kind) => kind === "linear_attention")));
}

export const qwen3Next: OwnKeys = (settings) => {
  experts(settings);
  setDeltaRule(settings);
};

/** Components of a position, for pictures; those of a text are all the same. */
export const sections: OwnKeys = ({ config, set }) => {
  const places = ["rope_parameters", "rope_scaling"].map((key) => config.object(key));
  const from = places.find((place) => place?.get("mrope_section") !== undefined);
  const found = from?.list("mrope_section") ?? [11, 11, 10];
  if (found.length > 4 || !found.every((size) => Number.isInteger(size) && (size as number) >= 0)) {
    throw from?.wrong("mrope_section", "up to four sizes");
  }
  set("rope.dimension_sections", { type: VALUE_TYPE.int32, value: [...found as number[], 0, 0, 0].slice(0, 4) });
};

export const qwen3_5: OwnKeys = (settings) => {
  if (settings.config.get("num_experts") !== undefined) experts(settings);
  setDeltaRule(settings);
  sections(settings);
};

export const gptOss: OwnKeys = (settings) => {
  setExperts(settings, "num_local_experts", "num_experts_per_tok", "intermediate_size");
  requireWindows(settings, (layer) => layer % 2 === 0, "a window in the first layer and each second after it");
  settings.config.count("sliding_window");
};

export const lfm2: OwnKeys = (settings) => {
  const { config, layers, keyHeads, set } = settings;
  let kinds = layerKinds(settings, ["conv", "full_attention"]);
  if (kinds === undefined) {
    const full = config.list("full_attn_idxs");
    if (full === undefined) throw config.wrong("layer_types", `conv or full_attention for each of ${layers} layers`);
    kinds = Array.from({ length: layers }, (_, layer) => full.includes(layer) ? "full_attention" : "conv");
  }
  set("attention.head_count_kv", counts(kinds.map((kind) => kind === "conv" ? 0 : keyHeads)));
  set("shortconv.l_cache", u32(config.count("conv_L_cache", { most: LIMITS.convKernelMax })));
  const key = config.get("block_ff_dim") === undefined ? "intermediate_size" : "block_ff_dim";
  let width = config.count(key);
  if (config.flag("block_auto_adjust_ff_dim", false)) {
    const multiple = config.count("block_multiple_of", { fallback: 256 });
    width = Math.floor(config.positive("block_ffn_dim_multiplier", 1) * Math.floor(2 * width / 3));
    width = multiple * Math.ceil(width / multiple);
  }
  set("feed_forward_length", u32(width));
};

export const lfm2Moe: OwnKeys = (settings) => {
  lfm2(settings);
  setExperts(settings, "num_experts", "num_experts_per_tok", "moe_intermediate_size");
  const dense = settings.config.count("num_dense_layers", { least: 0, most: settings.layers });
  settings.set("leading_dense_block_count", u32(dense));
  settings.set("expert_gating_func", u32(2)); // sigmoid
};

export const granite: OwnKeys = ({ config, set }) => {
  set("attention.scale", f32(config.positive("attention_multiplier")));
  set("embedding_scale", f32(config.positive("embedding_multiplier")));
  set("residual_scale", f32(config.positive("residual_multiplier")));
  set("logit_scale", f32(config.positive("logits_scaling")));
};

export const graniteMoe: OwnKeys = (settings) => {
  granite(settings);
  setExperts(settings, "num_local_experts", "num_experts_per_tok");
  const shared = "shared_intermediate_size";
  if (settings.config.get(shared) === undefined) return;
  settings.set("expert_shared_feed_forward_length", u32(settings.config.count(shared, { least: 0 })));
};

/** Layers with Mamba-2 and with attention, experts or none. */
export const graniteHybrid: OwnKeys = (settings) => {
  const { config, layers, keyHeads, set } = settings;
  granite(settings);
  const kinds = layerKinds(settings, ["mamba", "attention"]);
  if (kinds === undefined) throw config.wrong("layer_types", `mamba or attention for each of ${layers} layers`);
  set("attention.head_count_kv", counts(kinds.map((kind) => kind === "mamba" ? 0 : keyHeads)));
  set("rope.scaling.finetuned", flag(config.get("position_embedding_type") === "rope"));
  const heads = config.count("mamba_n_heads", { most: LIMITS.headsMax });
  set("ssm.conv_kernel", u32(config.count("mamba_d_conv", { most: LIMITS.convKernelMax })));
  set("ssm.state_size", u32(config.count("mamba_d_state", { most: LIMITS.stateSizeMax })));
  set("ssm.group_count", u32(config.count("mamba_n_groups", { most: LIMITS.headsMax })));
  set("ssm.time_step_rank", u32(heads));
  set("ssm.inner_size", u32(heads * config.count("mamba_d_head")));
  const shared = u32(config.count("shared_intermediate_size"));
  if (config.count("num_local_experts", { least: 0, fallback: 0 }) === 0) {
    set("feed_forward_length", shared);
    return;
  }
  setExperts(settings, "num_local_experts", "num_experts_per_tok");
  set("expert_shared_feed_forward_length", shared);
};

export const olmo2: OwnKeys = (settings) => {
  if (settings.config.get("sliding_window") === undefined) return;
  settings.set("attention.sliding_window_pattern", flags(windowedLayers(settings, (layer) => layer % 4 < 3)));
};

/** The layers that are not rotated. */
export const smollm3: OwnKeys = ({ config, layers }) => {
  const rotated = config.list("no_rope_layers");
  const isRight = (value: unknown, layer: number) => value === (layer % 4 === 3 ? 0 : 1);
  if (rotated !== undefined && (rotated.length !== layers || !rotated.every(isRight))) {
    throw config.unsupported("no_rope_layers", "each fourth layer without rotation");
  }
};

export const glm4Moe: OwnKeys = (settings) => {
  const { config, layers, set } = settings;
  setExperts(settings, "n_routed_experts", "num_experts_per_tok", "moe_intermediate_size");
  set("expert_shared_count", u32(config.count("n_shared_experts", { least: 0 })));
  set("leading_dense_block_count", u32(config.count("first_k_dense_replace", { least: 0, most: layers })));
  set("expert_gating_func", u32(2)); // sigmoid
  set("expert_weights_scale", f32(config.positive("routed_scaling_factor", 1)));
  set("expert_weights_norm", flag(config.flag("norm_topk_prob", true)));
};

/** llama.cpp applies windows in the model of 64 layers alone. */
export const exaone4: OwnKeys = (settings) => {
  const { config, layers } = settings;
  const isHybrid = layers === 64;
  requireWindows(
    settings,
    (layer) => isHybrid && layer % 4 < 3,
    isHybrid ? "three with a window, one without" : "none",
  );
  if (isHybrid !== (config.get("sliding_window") !== undefined)) {
    throw config.unsupported("sliding_window", isHybrid ? "a window" : "none in a model of other than 64 layers");
  }
  const pattern = config.get("sliding_window_pattern");
  if (isHybrid && pattern !== undefined && pattern !== "LLLG" && pattern !== 4) {
    throw config.unsupported("sliding_window_pattern", "LLLG");
  }
};

/** Frequencies for a longer context are made by a wider base, as published files of this kind have it. */
export const hunyuan: OwnKeys = ({ config, headDim, set }) => {
  const scaling = config.object("rope_scaling") ?? config.object("rope_parameters");
  const key = scaling?.get("rope_type") === undefined ? "type" : "rope_type";
  if (scaling?.text(key) !== "dynamic") return;
  const base = (scaling.get("rope_theta") === undefined ? config : scaling).positive("rope_theta");
  const alpha = scaling.positive("alpha");
  if (headDim <= 2) throw config.wrong("head_dim", "more than 2 with a dynamic rope_scaling");
  set("rope.freq_base", f32(base * pow(alpha, headDim / (headDim - 2))));
  set("context_length", u32(1 << 18));
};

export const ernieMoe: OwnKeys = (settings) => {
  const { config, layers, set } = settings;
  setExperts(settings, "moe_num_experts", "moe_k", "moe_intermediate_size");
  const end = config.count("moe_layer_end_index", { fallback: layers - 1 });
  if (end < layers - 1) throw config.unsupported("moe_layer_end_index", `${layers - 1}, the last layer`);
  const first = config.count("moe_layer_start_index", { least: 0, most: layers });
  set("leading_dense_block_count", u32(first));
  set("interleave_moe_layer_step", u32(config.count("moe_layer_interval", { most: layers })));
  const shared = config.count("moe_num_shared_experts", { least: 0, fallback: 0 });
  set("expert_shared_feed_forward_length", u32(shared * config.count("moe_intermediate_size")));
};

export const stablelm: OwnKeys = ({ config, set }) =>
  set("use_parallel_residual", flag(config.flag("use_parallel_residual", false)));

export const cohere: OwnKeys = ({ config, set }) => {
  set("logit_scale", f32(config.positive("logit_scale")));
  // Some files understate the one, and have the other.
  const most = "model_max_length";
  if (config.get(most) !== undefined) set("context_length", u32(config.count(most, { most: 1 << 24 })));
};

export const cohere2: OwnKeys = (settings) => {
  const { config, headDim, set } = settings;
  cohere(settings);
  set("attention.sliding_window", u32(config.count("sliding_window")));
  requireWindows(settings, (layer) => layer % 4 < 3, "three with a window, one without");
  for (const key of ["sliding_window_pattern", "_sliding_window_pattern"]) {
    if (config.get(key) !== undefined && config.get(key) !== 4) throw config.unsupported(key, "4");
  }
  const share = config.positive("rotary_pct", 1);
  if (share !== 1) set("rope.dimension_count", u32(Math.floor(share * headDim)));
};

/** Queries grow warmer with their position, and YaRN may lengthen them less. */
export const mistral3: OwnKeys = ({ config, set }) => {
  const rope = config.object("rope_parameters") ?? config.object("rope_scaling");
  if (rope?.get("mscale_all_dim") !== undefined) {
    const all = rope.positive("mscale_all_dim");
    if (rope.positive("mscale", all) !== all) throw rope.unsupported("mscale", `${all}, as mscale_all_dim`);
    set("rope.scaling.yarn_log_multiplier", f32(all));
  }
  const beta = "llama_4_scaling_beta";
  if (rope?.get(beta) !== undefined) set("attention.temperature_scale", f32(rope.positive(beta)));
};

export const gemma4: OwnKeys = (settings) => {
  const { config, layers, keyHeads, headDim, set } = settings;
  const windowed = windowedLayers(settings, (layer) => layer % 6 < 5);
  const full = config.count("global_head_dim", { most: LIMITS.headDimMax, fallback: headDim });
  set("attention.sliding_window", u32(config.count("sliding_window")));
  set("attention.sliding_window_pattern", flags(windowed));
  for (const [suffix, length] of [["", full], ["_swa", headDim]] as const) {
    set(`attention.key_length${suffix}`, u32(length));
    set(`attention.value_length${suffix}`, u32(length));
  }
  const shared = config.count("num_kv_shared_layers", { least: 0, most: layers - 1, fallback: 0 });
  set("attention.shared_kv_layers", u32(shared));
  const fullHeads = config.count("num_global_key_value_heads", { most: LIMITS.headsMax, fallback: keyHeads });
  set("attention.head_count_kv", counts(windowed.map((is) => is ? keyHeads : fullHeads)));
  const inputs = config.count("hidden_size_per_layer_input", { least: 0, fallback: 0 });
  set("embedding_length_per_layer_input", u32(inputs));
  const wide = config.count("intermediate_size");
  if (config.flag("use_double_wide_mlp", false)) {
    const isWide = (layer: number) => layer >= layers - shared;
    set("feed_forward_length", counts(windowed.map((_, layer) => isWide(layer) ? 2 * wide : wide)));
  }
  if (config.flag("enable_moe_block", false)) {
    const width = config.get("expert_intermediate_size") === undefined ? "moe" : "expert";
    setExperts(settings, "num_experts", "top_k_experts", `${width}_intermediate_size`);
  }
  if (config.get("final_logit_softcapping") !== undefined) {
    set("final_logit_softcapping", f32(config.positive("final_logit_softcapping")));
  }
  return setRotations(settings, full);
};

/** Gemma 4's: windowed layers rotate whole heads, full ones a share, whose pairs lie as if all were rotated. */
function setRotations({ config, headDim, set }: OwnSettings, full: number): Float32Array {
  const rope = config.object("rope_parameters");
  const [whole, local] = ["full_attention", "sliding_attention"].map((kind) => rope?.object(kind));
  if (whole === undefined || local === undefined) {
    throw config.wrong("rope_parameters", "full_attention and sliding_attention");
  }
  const share = whole.positive("partial_rotary_factor", 1);
  if (whole.text("rope_type") !== "proportional") throw whole.unsupported("rope_type", "proportional");
  if ((local.text("rope_type") ?? "default") !== "default") throw local.unsupported("rope_type", "default");
  if (local.positive("partial_rotary_factor", 1) !== 1) throw local.unsupported("partial_rotary_factor", "1");
  if (share > 1) throw whole.wrong("partial_rotary_factor", "at most 1");
  set("rope.dimension_count", u32(full));
  set("rope.dimension_count_swa", u32(headDim));
  set("rope.freq_base", f32(whole.positive("rope_theta")));
  set("rope.freq_base_swa", f32(local.positive("rope_theta")));
  const rotated = Math.floor(full * share / 2);
  return Float32Array.from({ length: full / 2 }, (_, pair) => pair < rotated ? 1 : unrotated);
}

/** Every token sees those after it, too. */
export const readsBothWays: OwnKeys = ({ set }) => set("attention.causal", flag(false));

/** A head that ranks documents, of a model that reads whole texts. */
export const ranks: OwnKeys = (settings) => {
  readsBothWays(settings);
  settings.set("pooling_type", u32(4));
};
