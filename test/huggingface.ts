/**
 * Hugging Face folders made of GGUF files, by the inverse of what importing does, written from what the two kinds of files
 * say: names, llama's order of rows, gemma's norms, vocabularies.
 *
 * @module
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Gguf, readGguf } from "../mod.ts";
import { f32, flag, text, u32 } from "./models.ts";
import { gemma3, type Shape } from "./small-models.ts";

/** A tensor of a folder. */
export interface FolderTensor {
  name: string;
  dtype: string;
  shape: number[];
  data: Uint8Array;
}

/** What a folder holds; a test may change it before it is written. */
export interface Folder {
  config: Record<string, unknown>;
  tokenizer: Record<string, unknown>;
  tokenizerConfig: Record<string, unknown>;
  tensors: FolderTensor[];
}

/** The bytes of a safetensors file. */
export function safetensors(
  tensors: readonly FolderTensor[],
  change?: (header: Record<string, unknown>) => void,
): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let at = 0;
  for (const { name, dtype, shape, data } of tensors) {
    header[name] = { dtype, shape, data_offsets: [at, at += data.length] };
  }
  change?.(header);
  const text = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + at);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  let to = 8 + text.length;
  for (const { data } of tensors) {
    bytes.set(data, to);
    to += data.length;
  }
  return bytes;
}

/** Writes a folder; with `shards` the weights lie in so many files. */
export function writeFolder(path: string, { config, tokenizer, tokenizerConfig, tensors }: Folder, shards = 1): void {
  mkdirSync(path, { recursive: true });
  const json = (name: string, value: unknown) => writeFileSync(join(path, name), JSON.stringify(value));
  json("config.json", config);
  json("tokenizer.json", tokenizer);
  json("tokenizer_config.json", tokenizerConfig);
  if (shards === 1) return writeFileSync(join(path, "model.safetensors"), safetensors(tensors));
  const weightMap: Record<string, string> = {};
  for (let shard = 0; shard < shards; shard++) {
    const name = `model-${shard + 1}-of-${shards}.safetensors`;
    const part = tensors.filter((_, index) => index % shards === shard);
    for (const tensor of part) weightMap[tensor.name] = name;
    writeFileSync(join(path, name), safetensors(part));
  }
  json("model.safetensors.index.json", { metadata: {}, weight_map: weightMap });
}

const CLASSES: Record<string, string> = {
  llama: "LlamaForCausalLM",
  qwen2: "Qwen2ForCausalLM",
  qwen3: "Qwen3ForCausalLM",
  gemma: "GemmaForCausalLM",
  gemma2: "Gemma2ForCausalLM",
  gemma3: "Gemma3ForCausalLM",
  phi3: "Phi3ForCausalLM",
};
const FOUR_NORMS = ["gemma2", "gemma3"];

/** A GGUF file of F32 weights as a folder. */
export function folderOf(path: string): Folder {
  const gguf = readGguf(path);
  const file = readFileSync(path);
  const architecture = gguf.metadata.text("general.architecture");
  const number = (key: string) => gguf.metadata.get(`${architecture}.${key}`) as number | undefined;
  const heads = number("attention.head_count") ?? 0;
  const headDim = number("attention.key_length") ?? (number("embedding_length") ?? 0) / heads;
  const gemma = architecture.startsWith("gemma");
  const ropeFreqs = gguf.tensors.has("rope_freqs.weight");
  const config: Record<string, unknown> = {
    architectures: [CLASSES[architecture]],
    hidden_size: number("embedding_length"),
    intermediate_size: number("feed_forward_length"),
    num_hidden_layers: number("block_count"),
    num_attention_heads: heads,
    num_key_value_heads: number("attention.head_count_kv"),
    head_dim: headDim,
    max_position_embeddings: number("context_length"),
    rms_norm_eps: number("attention.layer_norm_rms_epsilon"),
    rope_theta: number("rope.freq_base"),
    vocab_size: number("vocab_size"),
    hidden_act: gemma ? "gelu_pytorch_tanh" : "silu",
    tie_word_embeddings: !gguf.tensors.has("output.weight"),
    ...(number("attention.sliding_window") === undefined ? {} : { sliding_window: number("attention.sliding_window") }),
    ...(number("rope.scaling.factor") === undefined
      ? {}
      : { rope_scaling: { type: "linear", factor: number("rope.scaling.factor") } }),
    ...(FOUR_NORMS.includes(architecture) ? { query_pre_attn_scalar: headDim } : {}),
    ...(architecture === "gemma3"
      ? { sliding_window_pattern: 6, rope_local_base_freq: number("rope.freq_base_swa") }
      : {}),
    ...(architecture === "phi3"
      ? { model_type: "phi3", partial_rotary_factor: (number("rope.dimension_count") ?? headDim) / headDim }
      : {}),
  };
  const tensors = [...gguf.tensors.values()].filter(({ name }) => name !== "rope_freqs.weight").map((tensor) => {
    const { name, dims, offset, bytes } = tensor;
    let data: Uint8Array = new Uint8Array(file.subarray(offset, offset + bytes));
    const shape = [...dims].reverse();
    if (architecture === "llama" && /attn_[qk]\./.test(name)) data = halvesApart(data, shape[0], headDim);
    if (gemma && /norm/.test(name)) data = new Uint8Array(lessOne(new Float32Array(data.buffer)).buffer);
    return { name: folderName(name, architecture), dtype: "F32", shape, data };
  });
  if (ropeFreqs) config.rope_scaling = undefined; // the test says which
  return { config, tensors, ...vocabularyOf(gguf) };
}

/** Rows of each head in the order that pairs its halves: file rows 0, 2, 4 ... and then 1, 3, 5 ... */
export function halvesApart(data: Uint8Array, rows: number, headDim: number): Uint8Array {
  const rowBytes = data.length / rows;
  const out = new Uint8Array(data.length);
  let to = 0;
  for (let head = 0; head < rows / headDim; head++) {
    for (const first of [0, 1]) {
      for (let k = first; k < headDim; k += 2) {
        const row = head * headDim + k;
        out.set(data.subarray(row * rowBytes, (row + 1) * rowBytes), to);
        to += rowBytes;
      }
    }
  }
  return out;
}

function lessOne(values: Float32Array): Float32Array {
  return values.map((value) => value - 1);
}

const NAMES: [RegExp, string][] = [
  [/^token_embd/, "model.embed_tokens"],
  [/^output_norm/, "model.norm"],
  [/^output/, "lm_head"],
  [/attn_norm/, "input_layernorm"],
  [/attn_q_norm/, "self_attn.q_norm"],
  [/attn_k_norm/, "self_attn.k_norm"],
  [/attn_qkv/, "self_attn.qkv_proj"],
  [/attn_q/, "self_attn.q_proj"],
  [/attn_k/, "self_attn.k_proj"],
  [/attn_v/, "self_attn.v_proj"],
  [/attn_output/, "self_attn.o_proj"],
  [/ffn_gate/, "mlp.gate_proj"],
  [/ffn_up/, "mlp.up_proj"],
  [/ffn_down/, "mlp.down_proj"],
  [/post_attention_norm/, "post_attention_layernorm"],
  [/post_ffw_norm/, "post_feedforward_layernorm"],
];

function folderName(name: string, architecture: string): string {
  const [, layer = "", base, kind] = /^(?:blk\.(\d+)\.)?(.*)\.(weight|bias)$/.exec(name) ?? [];
  const norm = FOUR_NORMS.includes(architecture) ? "pre_feedforward_layernorm" : "post_attention_layernorm";
  const known = NAMES.find(([pattern]) => pattern.test(base))?.[1];
  const found = base === "ffn_norm" ? norm : architecture === "phi3" && base === "ffn_up" ? "mlp.gate_up_proj" : known;
  return layer === "" ? `${found}.${kind}` : `model.layers.${layer}.${found}.${kind}`;
}

const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const rest = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const wordsOf = (digits: string) => `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}${rest}`;
const [upper, lower] = ["[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]", "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"];
const casedOf = (suffix: string, digits: string) => {
  const word = (middle: string) => `[^\\r\\n\\p{L}\\p{N}]?${middle}${suffix}|`;
  return word(`${upper}*${lower}+`) + word(`${upper}+${lower}*`) + digits + rest.replace("\\r\\n]*", "\\r\\n/]*");
};
/** Regular expressions of published tokenizers by the name that GGUF has for them. */
const EXPRESSIONS: Record<string, string[]> = {
  "llama-bpe": [wordsOf("\\p{N}{1,3}")],
  lfm2: [wordsOf("\\p{N}{1,3}")],
  "smaug-bpe": [wordsOf("\\p{N}{1,3}")],
  glm4: [wordsOf("\\p{N}{1,3}")],
  qwen35: [
    wordsOf("\\p{N}").replace("?\\p{L}+", "?[\\p{L}\\p{M}]+").replace("s\\p{L}\\p{N}]+", "s\\p{L}\\p{M}\\p{N}]+"),
  ],
  "gpt-4o": [casedOf(`${contractions}?`, "\\p{N}{1,3}")],
  tekken: [casedOf("", "\\p{N}")],
  "seed-coder": [
    `${contractions}|[^\r\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\r\n]+|\\s*[\r\n]+|\\s+(?!\\S)|\\s+`,
  ],
  "hunyuan-dense": [
    "\\p{N}{1,3}",
    "[一-龥\u3040-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*" +
    "|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
  ],
};

/** How words are cut, as `tokenizer.json` has it. */
function stepsOf(pre: string): unknown[] {
  const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false };
  if (["gpt-2", "olmo", "exaone4"].includes(pre)) return [{ ...bytes, use_regex: true }];
  if (["starcoder", "refact", "command-r"].includes(pre)) {
    return [{ type: "Digits", individual_digits: true }, { ...bytes, use_regex: true }];
  }
  const expressions = EXPRESSIONS[pre] ?? [wordsOf("\\p{N}")];
  return [
    ...expressions.map((Regex) => ({ type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false })),
    bytes,
  ];
}

/** `tokenizer.json` and `tokenizer_config.json` of a file's vocabulary. */
export function vocabularyOf({ metadata }: Gguf): Pick<Folder, "tokenizer" | "tokenizerConfig"> {
  const strings = (key: string) => [...metadata.array(`tokenizer.ggml.${key}`, 8) ?? []] as string[];
  const texts = strings("tokens");
  const kinds = [...metadata.array("tokenizer.ggml.token_type", 5) ?? []] as number[];
  const raw = metadata.text("tokenizer.ggml.model") === "gemma4";
  const pieces = raw || metadata.text("tokenizer.ggml.model") === "llama";
  const scores = [...metadata.array("tokenizer.ggml.scores", 6) ?? []] as number[];
  const ids = new Map(texts.map((text, id) => [text, id]));
  const wholeWords = ["llama-bpe", "lfm2", "tekken"].includes(metadata.text("tokenizer.ggml.pre", ""));
  const merges = pieces && !raw ? mergesOf(texts, scores, kinds, ids) : strings("merges");
  const id = (name: string) => metadata.get(`tokenizer.ggml.${name}_token_id`) as number | undefined;
  const bos = texts[id("bos") ?? 0];
  const preTokenizers = stepsOf(metadata.text("tokenizer.ggml.pre", ""));
  const prefix = metadata.flag("tokenizer.ggml.add_space_prefix", !raw);
  const rstrip = /phi-3/i.test(metadata.text("general.name", ""));
  const replace = { type: "Replace", pattern: { String: " " }, content: "▁" };
  const addBos = metadata.flag("tokenizer.ggml.add_bos_token", pieces);
  const template = {
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: bos, type_id: 0 } }, { Sequence: { id: "A" } }],
  };
  return {
    tokenizer: {
      added_tokens: texts.map((content, id) => ({ id, content, special: kinds[id] === 3 || kinds[id] === 2, rstrip }))
        .filter(({ id }) => kinds[id] === 2 || kinds[id] === 3 || kinds[id] === 4),
      normalizer: pieces
        ? prefix ? { type: "Sequence", normalizers: [{ type: "Prepend", prepend: "▁" }, replace] } : replace
        : null,
      pre_tokenizer: pieces ? null : {
        type: "Sequence",
        pretokenizers: preTokenizers,
      },
      post_processor: addBos ? template : null,
      model: {
        type: "BPE",
        byte_fallback: pieces,
        ignore_merges: wholeWords,
        unk_token: pieces ? texts[id("unknown") ?? 0] : null,
        vocab: Object.fromEntries(texts.map((text, id) => [text, id]).filter(([, id]) => kinds[Number(id)] !== 4)),
        merges,
      },
    },
    tokenizerConfig: {
      bos_token: bos,
      eos_token: { content: texts[id("eos") ?? 0] },
      ...(id("padding") === undefined ? {} : { pad_token: texts[id("padding") ?? 0] }),
      chat_template: "{{ messages[0].content }}",
    },
  };
}

/** All pairs that make a token, those of the best score first. */
function mergesOf(texts: string[], scores: number[], kinds: number[], ids: Map<string, number>): [string, string][] {
  const order = texts.map((_, id) => id).filter((id) => kinds[id] === 1).sort((a, b) => scores[b] - scores[a] || a - b);
  return order.flatMap((id) => {
    const characters = [...texts[id]];
    return characters.slice(1).flatMap((_, cut): [string, string][] => {
      const [left, right] = [characters.slice(0, cut + 1).join(""), characters.slice(cut + 1).join("")];
      return ids.has(left) && ids.has(right) ? [[left, right]] : [];
    });
  });
}

/** A copy of a gemma whose norms lose no bit when 1 is taken from them; of other models the path as it is. */
export function withExactNorms(path: string, copy: string): string {
  const { metadata, tensors } = readGguf(path);
  if (!metadata.text("general.architecture").startsWith("gemma")) return path;
  const bytes = readFileSync(path);
  for (const { name, offset, bytes: length } of tensors.values()) {
    if (!name.includes("norm")) continue;
    for (let at = offset; at < offset + length; at += 4) {
      bytes.writeFloatLE(Math.round(bytes.readFloatLE(at) * 2 ** 16) / 2 ** 16, at);
    }
  }
  writeFileSync(copy, bytes);
  return copy;
}

/** A small gemma3; the kit has none. */
export const gemma: Shape = {
  ...gemma3,
  values: {
    ...gemma3.values,
    "gemma3.rope.freq_base_swa": f32(12_000),
    "gemma3.vocab_size": u32(278),
    "tokenizer.ggml.add_space_prefix": flag(false),
  },
};
/** A small phi3 with fused matrices. */
export const phi3: Shape = {
  architecture: "phi3",
  fused: true,
  untied: true,
  values: {
    "general.name": text("Phi-3 small"),
    "phi3.rope.freq_base": f32(20_000),
    "phi3.rope.dimension_count": u32(12),
    "phi3.attention.sliding_window": u32(5),
    "phi3.vocab_size": u32(278),
  },
};
