/**
 * The families of folders that are made as BERT: BERT, DistilBERT, what RoBERTa and XLM-R have else, and Jina's, to embed and to rank.
 * Positions are a table (RoBERTa's begins with rows that no token has, and files leave these out), or, of Jina's, lower scores or
 * rotate heads. Encoders of other makes are in `later_encoders.ts`.
 *
 * @module
 */
import { both, names } from "./names.ts";
import { ranks, readsBothWays, u32 } from "./own_keys.ts";
import type { Family, Layout, Rule } from "./types.ts";

const LAYER = names({
  "attention.self.query": "attn_q",
  "attention.self.key": "attn_k",
  "attention.self.value": "attn_v",
  "attention.output.dense": "attn_output",
  "attention.output.LayerNorm": "attn_output_norm",
  "intermediate.dense": "ffn_up",
  "output.dense": "ffn_down",
  "output.LayerNorm": "layer_output_norm",
});

const EMBEDDINGS: readonly (readonly [string, string])[] = [
  ["embeddings.word_embeddings", "token_embd"],
  ["embeddings.position_embeddings", "position_embd"],
  ["embeddings.token_type_embeddings", "token_types"],
  ["embeddings.LayerNorm", "token_embd_norm"],
];

/** Names that begin with the model's own or with none, as a model with a head or one without was saved. */
const layout = (outer: readonly (readonly [string, string])[], omitted: Layout["omitted"]): Layout => ({
  before: /^(bert|roberta|model)\./,
  layer: /^encoder\.layer\.(\d{1,3})\.(.+)$/,
  outer: new Map([...EMBEDDINGS, ...outer]),
  ...(omitted === undefined ? {} : { omitted }),
});

/** What is trained beside, and takes no part in a vector. */
const heads = {
  names: /^(pooler\.dense|cls\.|lm_head\.)/,
  what: "of heads",
  why: "a vector is made of the last layer's rows",
} as const;

const RULES: readonly Rule[] = [
  { key: "position_embedding_type", allowed: ["absolute"] },
  { key: "is_decoder", allowed: [false] },
  { key: "add_cross_attention", allowed: [false] },
];

const BERT: Family = {
  architecture: "bert",
  names: LAYER,
  layout: layout([], heads),
  activations: ["gelu"],
  layerNorms: true,
  epsilon: "layer_norm_eps",
  epsilonUsual: 1e-12,
  unrotated: true,
  tokenTypes: 2,
  rules: RULES,
  ownKeys: readsBothWays,
};
const BERT_RANKS: Family = {
  ...BERT,
  layout: layout([["pooler.dense", "cls"], ["classifier", "cls.output"]], undefined),
  ownKeys: ranks,
};

/** Positions count from behind the padding token's. */
const ROBERTA: Family = {
  ...BERT,
  positionsFrom: "pad_token_id",
  instead: (config) => config.get("position_embedding_type") === "rotary" ? JINA_V3 : undefined,
};
const ROBERTA_RANKS: Family = {
  ...BERT,
  positionsFrom: "pad_token_id",
  layout: layout([["classifier.dense", "cls"], ["classifier.out_proj", "cls.output"]], heads),
  ownKeys: ranks,
};

/** Smaller, without types of tokens. */
const DISTILBERT: Family = {
  ...BERT,
  names: names({
    "attention.q_lin": "attn_q",
    "attention.k_lin": "attn_k",
    "attention.v_lin": "attn_v",
    "attention.out_lin": "attn_output",
    "sa_layer_norm": "attn_output_norm",
    "ffn.lin1": "ffn_up",
    "ffn.lin2": "ffn_down",
    "output_layer_norm": "layer_output_norm",
  }),
  layout: {
    before: /^distilbert\./,
    layer: /^transformer\.layer\.(\d{1,3})\.(.+)$/,
    outer: new Map(EMBEDDINGS),
    omitted: { ...heads, names: /^vocab_/ },
  },
  aliases: {
    hidden_size: "dim",
    intermediate_size: "hidden_dim",
    num_hidden_layers: "n_layers",
    num_attention_heads: "n_heads",
    hidden_act: "activation",
  },
  tokenTypes: 1,
  rules: [],
};

const alibi: Rule = { key: "position_embedding_type", allowed: ["alibi"], required: true };
/** Distances lower scores, and feed-forward parts are gated. */
const JINA_V2: Family = {
  ...BERT,
  architecture: "jina-bert-v2",
  names: both(
    LAYER,
    names({
      "attention.self.layer_norm_q": "attn_q_norm",
      "attention.self.layer_norm_k": "attn_k_norm",
      "layer_norm_1": "attn_norm_2",
      "layer_norm_2": "layer_output_norm",
      // The first half is what gates: as a file has both in one. The model of code has them the other way round.
      "mlp.gated_layers": "ffn_up",
      "mlp.up_gated_layer": { into: ["ffn_up.weight", "ffn_gate.weight"], by: "halves" },
      "mlp.wo": "ffn_down",
      "mlp.down_layer": "ffn_down",
      "mlp.layernorm": "layer_output_norm",
    }),
  ),
  rules: [alibi, { key: "feed_forward_type", allowed: ["geglu"], required: true }, ...RULES.slice(1)],
  ownKeys: (settings) => {
    readsBothWays(settings);
    if (settings.config.text("emb_pooler") === "mean") settings.set("pooling_type", u32(1));
  },
};

/** XLM-R with rotated heads. Its matrices are wrapped, for adapters that a task chooses among. */
const JINA_V3: Family = {
  ...ROBERTA,
  architecture: "jina-bert-v3",
  names: names({
    "mixer.Wqkv": "attn_qkv",
    "mixer.out_proj": "attn_output",
    "norm1": "attn_output_norm",
    "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down",
    "norm2": "layer_output_norm",
  }),
  layout: {
    before: /^roberta\.|\.parametrizations(?=\.weight\.)|(?<=\.weight)\.original$/g,
    layer: /^encoder\.layers\.(\d{1,3})\.(.+)$/,
    outer: new Map([...EMBEDDINGS, ["emb_ln", "token_embd_norm"]]),
    omitted: {
      names: /^pooler\.|\.lora_[AB]$/,
      what: "of a head and of the adapters for tasks",
      why: "an adapter is a file of its own, and a vector is made of the last layer's rows",
    },
  },
  aliases: { rope_theta: "rotary_emb_base" },
  ropeBase: 20_000,
  unrotated: undefined,
  rules: RULES.slice(1),
};

/** By the class that `config.json` names. */
export const ENCODERS: readonly (readonly [string, Family])[] = [
  ["BertModel", BERT],
  ["BertForMaskedLM", BERT],
  ["BertForSequenceClassification", BERT_RANKS],
  ["DistilBertModel", DISTILBERT],
  ["DistilBertForMaskedLM", DISTILBERT],
  ["JinaBertModel", JINA_V2],
  ["JinaBertForMaskedLM", JINA_V2],
  ["JinaBertForSequenceClassification", { ...JINA_V2, layout: BERT_RANKS.layout, ownKeys: ranks }],
  ...["Roberta", "XLMRoberta", "Camembert"].flatMap((name) =>
    [
      [`${name}Model`, ROBERTA],
      [`${name}ForMaskedLM`, ROBERTA],
      [`${name}ForSequenceClassification`, ROBERTA_RANKS],
    ] as const
  ),
];
