/**
 * `config.json` of a Hugging Face folder as the metadata of a GGUF file. Only what the architectures here can compute gets
 * through; a setting that would change the result and has no place is refused by name. What families there are, `families.ts`
 * knows.
 *
 * @module
 */
import { LIMITS } from "../../../ffi/wire.ts";
import type { NewValue } from "../../files/gguf/encode.ts";
import { ARCHITECTURES } from "../../model/architectures/table.ts";
import { FAMILIES } from "./families.ts";
import type { JsonFile } from "./json.ts";
import type { Names } from "./names.ts";
import { f32, text, u32 } from "./own_keys.ts";
import { setRope } from "./rope.ts";
import type { Family } from "./types.ts";

/** What a folder's `config.json` says. */
export interface Config {
  readonly family: Family;
  /** What the tensors of a layer are called. */
  readonly names: Names;
  readonly metadata: Map<string, NewValue>;
  readonly layers: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly headDim: number;
  readonly vocabulary: number;
  /** The embedding is the output matrix, too. */
  readonly tied: boolean;
  /** Experts of a layer, 0 in a dense model; and heads with a state, with the groups that they are in. */
  readonly experts: number;
  readonly stateHeads: number;
  readonly stateGroups: number;
  readonly stateSize: number;
  /** Rows at the beginning of the table of positions that no token has. */
  readonly unusedPositions: number;
  /** What divides the frequencies of the rotation, where something does: it becomes a tensor. */
  readonly factors: Float32Array | undefined;
}

/** Reads it; `name` becomes the model's. */
export function readConfig(file: JsonFile, name: string): Config {
  const [first] = file.list("architectures") ?? [];
  const named = typeof first === "string" ? FAMILIES.get(first) : undefined;
  if (named === undefined) throw file.unsupported("architectures", `one of ${[...FAMILIES.keys()].join(", ")}`);
  const family = named.instead?.(file) ?? named;
  checkWeights(file, family);
  const own = family.textConfig === undefined ? file : file.object("text_config", family.textConfig);
  if (own === undefined) throw file.wrong("text_config", "an object");
  const config = family.aliases === undefined ? own : own.renamed(family.aliases);
  refuseForeign(config, family);
  const { architecture } = family;
  const metadata = new Map<string, NewValue>([
    ["general.architecture", text(architecture)],
    ["general.type", text("model")],
    ["general.name", text(name)],
  ]);
  const set = (key: string, value: NewValue) => void metadata.set(`${architecture}.${key}`, value);
  const sizes = setSizes(config, family, set);
  const llama3 = family.localRopes || family.unrotated ? undefined : setRope(config, family, sizes.headDim, set);
  const made = family.ownKeys?.({ config, ...sizes, set });
  const number = (key: string) => Number(metadata.get(`${architecture}.${key}`)?.value ?? 0);
  const experts = number("expert_count");
  for (const key of ["num_local_experts", "num_experts"]) {
    const value = config.get(key);
    if (experts === 0 && value !== undefined && value !== 0 && value !== 1) {
      throw config.unsupported(key, "a dense model");
    }
  }
  return {
    family,
    names: experts === 0 ? family.denseNames ?? family.names : family.names,
    metadata,
    ...sizes,
    // Of models that read pictures too, either place may say so.
    tied: (config.get("tie_word_embeddings") === undefined ? file : config)
      .flag("tie_word_embeddings", family.tied ?? false),
    experts,
    stateHeads: number("ssm.time_step_rank"),
    stateGroups: number("ssm.group_count"),
    stateSize: number("ssm.state_size"),
    factors: made ?? llama3,
  };
}

/** The keys that all models have. */
function setSizes(config: JsonFile, family: Family, set: (key: string, value: NewValue) => void) {
  const embedding = config.count("hidden_size");
  const heads = config.count("num_attention_heads", { most: LIMITS.headsMax });
  const keyHeads = config.count("num_key_value_heads", { most: heads, fallback: heads });
  const isStated = config.get("head_dim") !== undefined && !family.evenHeads;
  if (!isStated && embedding % heads !== 0) {
    throw config.wrong("num_attention_heads", `a divisor of hidden_size, ${embedding}`);
  }
  const even = Math.floor(embedding / heads);
  const headDim = isStated ? config.count("head_dim", { most: LIMITS.headDimMax }) : even;
  const layers = config.count("num_hidden_layers", { most: LIMITS.layersMax });
  const unused = unusedPositions(config, family);
  const positions = config.count("max_position_embeddings", { least: unused + 1, most: 1 << 24 });
  set("context_length", u32(positions - unused));
  set("embedding_length", u32(embedding));
  set("block_count", u32(layers));
  const isDense = !family.sparse || config.get("intermediate_size") !== undefined;
  // LFM2 has two names for it, of which one may be absent.
  if (isDense && config.get("block_ff_dim") === undefined) {
    set("feed_forward_length", u32(config.count("intermediate_size")));
  }
  set("attention.head_count", u32(heads));
  set("attention.head_count_kv", u32(keyHeads));
  set("attention.key_length", u32(headDim));
  set("attention.value_length", u32(headDim));
  const usual = family.epsilonUsual ?? (family.explicit ? undefined : 1e-6);
  const epsilon = config.positive(family.epsilon ?? "rms_norm_eps", usual);
  set(family.layerNorms ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon", f32(epsilon));
  const vocabulary = config.count("vocab_size");
  set("vocab_size", u32(vocabulary));
  const hasWindow = family.window !== undefined || config.get("sliding_window") !== undefined;
  if (hasWindow && config.flag("use_sliding_window", true)) {
    set("attention.sliding_window", u32(config.count("sliding_window", { fallback: family.window })));
  }
  if (family.architecture === "gemma2") {
    set("attn_logit_softcapping", f32(config.positive("attn_logit_softcapping", 50)));
    set("final_logit_softcapping", f32(config.positive("final_logit_softcapping", 30)));
  }
  return { layers, heads, keyHeads, headDim, vocabulary, unusedPositions: unused };
}

/** Rows of the table of positions that no token has. */
function unusedPositions(config: JsonFile, { positionsFrom }: Family): number {
  return positionsFrom === undefined ? 0 : 1 + config.count(positionsFrom, { least: 0, most: 1 << 16, fallback: 1 });
}

/** Weights that are quantized in the folder are refused, unless they are in blocks that a GGUF file has as well. */
function checkWeights(file: JsonFile, family: Family): void {
  if (file.get("quantization_config") === undefined) return;
  const blocks = file.object("quantization_config");
  if (family.blocks && blocks?.get("quant_method") === "mxfp4") return;
  throw file.unsupported(
    "quantization_config",
    `weights as floats: the original model${family.blocks ? ", or mxfp4" : ""}`,
  );
}

/** Settings under which the architecture here would compute something else. */
function refuseForeign(config: JsonFile, family: Family): void {
  const { architecture, activations, rules = [] } = family;
  for (const key of ["hidden_act", "hidden_activation"]) {
    const value = config.get(key);
    if (value !== undefined && !(typeof value === "string" && activations.includes(value))) {
      throw config.unsupported(key, activations.join(" or "));
    }
  }
  for (const { key, allowed, required } of rules) {
    const value = config.get(key);
    if (value === undefined ? !required : allowed.some((one) => JSON.stringify(one) === JSON.stringify(value))) {
      continue;
    }
    throw config.unsupported(
      key,
      allowed.length === 0 ? "none" : allowed.map((one) => JSON.stringify(one)).join(" or "),
    );
  }
  const without = (key: string, expected: string, isNeutral: (value: unknown) => boolean) => {
    if (config.get(key) !== undefined && !isNeutral(config.get(key))) throw config.unsupported(key, expected);
  };
  if (architecture.startsWith("qwen")) without("use_sliding_window", "false", (value) => value === false);
  // Files of older families are made with windows that llama.cpp does not apply, nor do we.
  if (family.explicit && ARCHITECTURES.get(architecture)?.window === undefined) {
    if (config.flag("use_sliding_window", true)) without("sliding_window", "none", () => false);
  }
  if (["gemma2", "gemma3", "gemma-embedding"].includes(architecture)) refuseForeignScale(config, architecture);
  if (architecture === "gemma3") refuseForeignGemma3(without);
}

function refuseForeignScale(config: JsonFile, architecture: string): void {
  const heads = config.count("num_attention_heads", { most: LIMITS.headsMax });
  const wide = config.count("hidden_size") / heads;
  const layers = config.count("num_hidden_layers", { most: LIMITS.layersMax });
  const isWide = layers === (architecture === "gemma2" ? 46 : 62);
  const scale = isWide ? wide : config.count("head_dim", { fallback: Math.floor(wide) });
  const value = config.get("query_pre_attn_scalar");
  if (value === undefined || value === scale) return;
  throw config.unsupported("query_pre_attn_scalar", `${scale}, as in the published models`);
}

function refuseForeignGemma3(
  without: (key: string, expected: string, isNeutral: (value: unknown) => boolean) => void,
): void {
  for (const key of ["sliding_window_pattern", "_sliding_window_pattern"]) without(key, "6", (value) => value === 6);
  without("use_bidirectional_attention", "false", (value) => value === false);
  without(
    "layer_types",
    "full attention in each sixth layer",
    (value) =>
      Array.isArray(value) &&
      value.every((type, i) => type === (i % 6 === 5 ? "full_attention" : "sliding_attention")),
  );
  without("final_logit_softcapping", "none", () => false);
  without("attn_logit_softcapping", "none", () => false);
}
