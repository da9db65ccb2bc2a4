/**
 * `config.json` of a Hugging Face folder as the metadata of a GGUF file. Only what the architectures here can compute gets
 * through; a setting that would change the result and has no place is refused by name.
 *
 * @module
 */
import { LIMITS } from "../../../ffi/wire.ts";
import { VALUE_TYPE } from "../../files/gguf/metadata.ts";
import type { NewValue } from "../../files/gguf/encode.ts";
import type { JsonFile, JsonObject } from "./json.ts";
import { type Llama3Scaling, readLlama3 } from "./rope.ts";

/** What the tensors of an architecture are called and need. */
export interface Family {
  /** `general.architecture`. */
  readonly architecture: string;
  /** Rows of q and k change their order: llama's files pair neighbours, the folder's halves. */
  readonly permuted?: true;
  /** The weights of norms are kept less 1 in the folder. */
  readonly normsLessOne?: true;
  /** A norm before and one behind attention and feed-forward. */
  readonly fourNorms?: true;
  readonly activations: readonly string[];
  /** The embedding is the output matrix where the file does not say. */
  readonly tied?: true;
  /** Positions that a windowed layer sees, where the file does not say. */
  readonly window?: number;
  /** The base of the rotation's frequencies where the file does not say, and in windowed layers, where it is another. */
  readonly ropeBase?: number;
  readonly localRopeBase?: number;
  /** The settings lie under `text_config`, beside those for pictures; what is absent there is as here. */
  readonly textConfig?: JsonObject;
}

const SILU = ["silu", "swish"];
const GELU = ["gelu_pytorch_tanh", "gelu"];
const GEMMA = { normsLessOne: true, activations: GELU, tied: true } as const;

const GEMMA3: Family = {
  ...GEMMA,
  architecture: "gemma3",
  fourNorms: true,
  window: 4096,
  ropeBase: 1e6,
  localRopeBase: 1e4,
};
/** Gemma3TextConfig's values in Transformers: published files leave out what equals them. */
const GEMMA3_TEXT = {
  vocab_size: 262_208,
  hidden_size: 2304,
  intermediate_size: 9216,
  num_hidden_layers: 26,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  head_dim: 256,
  max_position_embeddings: 131_072,
  query_pre_attn_scalar: 256,
} as const;

const FAMILIES: ReadonlyMap<string, Family> = new Map<string, Family>([
  ["LlamaForCausalLM", { architecture: "llama", permuted: true, activations: SILU }],
  ["MistralForCausalLM", { architecture: "llama", permuted: true, activations: SILU }],
  ["Qwen2ForCausalLM", { architecture: "qwen2", activations: SILU }],
  ["Qwen3ForCausalLM", { architecture: "qwen3", activations: SILU }],
  ["GemmaForCausalLM", { ...GEMMA, architecture: "gemma" }],
  ["Gemma2ForCausalLM", { ...GEMMA, architecture: "gemma2", fourNorms: true, window: 4096 }],
  ["Gemma3ForCausalLM", GEMMA3],
  ["Gemma3ForConditionalGeneration", { ...GEMMA3, textConfig: GEMMA3_TEXT }],
  ["Phi3ForCausalLM", { architecture: "phi3", activations: SILU }],
]);

/** What a folder's `config.json` says. */
export interface Config {
  readonly family: Family;
  readonly metadata: Map<string, NewValue>;
  readonly layers: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly headDim: number;
  readonly vocabulary: number;
  /** The embedding is the output matrix, too. */
  readonly tied: boolean;
  /** How frequencies are scaled, where it is as in Llama 3.1. */
  readonly llama3: Llama3Scaling | undefined;
}

const u32 = (value: number): NewValue => ({ type: VALUE_TYPE.uint32, value });
const f32 = (value: number): NewValue => ({ type: VALUE_TYPE.float32, value });
const text = (value: string): NewValue => ({ type: VALUE_TYPE.string, value });

/** Reads it; `name` becomes the model's. */
export function readConfig(file: JsonFile, name: string): Config {
  const [first] = file.list("architectures") ?? [];
  const family = typeof first === "string" ? FAMILIES.get(first) : undefined;
  if (family === undefined) throw file.unsupported("architectures", `one of ${[...FAMILIES.keys()].join(", ")}`);
  if (file.get("quantization_config") !== undefined) {
    throw file.unsupported("quantization_config", "weights as floats: the original model");
  }
  const config = family.textConfig === undefined ? file : file.object("text_config", family.textConfig);
  if (config === undefined) throw file.wrong("text_config", "an object");
  refuseForeign(config, family);
  const embedding = config.count("hidden_size");
  const heads = config.count("num_attention_heads", { most: LIMITS.headsMax });
  const keyHeads = config.count("num_key_value_heads", { most: heads, fallback: heads });
  if (config.get("head_dim") === undefined && embedding % heads !== 0) {
    throw config.wrong("num_attention_heads", `a divisor of hidden_size, ${embedding}`);
  }
  const headDim = config.count("head_dim", { most: LIMITS.headDimMax, fallback: Math.floor(embedding / heads) });
  const layers = config.count("num_hidden_layers", { most: LIMITS.layersMax });
  const { architecture } = family;
  const metadata = new Map<string, NewValue>([
    ["general.architecture", text(architecture)],
    ["general.type", text("model")],
    ["general.name", text(name)],
  ]);
  const set = (key: string, value: NewValue) => metadata.set(`${architecture}.${key}`, value);
  set("context_length", u32(config.count("max_position_embeddings", { most: 1 << 24 })));
  set("embedding_length", u32(embedding));
  set("block_count", u32(layers));
  set("feed_forward_length", u32(config.count("intermediate_size")));
  set("attention.head_count", u32(heads));
  set("attention.head_count_kv", u32(keyHeads));
  set("attention.key_length", u32(headDim));
  set("attention.value_length", u32(headDim));
  set("attention.layer_norm_rms_epsilon", f32(config.positive("rms_norm_eps", 1e-6)));
  const vocabulary = config.count("vocab_size");
  set("vocab_size", u32(vocabulary));
  const hasWindow = family.window !== undefined || config.get("sliding_window") !== undefined;
  if (hasWindow && config.flag("use_sliding_window", true)) {
    set("attention.sliding_window", u32(config.count("sliding_window", { fallback: family.window })));
  }
  if (architecture === "gemma2") {
    set("attn_logit_softcapping", f32(config.positive("attn_logit_softcapping", 50)));
    set("final_logit_softcapping", f32(config.positive("final_logit_softcapping", 30)));
  }
  const llama3 = setRope(config, family, headDim, set);
  return {
    family,
    metadata,
    layers,
    heads,
    keyHeads,
    headDim,
    vocabulary,
    tied: config.flag("tie_word_embeddings", family.tied ?? false),
    llama3,
  };
}

/** Rotary positions: the base, the share of a head, how positions are scaled. */
function setRope(
  config: JsonFile,
  { architecture, ropeBase, localRopeBase }: Family,
  headDim: number,
  set: (key: string, value: NewValue) => void,
): Llama3Scaling | undefined {
  // Newer files have all of it in one object, or in one for each kind of layer.
  const all = config.object("rope_parameters");
  const [full, windowed] = ["full_attention", "sliding_attention"].map((kind) => all?.object(kind));
  if (localRopeBase === undefined && (full ?? windowed) !== undefined) {
    throw config.unsupported("rope_parameters", "the same for all layers");
  }
  const parameters = full ?? all;
  const fileOf = (key: string) => parameters?.get(key) === undefined ? config : parameters;
  const share = fileOf("partial_rotary_factor").positive("partial_rotary_factor", 1);
  const rotated = Math.floor(headDim * share);
  if (share > 1 || rotated % 2 !== 0 || rotated < 2) {
    throw fileOf("partial_rotary_factor").wrong("partial_rotary_factor", "an even part of a head");
  }
  set("rope.dimension_count", u32(rotated));
  set("rope.freq_base", f32(fileOf("rope_theta").positive("rope_theta", ropeBase ?? 1e4)));
  if (localRopeBase !== undefined) {
    const local = windowed?.get("rope_theta") === undefined
      ? config.positive("rope_local_base_freq", localRopeBase)
      : windowed.positive("rope_theta");
    set("rope.freq_base_swa", f32(local));
    if ((windowed?.text("rope_type") ?? "default") !== "default") throw windowed?.unsupported("rope_type", "default");
  }
  const scaling = config.object("rope_scaling") ?? parameters;
  if (scaling === undefined) return undefined;
  const key = scaling.get("rope_type") === undefined ? "type" : "rope_type";
  const type = scaling.text(key) ?? "default";
  if (type === "default") return undefined;
  if (type === "llama3" && architecture === "llama") return readLlama3(scaling, rotated);
  if (type !== "linear") {
    throw scaling.unsupported(key, architecture === "llama" ? "default, linear or llama3" : "default or linear");
  }
  set("rope.scaling.type", text("linear"));
  set("rope.scaling.factor", f32(scaling.positive("factor")));
  return undefined;
}

/** Settings under which the architecture here would compute something else. */
function refuseForeign(config: JsonFile, { architecture, activations }: Family): void {
  for (const key of ["hidden_act", "hidden_activation"]) {
    const value = config.get(key);
    if (value !== undefined && !(typeof value === "string" && activations.includes(value))) {
      throw config.unsupported(key, activations.join(" or "));
    }
  }
  const without = (key: string, expected: string, isNeutral: (value: unknown) => boolean) => {
    if (config.get(key) !== undefined && !isNeutral(config.get(key))) throw config.unsupported(key, expected);
  };
  without("num_local_experts", "a dense model", (value) => value === 0 || value === 1);
  if (architecture.startsWith("qwen")) without("use_sliding_window", "false", (value) => value === false);
  if (architecture === "gemma2" || architecture === "gemma3") {
    const heads = config.count("num_attention_heads", { most: LIMITS.headsMax });
    const wide = config.count("hidden_size") / heads;
    const scale =
      config.count("num_hidden_layers", { most: LIMITS.layersMax }) === (architecture === "gemma2" ? 46 : 62)
        ? wide
        : config.count("head_dim", { fallback: Math.floor(wide) });
    without("query_pre_attn_scalar", `${scale}, as in the published models`, (value) => value === scale);
  }
  if (architecture === "gemma3") {
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
}
