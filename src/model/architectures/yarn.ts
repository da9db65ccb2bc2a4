/**
 * YaRN, a longer context by other frequencies: pairs that turn often within the original context keep their frequency, those
 * that turn seldom are slowed by the factor, and between the two lies a ramp. What is rotated is lengthened a little.
 *
 * @module
 */
import type { Metadata } from "../../files/gguf/read.ts";
import { ln } from "./elementary.ts";
import type { Rotation, Traits } from "./types.ts";

/** Turns within the original context from which on a pair keeps its frequency, and below which it gets the factor's. */
const betas = { fast: 32, slow: 1 };
/** What a factor of e lengthens the rotated elements by. */
const growth = 0.1;

/** What YaRN makes of a rotation. Only architectures with `yarnKeys` heed the file's own numbers, as llama.cpp does. */
export function readYarn(
  metadata: Metadata,
  architecture: string,
  { yarnKeys, latent }: Traits,
  { dimensions, base, scale, magnitude }: Rotation,
): Pick<Rotation, "magnitude" | "rampBegin" | "rampEnd"> {
  const key = (name: string) => `${architecture}.rope.scaling.${name}`;
  const own = (name: string, fallback: number) =>
    yarnKeys === undefined ? fallback : metadata.positive(key(name), fallback);
  const trained = metadata.count(`${architecture}.context_length`);
  const original = metadata.count(key("original_context_length"), { fallback: trained });
  if (base <= 1) throw metadata.wrong(`${architecture}.rope.freq_base`, "a number above 1 with yarn", `${base}`);
  const pairOf = (turns: number) => dimensions * ln(original / (2 * Math.PI * turns)) / (2 * ln(base));
  const rampBegin = Math.max(0, Math.floor(pairOf(own("yarn_beta_fast", betas.fast))));
  const rampEnd = Math.min(dimensions - 1, Math.ceil(pairOf(own("yarn_beta_slow", betas.slow))));
  const stated = metadata.number(key("yarn_log_multiplier"), { fallback: 0 });
  // Latent attention that states one lengthens its scores by it, and nothing else.
  const multiplier = latent && stated !== 0 ? 1 : yarnKeys === undefined ? 0 : stated;
  return {
    magnitude: magnitude * lengthOf(1 / scale) / lengthOf(1 / scale, multiplier),
    rampBegin,
    rampEnd: Math.max(rampBegin, rampEnd),
  };
}

/** 1 + 0.1 * multiplier * ln(factor), and 1 where positions are not scaled down. */
export function lengthOf(factor: number, multiplier = 1): number {
  return factor <= 1 ? 1 : 1 + growth * multiplier * ln(factor);
}
