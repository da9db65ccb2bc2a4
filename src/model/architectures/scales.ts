/**
 * The constants of a model: what embeddings, residuals, scores and logits are multiplied by, soft caps, the temperature of
 * queries. A file that states another constant than its architecture has is refused.
 *
 * @module
 */
import type { Metadata } from "../../files/gguf/read.ts";
import { latentScale } from "./latent.ts";
import type { Hyperparameters, Traits } from "./types.ts";

/** By how much a stated scale may differ from the right one, as a share: what a float32 is off by. */
const sameScale = 1e-6;

type Scale =
  | "epsilon"
  | "embeddingScale"
  | "residualScale"
  | "attentionScale"
  | "attentionSoftcap"
  | "logitScale"
  | "logitSoftcap"
  | "temperatureScale"
  | "temperatureContext";

/** Reads them; `heads` are those of the first layer. */
export function readScales(
  metadata: Metadata,
  architecture: string,
  traits: Traits,
  { layers, embedding, kDim }: { readonly layers: number; readonly embedding: number; readonly kDim: number },
  heads: number,
): Pick<Hyperparameters, Scale> {
  const key = (name: string) => `${architecture}.${name}`;
  const scaleLength = layers === traits.wideScaleLayers ? embedding / heads : kDim;
  const attentionScale = traits.attentionScale ?? 1 / Math.sqrt(scaleLength);
  // Where the architecture has no scales of its own, a file may state the one that it has anyway, or 0 for none.
  const scale = (name: string, otherwise: number) => {
    const value = metadata.number(key(name), { least: 0, fallback: 0 });
    if (value === 0) return otherwise;
    if (traits.scales === undefined && Math.abs(value / otherwise - 1) > sameScale) {
      throw metadata.unsupported(key(name), `${otherwise} or none`, `${value}`);
    }
    return traits.scales === undefined ? otherwise : value;
  };
  const softcap = (name: string, fallback: number | undefined) =>
    fallback === undefined ? 0 : metadata.number(key(name), { least: 0, fallback });
  return {
    epsilon: readEpsilon(
      metadata,
      key("attention.layer_norm_rms_epsilon"),
      key("attention.layer_norm_epsilon"),
      traits,
    ),
    embeddingScale: scale("embedding_scale", traits.scaledEmbedding ? Math.fround(Math.sqrt(embedding)) : 1),
    residualScale: scale("residual_scale", 1),
    attentionScale: traits.latent
      ? latentScale(metadata, architecture, kDim)
      : scale("attention.scale", attentionScale),
    attentionSoftcap: softcap("attn_logit_softcapping", traits.attentionSoftcap),
    logitScale: readLogitScale(metadata, key("logit_scale"), traits),
    logitSoftcap: softcap("final_logit_softcapping", traits.logitSoftcap),
    ...readTemperature(metadata, architecture, traits),
  };
}

function readEpsilon(metadata: Metadata, ofSquares: string, ofDeviation: string, traits: Traits): number {
  const isOther = traits.layerNorms ?? (traits.eitherEpsilon && !metadata.has(ofSquares));
  return metadata.positive(isOther ? ofDeviation : ofSquares);
}

/** What logits are multiplied by: files state that, or what they are divided by. */
function readLogitScale(metadata: Metadata, key: string, { scales, logitScale }: Traits): number {
  // Writers put 0 where it is not used.
  if (logitScale === "optional" && metadata.number(key, { fallback: 0 }) === 0) return 1;
  if (logitScale) return metadata.positive(key);
  const isAbsent = scales === "optional" && metadata.number(key, { fallback: 0 }) === 0;
  return scales && !isAbsent ? Math.fround(1 / metadata.positive(key)) : 1;
}

function readTemperature(
  metadata: Metadata,
  architecture: string,
  { temperature }: Traits,
): Pick<Hyperparameters, "temperatureScale" | "temperatureContext"> {
  if (temperature === undefined) return { temperatureScale: 0, temperatureContext: 1 };
  const trained = metadata.count(`${architecture}.context_length`);
  return {
    temperatureScale: metadata.number(`${architecture}.attention.temperature_scale`, { least: 0, fallback: 0 }),
    temperatureContext: metadata.count(`${architecture}.rope.scaling.original_context_length`, { fallback: trained }),
  };
}
