/**
 * The table of architectures: what each has, as traits. It is the only place that knows architectures by name; everything
 * after it asks the traits. A new architecture of known traits is one row.
 *
 * Where a trained model and llama.cpp differ, llama.cpp is followed, since that is what GGUF files are made for and tested
 * with: the sliding windows that files of `llama` and `phi3` state are not applied.
 *
 * @module
 */
import type { ExpertTraits, Traits } from "./types.ts";

const LLAMA: Traits = { ropeStyle: "norm", activation: "silu", wholeHeads: true };
const MIXTRAL: Traits = { ...LLAMA, experts: { score: "softmax", normalises: true, optional: true } };
const GRANITE: Traits = { ...LLAMA, scales: true, rotationSwitch: true };
const QWEN2: Traits = { ropeStyle: "neox", activation: "silu", biases: true };
const QWEN3: Traits = {
  ropeStyle: "neox",
  activation: "silu",
  queryNorms: "heads",
  rank: { pooling: "last", softmax: true },
};
const QWEN3MOE: Traits = { ...QWEN3, experts: { score: "softmax", normalises: true, ownWidth: true } };
const QWEN35: Traits = {
  ...QWEN3,
  secondNorm: "post_attention_norm.weight",
  recurrent: "deltaRule",
  stateHeads: "turns",
  gatedAttention: true,
};
const WEIGHED: ExpertTraits = { score: "softmax", normalises: true, ownWidth: true, shared: "weighed" };
const BIASED: ExpertTraits = {
  score: "sigmoid",
  normalises: false,
  stated: true,
  scored: true,
  ownWidth: true,
  shared: "count",
  leadingDense: true,
};
const NEMOTRON_H: Traits = {
  ropeStyle: "none",
  activation: "relu",
  ungated: true,
  halves: true,
  recurrent: "mamba2",
  eitherEpsilon: true,
  drafterDeviation: true,
};
const GEMMA: Traits = { ropeStyle: "neox", activation: "gelu", scaledEmbedding: true };

const COHERE: Traits = { ropeStyle: "norm", activation: "silu", layerNorms: true, parallel: true, logitScale: true };

const LFM2: Traits = {
  ropeStyle: "neox",
  activation: "silu",
  queryNorms: "heads",
  recurrent: "shortConvolution",
  // Files that state a window have it in all layers with attention.
  window: { period: 0, size: 0 },
  outputNorm: "token_embd_norm.weight",
};

/** BERT and its kin: norms behind what is added, biases, every token sees all others. */
const BERT: Traits = {
  ropeStyle: "none",
  activation: "geluErf",
  layerNorms: true,
  encoder: true,
  streamNorms: true,
  embeddingNorm: true,
  tokenTypes: "required",
};
const PLAIN_BERT: Traits = { ...BERT, activation: "plainGeluErf", ungated: true };

/** The architectures by the name in `general.architecture`. */
export const ARCHITECTURES: ReadonlyMap<string, Traits> = new Map<string, Traits>([
  ["llama", MIXTRAL],
  ["mistral", MIXTRAL],
  ["mistral3", { ...LLAMA, yarnKeys: true, temperature: true }],
  ["smollm3", { ...LLAMA, unrotated: 4 }],
  ["arcee", { ...LLAMA, activation: "relu", ungated: true }],
  ["ernie4_5", LLAMA],
  ["ernie4_5-moe", {
    ...LLAMA,
    experts: {
      score: "softmax",
      normalises: true,
      ownWidth: true,
      shared: "length",
      leadingDense: true,
      interleaved: true,
    },
  }],
  ["granite", GRANITE],
  ["granitemoe", {
    ...LLAMA,
    scales: true,
    experts: { score: "softmax", normalises: true, optional: true, shared: "length" },
  }],
  ["granitehybrid", {
    ropeStyle: "norm",
    activation: "silu",
    scales: "optional",
    rotationSwitch: true,
    recurrent: "mamba2",
    experts: { score: "softmax", normalises: true, optional: true, shared: "length" },
  }],
  ["falcon-h1", { ropeStyle: "neox", activation: "silu", secondNorm: "ffn_norm", recurrent: "paired" }],
  ["nemotron_h", NEMOTRON_H],
  ["nemotron_h_moe", {
    ...NEMOTRON_H,
    experts: {
      score: "sigmoid",
      normalises: false,
      stated: true,
      ownWidth: true,
      shared: "length",
      latent: true,
    },
  }],
  ["qwen2", QWEN2],
  ["qwen2moe", { ...QWEN2, experts: { ...WEIGHED, normalises: false } }],
  ["qwen3", QWEN3],
  ["qwen3moe", QWEN3MOE],
  ["qwen3vl", { ...QWEN3, sections: true }],
  ["qwen3vlmoe", { ...QWEN3MOE, sections: true }],
  ["seed_oss", { ...QWEN2, secondNorm: "post_attention_norm.weight" }],
  ["hunyuan-dense", { ...QWEN3, queryNorms: "rotatedHeads", alpha: true, oneExpert: true }],
  ["hunyuan-moe", {
    ...QWEN3,
    queryNorms: "rotatedHeads",
    experts: { score: "softmax", normalises: true, shared: "always" },
  }],
  ["olmoe", {
    ropeStyle: "neox",
    activation: "silu",
    queryNorms: "rows",
    experts: { score: "softmax", normalises: false },
  }],
  ["olmo2", {
    ropeStyle: "neox",
    activation: "silu",
    queryNorms: "rows",
    postNorms: "only",
    window: { period: 4, size: 0 },
    plainWindows: true,
  }],
  ["exaone4", {
    ...QWEN3,
    postNorms: "only",
    window: { period: 4, size: 4096, ofLayers: 64 },
    unrotated: "unwindowed",
  }],
  ["stablelm", { ropeStyle: "neox", activation: "silu", layerNorms: true, parallel: "withoutNorm" }],
  ["command-r", { ...COHERE, logitScale: "optional" }],
  ["cohere2", { ...COHERE, window: { period: 4, size: "required" }, unrotated: "unwindowed" }],
  ["gemma", GEMMA],
  ["gemma2", {
    ...GEMMA,
    postNorms: true,
    attentionSoftcap: 50,
    logitSoftcap: 30,
    window: { period: 2, size: 4096 },
    localRopeBase: "same",
    wideScaleLayers: 46,
  }],
  ["gemma3", {
    ...GEMMA,
    postNorms: true,
    queryNorms: "heads",
    logitSoftcap: 0,
    window: { period: 6, size: 0 },
    localRopeBase: 10_000,
    wideScaleLayers: 62,
  }],
  ["gemma4", {
    ...GEMMA,
    postNorms: true,
    queryNorms: "heads",
    valueNorms: true,
    attentionScale: 1,
    logitSoftcap: 0,
    window: { period: "stated", size: "required" },
    windowHeads: true,
    localRopeBase: 10_000,
    sharedKeys: true,
    layerInputs: true,
    experts: { score: "softmax", normalises: true, optional: true, ownWidth: true, beside: true },
  }],
  ["lfm2", LFM2],
  ["lfm2moe", {
    ...LFM2,
    experts: { score: "sigmoid", normalises: true, scored: true, ownWidth: true, leadingDense: true },
  }],
  ["qwen35", { ...QWEN35, sections: true }],
  ["qwen35moe", { ...QWEN35, sections: true, experts: WEIGHED }],
  ["qwen3next", { ...QWEN35, stateHeads: "neighbours", experts: WEIGHED }],
  ["deepseek2", {
    ropeStyle: "norm",
    activation: "silu",
    latent: true,
    experts: {
      ...BIASED,
      score: "softmax",
      // GLM-4.7-Flash, as llama.cpp tells it from others.
      sigmoidOf: { layers: [47, 48], vocabulary: 154_880 },
    },
  }],
  ["phi3", { ropeStyle: "neox", activation: "silu", fused: true }],
  ["glm4", { ropeStyle: "norm", activation: "silu", postNorms: true, fused: true }],
  ["glm4moe", { ...QWEN3, optionalNorms: true, secondNorm: "post_attention_norm.weight", experts: BIASED }],
  ["dots1", { ...QWEN3, experts: BIASED }],
  ["gpt-oss", {
    ...QWEN2,
    activation: "clamped",
    secondNorm: "post_attention_norm.weight",
    window: { period: 2, size: 0 },
    localRopeBase: "same",
    sinks: true,
    experts: { score: "softmaxOfChosen", normalises: false, ownWidth: true },
  }],
  ["llama-embed", LLAMA],
  ["bert", { ...PLAIN_BERT, positionTable: true, secondType: true }],
  ["nomic-bert", { ...BERT, ropeStyle: "neox", activation: "silu", levelsBeforeCut: true }],
  ["nomic-bert-moe", {
    ...PLAIN_BERT,
    ropeStyle: "neox",
    experts: { score: "softmax", normalises: false, every: true },
  }],
  ["jina-bert-v2", {
    ...BERT,
    fused: true,
    distances: true,
    queryNorms: "rows",
    optionalNorms: true,
  }],
  ["jina-bert-v3", { ...PLAIN_BERT, ropeStyle: "neox" }],
  ["modern-bert", {
    ropeStyle: "neox",
    activation: "geluErf",
    statedActivation: true,
    layerNorms: true,
    encoder: true,
    embeddingNorm: true,
    bareFirst: true,
    fused: true,
    window: { period: 3, size: 0, first: true, centred: true },
    localRopeBase: 10_000,
    rank: { pooling: "mean", activation: "geluErf" },
  }],
  ["neo-bert", {
    ropeStyle: "norm",
    activation: "silu",
    encoder: true,
    fused: true,
    outputNorm: "enc.output_norm.weight",
  }],
  ["eurobert", { ropeStyle: "neox", activation: "silu", encoder: true }],
  ["gemma-embedding", {
    ...GEMMA,
    encoder: "always",
    postNorms: true,
    queryNorms: "heads",
    window: { period: 6, size: 0, centred: true },
    localRopeBase: 10_000,
    denseHeads: true,
  }],
]);
