/**
 * Keys that change what some architecture computes, in files of another: what they ask for is refused by the key's name, so that no
 * wrong result is computed. Keys of the format that no architecture's arithmetic depends on, and such as nothing knows, are left alone.
 *
 * @module
 */
import { type Gguf, type Metadata, MetadataArray, type MetadataValue } from "../../files/gguf/read.ts";
import type { Traits } from "./types.ts";

/** Keys with the value that changes nothing, and the traits of architectures that heed them. */
const NEUTRAL: readonly (readonly [key: string, neutral: number, ...unless: (keyof Traits)[]])[] = [
  ["logit_scale", 1, "scales", "logitScale"],
  ["residual_scale", 1, "scales"],
  ["attention.temperature_scale", 0, "temperature"],
  ["rope.scaling.alpha", 0, "alpha"],
  ["attn_logit_softcapping", 0, "attentionSoftcap"],
  ["final_logit_softcapping", 0, "logitSoftcap"],
  ["router_logit_softcapping", 0],
  ["attention.output_scale", 1],
  ["attention.value_scale", 1],
  ["attention.clamp_kqv", 0],
  ["attention.max_alibi_bias", 0, "distances"],
  ["attention.shared_kv_layers", 0, "sharedKeys"],
  // 1 for each layer that is rotated.
  ["attention.rope_pattern", 1],
  ["attention.indexer.top_k", 0],
  ["attention.output_lora_rank", 0],
  ["attention.kv_lora_rank", 0, "latent"],
  ["attention.kv_lora_rank_swa", 0],
  ["embedding_length_per_layer_input", 0, "layerInputs"],
  ["rope.dimension_sections", 0, "sections"],
  ["rope.scaling.yarn_ext_factor", 0],
  ["use_parallel_residual", 0, "parallel"],
  ["swiglu_clamp_exp", 0],
  ["swiglu_clamp_shexp", 0],
  ["expert_latent_length", 0],
  ["expert_chunk_feed_forward_length", 0],
  ["activation.situ_linear_beta", 0],
  ["attn_res.block_size", 0],
  ["hyper_connection.count", 0],
  ["hash_layer_count", 0],
  ["ple.ngram_size", 0],
  ["num_loops", 1],
  ["hrm.h_cycles", 0],
  ["rescale_every_n_layers", 0],
  ["adapters.count", 0],
];

/** Sizes of a kind of layers, which must be those of all where the architecture has no such kind, and the key of these. */
const SAME: readonly (readonly [key: string, same: string, ...unless: (keyof Traits)[]])[] = [
  ["embedding_length_out", "embedding_length", "denseHeads"],
  ["attention.key_length_swa", "attention.key_length", "windowHeads"],
  ["attention.value_length_swa", "attention.value_length", "windowHeads"],
  ["rope.dimension_count_swa", "rope.dimension_count", "windowHeads"],
  ["rope.freq_base_swa", "rope.freq_base", "localRopeBase"],
];
/** Of those, what only layers with a window have. */
const ofWindows = /_swa$/;

/** Refuses files that ask for something the architecture does not have. */
export function refuseForeignKeys({ metadata }: Gguf, architecture: string, traits: Traits): void {
  const isHeeded = (unless: readonly (keyof Traits)[]) => unless.some((trait) => traits[trait] !== undefined);
  for (const [name, neutral, ...unless] of NEUTRAL) {
    if (isHeeded(unless)) continue;
    const key = `${architecture}.${name}`;
    // Writers put 0 where a factor is not used; in a list of layers it says that of one of them.
    const values = valuesOf(metadata, key);
    const isList = values.length > 1 && neutral !== 0;
    const other = values.find((value) => Number(value) !== neutral && (isList || Number(value) !== 0));
    if (other !== undefined) throw metadata.unsupported(key, `${neutral}`, shown(values));
  }
  for (const [name, same, ...unless] of SAME) {
    if (isHeeded(unless) || (ofWindows.test(name) && traits.window === undefined)) continue;
    const [key, like] = [`${architecture}.${name}`, `${architecture}.${same}`];
    const values = valuesOf(metadata, key);
    const expected = valuesOf(metadata, like)[0];
    if (values.every((value) => Number(value) === 0 || value === expected)) continue;
    throw metadata.unsupported(key, expected === undefined ? "none" : `${expected}, as ${like}`, shown(values));
  }
}

/** What a key holds, as a list. */
function valuesOf(metadata: Metadata, key: string): readonly MetadataValue[] {
  const value = metadata.get(key);
  if (value === undefined) return [];
  return value instanceof MetadataArray ? [...value] : [value];
}

function shown(values: readonly MetadataValue[]): string {
  return values.length === 1 ? `${values[0]}` : `[${values.join(", ")}]`;
}
