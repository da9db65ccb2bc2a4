/**
 * Latent attention (MLA): of each position one latent row is kept, from which the keys and values of all heads are made. What
 * a file says of its sizes, in its two forms: newer ones state the lengths of one head apart (`key_length_mla`), older ones
 * in the usual place.
 *
 * @module
 */
import { LIMITS } from "../../../ffi/wire.ts";
import type { Metadata } from "../../files/gguf/read.ts";
import type { LayerParameters, Traits } from "./types.ts";
import { lengthOf } from "./yarn.ts";

/** What latent attention adds to the parameters of a layer. */
export type LatentParameters = Pick<LayerParameters, "latentRank" | "latentRotated" | "queryRank">;

/** Of layers whose attention is not latent. */
export const NOT_LATENT: LatentParameters = { latentRank: 0, latentRotated: 0, queryRank: 0 };

/** Rows that heads write side by side begin and end at whole vectors. */
const lanes = 16;

/** Elements of a key and of a value of one head. */
export function latentHeads(metadata: Metadata, architecture: string): { kDim: number; vDim: number } {
  const read = (name: string) => {
    const own = `${architecture}.attention.${name}_mla`;
    return metadata.count(metadata.has(own) ? own : `${architecture}.attention.${name}`, { most: LIMITS.headDimMax });
  };
  const [kDim, vDim] = [read("key_length"), read("value_length")];
  if (vDim % lanes === 0) return { kDim, vDim };
  throw metadata.unsupported(`${architecture}.attention.value_length_mla`, `a multiple of ${lanes}`, `${vDim}`);
}

/** The sizes of a model's latent rows. */
export function readLatent(metadata: Metadata, architecture: string, traits: Traits, kDim: number): LatentParameters {
  if (traits.latent === undefined) return NOT_LATENT;
  const rotatedKey = `${architecture}.rope.dimension_count`;
  const latentRotated = metadata.count(rotatedKey, { least: 2, most: kDim - 1 });
  const rankKey = `${architecture}.attention.kv_lora_rank`;
  const latentRank = metadata.count(rankKey, { most: LIMITS.headDimMax - latentRotated });
  if (latentRank % lanes !== 0) throw metadata.unsupported(rankKey, `a multiple of ${lanes}`, `${latentRank}`);
  const queryRank = metadata.count(`${architecture}.attention.q_lora_rank`, {
    least: 0,
    most: LIMITS.embeddingMax,
    fallback: 0,
  });
  return { latentRank, latentRotated, queryRank };
}

/**
 * What scores are multiplied by: s^2 / sqrt(K) with K elements of a key. With YaRN s grows with the logarithm of its factor, as
 * the file says, or else as fast as the rotated elements grow elsewhere.
 */
export function latentScale(metadata: Metadata, architecture: string, kDim: number): number {
  const key = (name: string) => `${architecture}.rope.scaling.${name}`;
  if (metadata.text(key("type"), "none") !== "yarn") return 1 / Math.sqrt(kDim);
  const factor = metadata.number(key("factor"), { least: 0, fallback: 0 });
  const s = metadata.positive(key("attn_factor"), 1) * lengthOf(factor, latentMultiplier(metadata, architecture));
  return s * s / Math.sqrt(kDim);
}

/** What the logarithm of YaRN's factor is multiplied by, in tenths: files hold a tenth of what they mean. */
export function latentMultiplier(metadata: Metadata, architecture: string): number {
  const stated = metadata.number(`${architecture}.rope.scaling.yarn_log_multiplier`, { fallback: 0 });
  return stated === 0 ? 1 : stated / 0.1;
}
