/**
 * Small models with experts for the tests of architectures (`variants.test.ts`): such as there are, with what their plan must
 * say, and such as are refused.
 *
 * @module
 */
import type { Hyperparameters, LayerParameters, Rotation } from "../src/model/architectures/types.ts";
import { arrayOf, f32, flag, u32 } from "./models.ts";
import { type ExpertShape, lfm2, nemotronExperts, qwen35, type Shape, yarn } from "./small-models.ts";

/** What a plan must say. */
export interface Expected extends Partial<Hyperparameters> {
  /** Of each layer its window, */
  windows?: number[];
  /** and the number of its rotation; */
  turns?: number[];
  /** whose keys and values it reads; */
  keys?: [LayerParameters["keys"], number][];
  /** of the first layer; */
  first?: Partial<LayerParameters>;
  /** of the first rotation, */
  rotation?: Partial<Rotation>;
  /** and of the second. */
  windowRotation?: Partial<Rotation>;
}

const mixtral = (experts: ExpertShape = { count: 8, used: 2 }): Shape => ({
  architecture: "llama",
  feedForward: 48,
  experts,
});
const qwen3moe = (experts: Partial<ExpertShape> = {}, values: Shape["values"] = {}): Shape => ({
  architecture: "qwen3moe",
  headNorms: true,
  experts: { count: 12, used: 3, width: 32, ...experts },
  values,
});

const glm4moe = (values: Shape["values"]): Shape => ({
  architecture: "glm4moe",
  biases: ["q", "k", "v"],
  secondNorm: "post_attention_norm",
  experts: { count: 8, used: 3, width: 32, shared: 64, choiceBias: true, isDense: (layer) => layer === 0 },
  values: {
    "glm4moe.leading_dense_block_count": u32(1),
    "glm4moe.expert_shared_count": u32(2),
    "glm4moe.rope.dimension_count": u32(8),
    ...values,
  },
});
const dots1: Shape = {
  architecture: "dots1",
  headNorms: true,
  kvHeads: 4,
  untied: true,
  experts: { count: 8, used: 3, width: 32, shared: 64, choiceBias: true, isDense: (layer) => layer === 0 },
  values: {
    "dots1.leading_dense_block_count": u32(1),
    "dots1.expert_shared_count": u32(2),
    "dots1.expert_gating_func": u32(2),
    "dots1.expert_weights_norm": flag(true),
    "dots1.expert_weights_scale": f32(2.5),
  },
};
const gptOss = (values: Shape["values"]): Shape => ({
  architecture: "gpt-oss",
  biases: ["q", "k", "v", "output"],
  secondNorm: "post_attention_norm",
  sinks: true,
  experts: { count: 6, used: 3, width: 32, biases: true },
  values: { "gpt-oss.attention.sliding_window": u32(6), ...values },
});
/** One of the delta rule's architectures with experts. */
const deltaExperts = (architecture: string, values: Shape["values"] = {}): Shape => ({
  ...qwen35,
  architecture,
  delta: { heads: 4, groups: 2, size: 16, taps: 4, together: architecture === "qwen3next" },
  experts: { count: 6, used: 2, width: 32, shared: 40, sharedGate: true },
  values: {
    ...Object.fromEntries(
      Object.entries(qwen35.values ?? {}).map(([key, value]) => [key.replace("qwen35", architecture), value]),
    ),
    [`${architecture}.expert_shared_feed_forward_length`]: u32(40),
    ...values,
  },
});
/** Its third layer is no layer of the model's. */
const drafted = (): Shape => ({
  ...qwen3moe({}, { "qwen3moe.nextn_predict_layers": u32(1) }),
  vectors: { "blk.2.nextn.eh_proj.weight": [0] },
});

/** Each with what its plan must say. */
export const expertVariants: [name: string, shape: Shape, expected: Expected][] = [
  ["llama with experts", mixtral(), { expertsUsed: 2, routerScore: "softmax", routerNormalises: true }],
  ["llama with experts of which all are used", mixtral({ count: 3, used: 3 }), { expertsUsed: 3 }],
  ["qwen3moe with an odd number of experts", qwen3moe({ count: 17, used: 8 }), { expertsUsed: 8 }],
  ["qwen3moe with gate and up as one tensor", qwen3moe({ joined: true }), {}],
  ["qwen3moe with experts as wide as no vector", qwen3moe({ width: 10 }), {}],
  ["qwen3vlmoe", {
    ...qwen3moe(),
    architecture: "qwen3vlmoe",
    values: { "qwen3vlmoe.rope.dimension_sections": arrayOf("int32", [3, 3, 2, 0]) },
  }, {}],
  ["granitemoe with a shared expert", {
    architecture: "granitemoe",
    feedForward: 32,
    experts: { count: 5, used: 2, shared: 48 },
    values: {
      "granitemoe.expert_shared_feed_forward_length": u32(48),
      "granitemoe.residual_scale": f32(0.25),
      "granitemoe.logit_scale": f32(4),
    },
  }, {}],
  [
    "granitemoe without experts",
    {
      architecture: "granitemoe",
      // llama.cpp heeds this switch in granite and granitehybrid alone.
      values: { "granitemoe.logit_scale": f32(4), "granitemoe.rope.scaling.finetuned": flag(false) },
    },
    { expertsUsed: 0, turns: [1, 1, 1] },
  ],
  ["ernie4_5-moe with a dense layer before, and every second", {
    architecture: "ernie4_5-moe",
    layers: 4,
    experts: { count: 6, used: 2, width: 32, shared: 40, choiceBias: true, isDense: (layer) => layer !== 3 },
    values: {
      "ernie4_5-moe.expert_shared_feed_forward_length": u32(40),
      "ernie4_5-moe.leading_dense_block_count": u32(2),
      "ernie4_5-moe.interleave_moe_layer_step": u32(2),
    },
  }, { routerNormalises: true }],
  ["glm4moe as it is by default", glm4moe({}), {
    routerScore: "sigmoid",
    routerNormalises: false,
    routerScale: 1,
    routerGroups: 1,
  }],
  [
    "glm4moe with norms of heads, groups, a softmax, and a scale",
    {
      ...glm4moe({
        "glm4moe.expert_group_count": u32(4),
        "glm4moe.expert_group_used_count": u32(2),
        "glm4moe.expert_gating_func": u32(1),
        "glm4moe.expert_weights_norm": flag(true),
        "glm4moe.expert_weights_scale": f32(2.5),
      }),
      headNorms: true,
    },
    { routerScore: "softmax", routerNormalises: true, routerScale: 2.5, routerGroups: 4, routerGroupsUsed: 2 },
  ],
  ["dots1", dots1, { routerScore: "sigmoid", routerNormalises: true, routerScale: 2.5 }],
  ["gpt-oss", gptOss({}), { routerScore: "softmaxOfChosen", activation: "clamped" }],
  ["gpt-oss with yarn", gptOss(yarn("gpt-oss")), {}],
  [
    "gpt-oss with yarn and a rotary base of its windows",
    gptOss({
      ...yarn("gpt-oss"),
      "gpt-oss.rope.freq_base_swa": f32(300),
    }),
    { windowRotation: { base: 300 } },
  ],
  ["qwen2moe", {
    architecture: "qwen2moe",
    biases: ["q", "k", "v"],
    experts: { count: 6, used: 2, width: 32, shared: 64, sharedGate: true },
    values: { "qwen2moe.expert_shared_feed_forward_length": u32(64) },
  }, { routerNormalises: false }],
  ["hunyuan-moe with a shared expert as wide as the others", {
    architecture: "hunyuan-moe",
    headNorms: true,
    experts: { count: 4, used: 1, shared: 96 },
  }, { routerNormalises: true }],
  ["olmoe", { architecture: "olmoe", headNorms: "rows", feedForward: 32, experts: { count: 8, used: 4 } }, {
    routerNormalises: false,
  }],
  ["lfm2moe with a dense layer", {
    ...lfm2,
    architecture: "lfm2moe",
    experts: { count: 6, used: 2, width: 32, choiceBias: true, isDense: (layer) => layer === 0 },
    values: {
      "lfm2moe.shortconv.l_cache": u32(3),
      "lfm2moe.leading_dense_block_count": u32(1),
      "lfm2moe.expert_gating_func": u32(2),
    },
  }, { routerScore: "sigmoid", routerNormalises: true }],
  ["qwen3moe with a drafter, which is skipped", drafted(), { layers: 2 }],
  ["qwen35moe", deltaExperts("qwen35moe"), { routerScore: "softmax", routerNormalises: true, ropeStyle: "neox" }],
  ["qwen3next", deltaExperts("qwen3next", { "qwen3next.rope.dimension_sections": undefined }), {
    routerNormalises: true,
  }],
  ["qwen3next as old files have it", {
    ...deltaExperts("qwen3next", { "qwen3next.rope.dimension_sections": undefined }),
    delta: { heads: 4, groups: 2, size: 16, taps: 4, together: true, old: true },
  }, {}],
  ["qwen35moe with a drafter", {
    ...deltaExperts("qwen35moe", {
      "qwen35moe.nextn_predict_layers": u32(1),
      "qwen35moe.attention.recurrent_layers": arrayOf("bool", [true, false, true, false]),
    }),
    layers: 4,
    vectors: { "blk.3.nextn.eh_proj.weight": [0] },
  }, { layers: 3 }],
  ["nemotron_h_moe with a drafter", {
    ...nemotronExperts(),
    values: { ...nemotronExperts().values, "nemotron_h_moe.nextn_predict_layers": u32(1) },
    vectors: { "blk.4.nextn.eh_proj.weight": [0] },
  }, { layers: 4 }],
];

type Refusal = [what: string, shape: Shape, type: string, where: string];

/** Each with the error and the key or tensor that it names. */
export const expertRefusals: Refusal[] = [
  ...([
    ["no experts where there must be some", { "qwen3moe.expert_count": u32(0) }, "expert_count"],
    ["more experts than tensors have", { "qwen3moe.expert_count": u32(13) }, undefined],
    ["fewer experts than tensors have", { "qwen3moe.expert_count": u32(11) }, undefined],
    ["too many experts", { "qwen3moe.expert_count": u32(1025) }, "expert_count"],
    ["no expert for a token", { "qwen3moe.expert_used_count": u32(0) }, "expert_used_count"],
    ["a drafter that is missing", { "qwen3moe.nextn_predict_layers": u32(1) }, "nextn_predict_layers"],
    ["more drafters than layers", { "qwen3moe.nextn_predict_layers": u32(3) }, "nextn_predict_layers"],
    ["more experts for a token than there are", { "qwen3moe.expert_used_count": u32(13) }, "expert_used_count"],
    ["no number of experts for a token", { "qwen3moe.expert_used_count": undefined }, "expert_used_count"],
    ["no width of experts", { "qwen3moe.expert_feed_forward_length": u32(0) }, "expert_feed_forward_length"],
    ["groups that do not divide", { "qwen3moe.expert_group_count": u32(5) }, "expert_group_count"],
    ["groups of one expert", { "qwen3moe.expert_group_count": u32(12) }, "expert_group_count"],
    [
      "more groups chosen from than there are",
      { "qwen3moe.expert_group_count": u32(4), "qwen3moe.expert_group_used_count": u32(5) },
      "expert_group_used_count",
    ],
    [
      "groups with too few experts for a token",
      {
        "qwen3moe.expert_group_count": u32(6),
        "qwen3moe.expert_group_used_count": u32(1),
        "qwen3moe.expert_used_count": u32(3),
      },
      "expert_used_count",
    ],
  ] as const).map(([what, values, key]): Refusal => [
    what,
    qwen3moe({}, values),
    "ModelFormatError",
    key === undefined ? "blk.0.ffn_gate_inp.weight" : `qwen3moe.${key}`,
  ]),
  ...([
    ["a scale of weights that the architecture has not", { "qwen3moe.expert_weights_scale": f32(2) }],
    ["another score", { "qwen3moe.expert_gating_func": u32(2) }],
    ["a score that is not known", { "qwen3moe.expert_gating_func": u32(9) }],
    ["a shared expert that the architecture has not", { "qwen3moe.expert_shared_feed_forward_length": u32(32) }],
    ["shared experts that the architecture has not", { "qwen3moe.expert_shared_count": u32(1) }],
  ] as const).map(([what, values]): Refusal => [
    what,
    qwen3moe({}, values),
    "UnsupportedError",
    Object.keys(values)[0],
  ]),
  [
    "experts without a router",
    { ...mixtral(), absent: ["blk.0.ffn_gate_inp.weight"] },
    "ModelFormatError",
    "llama.expert_count",
  ],
  [
    "a shared expert without the row that weighs it",
    { ...deltaExperts("qwen35moe"), absent: ["blk.0.ffn_gate_inp_shexp.weight"] },
    "ModelFormatError",
    "blk.0.ffn_gate_inp_shexp.weight",
  ],
  ["a gpt-oss without sinks", { ...gptOss({}), sinks: false }, "ModelFormatError", "blk.0.attn_sinks.weight"],
  [
    "an expert tensor that is missing",
    { ...mixtral(), absent: ["blk.1.ffn_down_exps.weight"] },
    "ModelFormatError",
    "blk.1.ffn_down_exps.weight",
  ],
];
