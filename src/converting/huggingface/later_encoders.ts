/**
 * The families of folders whose models read whole texts and rotate heads: Nomic's, ModernBERT, NeoBERT, EuroBERT, and EmbeddingGemma.
 * Those that are made as BERT are in `encoders.ts`.
 *
 * @module
 */
import { FOUR_NORMS, names, PLAIN } from "./names.ts";
import { f32, flags, ranks, readsBothWays, text, u32, windowedLayers } from "./own_keys.ts";
import type { Family, Layout, OwnKeys, OwnSettings, Rule } from "./types.ts";

const only = (key: string, ...allowed: unknown[]): Rule => ({ key, allowed });
/** What is trained beside, and takes no part in a vector. */
const omitted = (pattern: RegExp): NonNullable<Layout["omitted"]> => ({
  names: pattern,
  what: "of heads",
  why: "a vector is made of the last layer's rows",
});

const NOMIC_NAMES = names({
  "attn.Wqkv": "attn_qkv",
  "attn.out_proj": "attn_output",
  "norm1": "attn_output_norm",
  "norm2": "layer_output_norm",
  "mlp.fc1": "ffn_up",
  "mlp.fc11": "ffn_up",
  "mlp.fc12": "ffn_gate",
  "mlp.fc2": "ffn_down",
  "mlp.router.layer": "ffn_gate_inp",
  "mlp.experts.mlp.w1": { into: ["ffn_up_exps.weight"], stacked: true },
  "mlp.experts.mlp.w2": { into: ["ffn_down_exps.weight"], stacked: true, turned: true },
});

/** Tokens that Nomic's models were trained with, where a file does not say; beyond them they scale positions. */
const nomicTrained = 2048;
/** The same of the model with experts, whose file says four times as many. */
const nomicMoeTrained = 512;

const nomicContext = ({ config, set }: OwnSettings, most: number) => {
  const trained = config.count("max_trained_positions", { fallback: nomicTrained });
  set("context_length", u32(Math.min(config.count("max_position_embeddings"), trained, most)));
};

const NOMIC: Family = {
  architecture: "nomic-bert",
  names: NOMIC_NAMES,
  layout: {
    before: /^(bert|model)\./,
    layer: /^encoder\.layers\.(\d{1,3})\.(.+)$/,
    outer: new Map([
      ["embeddings.word_embeddings", "token_embd"],
      ["embeddings.token_type_embeddings", "token_types"],
      ["emb_ln", "token_embd_norm"],
    ]),
    omitted: omitted(/^(pooler\.|cls\.)/),
  },
  aliases: {
    hidden_size: "n_embd",
    intermediate_size: "n_inner",
    num_hidden_layers: "n_layer",
    num_attention_heads: "n_head",
    max_position_embeddings: "n_positions",
    hidden_act: "activation_function",
    rope_theta: "rotary_emb_base",
    partial_rotary_factor: "rotary_emb_fraction",
  },
  activations: ["swiglu"],
  layerNorms: true,
  epsilon: "layer_norm_epsilon",
  epsilonUsual: 1e-12,
  ropeBase: 1000,
  tokenTypes: 2,
  rules: [
    only("rotary_emb_fraction", 1),
    only("rotary_emb_interleaved", false),
    only("rotary_emb_scale_base"),
    only("prenorm", false),
    only("use_rms_norm", false),
    only("parallel_block", false),
    only("causal", false),
  ],
  instead: (config) => Number(config.get("moe_every_n_layers") ?? 0) > 0 ? NOMIC_MOE : undefined,
  ownKeys: (settings) => {
    readsBothWays(settings);
    nomicContext(settings, Infinity);
  },
};

const NOMIC_MOE: Family = {
  ...NOMIC,
  architecture: "nomic-bert-moe",
  activations: ["gelu"],
  ropeBase: 10_000,
  layout: {
    ...NOMIC.layout as Layout,
    omitted: {
      names: /^(pooler\.|cls\.)|\.mlp\.experts\.bias$/,
      what: "of heads and of what is added behind experts",
      why:
        "a vector is made of the last layer's rows, and files of this kind have no place for the bias: vectors differ a little",
    },
  },
  rules: [
    ...NOMIC.rules ?? [],
    only("moe_normalize_expert_weights", false),
    only("expert_choice_router", false),
    only("num_shared_experts", 0),
  ],
  ownKeys: (settings) => {
    const { config, layers, set } = settings;
    readsBothWays(settings);
    nomicContext(settings, nomicMoeTrained);
    const experts = config.count("num_experts", { most: 1024 });
    set("expert_count", u32(experts));
    set("expert_used_count", u32(config.count("moe_top_k", { most: experts })));
    set("moe_every_n_layers", u32(config.count("moe_every_n_layers", { most: layers })));
  },
};

/** Which layers see all positions, and how these and the others are rotated. */
const modernKeys: OwnKeys = (settings) => {
  const { config, headDim, set } = settings;
  readsBothWays(settings);
  const every = config.count("global_attn_every_n_layers", { fallback: 3 });
  set("attention.sliding_window", u32(config.count("local_attention", { fallback: 128 })));
  set("attention.sliding_window_pattern", flags(windowedLayers(settings, (layer) => layer % every !== 0)));
  const ropes = config.object("rope_parameters");
  const base = (kind: string, key: string, usual: number) => {
    const own = ropes?.object(kind);
    if ((own?.text("rope_type") ?? "default") !== "default") throw own?.unsupported("rope_type", "default");
    return own?.get("rope_theta") === undefined ? config.positive(key, usual) : own.positive("rope_theta");
  };
  const whole = base("full_attention", "global_rope_theta", 160_000);
  set("rope.dimension_count", u32(headDim));
  set("rope.freq_base", f32(whole));
  // A base that is null is that of the other layers.
  const isNull = ropes === undefined && config.has("local_rope_theta") && config.get("local_rope_theta") === undefined;
  set("rope.freq_base_swa", f32(isNull ? whole : base("sliding_attention", "local_rope_theta", 10_000)));
  set("hidden_activation", text(config.text("hidden_activation") ?? "gelu"));
};

const MODERN: Family = {
  architecture: "modern-bert",
  names: names({
    "attn_norm": "attn_norm",
    "attn.Wqkv": "attn_qkv",
    "attn.Wo": "attn_output",
    "mlp_norm": "ffn_norm",
    "mlp.Wi": "ffn_up",
    "mlp.Wo": "ffn_down",
  }),
  layout: {
    before: /^model\./,
    layer: /^layers\.(\d{1,3})\.(.+)$/,
    outer: new Map([
      ["embeddings.tok_embeddings", "token_embd"],
      ["embeddings.norm", "token_embd_norm"],
      ["final_norm", "output_norm"],
    ]),
    omitted: omitted(/^(head|decoder|classifier)\./),
  },
  activations: ["gelu", "silu"],
  layerNorms: true,
  epsilon: "norm_eps",
  epsilonUsual: 1e-5,
  localRopes: true,
  tokenTypes: 0,
  rules: [only("norm_bias", false), only("attention_bias", false), only("mlp_bias", false)],
  ownKeys: modernKeys,
};
const MODERN_RANKS: Family = {
  ...MODERN,
  layout: {
    before: /^model\./,
    layer: /^layers\.(\d{1,3})\.(.+)$/,
    outer: new Map([
      ...(MODERN.layout as Layout).outer,
      ["head.dense", "cls"],
      ["head.norm", "cls.norm"],
      ["classifier", "cls.output"],
    ]),
  },
  // A file of this kind ranks by the mean of the rows.
  rules: [
    ...MODERN.rules ?? [],
    { key: "classifier_pooling", allowed: ["mean"], required: true },
    only("classifier_activation", "gelu"),
  ],
  ownKeys: (settings) => {
    modernKeys(settings);
    ranks(settings);
  },
};

const NEO: Family = {
  architecture: "neo-bert",
  names: names({
    "attention_norm": "attn_norm",
    "qkv": { into: ["attn_qkv.weight"], heads: "shared" },
    "wo": "attn_output",
    "ffn_norm": "ffn_norm",
    "ffn.w12": "ffn_up",
    "ffn.w3": "ffn_down",
  }),
  layout: {
    before: /^model\./,
    layer: /^transformer_encoder\.(\d{1,3})\.(.+)$/,
    outer: new Map([["encoder", "token_embd"], ["layer_norm", "enc.output_norm"]]),
    omitted: omitted(/^(decoder\.|freqs_cis$)/),
  },
  aliases: { max_position_embeddings: "max_length" },
  activations: ["SwiGLU", "swiglu"],
  epsilon: "norm_eps",
  epsilonUsual: 1e-5,
  tokenTypes: 0,
  rules: [only("rms_norm", true), only("rope", true), only("ngpt", false)],
  ownKeys: (settings) => {
    const { config, set } = settings;
    readsBothWays(settings);
    set("pooling_type", u32(2)); // the first row, as the model's page does it
    // Two thirds of what the file says, in steps of 8.
    set("feed_forward_length", u32(8 * Math.ceil(Math.floor(2 * config.count("intermediate_size") / 3) / 8)));
  },
};

/** The text part alone, saved with the head that guesses tokens or without. */
const inner: Layout = {
  before: /^model\./,
  layer: /^layers\.(\d{1,3})\.(.+)$/,
  outer: new Map([["embed_tokens", "token_embd"], ["norm", "output_norm"]]),
};

const EURO: Family = {
  architecture: "eurobert",
  names: PLAIN,
  layout: { ...inner, omitted: omitted(/^lm_head\./) },
  activations: ["silu"],
  ropeBase: 250_000,
  epsilonUsual: 1e-5,
  tokenTypes: 0,
  rules: [only("attention_bias", false), only("mlp_bias", false)],
  ownKeys: readsBothWays,
};

const GEMMA_EMBEDDING: Family = {
  architecture: "gemma-embedding",
  names: FOUR_NORMS,
  layout: { ...inner, outer: new Map([...inner.outer, ["dense_2", "dense_2"], ["dense_3", "dense_3"]]) },
  normsLessOne: true,
  activations: ["gelu_pytorch_tanh"],
  tied: true,
  window: 4096,
  ropeBase: 1e6,
  localRopeBase: 1e4,
  dense: true,
  rules: [
    { key: "use_bidirectional_attention", allowed: [true], required: true },
    only("attn_logit_softcapping"),
    only("final_logit_softcapping"),
  ],
  ownKeys: (settings) => {
    const { config, set } = settings;
    readsBothWays(settings);
    const key = ["sliding_window_pattern", "_sliding_window_pattern"].find((name) => config.get(name) !== undefined);
    const every = key === undefined ? 6 : config.count(key);
    set("attention.sliding_window_pattern", flags(windowedLayers(settings, (layer) => layer % every < every - 1)));
  },
};

/** By the class that `config.json` names. */
export const LATER_ENCODERS: readonly (readonly [string, Family])[] = [
  ["NomicBertModel", NOMIC],
  ["NomicBertForPreTraining", NOMIC],
  ["ModernBertModel", MODERN],
  ["ModernBertForMaskedLM", MODERN],
  ["ModernBertForSequenceClassification", MODERN_RANKS],
  ["NeoBERT", NEO],
  ["NeoBERTLMHead", NEO],
  ["EuroBertModel", EURO],
  ["EuroBertForMaskedLM", EURO],
  ["Gemma3TextModel", GEMMA_EMBEDDING],
];
