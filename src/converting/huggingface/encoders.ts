/**
 * The families of folders whose models read whole texts: BERT, and what RoBERTa and XLM-R have else, to embed and to rank. Their
 * positions are a table; RoBERTa's begins with rows that no token has, and files leave these out.
 *
 * @module
 */
import { flag, u32 } from "./own_keys.ts";
import type { Family, Layout, OwnKeys, Rule } from "./types.ts";

const LAYER: ReadonlyMap<string, string> = new Map([
  ["attention.self.query", "attn_q"],
  ["attention.self.key", "attn_k"],
  ["attention.self.value", "attn_v"],
  ["attention.output.dense", "attn_output"],
  ["attention.output.LayerNorm", "attn_output_norm"],
  ["intermediate.dense", "ffn_up"],
  ["output.dense", "ffn_down"],
  ["output.LayerNorm", "layer_output_norm"],
]);

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

const readsBothWays: OwnKeys = ({ set }) => set("attention.causal", flag(false));
/** A rank head: how well a document answers. */
const ranks: OwnKeys = (settings) => {
  readsBothWays(settings);
  settings.set("pooling_type", u32(4));
};

const BERT: Family = {
  architecture: "bert",
  names: LAYER,
  layout: layout([], heads),
  activations: ["gelu"],
  layerNorms: true,
  epsilon: "layer_norm_eps",
  unrotated: true,
  rules: RULES,
  ownKeys: readsBothWays,
};
const BERT_RANKS: Family = {
  ...BERT,
  layout: layout([["pooler.dense", "cls"], ["classifier", "cls.output"]], undefined),
  ownKeys: ranks,
};

/** Positions count from behind the padding token's. */
const ROBERTA: Family = { ...BERT, positionsFrom: "pad_token_id" };
const ROBERTA_RANKS: Family = {
  ...ROBERTA,
  layout: layout([["classifier.dense", "cls"], ["classifier.out_proj", "cls.output"]], heads),
  ownKeys: ranks,
};

/** By the class that `config.json` names. */
export const ENCODERS: readonly (readonly [string, Family])[] = [
  ["BertModel", BERT],
  ["BertForMaskedLM", BERT],
  ["BertForSequenceClassification", BERT_RANKS],
  ...["Roberta", "XLMRoberta", "Camembert"].flatMap((name) =>
    [
      [`${name}Model`, ROBERTA],
      [`${name}ForMaskedLM`, ROBERTA],
      [`${name}ForSequenceClassification`, ROBERTA_RANKS],
    ] as const
  ),
];
