/**
 * Models of the shapes that decide which types a mix gives, without their weights: what `mixes.test.ts` plans, and what
 * `bench/peers/mixes.ts` gives llama-quantize. Rows are of the real length; there are as few of them as can be.
 *
 * @module
 */

/** One model's shape. */
export interface MixShape {
  readonly name: string;
  readonly architecture: string;
  /** Metadata by key, without the architecture in front. */
  readonly numbers: Readonly<Record<string, number>>;
  /** Columns of the embedding, and of the input of the product that ends a feed-forward. */
  readonly columns: number;
  readonly feedForward: number;
  /** Whether queries, keys and values are one matrix. */
  readonly isJoined?: true;
  readonly isTied?: true;
  /** Roles and sizes of the tensors of a layer, where they are others than most models have. */
  readonly layer?: (layer: number) => readonly (readonly [role: string, ...dims: number[]])[];
}

const rows = 32;
const heads = (query: number, key: number) => ({ "attention.head_count": query, "attention.head_count_kv": key });
const common = { "context_length": 64, "attention.layer_norm_rms_epsilon": 1e-5 };

const states = {
  "full_attention_interval": 4,
  "ssm.conv_kernel": 4,
  "ssm.state_size": 128,
  "ssm.group_count": 4,
  "ssm.time_step_rank": 8,
  "ssm.inner_size": 1024,
  "rope.dimension_count": 64,
};
const delta = [
  ["attn_qkv", 1024, rows],
  ["attn_gate", 1024, rows],
  ["ssm_ba", 1024, 16],
  ["ssm_conv1d", 4, 2048],
  ["ssm_out", 1024, rows],
] as const;

/** The router and the experts of a layer. */
const expertsOf = (columns: number, width: number, count: number) =>
  [
    ["ffn_gate_inp", columns, count],
    ["ffn_gate_exps", columns, rows, count],
    ["ffn_up_exps", columns, rows, count],
    ["ffn_down_exps", width, rows, count],
  ] as const;
const attentionOf = (columns: number) =>
  [
    ["attn_q", columns, rows],
    ["attn_k", columns, rows],
    ["attn_v", columns, rows],
    ["attn_output", columns, rows],
  ] as const;
const denseOf = (columns: number, width: number) =>
  [
    ["ffn_gate", columns, rows],
    ["ffn_up", columns, rows],
    ["ffn_down", width, rows],
  ] as const;

/** Models with experts and with states: gpt-oss, LFM2, Qwen 3 Next. */
const newer: readonly MixShape[] = [
  {
    name: "gpt-oss",
    architecture: "gpt-oss",
    numbers: {
      ...common,
      block_count: 8,
      embedding_length: 2880,
      expert_feed_forward_length: 2880,
      expert_count: 8,
      expert_used_count: 4,
      "attention.sliding_window": 128,
      "attention.key_length": 64,
      "attention.value_length": 64,
      ...heads(64, 8),
    },
    columns: 2880,
    feedForward: 2880,
    layer: () => [["attn_norm", 2880], ...attentionOf(2880), ...expertsOf(2880, 2880, 8)],
  },
  {
    name: "lfm2",
    architecture: "lfm2",
    numbers: {
      ...common,
      block_count: 16,
      embedding_length: 1024,
      feed_forward_length: 4608,
      "shortconv.l_cache": 3,
      ...heads(16, 8),
    },
    columns: 1024,
    feedForward: 4608,
    isTied: true,
    layer: (layer) => [
      ["attn_norm", 1024],
      ...layer % 3 === 2
        ? attentionOf(1024)
        : [["shortconv.in_proj", 1024, rows], ["shortconv.conv", 3, 1024], ["shortconv.out_proj", 1024, rows]] as const,
      ...denseOf(1024, 4608),
    ],
  },
  {
    name: "qwen3next",
    architecture: "qwen3next",
    numbers: {
      ...common,
      ...states,
      block_count: 8,
      embedding_length: 1024,
      feed_forward_length: 512,
      expert_feed_forward_length: 512,
      expert_shared_feed_forward_length: 512,
      expert_count: 16,
      expert_used_count: 8,
      "attention.key_length": 256,
      "attention.value_length": 256,
      ...heads(16, 2),
    },
    columns: 1024,
    feedForward: 512,
    layer: (layer) => [
      ["attn_norm", 1024],
      ...layer % 4 === 3 ? attentionOf(1024) : delta,
      ...expertsOf(1024, 512, 16),
      ["ffn_gate_inp_shexp", 1024],
      ["ffn_gate_shexp", 1024, rows],
      ["ffn_up_shexp", 1024, rows],
      ["ffn_down_shexp", 512, rows],
    ],
  },
];

/** SmolLM2, Gemma 3 270M, Phi 3, Mixtral, Qwen 3 with experts, Llama 2 70B and Qwen 2 72B. */
export const mixShapes: readonly MixShape[] = [
  {
    name: "smollm2",
    architecture: "llama",
    numbers: { ...common, block_count: 30, embedding_length: 576, feed_forward_length: 1536, ...heads(9, 3) },
    columns: 576,
    feedForward: 1536,
    isTied: true,
  },
  {
    name: "gemma3",
    architecture: "gemma3",
    numbers: { ...common, block_count: 18, embedding_length: 640, feed_forward_length: 2048, ...heads(4, 1) },
    columns: 640,
    feedForward: 2048,
    isTied: true,
  },
  {
    name: "phi3",
    architecture: "phi3",
    numbers: { ...common, block_count: 32, embedding_length: 512, feed_forward_length: 1024, ...heads(32, 32) },
    columns: 512,
    feedForward: 1024,
    isJoined: true,
  },
  {
    name: "experts",
    architecture: "llama",
    numbers: {
      ...common,
      block_count: 16,
      embedding_length: 256,
      feed_forward_length: 512,
      expert_count: 8,
      expert_used_count: 2,
      ...heads(8, 2),
    },
    columns: 256,
    feedForward: 512,
  },
  {
    name: "qwen3moe",
    architecture: "qwen3moe",
    numbers: {
      ...common,
      block_count: 16,
      embedding_length: 256,
      feed_forward_length: 512,
      expert_feed_forward_length: 512,
      expert_count: 16,
      expert_used_count: 4,
      "attention.key_length": 32,
      "attention.value_length": 32,
      ...heads(8, 1),
    },
    columns: 256,
    feedForward: 512,
  },
  {
    name: "llama-70b",
    architecture: "llama",
    numbers: { ...common, block_count: 80, embedding_length: 256, feed_forward_length: 512, ...heads(64, 8) },
    columns: 256,
    feedForward: 512,
  },
  {
    name: "qwen2-72b",
    architecture: "qwen2",
    numbers: { ...common, block_count: 80, embedding_length: 256, feed_forward_length: 512, ...heads(64, 8) },
    columns: 256,
    feedForward: 512,
  },
  ...newer,
];

/** Every mix that both can write and whose types are meant to be the same, and those that an importance matrix changes. */
export const comparedMixes: readonly string[] = [
  ...[
    "q4_0",
    "q4_1",
    "q5_0",
    "q5_1",
    "q8_0",
    "iq4_nl",
    "iq4_xs",
    "mxfp4_moe",
    "q6_k",
    "q2_k",
    "q3_k_s",
    "q3_k_m",
    "q3_k_l",
  ],
  ...["iq3_s", "iq3_m", "tq1_0", "tq2_0", "q2_0"],
  ...["q4_k_s", "q4_k_m", "q5_k_s", "q5_k_m"],
];
export const weighedMixes: readonly string[] = [
  ...["q4_0", "q5_0", "iq4_nl", "iq4_xs", "q3_k_m", "q4_k_m", "iq3_m"],
  // llama-quantize makes these with a matrix alone.
  ...["iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq2_m", "iq3_xxs", "iq3_xs", "q2_k_s"],
];

/** The tensors of a model, in the order of its layers. */
export function tensorsOf(shape: MixShape): { name: string; dims: number[] }[] {
  const { columns, feedForward, isJoined, isTied, numbers } = shape;
  const { block_count: layers = 0, expert_count: experts = 0 } = numbers;
  const tensors = [{ name: "token_embd.weight", dims: [columns, rows] }, {
    name: "output_norm.weight",
    dims: [columns],
  }];
  if (!isTied) tensors.push({ name: "output.weight", dims: [columns, rows] });
  for (let layer = 0; layer < layers; layer++) {
    const add = (role: string, ...dims: number[]) => tensors.push({ name: `blk.${layer}.${role}.weight`, dims });
    if (shape.layer !== undefined) {
      for (const [role, ...dims] of shape.layer(layer)) add(role, ...dims);
      continue;
    }
    add("attn_norm", columns);
    if (isJoined) add("attn_qkv", columns, rows);
    else for (const role of ["attn_q", "attn_k", "attn_v"]) add(role, columns, rows);
    add("attn_output", columns, rows);
    add("ffn_norm", columns);
    if (experts === 0) {
      for (const role of ["ffn_gate", "ffn_up"]) add(role, columns, rows);
      add("ffn_down", feedForward, rows);
    } else {
      add("ffn_gate_inp", columns, experts);
      for (const role of ["ffn_gate_exps", "ffn_up_exps"]) add(role, columns, rows, experts);
      add("ffn_down_exps", feedForward, rows, experts);
    }
  }
  return tensors;
}

/** What llama-quantize did. */
export interface MixRecord {
  /** The types; a letter stands for each, `a` for the first. */
  readonly types: string[];
  /** By shape, then mix (with "+" where there is an importance matrix): a letter for each tensor, in the order of {@link tensorsOf}. */
  readonly shapes: Record<string, Record<string, string>>;
}
